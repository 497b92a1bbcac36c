"""The REST data API of the Salesforce stand-in, as a function from a request to an answer.

It knows nothing of HTTP, so that a composite request can send its parts through the same door.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sandbox.salesforce_schema import OBJECTS, SObject, describe, describe_global
from sandbox.salesforce_store import Org
from sandbox.salesforce_values import Ambiguous, Record, Refusal
from sandbox.soql import Path, Query, QueryError, parse

COLLECTION_CAP = 200
COMPOSITE_CAP = 25
_REFERENCE = re.compile(r"@\{([^}]+)\}")


@dataclass(frozen=True)
class Ask:
    """One request below ``/services/data/vNN.0/``. ``segments`` are the decoded parts of the path."""

    method: str
    segments: tuple[str, ...]
    query: dict[str, str]
    body: Any
    version: str
    batch_size: int = 2000

    @property
    def base(self) -> str:
        """Where this version of the API begins; addresses in answers are paths, as Salesforce gives them."""
        return f"/services/data/{self.version}"


@dataclass(frozen=True)
class Answer:
    """Status and JSON; ``body`` None is no content."""

    status: int
    body: Any = None


@dataclass
class _Cursor:
    """What is left of a query whose answer did not fit one batch."""

    records: list[Record]
    query: Query
    total: int


@dataclass
class Rest:
    """The API over an organisation."""

    org: Org
    usage: Callable[[], tuple[int, int]]
    _cursors: dict[str, _Cursor] = field(default_factory=dict)

    def reset(self) -> None:
        """Forget open cursors."""
        self._cursors.clear()

    def handle(self, ask: Ask) -> Answer:
        """Do what is asked; every refusal is an answer."""
        try:
            return self._route(ask)
        except Ambiguous as many:
            return Answer(300, [f"{ask.base}/sobjects/{many.sobject.name}/{record_id}" for record_id in many.ids])
        except Refusal as error:
            return Answer(error.status, [_error(error)])
        except QueryError as error:
            return Answer(400, [{"message": str(error), "errorCode": error.code}])

    # --- routing

    def _route(self, ask: Ask) -> Answer:
        match (ask.method, *ask.segments):
            case ("GET",):
                return Answer(200, {name: f"{ask.base}/{name}" for name in ("sobjects", "query", "queryAll", "limits", "composite")})
            case ("GET", "limits"):
                used, most = self.usage()
                return Answer(200, {"DailyApiRequests": {"Max": most, "Remaining": most - used}})
            case ("GET", "query" | "queryAll" as kind):
                return self._query(ask, deleted=kind == "queryAll")
            case ("GET", "query" | "queryAll", cursor):
                return self._more(ask, cursor)
            case ("GET", "sobjects"):
                return Answer(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [describe_global(o) for o in OBJECTS.values()]})
            case ("POST", "composite"):
                return self._composite(ask)
            case ("POST" | "PATCH" | "DELETE", "composite", "sobjects", *rest):
                return self._collection(ask, rest)
            case (_, "sobjects", name, *rest):
                return self._sobject(ask, _object(name), rest)
        raise _nowhere()

    def _sobject(self, ask: Ask, sobject: SObject, rest: list[str]) -> Answer:
        match (ask.method, *rest):
            case ("GET",):
                return Answer(200, {"objectDescribe": describe_global(sobject), "recentItems": []})
            case ("POST",):
                return Answer(201, {"id": self.org.create(sobject, _fields(ask.body)), "success": True, "errors": []})
            case ("GET", "describe"):
                return Answer(200, describe(sobject))
            case ("GET", record_id):
                return Answer(200, self._whole(ask, sobject, self.org.get(sobject, record_id)))
            case ("PATCH", record_id):
                self.org.update(sobject, record_id, _fields(ask.body))
                return Answer(204)
            case ("DELETE", record_id):
                self.org.delete(sobject, record_id)
                return Answer(204)
            case (method, external, *value) if value:
                return self._by_external_id(ask, sobject, method, external, "/".join(value))
        raise _nowhere()

    def _by_external_id(self, ask: Ask, sobject: SObject, method: str, external: str, value: str) -> Answer:
        if method == "PATCH":
            record_id, created = self.org.upsert(sobject, external, value, _fields(ask.body))
            return Answer(201 if created else 200, {"id": record_id, "success": True, "errors": [], "created": created})
        found = self.org.by_external_id(sobject, external, value)
        if found is None:
            raise Refusal("NOT_FOUND", "The requested resource does not exist", status=404)
        if method == "GET":
            return Answer(200, self._whole(ask, sobject, found))
        if method == "DELETE":
            self.org.delete(sobject, found["Id"])
            return Answer(204)
        raise _nowhere()

    def _whole(self, ask: Ask, sobject: SObject, record: Record) -> Record:
        wanted = [name.strip() for name in ask.query.get("fields", "").split(",") if name.strip()]
        unknown = next((name for name in wanted if sobject.field(name) is None), None)
        if unknown is not None:
            raise Refusal("INVALID_FIELD", f"No such column '{unknown}' on entity '{sobject.name}'.")
        fields = [sobject.fields[name.lower()] for name in wanted] if wanted else list(sobject.fields.values())
        return _attributes(ask, record) | {f.name: record.get(f.name) for f in fields}

    # --- queries

    def _query(self, ask: Ask, deleted: bool) -> Answer:
        if "q" not in ask.query:
            raise Refusal("MALFORMED_QUERY", "A query string has to be specified")
        query = parse(ask.query["q"], self.org.find)
        with self.org.lock:
            everything = list(self.org.records[query.sobject.name.lower()].values())
            found = query.run([r for r in everything if deleted or not r["IsDeleted"]], self.org.find)
        if query.count and query.count_field is None:
            return Answer(200, {"totalSize": len(found), "done": True, "records": []})
        if query.count_field is not None:
            filled = sum(query.count_field.read(r, self.org.find) is not None for r in found)
            counted = {"attributes": {"type": "AggregateResult"}, "expr0": filled}
            return Answer(200, {"totalSize": 1, "done": True, "records": [counted]})
        return self._batch(ask, _Cursor(found, query, len(found)), f"01gHs{len(self._cursors) + 1:010}", 0)

    def _more(self, ask: Ask, cursor: str) -> Answer:
        name, _, start = cursor.rpartition("-")
        if name not in self._cursors or not start.isdigit():
            raise Refusal("INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._batch(ask, self._cursors[name], name, int(start))

    def _batch(self, ask: Ask, cursor: _Cursor, name: str, start: int) -> Answer:
        end = start + ask.batch_size
        shown = [self._selected(ask, cursor.query, record) for record in cursor.records[start:end]]
        answer: dict[str, Any] = {"totalSize": cursor.total, "done": end >= cursor.total, "records": shown}
        if not answer["done"]:
            self._cursors[name] = cursor
            answer["nextRecordsUrl"] = f"{ask.base}/query/{name}-{end}"
        return Answer(200, answer)

    def _selected(self, ask: Ask, query: Query, record: Record) -> Record:
        row = _attributes(ask, record)
        for path in query.paths:
            self._place(ask, row, path, record)
        return row

    def _place(self, ask: Ask, row: Record, path: Path, record: Record) -> None:
        """Write the field into ``row``, inside one nested object per reference on its path; an empty reference is null."""
        at: Record | None = record
        for step in path.steps:
            target = at.get(step.name) if at else None
            at = self.org.find(target) if target else None
            name = step.relationship or step.name
            if at is None:
                row.setdefault(name, None)
                return
            row = row.setdefault(name, _attributes(ask, at))
        row[path.field.name] = at.get(path.field.name) if at else None

    # --- several at once

    def _collection(self, ask: Ask, rest: list[str]) -> Answer:
        if ask.method == "DELETE":
            ids = [one for one in ask.query.get("ids", "").split(",") if one]
            return self._each(ids, ask.query.get("allOrNone", "").lower() == "true", self._delete_one)
        if not isinstance(ask.body, dict) or not isinstance(ask.body.get("records"), list):
            raise Refusal("JSON_PARSER_ERROR", "The HTTP entity body is required, but this request has no entity body.")
        records, together = ask.body["records"], bool(ask.body.get("allOrNone"))
        if ask.method == "POST" and not rest:
            return self._each(records, together, self._create_one)
        if ask.method == "PATCH" and not rest:
            return self._each(records, together, self._update_one)
        if ask.method == "PATCH" and len(rest) == 2:
            return self._each(records, together, lambda record: self._upsert_one(_object(rest[0]), rest[1], record))
        raise _nowhere()

    def _each(self, items: list[Any], together: bool, act: Callable[[Any], dict[str, Any]]) -> Answer:
        if len(items) > COLLECTION_CAP:
            raise Refusal("EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {COLLECTION_CAP} records in this call")
        results: list[dict[str, Any]] = []

        def one_by_one() -> None:
            for item in items:
                try:
                    results.append(act(item))
                except Refusal as error:
                    results.append({"success": False, "errors": [_status(error)]})

        if not together:
            one_by_one()
            return Answer(200, results)
        try:
            with self.org.all_or_none():
                one_by_one()
                if not all(result["success"] for result in results):
                    raise _RolledBack
        except _RolledBack:
            undone = {
                "statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK",
                "message": "Record rolled back because not all records were valid and the request was using AllOrNone header",
                "fields": [],
            }
            results = [{"success": False, "errors": [undone]} if result["success"] else result for result in results]
        return Answer(200, results)

    def _create_one(self, record: Any) -> dict[str, Any]:
        return {"id": self.org.create(_typed(record), _fields(record)), "success": True, "errors": []}

    def _update_one(self, record: Any) -> dict[str, Any]:
        said = dict(_fields(record))
        record_id = str(next((said.pop(name) for name in list(said) if name.lower() == "id"), ""))
        if not record_id:
            raise Refusal("MISSING_ARGUMENT", "Id not specified in an update call")
        self.org.update(_typed(record), record_id, said)
        return {"id": record_id, "success": True, "errors": []}

    def _upsert_one(self, sobject: SObject, external: str, record: Any) -> dict[str, Any]:
        said = dict(_fields(record))
        value = next((said.pop(name) for name in list(said) if name.lower() == external.lower()), None)
        if value is None:
            raise Refusal("MISSING_ARGUMENT", f"{external} not specified")
        record_id, created = self.org.upsert(sobject, external, str(value), said)
        return {"id": record_id, "success": True, "errors": [], "created": created}

    def _delete_one(self, record_id: Any) -> dict[str, Any]:
        sobject = next((o for o in OBJECTS.values() if o.prefix == str(record_id)[:3]), None)
        if sobject is None:
            raise Refusal("MALFORMED_ID", f"malformed id {record_id}")
        self.org.delete(sobject, str(record_id))
        return {"id": record_id, "success": True, "errors": []}

    def _composite(self, ask: Ask) -> Answer:
        parts = ask.body.get("compositeRequest") if isinstance(ask.body, dict) else None
        if not isinstance(parts, list) or not parts:
            raise Refusal("JSON_PARSER_ERROR", "compositeRequest is required")
        if len(parts) > COMPOSITE_CAP:
            raise Refusal("LIMIT_EXCEEDED", f"The limit of {COMPOSITE_CAP} subrequests was exceeded")
        answers: dict[str, Answer] = {}
        together = bool(ask.body.get("allOrNone"))
        if not together:
            for part in parts:
                answers[part["referenceId"]] = self._part(ask, part, answers)
        else:
            try:
                with self.org.all_or_none():
                    for part in parts:
                        answer = answers[part["referenceId"]] = self._part(ask, part, answers)
                        if answer.status >= 300:
                            raise _RolledBack
            except _RolledBack:
                halted = Answer(
                    400, [{"errorCode": "PROCESSING_HALTED", "message": "The transaction was rolled back since another operation in the "
                           "same transaction failed."}]
                )  # fmt: skip
                failed = list(answers)[-1]
                answers = {part["referenceId"]: answers[failed] if part["referenceId"] == failed else halted for part in parts}
        told = [{"body": a.body, "httpHeaders": {}, "httpStatusCode": a.status, "referenceId": name} for name, a in answers.items()]
        return Answer(200, {"compositeResponse": told})

    def _part(self, ask: Ask, part: dict[str, Any], before: dict[str, Answer]) -> Answer:
        try:
            url = urlsplit(str(_resolved(part["url"], before)))
            body = _resolved(part.get("body"), before)
        except KeyError as error:
            return Answer(
                400, [{"errorCode": "PROCESSING_HALTED", "message": f"Invalid reference specified. No value for {error.args[0]}"}]
            )
        found = re.match(r"^/services/data/v[\d.]+/(.*)$", url.path)
        if found is None:
            return Answer(404, [_error(_nowhere())])
        segments = tuple(unquote(each) for each in found[1].split("/") if each)
        return self.handle(Ask(str(part["method"]).upper(), segments, dict(parse_qsl(url.query)), body, ask.version, ask.batch_size))


class _RolledBack(Exception):
    """One of several failed and all were to stand or fall together."""


def _resolved(value: Any, before: dict[str, Answer]) -> Any:
    """``value`` with ``@{ref.field}`` replaced from earlier answers. KeyError when there is no such value."""
    if isinstance(value, dict):
        return {name: _resolved(each, before) for name, each in value.items()}
    if isinstance(value, list):
        return [_resolved(each, before) for each in value]
    if not isinstance(value, str):
        return value
    return _REFERENCE.sub(lambda match: str(_pick(match[1], before)), value)


def _pick(path: str, before: dict[str, Answer]) -> Any:
    name, *steps = re.findall(r"[^.\[\]]+", path)
    if name not in before:
        raise KeyError(path)
    at = before[name].body
    for step in steps:
        try:
            at = at[int(step)] if isinstance(at, list) else at[step]
        except (KeyError, IndexError, TypeError, ValueError):
            raise KeyError(path) from None
    return at


def _object(name: str) -> SObject:
    sobject = OBJECTS.get(name.lower())
    if sobject is None:
        raise _nowhere()
    return sobject


def _typed(record: Any) -> SObject:
    kind = record.get("attributes", {}).get("type") if isinstance(record, dict) else None
    sobject = OBJECTS.get(str(kind).lower())
    if sobject is None:
        raise Refusal("INVALID_TYPE", f"sObject type '{kind}' is not supported.")
    return sobject


def _fields(body: Any) -> Record:
    if not isinstance(body, dict):
        raise Refusal("JSON_PARSER_ERROR", "The HTTP entity body is required, but this request has no entity body.")
    return body


def _attributes(ask: Ask, record: Record) -> Record:
    sobject = next(o for o in OBJECTS.values() if o.prefix == record["Id"][:3])
    return {"attributes": {"type": sobject.name, "url": f"{ask.base}/sobjects/{sobject.name}/{record['Id']}"}}


def _error(error: Refusal) -> dict[str, Any]:
    told: dict[str, Any] = {"message": error.message, "errorCode": error.code}
    return told | ({"fields": list(error.fields)} if error.fields or error.status == 400 else {})


def _status(error: Refusal) -> dict[str, Any]:
    return {"statusCode": error.code, "message": error.message, "fields": list(error.fields)}


def _nowhere() -> Refusal:
    return Refusal("NOT_FOUND", "The requested resource does not exist", status=404)


def read_json(raw: bytes) -> Any:
    """The body of a request. Refusal JSON_PARSER_ERROR when it is no JSON."""
    if not raw.strip():
        return None
    try:
        return json.loads(raw)
    except ValueError as error:
        raise Refusal("JSON_PARSER_ERROR", f"Unexpected character at [line:1, column:1]: {error}") from None
