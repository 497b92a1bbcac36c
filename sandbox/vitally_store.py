"""What a Vitally workspace holds, and how it changes.

Objects are found by Vitally's own id, some also by the id that their maker gave them (``externalId``). Lists come newest first, by
creation or by last change; a cursor is a place in that order, so what changes while somebody reads moves to the top: read by
``createdAt``, nothing is missed, read by ``updatedAt``, what changed meanwhile is.
"""

from __future__ import annotations

import uuid
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox.core import Numbers, World
from sandbox.org import PEOPLE
from sandbox.vitally_kinds import BY_TRAIT, KINDS, REFERENCES, STATUSES, Json, VitallyRefusal, check

_IDS = uuid.UUID("5c6f1c52-6b3c-4b5e-9a55-0d4f4c1f7a10")
#: The projects that the vendor runs for its customers.
TEMPLATES = (
    "Renewal Health Assessment",
    "Account Save Plan",
    "Get Well Plan",
    "Low Utilization",
    "Decreased Usage",
    "Onboarding and Enablement",
)
CATEGORY = "Customer program"
#: The type is active, inactive or complete; a new project has the first.
PROJECT_STATUSES = (
    ("Not started", "active"),
    ("In progress", "active"),
    ("On hold", "inactive"),
    ("Completed", "complete"),
    ("Canceled", "inactive"),
)
#: What the vendor set up in the app, which a seed that replaces leaves alone.
_SET_UP = ("admins", "projectTemplates", "projectCategories", STATUSES, "taskCategories", "noteCategories")


@dataclass
class Record:
    """One object: ``made`` and ``moved`` are its places in the orders of creation and of change."""

    id: str
    made: int
    moved: int
    fields: Json


@dataclass
class Page:
    """One page of a list, and the place from which the next one goes on, None at the end."""

    records: list[Record]
    after: int | None


def named_id(kind: str, name: str) -> str:
    """The id of what the vendor set up by that name: the same in every sandbox, so that it can stand in a settings file."""
    return str(uuid.uuid5(_IDS, f"{kind} {name}"))


def now() -> str:
    """Return this moment as Vitally writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def copied(held: Json) -> Json:
    """The same, so that a change of its lists and of its traits is not one of the object's. Much faster than ``copy.deepcopy``."""
    return {name: value.copy() if isinstance(value, (dict, list)) else value for name, value in held.items()}


def merged(traits: Json, changes: Json) -> Json:
    """Traits after a write: what is not named stays, null deletes."""
    return {name: value for name, value in (traits | changes).items() if value is not None}


class Store:
    """The objects by kind and id. Every change of one makes an effect, save what a seed brings."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.objects: dict[str, dict[str, Record]] = {}
        self.numbers = Numbers()
        self._external: dict[str, dict[str, str]] = {}
        self._orders: dict[str, dict[tuple[str, ...], list[Record]]] = {}
        self._people: dict[str, list[Json]] | None = None
        self.clear()

    def clear(self) -> None:
        """Begin again with what the vendor set up, and no customer."""
        self.numbers = Numbers()
        self.forget()
        for kind in _SET_UP:
            self.objects[kind] = {}
        for person in PEOPLE:
            self.set_up("admins", person.name, email=person.email, licenseStatus="active")
        for name, type_ in PROJECT_STATUSES:
            self.set_up(STATUSES, name, type=type_)
        for name in TEMPLATES:
            self.template(name)

    def forget(self) -> None:
        """Empty everything but what the vendor set up."""
        for kind in KINDS:
            if kind not in _SET_UP:
                self.objects[kind] = {}
        self.adopt(self.objects, self.numbers.following)

    def adopt(self, objects: dict[str, dict[str, Record]], following: int) -> None:
        """Go on with these objects."""
        self.objects = objects
        self.numbers = Numbers(following)
        self._orders, self._people = {}, None
        self._external = {
            kind: {found["externalId"]: id for id, one in held.items() if (found := one.fields).get("externalId")}
            for kind, held in objects.items()
        }

    # --- what the vendor sets up in the app -----------------------------------------------------------------------------

    def set_up(self, kind: str, name: str, **fields: Any) -> Record:
        """Add what an administrator would, or change it."""
        id = named_id(kind, name)
        found = self.objects[kind].get(id)
        number = next(self.numbers)
        at = now()
        made = found.fields["createdAt"] if found else at
        held = {"id": id, "createdAt": made, "updatedAt": at, "name": name, **fields}
        record = self.objects[kind][id] = Record(id, found.made if found else number, number, held)
        self._changed(kind)
        return record

    def template(self, name: str, *, project: str = "", category: str = CATEGORY, tasks: tuple[str, ...] = ()) -> Record:
        """Add a project template; the tasks are made with each of its projects."""
        of = self.set_up("projectCategories", category)
        return self.set_up("projectTemplates", name, projectName=project or name, projectCategoryId=of.id, tasks=list(tasks), traits={})

    # --- finding --------------------------------------------------------------------------------------------------------

    def find(self, kind: str, key: str) -> Record | None:
        """The object with that id, or, where the kind allows it, with that externalId."""
        held = self.objects[kind]
        found = held.get(key)
        if found is None and KINDS[kind].by_external_id:
            found = held.get(self._external[kind].get(key, ""))
        return found

    def get(self, kind: str, key: str) -> Record:
        """The same, or a 404."""
        found = self.find(kind, key)
        if found is None:
            by = "id or externalId" if KINDS[kind].by_external_id else "Vitally id"
            raise VitallyRefusal(404, f"{KINDS[kind].title} not found: no object has the {by} {key}")
        return found

    def page(self, kind: str, sort: str, which: tuple[str, str, str], before: int | None, limit: int) -> Page:
        """One page: newest first by ``sort``, those that :meth:`_listed` picks, from the place ``before`` on."""
        held = self._orders.setdefault(kind, {})
        key = (sort, *which)
        place = _by_creation if sort == "createdAt" else _by_change
        if key not in held:
            chosen = [one for one in self.objects[kind].values() if self._listed(kind, one, *which)]
            held[key] = sorted(chosen, key=place)
        found = held[key]
        start = 0 if before is None else bisect_right(found, -before, key=place)
        records = found[start : start + limit]
        more = start + limit < len(found)
        return Page(records, -place(records[-1]) if more and records else None)

    def _listed(self, kind: str, one: Record, shown: str, name: str, of: str) -> bool:
        """Tell whether an object belongs in a list: by what is ``shown`` of the kind, and by whose it is (``name`` of ``of``)."""
        if KINDS[kind].archives and (one.fields["archivedAt"] is not None) != (shown == "archived"):
            return False
        if kind == "accounts" and shown in ("active", "churned") and (one.fields["churnedAt"] is not None) != (shown == "churned"):
            return False
        if not name:
            return True
        if kind == "npsResponses":
            one = self.objects["users"][one.fields["userId"]]
        return of in one.fields.get(f"{name}s", ()) or one.fields.get(name) == of

    # --- changing -------------------------------------------------------------------------------------------------------

    def write(self, kind: str, body: Json) -> Record:
        """POST: make an object, or change the one that has the same externalId."""
        rules = KINDS[kind]
        check(rules, body, made=True)
        known = self._external[kind].get(body.get("externalId", ""), "")
        if known:
            return self.change(kind, self.objects[kind][known], body)
        self._refer(body)
        _owned(kind, body)
        template = self.objects["projectTemplates"].get(body.get("templateId", ""))
        record = self.add(kind, body if template is None else _from_template(template, body))
        self._effect(kind, "created", record, f"{rules.title} {self._called(record)} created")
        if template is not None:
            for name in template.fields["tasks"]:
                self._task_of(record, name)
        return record

    def change(self, kind: str, record: Record, body: Json) -> Record:
        """PUT: set what is given, merge the traits. An effect if that made a difference."""
        rules = KINDS[kind]
        check(rules, body, made=False)
        for name in sorted(rules.once & set(body)):
            if name not in rules.always and body[name] != record.fields.get(name):
                raise VitallyRefusal(400, f"{name} can only be set when {rules.one} is created; leave it out, or send it as it is")
        self._refer(body)
        changes = {name: value for name, value in body.items() if name != "traits" and record.fields.get(name) != value}
        if rules.owner:
            _owned(kind, record.fields | changes)
        held = record.fields["traits"] if "traits" in body else {}
        traits = {name: value for name, value in body.get("traits", {}).items() if held.get(name) != value}
        if not changes and not traits:
            return record
        self.alter(kind, record, changes, traits)
        changed = ", ".join([*changes, *(f"traits.{name}" for name in traits)])
        shown = changes | ({"traits": traits} if traits else {})
        self._effect(kind, "updated", record, f"{rules.title} {self._called(record)}: {changed} changed", changes=shown)
        return record

    def delete(self, kind: str, record: Record) -> None:
        """DELETE: an account goes for good, with everything that was only its own; a task, note or project is archived."""
        rules = KINDS[kind]
        if rules.archives:
            if record.fields["archivedAt"] is not None:
                return
            record.fields["archivedAt"] = record.fields["updatedAt"] = now()
            record.moved = next(self.numbers)
        else:
            self._remove(kind, record)
            if kind == "accounts":
                self._remove_what_was_of(record.id)
        self._changed(kind)
        self._effect(kind, "deleted", record, f"{rules.title} {self._called(record)} deleted")

    def add(self, kind: str, fields: Json) -> Record:
        """Put a new object among the others, checking nothing and telling nobody."""
        number, at = next(self.numbers), now()
        id = str(uuid.uuid5(_IDS, f"{kind} {number}"))
        given = {name: value for name, value in fields.items() if name != "traits"}
        held = {"id": id, "createdAt": at, "updatedAt": at, **copied(KINDS[kind].fresh), **copied(given), "traits": {}}
        record = self.objects[kind][id] = Record(id, number, number, held)
        self._set_traits(record, fields.get("traits") or {})
        if held.get("externalId"):
            self._external[kind][held["externalId"]] = id
        self._changed(kind)
        return record

    def alter(self, kind: str, record: Record, fields: Json, traits: Json) -> None:
        """Set fields and merge traits of an object, checking nothing and telling nobody."""
        record.fields.update(fields)
        self._set_traits(record, traits)
        record.moved, record.fields["updatedAt"] = next(self.numbers), now()
        self._changed(kind)

    def _set_traits(self, record: Record, changes: Json) -> None:
        record.fields["traits"] = merged(record.fields["traits"], changes)
        record.fields.update({name: changes[name] for name in BY_TRAIT if name in changes and name in record.fields})

    def _task_of(self, project: Record, name: str) -> None:
        owner = {field: project.fields[field] for field in ("accountId", "organizationId")}
        task = self.add("tasks", {"name": name, **owner, "projects": [{"id": project.id, "name": project.fields["name"]}]})
        self._effect("tasks", "created", task, f"Task {name} created with the project {project.fields['name']}")

    def _remove(self, kind: str, record: Record) -> None:
        del self.objects[kind][record.id]
        self._external[kind].pop(record.fields.get("externalId") or "", None)

    def _remove_what_was_of(self, account: str) -> None:
        for kind in ("tasks", "notes", "projects"):
            for one in [one for one in self.objects[kind].values() if one.fields["accountId"] == account]:
                self._remove(kind, one)
            self._changed(kind)
        for user in list(self.objects["users"].values()):
            if account in user.fields["accountIds"]:
                user.fields["accountIds"].remove(account)
                if not user.fields["accountIds"] and not user.fields["organizationIds"]:
                    self._remove("users", user)
        for answer in list(self.objects["npsResponses"].values()):
            if answer.fields["userId"] not in self.objects["users"]:
                self._remove("npsResponses", answer)
        self._changed("users")

    def _refer(self, body: Json) -> None:
        """Refuse an id that is nobody's."""
        for name, kind in REFERENCES.items():
            given = body.get(name) or ()
            for id in [given] if isinstance(given, str) else given:
                if id not in self.objects[kind]:
                    raise VitallyRefusal(400, f"{name} must be an id that Vitally assigned, and no object of {kind} has {id}")
        if body.get("categoryId"):
            raise VitallyRefusal(400, "categoryId must be the id of a category; this workspace has none")

    def _changed(self, kind: str) -> None:
        self._orders.pop(kind, None)
        if kind == "npsResponses":
            self._hear()
        if kind in ("users", "npsResponses"):
            self._orders.pop("npsResponses", None)
            self._people = None

    def _hear(self) -> None:
        """Give each user what they answered last."""
        last: dict[str, Json] = {}
        for one in self.objects["npsResponses"].values():
            if one.fields["respondedAt"] >= last.get(one.fields["userId"], one.fields)["respondedAt"]:
                last[one.fields["userId"]] = one.fields
        for id, user in self.objects["users"].items():
            said = last.get(id, {})
            user.fields |= {"npsLastScore": said.get("score"), "npsLastFeedback": said.get("feedback")}
            user.fields["npsLastRespondedAt"] = said.get("respondedAt")

    # --- telling --------------------------------------------------------------------------------------------------------

    def _called(self, record: Record) -> str:
        """What a person would call an object."""
        held = record.fields
        name = held.get("name") or held.get("subject") or held.get("externalId") or record.id
        account = self.objects["accounts"].get(held.get("accountId") or "")
        return f"{name} of {account.fields['name']}" if account else str(name)

    def _effect(self, kind: str, act: str, record: Record, what: str, **data: Any) -> None:
        held = record.fields
        account = self.objects["accounts"].get(held.get("accountId") or "")
        about = {name: held[name] for name in ("id", "externalId", "name", "subject") if held.get(name)}
        if account:
            about["account"] = account.fields.get("externalId")
        self.world.log.effect("vitally", f"{KINDS[kind].act}.{act}", what, **copied({**about, **data}))

    def people(self, account: str) -> list[Json]:
        """The users of an account or an organization."""
        if self._people is None:
            self._people = {}
            for user in self.objects["users"].values():
                for of in (*user.fields["accountIds"], *user.fields["organizationIds"]):
                    self._people.setdefault(of, []).append(user.fields)
        return self._people.get(account, [])


def _by_creation(record: Record) -> int:
    return -record.made


def _by_change(record: Record) -> int:
    return -record.moved


def _owned(kind: str, body: Json) -> None:
    """Refuse an object that is nobody's, and a project that is of two."""
    owner = KINDS[kind].owner
    names = ("accountIds", "organizationIds") if owner == "lists" else ("accountId", "organizationId")
    given = [name for name in names if body.get(name)]
    if owner and not given:
        raise VitallyRefusal(400, f"{names[0]} or {names[1]} is required for {KINDS[kind].one}")
    if owner == "one" and len(given) > 1:
        raise VitallyRefusal(400, "a Project is of an account or of an organization: send exactly one of accountId and organizationId")


def _from_template(template: Record, body: Json) -> Json:
    """What a new project holds: what the template says, where the body says nothing else."""
    of = template.fields
    default = {
        "name": of["projectName"],
        "projectCategoryId": of["projectCategoryId"],
        "projectStatusId": named_id(STATUSES, "Not started"),
    }
    given = {name: value for name, value in body.items() if value is not None}
    return default | given | {"traits": merged(of["traits"], body.get("traits") or {})}
