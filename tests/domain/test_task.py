"""A task's answer: every refusal says what to do, every kind of field holds its form, and what passes fits its message."""

from __future__ import annotations

from datetime import date
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue, ValidationError

from domain.people import Role
from domain.task import Answer, Check, Choice, FieldSpec, TaskSpec, field_fault, find, refusal
from domain.trial.commands import Convert, Extend
from tests.domain.make import MONDAY, answer, day, quickly, task

SEATS = FieldSpec(name="seats", asks="how many seats", kind="integer")
NOTE = FieldSpec(name="why", asks="why", required=False)
CHECKS = (Check(name="fits_size", question="Does it fit?"), Check(name="right_contact", question="Is it the right one?"))


def why(sent: Answer, *tasks: Any) -> str | None:
    return refusal(sent, list(tasks))


# --- refusals, in the order in which they are looked for ---------------------------------------------------------------------------------


def test_a_right_answer_is_taken() -> None:
    assert why(answer(fields={"seats": 200}, checks={"fits_size": True}), task(fields=(SEATS, NOTE), checks=CHECKS)) is None
    assert why(answer("no"), task(fields=(SEATS, NOTE), checks=CHECKS)) is None


@pytest.mark.parametrize("by", ["", "  "])
def test_an_answer_of_nobody_is_refused(by: str) -> None:
    assert why(answer(by=by), task()) == 'say who answers: "by" must be your e-mail address'


def test_an_unknown_task_is_refused_with_those_that_are_open() -> None:
    assert why(answer(task="triage-9")) == "there is no task 'triage-9'; open tasks: none"
    open_two = (task(), task("deadline"), task("approval", status="withdrawn"))
    assert why(answer(task="triage-9"), *open_two) == "there is no task 'triage-9'; open tasks: triage-1, deadline-1"


def test_a_second_answer_is_told_who_was_first_and_when() -> None:
    first = task(status="answered", answer=answer("no", by="first@tenure.example"), closed_at=day(0, 1))
    assert why(answer(), first) == "triage-1 was answered by first@tenure.example at 2026-03-02 10:00 UTC with 'no'; nothing was changed"


def test_a_withdrawn_task_says_why_it_was() -> None:
    assert why(answer(), task(status="withdrawn", closed_because="the trial ended")) == (
        "triage-1 is closed (the trial ended); open tasks: none"
    )
    assert why(answer(), task(status="withdrawn"), task("deadline")) == "triage-1 is closed (withdrawn); open tasks: deadline-1"


def test_an_unknown_choice_is_refused_with_those_there_are() -> None:
    assert why(answer("perhaps"), task()) == "'perhaps' is not a choice of triage-1; choose one of: yes, no"


def test_unknown_checks_are_refused_with_those_there_are() -> None:
    sent = answer(checks={"fits_size": True, "zeal": True, "luck": False})
    assert why(sent, task(checks=CHECKS)) == "unknown checks luck, zeal; the checks of triage-1 are: fits_size, right_contact"
    assert why(sent, task()) == "unknown checks fits_size, luck, zeal; the checks of triage-1 are: none"


@pytest.mark.parametrize("fields", [{}, {"seats": None}, {"seats": ""}, {"seats": "  "}])
def test_a_field_that_is_needed_must_be_there(fields: dict[str, JsonValue]) -> None:
    assert why(answer(fields=fields), task(fields=(SEATS,))) == "'yes' needs the field 'seats' (how many seats)"
    assert why(answer("no", fields=fields), task(fields=(SEATS,))) is None


def test_a_field_that_is_not_needed_may_be_absent_but_not_wrong() -> None:
    optional = SEATS.model_copy(update={"required": False})
    assert why(answer(), task(fields=(optional,))) is None
    assert why(answer(fields={"seats": "  "}), task(fields=(optional,))) is None
    assert why(answer(fields={"seats": "many"}), task(fields=(optional,))) == (
        "'seats' must be a whole number from 1 to 1,000,000 (how many seats)"
    )


def test_an_answer_longer_than_a_reason_may_be_is_no_answer() -> None:
    """It becomes the reason of an extension or a termination, which has the same bound."""
    assert answer(note="x" * 2_000)
    with pytest.raises(ValidationError, match="at most 2000 characters"):
        answer(note="x" * 2_001)


# --- the kinds of fields -----------------------------------------------------------------------------------------------------------------

GOOD: dict[str, list[JsonValue]] = {
    "domain": ["acme.com", "Acme.co.uk", " acme.example "],
    "text": ["acme.example", "Grüße", "x" * 2_000],
    "email": ["ada@acme.example", "ada+trial@mail.acme.example", "o'neil!#$%@bücher.example"],
    "integer": [1, 1_000_000, "1", " 200 ", "0005"],
    "dollars": [0, 1, 120_000, 1_000_000_000, "0", "120000", "$120,000", " 1 200 000 "],
    "date": ["2026-12-31", "2028-02-29"],
}
BAD: dict[str, list[JsonValue]] = {
    "domain": ["acme", "acme.", ".com", "ada@acme.com", "acme corp.com", "https://acme.com", "a" * 260 + ".com", 7, ["acme.com"]],
    "text": [7, True, ["acme.example"], {"domain": "acme.example"}, "x" * 2_001],
    "email": [
        "ada",
        "@acme.example",
        "ada@acme",
        "ada@acme.",
        "ada@.example",
        "a da@acme.example",
        "ada@acme.example\nBcc: all@acme.example",
        "ada@b@acme.example",
        "x" * 250 + "@a.bc",
        "a" * 62 + "@acme-widgets-1.com.au",
        "jörg@acme.example",
        "ada\u200b@acme.example",
        "ａda@acme.example",
        "ada\x7f@acme.example",
        5,
        ["ada@acme.example"],
    ],
    "integer": [0, -3, 1_000_001, 2.0, 2.5, True, "0", "-3", "2.0", "1e3", "1_000", "many", "³", "\u0663", "9" * 5_000, 10**5_000, [3], {}],
    "dollars": [-1, 1_000_000_001, 1.0, True, None, "", "-1", "1.5", "half", "12k", "³", "\u0663", "9" * 5_000, 10**5_000, [3], {}],
    "date": ["31.12.2026", "2026-3-5", "2026-02-30", "20261231", "2026-W01-1", "２０２６-12-31", " 2026-12-31", 20261231, ["2026-12-31"]],
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in GOOD.items() for value in values])
def test_a_value_of_its_kind(kind: str, value: JsonValue) -> None:
    assert field_fault(FieldSpec.model_validate({"name": "it", "asks": "what", "kind": kind}), value) is None


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in BAD.items() for value in values], ids=lambda v: str(type(v)))
def test_a_value_that_is_none_of_its_kind(kind: str, value: JsonValue) -> None:
    form = {
        "text": "text of at most 2,000 characters",
        "email": "an e-mail address, of plain letters before the @ and at most 80 characters",
        "integer": "a whole number from 1 to 1,000,000",
        "dollars": "whole dollars, as 120000",
        "date": "a date as YYYY-MM-DD",
        "domain": "a domain, as acme.com",
    }[kind]
    assert field_fault(FieldSpec.model_validate({"name": "it", "asks": "what", "kind": kind}), value) == f"'it' must be {form} (what)"


def test_every_kind_is_tried() -> None:
    kinds = set(get_args(FieldSpec.model_fields["kind"].annotation))
    assert kinds == set(GOOD) == set(BAD)


@quickly
@given(st.one_of(st.text(max_size=12), st.integers(), st.floats(), st.booleans(), st.dates().map(str), st.from_regex(r"\d{1,4}-\d+-\d+")))
def test_what_passes_fits_the_message_that_it_becomes(value: JsonValue) -> None:
    """A value that passed and then failed in the message would fail inside the workflow."""
    if field_fault(SEATS, value) is None:
        assert 1 <= (Convert.model_validate({"seats": value}).seats or 0) <= 1_000_000
        assert Extend.model_validate({"days": value}).days
    if field_fault(FieldSpec(name="contract_end", asks="until when", kind="date"), value) is None:
        assert Convert.model_validate({"contract_end": value}).contract_end == date.fromisoformat(str(value))


# --- finding a task ----------------------------------------------------------------------------------------------------------------------


def test_a_task_is_found_by_its_id_or_by_its_kind() -> None:
    first, second = task(number=1, status="answered"), task(number=2)
    other = task("deadline")
    tasks = [first, second, other]
    assert find("triage-1", tasks) is first
    assert find("triage-2", tasks) is second
    assert find("triage", tasks) is second
    assert find("deadline", tasks) is other
    assert find("approval", tasks) is None
    assert find("triage", []) is None


def test_an_open_task_of_a_kind_is_preferred_and_then_the_newest() -> None:
    first, second = task(number=1), task(number=2, status="withdrawn")
    assert find("triage", [first, second]) is first
    second.status = "open"
    assert find("triage", [first, second]) is second
    second.status = "withdrawn"
    first.status = "withdrawn"
    assert find("triage", [first, second]) is second


def test_a_task_without_choices_is_no_task() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        TaskSpec(kind="x", title="x", asks="x", role=Role.CE, choices=(), due_at=MONDAY)
    spec = task().spec
    assert spec.choice("yes") == Choice(name="yes", label="Yes")
    assert spec.choice("perhaps") is None


def test_a_choice_that_needs_every_check_is_refused_until_each_has_its_yes_or_no() -> None:
    choice = Choice(name="qualify", label="Qualifies", every_check=True)
    asked = task(checks=CHECKS)
    asked.spec = asked.spec.model_copy(update={"choices": (choice,)})
    said = why(answer(task=asked.id, choice="qualify", checks={"fits_size": True}), asked)
    assert said == "'qualify' needs a yes or a no to every check; missing: right_contact"
    assert why(answer(task=asked.id, choice="qualify", checks={"fits_size": True, "right_contact": False}), asked) is None
