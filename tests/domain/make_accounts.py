"""Ready-made values for the tests of accounts: a customer who began on a Monday, how it does, its team, and a policy with other figures."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from domain import policy as policies
from domain.account.account import AccountTeam, Customer, HealthSnapshot, PlanReason, Reason
from domain.decision import Decision
from domain.people import Role
from domain.policy import AccountPolicy
from tests.domain.make import MONDAY, day, person

POLICY = policies.default_accounts()


def figures(**changed: Any) -> AccountPolicy:
    """The default policy with other figures; ``red__program="lighthouse"`` sets ``red.program``."""
    tree = POLICY.model_dump()
    for name, value in changed.items():
        *sections, leaf = name.split("__")
        at = tree
        for section in sections:
            at = at[section]
        assert leaf in at, f"no such figure: {name}"
        at[leaf] = value
    return AccountPolicy.model_validate(tree)


def on(days: int) -> date:
    """So many days after :data:`MONDAY`."""
    return day(days).date()


def customer(**more: Any) -> Customer:
    """A customer for a year from :data:`MONDAY` on."""
    given = {
        "domain": "acme.example",
        "id": "001",
        "name": "Acme",
        "seats": 100,
        "contract_start": on(0),
        "contract_end": on(365),
        "as_of": day(-100),
    }
    return Customer.model_validate({**given, **more})


def standing(at: datetime = MONDAY, **more: Any) -> HealthSnapshot:
    return HealthSnapshot.model_validate({"as_of": at, **more})


def team() -> AccountTeam:
    return AccountTeam(ta=person("tess", Role.TA), ae=person("abe", Role.AE), ta_manager=person("tim", Role.TA_MANAGER))


def reasons(*names: Reason) -> dict[Reason, PlanReason]:
    return {name: PlanReason(reason=name, on=True) for name in names}


def explained(decision: Decision, policy: AccountPolicy = POLICY) -> Decision:
    """The decision, once it is seen to explain itself: rule, handbook ids, policy, nearest fact, and facts with source and age."""
    assert decision.rule.endswith((".", "?"))
    assert decision.rule[0].isupper() or decision.by or decision.rule[0].isdigit()
    assert decision.handbook == "I" or all(part[0] in "BCD" and part[1:].isdecimal() for part in decision.handbook.split(", "))
    assert decision.policy == policy.hash
    assert decision.nearest
    for fact in decision.facts:
        assert fact.name
        assert fact.source
        assert fact.as_of.tzinfo is not None
        assert fact.as_of <= decision.at
    return decision
