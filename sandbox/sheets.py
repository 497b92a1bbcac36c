"""Google Sheets' API v4, as far as gspread uses it for a table that people and programs keep together.

Reading, writing, appending and clearing values; the worksheets of a spreadsheet; adding one, changing its size and deleting rows. A
bearer token, Google's form of errors, a quota of writes per minute and user that answers 429 without Retry-After. Appending twice makes
two rows: nothing tells one attempt from another. Shapes follow the discovery document of the API and developers.google.com/sheets/api.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.core import World
from sandbox.sheets_grid import COLUMNS, ROWS, Area, Invalid, Worksheet, Written, area, formatted, last_table, plan, read
from sandbox.sheets_store import Json, Sheets, Spreadsheet

TOKEN = "sandbox-sheets-token"
_QUOTA = (
    "Quota exceeded for quota metric 'Write requests' and limit 'Write requests per minute per user' of service "
    "'sheets.googleapis.com' for consumer 'project_number:1'."
)
_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}


T = TypeVar("T")


class SheetRefusal(Exception):
    """A request that is answered with ``status`` and Google's form of an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


# --- the API ------------------------------------------------------------------------------------------------------------


def _error(status: int, message: str) -> JSONResponse:
    error: Json = {"code": status, "message": message, "status": _STATUS.get(status, "UNKNOWN")}
    if status == 429:
        metadata = {"service": "sheets.googleapis.com", "quota_limit": "WriteRequestsPerMinutePerUser", "consumer": "projects/1"}
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED", "domain": "googleapis.com"}
        error["details"] = [info | {"metadata": metadata}]
    return JSONResponse({"error": error}, status)


def _authenticate(header: str) -> None:
    if not header:
        raise SheetRefusal(
            403,
            "Method doesn't allow unregistered callers (callers without established identity). "
            "Please use API Key or other form of API consumer identity to call this API.",
        )
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or token != TOKEN:
        raise SheetRefusal(
            401,
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
            "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
        )


async def _body(request: Request, *known: str) -> Json:
    raw = await request.body()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        raise Invalid("Invalid JSON payload received. Unexpected token.") from None
    if not isinstance(body, dict):
        raise Invalid("Invalid JSON payload received. An object is expected.")
    for name in body:
        if name not in known:
            raise Invalid(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
    return body


def _part(given: Json, name: str, default: T) -> T:
    """A part of a body, which must be of the default's type, or the default when it is absent."""
    value = given.get(name, default)
    if not isinstance(value, type(default)) or isinstance(value, bool):
        raise Invalid(f"Invalid value at '{name}' ({value!r})")
    return value


def _listed(body: Json, name: str, kind: type[T]) -> list[T]:
    """A list of a body, each of whose entries must be a ``kind``."""
    entries: list[Any] = _part(body, name, [])
    for place, one in enumerate(entries):
        if not isinstance(one, kind):
            raise Invalid(f"Invalid value at '{name}[{place}]' ({one!r})")
    return entries


def _choice(given: Any, name: str, choices: Sequence[str], default: str = "") -> str:
    """One of an enumeration's values, or its default when nothing was given."""
    if given in (None, ""):
        if default:
            return default
        raise Invalid(f"'{name}' is required but not specified")
    if given not in choices:
        raise Invalid(f"Invalid value at '{name}' ({given}); it must be one of {', '.join(choices)}")
    return str(given)


def _typed(given: Any) -> bool:
    return _choice(given, "valueInputOption", ("RAW", "USER_ENTERED")) == "USER_ENTERED"


def _by_column(given: Any) -> bool:
    return _choice(given, "majorDimension", ("ROWS", "COLUMNS"), "ROWS") == "COLUMNS"


def _as_seen(given: Any, name: str = "valueRenderOption") -> bool:
    return _choice(given, name, ("FORMATTED_VALUE", "UNFORMATTED_VALUE", "FORMULA"), "FORMATTED_VALUE") == "FORMATTED_VALUE"


def _values(where: Area, *, as_seen: bool, by_column: bool) -> Json:
    held = read(where, as_seen=as_seen, by_column=by_column)
    shown: Json = {"range": str(where), "majorDimension": "COLUMNS" if by_column else "ROWS"}
    return shown | ({"values": held} if held else {})


def _properties(sheet: Worksheet, index: int) -> Json:
    grid: Json = {"rowCount": sheet.rows, "columnCount": sheet.columns}
    if sheet.frozen:
        grid["frozenRowCount"] = sheet.frozen
    return {"sheetId": sheet.id, "title": sheet.title, "index": index, "sheetType": "GRID", "gridProperties": grid}


class Api:
    """The endpoints: a request and its spreadsheet in, JSON out; Invalid or SheetRefusal for a refusal."""

    def __init__(self, service: Sheets) -> None:
        self.service = service

    def _log(self, act: str, book: Spreadsheet, what: str, **data: Any) -> None:
        self.service.world.log.effect("sheets", act, f"{book.title}: {what}", spreadsheet=book.id, **data)

    async def metadata(self, request: Request, book: Spreadsheet) -> Json:
        """``GET ID``: its worksheets; their cells only with ``includeGridData``, as values without formats."""
        sheets: list[Json] = [{"properties": _properties(one, index)} for index, one in enumerate(book.worksheets)]
        if request.query_params.get("includeGridData", "").lower() == "true":
            if request.query_params.get("ranges"):
                raise Invalid("the sandbox gives all grid data or none: leave out ranges, or read them by values:batchGet")
            for shown, sheet in zip(sheets, book.worksheets, strict=True):
                shown["data"] = [{"rowData": [{"values": [_cell(value) for value in row]} for row in sheet.cells]}]
        url = f"{self.service.world.public_url}/services/sheets"
        about = {"title": book.title, "locale": "en_US", "autoRecalc": "ON_CHANGE", "timeZone": "Etc/GMT"}
        return {"spreadsheetId": book.id, "properties": about, "sheets": sheets, "spreadsheetUrl": url}

    async def get(self, request: Request, book: Spreadsheet) -> Json:
        """``GET ID/values/RANGE``."""
        query = request.query_params
        where = area(request.path_params["range"], book.worksheets)
        return _values(where, as_seen=_as_seen(query.get("valueRenderOption")), by_column=_by_column(query.get("majorDimension")))

    async def batch_get(self, request: Request, book: Spreadsheet) -> Json:
        """``GET ID/values:batchGet?ranges=…&ranges=…``."""
        query = request.query_params
        as_seen, by_column = _as_seen(query.get("valueRenderOption")), _by_column(query.get("majorDimension"))
        places = [area(one, book.worksheets) for one in query.getlist("ranges")]
        return {"spreadsheetId": book.id, "valueRanges": [_values(one, as_seen=as_seen, by_column=by_column) for one in places]}

    async def update(self, request: Request, book: Spreadsheet) -> Json:
        """``PUT ID/values/RANGE``."""
        typed = _typed(request.query_params.get("valueInputOption"))
        body = await _body(request, "range", "majorDimension", "values")
        where = area(request.path_params["range"], book.worksheets)
        again = _part(body, "range", "")
        if again and str(area(again, book.worksheets)) != str(where):
            raise Invalid(f"Requested writing within range [{where}], but the body's range is {again}")
        written = plan(where, body.get("values", []), typed=typed, by_column=_by_column(body.get("majorDimension")))
        if written.carry_out():
            self._wrote("values.updated", book, written)
        return self._updated(request.query_params, book, written)

    async def batch_update(self, request: Request, book: Spreadsheet) -> Json:
        """``POST ID/values:batchUpdate``: all of it, or nothing."""
        options = ("includeValuesInResponse", "responseValueRenderOption", "responseDateTimeRenderOption")
        body = await _body(request, "valueInputOption", "data", *options)
        typed = _typed(body.get("valueInputOption"))
        plans = []
        for one in _listed(body, "data", dict):
            by_column = _by_column(one.get("majorDimension"))
            plans.append(plan(area(_part(one, "range", ""), book.worksheets), one.get("values", []), typed=typed, by_column=by_column))
        for written in plans:
            if written.carry_out():
                self._wrote("values.updated", book, written)
        answers = [self._updated(body, book, written) for written in plans]
        totals = {f"totalUpdated{what}": sum(one[f"updated{what}"] for one in answers) for what in ("Rows", "Columns", "Cells")}
        sheets = len({written.where.sheet.id for written in plans})
        return {"spreadsheetId": book.id, "totalUpdatedSheets": sheets, **totals, "responses": answers}

    async def append(self, request: Request, book: Spreadsheet) -> Json:
        """``POST ID/values/RANGE:append``: after the last table that the range touches, or where the range begins if it touches none."""
        query = request.query_params
        typed = _typed(query.get("valueInputOption"))
        insert = _choice(query.get("insertDataOption"), "insertDataOption", ("OVERWRITE", "INSERT_ROWS"), "OVERWRITE") == "INSERT_ROWS"
        body = await _body(request, "range", "majorDimension", "values")
        where = area(request.path_params["range"], book.worksheets)
        table = last_table(where)
        sheet, values = where.sheet, body.get("values", [])
        top, left = (where.top, where.left) if table is None else (table.bottom, table.left)
        start = Area(sheet, top, left, top + 1, left + 1)
        written = plan(start, values, typed=typed, by_column=_by_column(body.get("majorDimension")), grow=True)
        if written.cells:
            height = written.where.bottom - top
            if insert and table is not None:
                sheet.cells[top:top] = [[] for _ in range(height if top < len(sheet.cells) else 0)]
                sheet.rows += height
            sheet.grow(written.where.bottom, written.where.right)
            written.carry_out()
            self._wrote("rows.appended", book, written)
        found = {} if table is None else {"tableRange": str(table)}
        return {"spreadsheetId": book.id, **found, "updates": self._updated(query, book, written)}

    def _wrote(self, act: str, book: Spreadsheet, written: Written) -> None:
        values = read(written.where, as_seen=True, by_column=False)
        self._log(act, book, f"{written.where}: {_line(values)}", range=str(written.where), values=values)

    def _updated(self, options: Any, book: Spreadsheet, written: Written) -> Json:
        rows, columns = {row for row, _, _ in written.cells}, {column for _, column, _ in written.cells}
        counts = {"updatedRows": len(rows), "updatedColumns": len(columns), "updatedCells": len(written.cells)}
        answer = {"spreadsheetId": book.id, "updatedRange": str(written.where), **counts}
        if str(options.get("includeValuesInResponse", "")).lower() == "true":
            as_seen = _as_seen(options.get("responseValueRenderOption"), "responseValueRenderOption")
            answer["updatedData"] = _values(written.where, as_seen=as_seen, by_column=False)
        return answer

    async def clear(self, request: Request, book: Spreadsheet) -> Json:
        """``POST ID/values/RANGE:clear``: the cells stay, empty."""
        return {"spreadsheetId": book.id, "clearedRange": self._clear(book, area(request.path_params["range"], book.worksheets))}

    async def batch_clear(self, request: Request, book: Spreadsheet) -> Json:
        """``POST ID/values:batchClear``."""
        body = await _body(request, "ranges")
        places = [area(one, book.worksheets) for one in _listed(body, "ranges", str)]
        return {"spreadsheetId": book.id, "clearedRanges": [self._clear(book, one) for one in places]}

    def _clear(self, book: Spreadsheet, where: Area) -> str:
        held = [
            (row, column) for row, column in where.sheet.filled() if where.top <= row < where.bottom and where.left <= column < where.right
        ]
        for row, column in sorted(held, reverse=True):
            where.sheet.put(row, column, "")
        if held:
            self._log("values.cleared", book, f"{where} cleared", range=str(where))
        return str(where)

    async def change(self, request: Request, book: Spreadsheet) -> Json:
        """``POST ID:batchUpdate``: the requests in their order, all of them or none."""
        body = await _body(request, "requests", "includeSpreadsheetInResponse", "responseRanges", "responseIncludeGridData")
        draft, told, replies = copy.deepcopy(book), [], []
        for number, one in enumerate(_listed(body, "requests", dict)):
            changed = _change(draft, number, one)
            replies.append(changed.reply)
            told.append(changed)
        book.worksheets, book.following = draft.worksheets, draft.following
        for changed in told:
            self._log(changed.act, book, changed.what, **changed.data)
        return {"spreadsheetId": book.id, "replies": replies}


@dataclass
class Changed:
    """One request of a batch, carried out: its reply, and the effect that it makes if the whole batch goes through."""

    act: str
    what: str
    data: Json
    reply: Json = field(default_factory=dict)


def _change(book: Spreadsheet, number: int, request: Json) -> Changed:
    known = {"addSheet": _add_sheet, "deleteDimension": _delete_rows, "updateSheetProperties": _set_properties}
    name = next(iter(request), "")
    if name not in known or not isinstance(request[name], dict):
        raise Invalid(f"Invalid requests[{number}].{name}: the sandbox knows {', '.join(known)}")
    try:
        return known[name](book, request[name])
    except Invalid as error:
        raise Invalid(f"Invalid requests[{number}].{name}: {error}") from None


def _add_sheet(book: Spreadsheet, given: Json) -> Changed:
    wanted: Json = _part(given, "properties", {})
    grid: Json = _part(wanted, "gridProperties", {})
    title = _part(wanted, "title", "") or f"Sheet{len(book.worksheets) + 1}"
    index = _part(wanted, "index", len(book.worksheets))
    made = book.add(title, _part(grid, "rowCount", ROWS), _part(grid, "columnCount", COLUMNS), index)
    reply = {"addSheet": {"properties": _properties(made, book.worksheets.index(made))}}
    return Changed("sheet.added", f"worksheet {title} added", {"title": title}, reply)


def _delete_rows(book: Spreadsheet, given: Json) -> Changed:
    span: Json = _part(given, "range", {})
    sheet = book.sheet(_part(span, "sheetId", 0))
    first, last = _part(span, "startIndex", 0), _part(span, "endIndex", sheet.rows)
    if span.get("dimension") != "ROWS" or not 0 <= first < last <= sheet.rows:
        raise Invalid(f"range must be of dimension ROWS, within the {sheet.rows} of the worksheet")
    gone = [[formatted(value) for value in row] for row in sheet.cells[first:last]]
    sheet.cut(first, last)
    return Changed("rows.deleted", f"rows {first + 1} to {last} of {sheet.title} deleted", {"values": gone})


def _set_properties(book: Spreadsheet, given: Json) -> Changed:
    wanted: Json = _part(given, "properties", {})
    grid: Json = _part(wanted, "gridProperties", {})
    fields = _part(given, "fields", "")
    sheet = book.sheet(_part(wanted, "sheetId", 0))
    # A path of fields is written with dots; gspread writes a slash.
    for name in fields.replace("/", ".").split(","):
        if name == "title":
            sheet.title = _part(wanted, "title", sheet.title)
        elif name == "gridProperties.frozenRowCount":
            sheet.frozen = _part(grid, "frozenRowCount", 0)
        elif name in ("gridProperties.rowCount", "gridProperties.columnCount"):
            sheet.resize(_part(grid, "rowCount", sheet.rows), _part(grid, "columnCount", sheet.columns))
        else:
            raise Invalid(f"the sandbox cannot set {name or 'fields that are not named'} of a worksheet")
    return Changed("sheet.changed", f"worksheet {sheet.title}: {fields} set", {"title": sheet.title})


def _cell(value: Any) -> Json:
    if value == "":
        return {}
    kind = "boolValue" if isinstance(value, bool) else "numberValue" if isinstance(value, (int, float)) else "stringValue"
    return {"userEnteredValue": {kind: value}, "effectiveValue": {kind: value}, "formattedValue": formatted(value)}


def _line(values: list[list[Any]]) -> str:
    return "; ".join(" | ".join(str(value) for value in row) for row in values) or "emptied"


Endpoint = Callable[[Request, Spreadsheet], Awaitable[Json]]


def create_app(world: World) -> Starlette:
    """Build the service under ``/v4/spreadsheets``."""
    service = Sheets(world)
    world.services["sheets"] = service
    world.resets.append(service.reset)
    api = Api(service)

    def route(path: str, endpoint: Endpoint, method: str) -> Route:
        async def answer(request: Request) -> Response:
            try:
                _authenticate(request.headers.get("authorization", ""))
                if method != "GET" and not service.budget.take():
                    raise SheetRefusal(429, _QUOTA)
                book = service.spreadsheets.get(request.path_params["id"])
                if book is None:
                    raise SheetRefusal(404, "Requested entity was not found.")
                return JSONResponse(await endpoint(request, book))
            except Invalid as error:
                return _error(400, str(error))
            except SheetRefusal as refused:
                return _error(refused.status, refused.message)

        return Route(f"/v4/spreadsheets/{{id}}{path}", answer, methods=[method])

    async def explain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _error(error.status_code, error.detail)

    routes = [
        route(":batchUpdate", api.change, "POST"),
        route("/values:batchGet", api.batch_get, "GET"),
        route("/values:batchUpdate", api.batch_update, "POST"),
        route("/values:batchClear", api.batch_clear, "POST"),
        route("/values/{range:path}:append", api.append, "POST"),
        route("/values/{range:path}:clear", api.clear, "POST"),
        route("/values/{range:path}", api.get, "GET"),
        route("/values/{range:path}", api.update, "PUT"),
        route("", api.metadata, "GET"),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: explain})
