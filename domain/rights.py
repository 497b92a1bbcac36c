"""Who may do what: one table of roles and actions, read by every way in. A refusal says who may.

A right reaches as far as one's own trials and accounts, those of one's team, or any. Who owns a trial or an account is known from the
ledger; who is in a team, from the CRM's people: those with the same manager, and whoever they report to, however far up.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from domain.base import Value
from domain.people import Person, Role
from domain.wording import beside

#: How far up a chain of managers is followed; a ring in the CRM's data ends here.
LEVELS = 10

#: What a role is to the rights: the columns of the table.
Group = StrEnum("Group", "SDR CE AE TA MANAGER LEADERSHIP OPS DESK")
#: How far a right reaches.
Reach = StrEnum("Reach", "OWN TEAM ANY")
#: What may be asked for and is no decision about a process: those have their rows from :mod:`domain.commands`.
Action = StrEnum("Action", "READ AUDIT FORGET VERIFY_EFFECTS TOKENS")

_SAID = beside(__file__)
GROUP_OF: Mapping[Role, Group] = {Role(role): Group(said["column"]) for role, said in _SAID["roles"].items()}
#: Who may answer what is asked of a role beside those who have it: whom it reports to.
OVER: Mapping[Role, tuple[Role, ...]] = {Role(role): tuple(map(Role, said["over"])) for role, said in _SAID["roles"].items()}
#: Which of an account's or a trial's people a role stands beside, to be in its team.
KINDS: Mapping[Group, str] = {Group(group): words for group, words in _SAID["columns"].items()}

OWN, TEAM, ANY = Reach.OWN, Reach.TEAM, Reach.ANY
ABOVE: Mapping[Group, Reach] = {Group.MANAGER: TEAM, Group.LEADERSHIP: ANY}
SALE: Mapping[Group, Reach] = {Group.CE: TEAM, Group.AE: TEAM, **ABOVE}
OPS: Mapping[Group, Reach] = {Group.OPS: ANY}


@dataclass(frozen=True)
class Row:
    """An action in the table: what it is called in a refusal and on the page, and who may. ``of`` is the process that it is about, if any."""

    words: str
    reach: Mapping[Group, Reach]
    of: str = ""


#: The table. Answering a task stands apart: see :func:`may_answer`.
RIGHTS: dict[str, Row] = {
    Action.READ.value: Row("read trials, tasks and accounts", dict.fromkeys(Group, ANY)),
    Action.AUDIT.value: Row("read the audit", {Group.MANAGER: ANY, Group.LEADERSHIP: ANY, Group.OPS: ANY}),
    Action.FORGET.value: Row("erase a person", OPS),
    Action.VERIFY_EFFECTS.value: Row("compare the ledger with the outside systems", OPS),
    Action.TOKENS.value: Row("make and revoke tokens", OPS),
}


def grant(action: str, words: str, reach: Mapping[Group, Reach], *, of: str = "") -> None:
    """Add a row. Raises ``ValueError`` when there is one of that name."""
    if action in RIGHTS:
        raise ValueError(f"the table of rights has a row {action!r} already: give the other one a name of its own")
    RIGHTS[action] = Row(words, reach, of)


def rows() -> list[tuple[str, Row]]:
    """The table in one order, whoever was imported first: each process's rows together, then those about none."""
    return sorted(RIGHTS.items(), key=lambda row: (not row[1].of, row[1].of))


class Actor(Value):
    """Who asks. ``person`` is empty for a machine that acts for nobody: then only what reaches any trial or account is theirs."""

    group: Group
    person: Person | None = None


class Asked(Value):
    """A task as far as the rights go: the role, the person it is given to (an address, or empty), and whom its ladder asks as well."""

    id: str
    role: Role
    assignee: str = ""
    also: tuple[str, ...] = ()


class Right(Value):
    """The answer: whether it may be, by which right, and if not, why not and who may."""

    allowed: bool
    rule: str
    why: str = ""


def may(action: str, actor: Actor, owners: Iterable[Person] = (), roster: Iterable[Person] = ()) -> Right:
    """Whether ``actor`` may do this to a trial or an account that ``owners`` look after. Nobody looks after it: then no team stands in the way."""
    row = RIGHTS[action]
    reach = row.reach.get(actor.group)
    owned = tuple(owners)
    if reach is None:
        return _no(action, actor, owned, f"{_called(actor)} may not {row.words}")
    rule = f"{action}: {actor.group.value} {reach.value}"
    if reach is Reach.ANY:
        return Right(allowed=True, rule=rule)
    if actor.person is None:
        return _no(action, actor, owned, f"a token that acts for nobody may not {row.words}")
    within = _is_own(actor.person, owned) if reach is Reach.OWN else _in_team(actor.person, owned, roster)
    if within:
        return Right(allowed=True, rule=rule)
    kind = KINDS[actor.group]
    return _no(action, actor, owned, f"{_called(actor)} is {'not its ' + kind if reach is Reach.OWN else 'not of its team'}")


def may_answer(asked: Asked, actor: Actor, roster: Iterable[Person] = ()) -> Right:
    """Whether ``actor`` may answer a task: whoever it is given to, whoever its ladder asks, colleagues of that role and team, and whom they report to."""
    people = tuple(roster)
    person = actor.person
    given = next((each for each in people if asked.assignee and each.active and each.email.lower() == asked.assignee.lower()), None)
    if person is not None:
        if person.email.lower() in {address.lower() for address in (asked.assignee, *asked.also) if address}:
            return Right(allowed=True, rule="answer: asked")
        if person.role is asked.role and (given is None or _beside(person, given)):
            return Right(allowed=True, rule=f"answer {asked.role.value}: team")
        if given is not None and _above(person, given, people):
            return Right(allowed=True, rule=f"answer {asked.role.value}: manager")
        if person.role in OVER[asked.role] and (given is None or GROUP_OF[person.role] is not Group.MANAGER):
            return Right(allowed=True, rule=f"answer {asked.role.value}: manager")
    named = f"{asked.assignee} ({role_in_words(asked.role)})" if asked.assignee else f"whoever is {role_in_words(asked.role)}"
    others = ", ".join(dict.fromkeys(address for address in asked.also if address and address != asked.assignee))
    bosses = " or ".join(role_in_words(role) for role in OVER[asked.role])
    words = [f"{asked.id} is asked of {named}", f"{_called(actor)} is none of those who may answer it"]
    may_ = ["colleagues of the same role and team", *([others] if others else []), *([bosses] if bosses else [])]
    return Right(allowed=False, rule=f"answer {asked.role.value}", why=f"{'; '.join(words)}. These may: {'; '.join(may_)}")


def table_hash() -> str:
    """Twelve hex digits of the whole table; they stand on the audit beside each right that was used."""
    lines = [f"{action}:{group}={reach}" for action, row in rows() for group, reach in sorted(row.reach.items())]
    lines += [f"{role}<{','.join(over)}" for role, over in OVER.items()] + [f"{role}={group}" for role, group in GROUP_OF.items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def who_may(action: str) -> str:
    """Who may, in words: ``CE (team), leadership (any)``."""
    reach = RIGHTS[action].reach
    return ", ".join(f"{KINDS[group]} ({reach[group].value})" for group in Group if group in reach)


def _no(action: str, actor: Actor, owners: tuple[Person, ...], why: str) -> Right:
    looked_after = ", ".join(f"{person.email} ({role_in_words(person.role)})" for person in owners)
    tail = f"; it is looked after by {looked_after}" if looked_after else ""
    return Right(allowed=False, rule=f"{action}: {actor.group.value}", why=f"{why}. These may: {who_may(action)}{tail}")


def _called(actor: Actor) -> str:
    return f"{actor.person.email} ({role_in_words(actor.person.role)})" if actor.person else f"a token of {KINDS[actor.group]}"


def role_in_words(role: Role) -> str:
    """A role in words."""
    return {Role.CE: "CE", Role.AE: "AE", Role.TA: "TA"}.get(role, role.value.replace("_", " "))


def _is_own(person: Person, owners: Iterable[Person]) -> bool:
    return any(person.email.lower() == owner.email.lower() for owner in owners)


def _beside(person: Person, other: Person) -> bool:
    """Whether the two have one manager. Nobody has a manager on record: then all are one team."""
    return person.manager == other.manager


def _in_team(person: Person, owners: tuple[Person, ...], roster: Iterable[Person]) -> bool:
    if _is_own(person, owners):
        return True
    group = GROUP_OF[person.role]
    if group is Group.MANAGER:
        people = tuple(roster)
        return not owners or any(_above(person, owner, people) for owner in owners)
    of_kind = [owner for owner in owners if GROUP_OF[owner.role] is group]
    return not of_kind or any(_beside(person, owner) for owner in of_kind)


def _above(person: Person, other: Person, roster: Iterable[Person]) -> bool:
    """Whether ``other`` reports to ``person``, directly or through others."""
    by_id = {each.id: each for each in roster}
    at: Person | None = other
    for _ in range(LEVELS):
        if at is None or not at.manager:
            return False
        if at.manager == person.id:
            return True
        at = by_id.get(at.manager)
    return False
