"""The table of rights, cell by cell, and its reach: own, team, any; and who may answer what is asked of whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain import rights, rights_page
from domain.all import every
from domain.people import Person, Role
from domain.rights import GROUP_OF, OVER, RIGHTS, Actor, Asked, Group, Reach, Row

DOCS = Path(__file__).parents[2] / "docs" / "rights.md"


def person(handle: str, role: Role, manager: str | None = None, *, active: bool = True) -> Person:
    return Person(id=handle, name=handle.title(), email=f"{handle}@tenure.example", role=role, manager=manager, active=active)


SALES, TS = person("sales", Role.SALES_LEADERSHIP), person("ts", Role.TS_LEADERSHIP)
CEM, CEM2 = person("cem", Role.CE_MANAGER, "sales"), person("cem2", Role.CE_MANAGER, "sales")
AEM, TAM = person("aem", Role.AE_MANAGER, "sales"), person("tam", Role.TA_MANAGER, "ts")
GROWTH = person("growth", Role.GROWTH)
ADA, BORIS, OTHER_CE = person("ada", Role.CE, "cem"), person("boris", Role.CE, "cem"), person("zoe", Role.CE, "cem2")
MIRA, TARIQ, OTHER_AE = person("mira", Role.AE, "aem"), person("tariq", Role.AE, "aem"), person("yan", Role.AE, "elsewhere")
PAZ, RUNE = person("paz", Role.TA, "tam"), person("rune", Role.TA, "elsewhere")
IRIS, NOOR = person("iris", Role.INBOUND_SDR, "growth"), person("noor", Role.NAMED_SDR, "growth")
CLOUD, SUPPORT = person("cloud", Role.CLOUD), person("support", Role.SUPPORT)
PEOPLE = (SALES, TS, CEM, CEM2, AEM, TAM, GROWTH, ADA, BORIS, OTHER_CE, MIRA, TARIQ, OTHER_AE, PAZ, RUNE, IRIS, NOOR, CLOUD, SUPPORT)
OWNERS = (ADA, MIRA, PAZ, IRIS)

#: For each group: the owner, a colleague of the team, and somebody of another team. What reaches any has no other.
CAST = {
    Group.SDR: (IRIS, NOOR, person("far", Role.INBOUND_SDR, "elsewhere")),
    Group.CE: (ADA, BORIS, OTHER_CE),
    Group.AE: (MIRA, TARIQ, OTHER_AE),
    Group.TA: (PAZ, person("sol", Role.TA, "tam"), RUNE),
    Group.MANAGER: (CEM, CEM, CEM2),
    Group.LEADERSHIP: (SALES, TS, person("vega", Role.EXEC_SPONSOR)),
    Group.OPS: (CLOUD, CLOUD, CLOUD),
    Group.DESK: (SUPPORT, SUPPORT, person("finance", Role.FINANCE)),
}


def actor(who: Person) -> Actor:
    return Actor(group=GROUP_OF[who.role], person=who)


@pytest.mark.parametrize("action", RIGHTS)
def test_each_cell_of_the_table(action: str) -> None:
    for group, (own, colleague, other) in CAST.items():
        reach = RIGHTS[action].reach.get(group)
        owner = own if group is not Group.MANAGER else person("boss", Role.CE_MANAGER)
        expected = {
            None: (False, False, False),
            Reach.OWN: (True, False, False),
            Reach.TEAM: (True, True, False),
            Reach.ANY: (True, True, True),
        }[reach]
        owners = (*OWNERS, owner) if group is Group.MANAGER else OWNERS
        got = tuple(rights.may(action, actor(who), owners, (*PEOPLE, owner)).allowed for who in (owner, colleague, other))
        assert got == expected, (action, group, reach)
        machine = rights.may(action, Actor(group=group), OWNERS, PEOPLE)
        assert machine.allowed is (reach is Reach.ANY), (action, group)


@pytest.mark.parametrize("action", RIGHTS)
def test_a_refusal_says_who_may(action: str) -> None:
    for group in set(Group) - set(RIGHTS[action].reach):
        found = rights.may(action, actor(CAST[group][0]), OWNERS, PEOPLE)
        assert CAST[group][0].email in found.why
        assert RIGHTS[action].words in found.why
        assert f"These may: {rights.who_may(action)}" in found.why
        assert "ada@tenure.example (CE)" in found.why


def test_nobody_looks_after_it_yet_so_no_team_stands_in_the_way() -> None:
    assert rights.may("extend", actor(OTHER_CE), (MIRA,), PEOPLE).allowed
    assert rights.may("extend", actor(CEM2), (), PEOPLE).allowed
    assert not rights.may("forecast", actor(MIRA), (), PEOPLE).allowed  # but one's own is nobody's


def test_a_ring_of_managers_ends() -> None:
    ring = (person("a", Role.CE, "b"), person("b", Role.CE_MANAGER, "a"))
    assert not rights.may("extend", actor(CEM), (ring[0],), (*PEOPLE, *ring)).allowed


@pytest.mark.parametrize("role", Role)
def test_every_role_is_a_column_and_has_somebody_or_nobody_over_it(role: Role) -> None:
    assert role in GROUP_OF
    assert role not in OVER[role]


@pytest.mark.parametrize("role", Role)
def test_a_task_of_a_whole_role_is_answered_by_that_role_and_by_whom_it_reports_to(role: Role) -> None:
    asked = Asked(id="trial-acme.com:x-1", role=role)
    for other in Role:
        found = rights.may_answer(asked, actor(person("somebody", other)), PEOPLE)
        assert found.allowed is (other is role or other in OVER[role]), (role, other)
        if not found.allowed:
            assert "somebody@tenure.example" in found.why
            assert "These may: colleagues of the same role and team" in found.why


@pytest.mark.parametrize(
    ("who", "allowed"),
    [(ADA, True), (BORIS, True), (OTHER_CE, False), (MIRA, True), (TARIQ, False), (CEM, True), (CEM2, False), (SALES, True), (TS, False),
     (PAZ, False), (CLOUD, False), (IRIS, False)],
)  # fmt: skip
def test_a_task_given_to_a_person(who: Person, allowed: bool) -> None:
    asked = Asked(id="deadline-1", role=Role.CE, assignee="Ada@tenure.example", also=(MIRA.email, CEM.email))
    found = rights.may_answer(asked, actor(who), PEOPLE)
    assert found.allowed is allowed, who
    assert found.rule.startswith("answer")


def test_a_machine_answers_nothing() -> None:
    assert not rights.may_answer(Asked(id="x", role=Role.CLOUD), Actor(group=Group.OPS), PEOPLE).allowed


def test_every_decision_has_its_row() -> None:
    judged = {command.judged_as for command in every() if command.name != "answer"}
    assert len(judged) > 15
    assert judged < set(RIGHTS)


def test_the_page_is_the_table() -> None:
    assert DOCS.read_text() == rights_page.page(), "write it anew: .venv/bin/tenure rights > docs/rights.md"


def test_the_hash_names_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    before = rights.table_hash()
    assert before == rights.table_hash()
    monkeypatch.setitem(RIGHTS, "adopt_policy", Row("move running processes to another policy", {}))
    assert rights.table_hash() != before
