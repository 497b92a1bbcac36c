"""Decisions as data: whoever decides is registered, and from what a decision's row keeps the same is decided again."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from domain import all as everything
from domain.account.account import Customer, HealthSnapshot, PlanReason, PlanReviewed
from domain.account.commands import MarkRed
from domain.account.get_well import GetWellState
from domain.account.lifecycle import AccountState
from domain.account.red import RedState
from domain.decision import FUNCTIONS, Call, Fact
from domain.effects.registry import Claimed, ClaimOutcome
from domain.messages import CeRequest, Signup, Usage
from domain.policy import AccountPolicy, Policy
from domain.renewal.commands import AssessRenewal, CancelRenewal, MoveRenewal
from domain.renewal.state import RenewalState, SavePlan
from domain.task import Answer
from domain.trial.adoption import Move
from domain.trial.decisions import Course
from domain.trial.state import TrialState
from tests.domain import make, make_accounts

ROOT = Path(everything.__file__).parents[1]
PRODUCT = [path for part in ("domain", "workflows", "activities", "store", "starter") for path in sorted((ROOT / part).rglob("*.py"))]
AT = make.MONDAY
WHO = "ann@tenure.example"
#: Facts for whatever asks for some: by the name of the parameter, else by its kind.
NAMED: dict[str, Any] = {
    "before": 5_000,
    "arr": 4_000,
    "to": "yellow",
    "rating": "red",
    "outcome": "flat",
    "origin": "self_serve",
    "reasons": {"renewal": PlanReason(reason="renewal", on=True, why="at risk")},
    "since": AT.date(),
    "opinions": (Fact(name="TA manager's rating", value="red", source=WHO, as_of=AT),),
    "moved": (Move(what="it", change="moved", was=AT, will=AT),),
    "answer": Answer(task="it-1", choice="escalate", by=WHO, note="soon", checks={"company": True}),
    "ta_side": Answer(task="it-1", choice="red", by=WHO),
    "ae_side": Answer(task="it-2", choice="yellow", by=WHO),
}
KINDS: dict[Any, Any] = {
    Policy: make.POLICY,
    AccountPolicy: make_accounts.POLICY,
    Signup: make.signup(make.account(named=True)),
    CeRequest: CeRequest(contact=make.ADA, company="Acme", ce=WHO, at=AT),
    Claimed: Claimed(outcome=ClaimOutcome.FULL, live=300),
    Usage | None: Usage(as_of=AT, code_hosts=1),
    Course: Course.EXTEND,
    TrialState: TrialState(claimed_at=AT, contact=make.ADA, notes=["a note"]),
    Customer: make_accounts.customer(deployed_on=make_accounts.on(3), status="customer"),
    AccountState: AccountState(since=AT.date(), standing=make_accounts.standing(mau_seats=0.9), term_end=make_accounts.on(300)),
    RedState: RedState(at_mark=make_accounts.standing(band="poor")),
    GetWellState: GetWellState(),
    HealthSnapshot | None: make_accounts.standing(band="healthy", score=0.8, mau_seats=0.2),
    MarkRed: MarkRed(by=WHO, reason="their champion left"),
    RenewalState: RenewalState(renewal_on=make_accounts.on(120)),
    AssessRenewal: AssessRenewal(by=WHO, rating="red", why="seen"),
    MoveRenewal: MoveRenewal(by=WHO, renewal_on=make_accounts.on(200)),
    CancelRenewal: CancelRenewal(by=WHO, why="merged"),
    SavePlan: SavePlan(by=WHO, at=AT, problem="few", criteria="60 %", steps="train", agreed_by=WHO),
    PlanReviewed: PlanReviewed(criteria_met=True, by=WHO),
    Answer: Answer(task="it-1", choice="leave_yellow", by=WHO),
    Answer | None: Answer(task="it-1", choice="leave_yellow", by=WHO),
    type(AT): AT,
    bool: False,
    str: WHO,
    int: 30,
}
CHOICES = {"renewal.decisions.settled": "red", "trial.decisions.qualify": "qualify", "trial.decisions.approve": "approve"}


def arguments(name: str) -> dict[str, Any]:
    hints = get_type_hints(FUNCTIONS[name].function)
    found: dict[str, Any] = {
        parameter: KINDS[hint] if hint in (Course, Policy) else NAMED.get(parameter, KINDS.get(hint))
        for parameter, hint in hints.items()
        if parameter != "return"
    }
    if name in CHOICES:
        found["answer"] = found["answer"].model_copy(update={"choice": CHOICES[name]})
    return found


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_from_what_a_row_keeps_the_same_is_decided_again(name: str) -> None:
    """As JSON; without the log of the state, and of a policy its hash alone."""
    given = arguments(name)
    made = FUNCTIONS[name].decide(**given)
    assert made is not None
    assert made.call is not None
    kept = Call.model_validate_json(made.call.model_dump_json())
    again = everything.decide_again(kept, lambda kind, name: kind.model_validate(KINDS[kind].model_dump(mode="json")))
    assert again == made
    assert kept.inputs["policy"] == given["policy"].hash
    assert "a note" not in str(kept.inputs)
    assert len(made.call.model_dump_json()) < 3_000


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_no_dump_of_a_decision_has_its_inputs(name: str) -> None:
    """A state that is continued, an answer to a query, an effect: none grows by them."""
    made = FUNCTIONS[name].decide(**arguments(name))
    assert made is not None
    assert "call" not in made.model_dump()
    assert "inputs" not in made.model_dump_json()


def calls(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [each.func.id for each in ast.walk(tree) if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)]


def test_only_registered_functions_decide() -> None:
    """Nothing but the registry makes a decision, or another one out of it; and what it knows is there for whoever decides again."""
    assert [path.name for path in PRODUCT if "Decision" in calls(path)] == ["decision.py"]
    assert not [path.name for path in PRODUCT if re.search(r"(decision|decided|made)\.model_copy\(", path.read_text(encoding="utf-8"))]
    declared = {
        path.relative_to(ROOT / "domain").with_suffix("").as_posix().replace("/", ".") for path in PRODUCT if "replayable" in calls(path)
    }
    said = "from domain.all import decide_again; from domain.decision import FUNCTIONS; print(*FUNCTIONS)"
    known = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    assert {name.rpartition(".")[0] for name in known} == declared
    assert sorted(known) == sorted(FUNCTIONS)


def test_outcomes_are_compared_as_members() -> None:
    """Not with words that somebody may misspell."""
    for path in (path for path in PRODUCT if path.relative_to(ROOT).parts[0] in ("domain", "workflows", "store")):
        for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(each, ast.Compare) and isinstance(each.left, ast.Attribute) and each.left.attr == "outcome":
                owner = ast.unparse(each.left.value)
                words = [one for one in each.comparators if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                assert not words or owner in OTHERS, f"{path.relative_to(ROOT)}:{each.lineno}: {ast.unparse(each)}"


#: What has an outcome and is no decision: a row of the audit, a renewal that has ended.
OTHERS = {"clean", "ended"}
