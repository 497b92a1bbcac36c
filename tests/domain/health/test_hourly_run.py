"""What the hourly run decides (D12, B17): which accounts are red by themselves, and what of a change is worth a signal."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.account import red
from domain.account.account import Customer, HealthSnapshot
from domain.health import hourly_run
from domain.policy import default_accounts

POLICY = default_accounts()
NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
TODAY = NOW.date()
around = st.none() | st.integers(-5, 130).map(lambda days: TODAY - timedelta(days=days))


@given(
    start=around,
    deployed=st.none() | around,
    active=around,
    total=st.none() | st.sampled_from([0.0, 4.999, 5.0, 5.001, 10.0]),
    declining=st.integers(0, 5),
)
def test_b17_many_at_once_are_red_by_the_same_criteria_as_one(
    start: date | None, deployed: date | None, active: date | None, total: float | None, declining: int
) -> None:
    customer = Customer(domain="acme.com", name="Acme", contract_start=start, deployed_on=deployed, last_activity_on=active, as_of=NOW)
    standing = HealthSnapshot(as_of=NOW, score=total, declining_months=declining)
    found = hourly_run.reds(
        POLICY,
        TODAY,
        total=total,
        contract_start=start,
        deployed_on=deployed,
        last_activity_on=active,
        declining_months=declining,
    )
    assert found == tuple(red.holding(POLICY, customer, standing, NOW))


def point(**more: Any) -> tuple[object, ...]:
    base = {"band": "healthy", "reds": (), "champion": True, "was_at_target": True, "mau_seats": 0.85, "usage_score": 0.35}
    return hourly_run.standpoint(POLICY, **{**base, "health": "Green", "hand_red": False, **more})


@pytest.mark.parametrize(
    "more",
    [
        {"band": "concerning"},
        {"reds": ("no_contact",)},
        {"health": "Red"},
        {"hand_red": True},
        {"champion": None},
        {"was_at_target": False},
        {"mau_seats": 0.79},
        {"mau_seats": None},
        {"usage_score": 0.29},
    ],
)
def test_what_an_account_acts_on_is_worth_a_signal(more: dict[str, Any]) -> None:
    assert point(**more) != point()


@pytest.mark.parametrize("more", [{"mau_seats": 0.80}, {"mau_seats": 1.2}, {"usage_score": 0.30}, {"usage_score": 0.9}])
def test_a_number_that_crosses_no_target_is_not(more: dict[str, Any]) -> None:
    assert point(**more) == point()


def test_the_day_of_the_last_activity_is_no_news_but_the_contract_is() -> None:
    customer = Customer(domain="acme.com", name="Acme", contract_end=date(2027, 1, 1), as_of=NOW).model_dump()
    same = hourly_run.customer_parts({**customer, "last_activity_on": TODAY, "as_of": NOW + timedelta(hours=1)})
    assert same == hourly_run.customer_parts(customer)
    assert hourly_run.customer_parts({**customer, "contract_end": date(2027, 6, 1)}) != hourly_run.customer_parts(customer)
    assert hourly_run.digest_of(1, "a") != hourly_run.digest_of(1, "b")
    assert len(hourly_run.digest_of("x" * 10_000)) <= 64
