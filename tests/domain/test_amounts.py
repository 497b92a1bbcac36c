"""Amounts and counts as people write them (F21): what could mean two numbers is asked again, whatever it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain import amounts
from domain.messages import CeRequest
from domain.renewal.commands import ProjectOutcome
from domain.task import FieldSpec, field_fault
from domain.trial.commands import Convert, Extend
from tests.domain.make import ADA, MONDAY, quickly

whole = st.integers(0, amounts.MOST_DOLLARS)
AMBIGUOUS = [
    "1200,50",
    "0,500",
    "01 200",
    "120,50",
    "99,99",
    "1 2 3",
    "1,2,3",
    "1.200",
    "1.200,50",
    "1,200.50",
    "12,34,567",
    "1_2_3",
    "1'200",
    "0x10",
    "1e3",
    "½",
]


@quickly
@given(whole, st.sampled_from(["{}", "${}", "$ {}", "{:,}", "${:,}", "{:,}.00", " {} ", "{}.0"]))
def test_an_amount_is_read_as_it_was_meant(number: int, form: str) -> None:
    assert amounts.dollars(form.format(number)) == number
    assert amounts.dollars(f"{number:,}".replace(",", " ")) == number


@quickly
@given(st.integers(0, 999_999), st.integers(0, 99), st.sampled_from([",", ".", ", ", " "]))
def test_two_decimals_are_never_taken_for_thousands(number: int, cents: int, point: str) -> None:
    """``1200,50`` is not 120050; only a point before two zeros says nothing else."""
    read = amounts.dollars(f"{number}{point}{cents:02d}")
    assert read in ((None, number) if point == "." and cents == 0 else (None,))


@quickly
@given(st.text(alphabet="0123456789,. '_$kKmM-+e", max_size=14))
def test_whatever_is_read_is_read_alike_everywhere(text: str) -> None:
    """A task's field, a forecast's sentence and a message take one number for one text, or none."""
    read = amounts.dollars(text)
    if read is not None:
        assert read == int("".join(each for each in text.partition(".")[0] if each.isdigit()))
        assert field_fault(FieldSpec(name="arr", asks="ARR", kind="dollars"), text) is None
        assert ProjectOutcome.model_validate({"by": "a", "outcome": "flat", "amount": text}).amount == read
        assert amounts.leading(text)[0] == read


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_what_could_mean_two_numbers_is_refused_in_words(text: str) -> None:
    assert amounts.dollars(text) is None
    assert amounts.count(text) is None
    fault = field_fault(FieldSpec(name="arr", asks="the new ARR", kind="dollars"), text)
    assert fault == "'arr' must be whole dollars, as 120000 (the new ARR)"
    asked: list[tuple[Any, dict[str, Any]]] = [
        (ProjectOutcome, {"by": "a", "outcome": "flat", "amount": text}),
        (Convert, {"seats": text}),
        (Extend, {"days": text}),
        (CeRequest, {"contact": ADA, "company": "Acme", "ce": "c@d.example", "at": MONDAY, "seats": text}),
    ]
    for model, given_ in asked:
        with pytest.raises(ValidationError, match="write it as 120000 or 120,000"):
            model.model_validate(given_)


@pytest.mark.parametrize("value", [True, False])
def test_yes_is_no_number(value: bool) -> None:
    with pytest.raises(ValidationError, match="write it as 120000"):
        Extend.model_validate({"days": value})
    with pytest.raises(ValidationError, match="write it as 120000"):
        Convert.model_validate({"seats": value})


@pytest.mark.parametrize(
    ("text", "amount", "rest"),
    [
        ("45000 they close", 45_000, "they close"),
        ("$1,250,000, they grow in 2 offices", 1_250_000, "they grow in 2 offices"),
        ("45,000, 2 offices close", 45_000, "2 offices close"),
        ("45k: why", 45_000, "why"),
        ("1.25M", 1_250_000, ""),
        ("they close 2 offices", None, "they close 2 offices"),
        ("", None, ""),
    ],
)
def test_an_amount_at_the_beginning_of_a_sentence(text: str, amount: int | None, rest: str) -> None:
    assert amounts.leading(text) == (amount, rest)


@pytest.mark.parametrize(
    "text",
    [
        "1200,50",
        "99,99 a year",
        "1 2 3",
        "45000 2 offices",
        "-45000",
        "10% less",
        "45.000",
        "0.1234k",
        "1,5m",
        "1200€",
        "45k £ a year",
        "900 EUR",
        "1/2",
    ],
)
def test_a_sentence_that_begins_with_two_numbers_is_asked_again(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        amounts.leading(text)


@quickly
@given(st.one_of(st.floats(), st.integers(), st.text(max_size=6), st.none(), st.booleans()))
@example(10**400)  # which JSON can say, and no float
@example(-(10**400))
def test_a_systems_number_is_plausible_or_not_known(value: Any) -> None:
    """Never an error: negative, infinite, not a number, absurdly large and no number at all are not known."""
    read = amounts.plausible(value, 1_000_000)
    assert read is None or 0 <= read <= 1_000_000
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1_000_000:
        assert read == round(value)
