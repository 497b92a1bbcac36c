"""What marks an account red, each reason once (B17, B18, D31, C20): the facts alone, and people, in the CRM or in Vitally.

A mark writes both systems (C20), and their copies show it for as long as they are not made anew: so nobody's hand is seen in what we wrote
ourselves, and what a person has promoted stays so until a copy has shown it gone once.
"""

from datetime import datetime

from domain.account import red
from domain.account.account import Customer
from domain.account.commands import MarkRed
from domain.account.lifecycle import AccountState
from domain.account.red import Hand
from domain.calendar import day_of, hours_of
from domain.policy import AccountPolicy


def news(policy: AccountPolicy, customer: Customer, state: AccountState, now: datetime) -> tuple[MarkRed, ...]:
    """The marks that the facts bring by now; ``red_for`` remembers for what it was red, so that each brings one.

    While it is red a colour or a trait brings none: it is most likely our own. A criterion that comes to hold does.
    """
    held, shown = red.holding(policy, customer, state.standing, now), red.by_hand(customer, state.standing)
    if state.red_unseen and not state.red and _copied_since(policy, state.red_over_at, now):
        state.red_for = [each for each in state.red_for if each not in state.red_unseen]
        state.red_unseen = []
    state.red_unseen = [each for each in state.red_unseen if each not in shown]
    by_itself = [says for name, says in held.items() if name not in state.red_for]
    by_hand: list[Hand] = [] if state.red else [each for each in shown if each not in state.red_for]
    if state.red or by_itself or by_hand:
        state.red_for = list(dict.fromkeys([*state.red_for, *held, *shown]))
    else:
        _forget(state, {*held, *shown, *_unknown(policy, customer, state, now)})
    marks = [MarkRed(reason=shown[each], source=each) for each in by_hand]
    return (*marks, MarkRed(reason="; ".join(by_itself), source="automatic")) if by_itself else tuple(marks)


def marked(customer: Customer, state: AccountState) -> None:
    """It is marked, whoever did it: both systems are written, and a copy that does not show it yet is one of before."""
    if state.red:
        return
    shown = red.by_hand(customer, state.standing)
    state.red = True
    state.red_for = list(dict.fromkeys([*state.red_for, *red.HANDS]))
    state.red_unseen = [each for each in red.HANDS if each not in shown]


def ended(policy: AccountPolicy, customer: Customer, state: AccountState, now: datetime) -> None:
    """It is red no more. Who promoted it knew what still holds; what is gone already may mark it red again."""
    state.red, state.red_told, state.red_over_at = False, "", now
    holds = {*red.holding(policy, customer, state.standing, now), *_unknown(policy, customer, state, now)}
    _forget(state, {*holds, *red.by_hand(customer, state.standing)})


def _unknown(policy: AccountPolicy, customer: Customer, state: AccountState, now: datetime) -> set[str]:
    """The criteria of which nothing is known now: one that held is not gone because nobody knows it any more."""
    return {each.name for each in red.findings(policy, customer, state.standing, now) if each.holds is None}


def _forget(state: AccountState, still: set[str]) -> None:
    """What was seen gone marks again; what no copy has shown yet was not seen gone."""
    state.red_for = [each for each in state.red_for if each in still or each in state.red_unseen]


def _copied_since(policy: AccountPolicy, over_at: datetime | None, now: datetime) -> bool:
    """Whether the copies, made every hour, are of after that moment for sure: from the next morning on."""
    today = day_of(policy.office, now)
    return over_at is not None and day_of(policy.office, over_at) < today and now >= hours_of(policy.office, today)[0]
