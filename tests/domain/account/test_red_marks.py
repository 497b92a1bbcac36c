"""What marks an account red, each reason once: by itself, by hand in the CRM or in Vitally, and never because we wrote it ourselves."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.account import red_marks
from domain.account.lifecycle import AccountState
from domain.account.red import HANDS, Hand
from domain.calendar import hours_of
from tests.domain.make import day
from tests.domain.make_accounts import POLICY, customer, on, standing

NOON = day(0) + timedelta(hours=3)
MINUTE = timedelta(minutes=1)
NEXT_MORNING = hours_of(POLICY.office, on(1))[0]
IN_CRM, IN_VITALLY = "Customer Health is Red in the CRM", "it is set as a red account in Vitally"


class Marked:
    """An account's memory, and the marks that each look at the facts brings."""

    def __init__(self) -> None:
        self.state, self.now = AccountState(), NOON
        self.known = customer(contract_start=on(-200), deployed_on=on(-190), last_activity_on=on(0), health="Green")

    def look(self, at: datetime | None = None, **facts: Any) -> list[tuple[str, str]]:
        """Source and reason of each mark; ``crm`` and ``trait`` say where it shows, the rest is the standing."""
        self.now = at or self.now + MINUTE
        crm, trait = facts.pop("crm", self.known.health == "Red"), facts.pop("trait", False)
        self.known = self.known.model_copy(update={"health": "Red" if crm else "Green"})
        self.state.standing = standing(self.now, **{"score": 9.0, "hand_red": trait, **facts})
        marks = red_marks.news(POLICY, self.known, self.state, self.now)
        if marks:
            red_marks.marked(self.known, self.state)
        return [(mark.source, mark.reason) for mark in marks]

    def judged(self) -> None:
        """A person marks it, by our own command."""
        red_marks.marked(self.known, self.state)

    def promoted(self) -> None:
        red_marks.ended(POLICY, self.known, self.state, self.now)


@pytest.mark.parametrize(
    ("shown", "marks"),
    [
        ({}, []),
        ({"crm": True}, [("salesforce", IN_CRM)]),
        ({"trait": True}, [("vitally", IN_VITALLY)]),
        ({"crm": True, "trait": True}, [("salesforce", IN_CRM), ("vitally", IN_VITALLY)]),
        (
            {"crm": True, "trait": True, "score": 3.0},
            [("salesforce", IN_CRM), ("vitally", IN_VITALLY), ("automatic", "health score 3, at most 5")],
        ),
    ],
)
def test_b17_d31_each_hand_marks_once(shown: dict[str, Any], marks: list[tuple[str, str]]) -> None:
    account = Marked()
    assert account.look(**shown) == marks
    assert account.state.red == bool(marks)
    assert account.look(**shown) == []


@pytest.mark.parametrize("first", [{"crm": True}, {"trait": True}, {"score": 3.0}])
def test_c20_what_we_wrote_ourselves_is_no_second_reason(first: dict[str, Any]) -> None:
    """Nor when the two systems are copied one after the other; a criterion that comes to hold is one."""
    account = Marked()
    assert len(account.look(**first)) == 1
    assert account.look(**{**first, "crm": True}) == []
    assert account.look(**{**first, "crm": True, "trait": True}) == []
    assert account.look(**{**first, "crm": True, "trait": True, "declining_months": 2})[0][0] == "automatic"


@pytest.mark.parametrize("hand", HANDS)
def test_what_is_promoted_stays_so_until_it_was_seen_gone(hand: Hand) -> None:
    """The copies are stale for hours, or days; each system is seen by itself."""
    account = Marked()
    shown: dict[str, Any] = {"crm": hand == "salesforce", "trait": hand == "vitally"}
    account.judged()
    assert account.look(crm=True, trait=True) == []
    account.promoted()
    assert account.look(crm=True, trait=True) == []
    assert account.look(day(5), crm=True, trait=True) == []
    assert account.look(crm=False, trait=False) == []
    assert [source for source, _ in account.look(**shown)] == [hand]


@pytest.mark.parametrize(
    ("at", "marks"), [(NOON + MINUTE, 0), (NOON + timedelta(hours=10), 0), (NEXT_MORNING - MINUTE, 0), (NEXT_MORNING, 1)]
)
def test_promoted_before_any_copy_showed_it(at: datetime, marks: int) -> None:
    """By mistake, a quarter of an hour after it was marked: until the next morning a copy may be of that quarter."""
    account = Marked()
    account.judged()
    account.now = NOON
    account.promoted()
    assert account.look(NOON, crm=False) == []  # of before the mark: it was not seen gone
    assert len(account.look(at, crm=True)) == marks
    if not marks:
        assert account.look(day(3), crm=False) == []
        assert account.look(day(3) + MINUTE, crm=True) == [("salesforce", IN_CRM)]


def test_gone_while_it_is_red_it_marks_again_after_the_promotion() -> None:
    """A criterion and a hand alike; while it is red the hand that comes again is no news."""
    account = Marked()
    assert len(account.look(crm=True, score=3.0)) == 2
    account.look(crm=True, trait=True, score=3.0)
    assert account.look(crm=False, trait=True, score=9.0) == []
    assert account.look(crm=True, trait=True, score=9.0) == []
    assert account.look(crm=False, trait=False, score=9.0) == []
    account.promoted()
    assert account.look(crm=True) == [("salesforce", IN_CRM)]
    account.look(crm=False)
    account.promoted()
    assert account.look(day(4), score=3.0) == [("automatic", "health score 3, at most 5")]


def test_a_system_that_refused_our_mark_is_heard_again() -> None:
    """Vitally never showed it: from the next morning on its trait is a person's."""
    account = Marked()
    account.judged()
    account.look(day(7), crm=True)
    account.promoted()
    account.look(day(7) + MINUTE, crm=False)
    assert account.look(day(9), trait=True) == [("vitally", IN_VITALLY)]


def test_an_account_that_an_earlier_version_marked_is_not_marked_by_its_copies() -> None:
    """Its memory has none of the systems in it."""
    account = Marked()
    account.state = AccountState(red=True, red_for=["health"])
    assert account.look(crm=True, trait=True, score=3.0) == []
    account.promoted()
    assert account.look(crm=True, trait=True, score=3.0) == []
