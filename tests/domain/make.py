"""Ready-made values for the tests of the domain: a Monday morning, a policy with other figures, people, signups, tasks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings, strategies
from pydantic import JsonValue

from domain import policy as policies
from domain.decision import Decision
from domain.messages import Account, CeRequest, CompanyInstance, Contact, Signup, Usage
from domain.people import Person, Role
from domain.policy import Policy
from domain.task import Answer, Check, Choice, Escalation, FieldSpec, Task, TaskSpec
from domain.trial.state import Stage, TrialState

#: A Monday, two hours after the office has opened.
MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
POLICY = policies.default()
ADA = Contact(email="ada@acme.example", first_name="Ada", last_name="Admin")

#: Every property test: the same examples in every run, no database, no deadline that a busy machine could miss.
quickly = settings(max_examples=40, deadline=None, database=None, derandomize=True)

#: Any moment of some years around the tests' own, to the minute.
moments = strategies.datetimes(datetime(2024, 1, 1), datetime(2028, 12, 31)).map(lambda at: at.replace(second=0, microsecond=0, tzinfo=UTC))


def with_figures(**figures: Any) -> Policy:
    """The default policy with other figures; ``trial__d15__mode="ask"`` sets ``trial.d15.mode``."""
    tree = POLICY.model_dump()
    for name, value in figures.items():
        *sections, leaf = name.split("__")
        at = tree
        for section in sections:
            at = at[section]
        assert leaf in at, f"no such figure: {name}"
        at[leaf] = value
    return Policy.model_validate(tree)


def day(days: float, hours: float = 0) -> datetime:
    """So long after :data:`MONDAY`."""
    return MONDAY + timedelta(days=days, hours=hours)


def person(id: str, role: Role = Role.CE, **more: Any) -> Person:
    return Person.model_validate({"id": id, "name": id.title(), "email": f"{id}@tenure.example", "role": role, **more})


def account(**more: Any) -> Account:
    return Account.model_validate({"domain": "acme.example", "name": "Acme", **more})


def signup(account: Account | None = None, instance: CompanyInstance | None = None, email: str = ADA.email) -> Signup:
    contact = ADA.model_copy(update={"email": email})
    return Signup(contact=contact, company="Acme", at=MONDAY, account=account, account_as_of=day(-1), instance=instance)


def ce_request(**more: Any) -> CeRequest:
    return CeRequest.model_validate({"contact": ADA, "company": "Acme", "ce": "carol@tenure.example", "at": MONDAY, **more})


def usage(at: datetime = MONDAY, **more: Any) -> Usage:
    return Usage.model_validate({"as_of": at, **more})


def started(total_days: int = 15, **more: Any) -> TrialState:
    """A trial that started on :data:`MONDAY`."""
    state = {"stage": Stage.ONBOARDING, "started_at": MONDAY, "ends_at": day(total_days), "total_days": total_days, "contact": ADA}
    return TrialState.model_validate({**state, **more})


def task(
    kind: str = "triage",
    number: int = 1,
    *,
    fields: tuple[FieldSpec, ...] = (),
    checks: tuple[Check, ...] = (),
    ladder: tuple[Escalation, ...] = (),
    **more: Any,
) -> Task:
    spec = TaskSpec(
        kind=kind,
        title="Triage the lead of Acme",
        asks="Does the lead qualify?",
        role=Role.INBOUND_SDR,
        choices=(Choice(name="yes", label="Yes", fields=fields), Choice(name="no", label="No")),
        checks=checks,
        due_at=day(1),
        ladder=ladder,
    )
    return Task.model_validate({"id": f"{kind}-{number}", "spec": spec, "opened_at": MONDAY, "next_at": day(1), **more})


def answer(choice: str = "yes", task: str = "triage-1", by: str = "sam@tenure.example", **more: Any) -> Answer:
    return Answer.model_validate({"task": task, "choice": choice, "by": by, **more})


def explained(decision: Decision, policy: Policy = POLICY) -> Decision:
    """The decision, once it is seen to explain itself: rule, handbook ids, policy, nearest fact, and facts with source and age."""
    assert decision.rule.endswith(".")
    assert decision.handbook
    assert all(part[0] in "AC" and part[1:].isdecimal() for part in decision.handbook.split(", "))
    assert decision.policy == policy.hash
    assert decision.nearest
    for fact in decision.facts:
        assert fact.name
        assert fact.source
        assert fact.as_of.tzinfo is not None
        assert fact.as_of <= decision.at
    return decision


def facts(decision: Decision) -> dict[str, JsonValue]:
    return {fact.name: fact.value for fact in decision.facts}
