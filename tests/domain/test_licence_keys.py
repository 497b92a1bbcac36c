"""What a licence key can say: its end is kept in 32 bits (F26)."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from domain import licence_keys, policy
from domain.trial import refusals
from domain.trial.commands import Convert
from domain.trial.state import Stage
from tests.domain.make import MONDAY

POLICY = policy.default()
LAST_DAY = date(2038, 1, 17)


@given(st.dates())
def test_a_key_that_is_taken_fits_into_32_bits_and_no_other_is_refused(day: date) -> None:
    late = licence_keys.too_far(POLICY.license, day)
    assert (late is None) == (licence_keys.through(POLICY.license, day).timestamp() < 2**31) == (day <= LAST_DAY)
    if late:
        assert str(day) in late
        assert str(LAST_DAY) in late


@given(st.dates(min_value=date(2038, 1, 18)))
def test_converting_until_what_no_key_can_say_is_refused_in_words_at_once(day: date) -> None:
    assert "contract_end" in (refusals.refuse_convert(POLICY, Stage.ONBOARDING, Convert(seats=5, contract_end=day), MONDAY) or "")


def test_the_last_day_that_a_key_can_say_is_taken_while_the_policy_means_it() -> None:
    years = POLICY.facts.model_copy(update={"years_ahead": 30})
    far = POLICY.model_copy(update={"facts": years})
    assert refusals.refuse_convert(far, Stage.ONBOARDING, Convert(seats=5, contract_end=LAST_DAY), MONDAY) is None
    refused = refusals.refuse_convert(far, Stage.ONBOARDING, Convert(seats=5, contract_end=date(2038, 1, 18)), MONDAY)
    assert refused == "contract_end 2038-01-18 is later than a licence key can say: choose a day up to 2038-01-17"


def test_a_term_of_the_policy_that_no_key_can_say_is_refused_too() -> None:
    terms = POLICY.license.production.model_copy(update={"term_months": 240})
    license_ = POLICY.license.model_copy(update={"production": terms})
    refused = refusals.refuse_convert(POLICY.model_copy(update={"license": license_}), Stage.ONBOARDING, Convert(seats=5), MONDAY)
    assert refused is not None
    assert "term of 240 months" in refused
