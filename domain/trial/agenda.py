"""What an open trial does when: everything ahead, from its policy and its state. The timers and ``next_steps`` both read it."""

from datetime import datetime, timedelta

from domain.calendar import Due
from domain.messages import Origin
from domain.policy import Policy
from domain.trial.state import TrialState
from domain.wording import Wording

TEXTS = Wording(__file__)


def automatic_deadline(origin: Origin, state: TrialState) -> bool:
    """Whether this deadline is day 15 of a self-serve trial, where the policy may act by itself (C02)."""
    return origin == "self_serve" and state.period == 0


def agenda(policy: Policy, origin: Origin, state: TrialState) -> list[Due]:
    """What is ahead, or past due and not done, in the order of time."""
    if state.started_at is None or (ends := state.ends_at) is None:
        return []
    ahead = [*_deadline(policy, origin, state, ends), *([] if state.opted_out else _mails(policy, state, ends))]
    if state.key_until is not None:  # it is open still when its key would end, since it waits for a person: it gets another one in time
        at = state.key_until - timedelta(days=policy.license.trial.renew_days_before)
        ahead.append(_due("key", at, TEXTS("key"), state.keys))
    return sorted((due for due in ahead if due.key not in state.done), key=lambda due: (due.at, due.key))


def _due(kind: str, at: datetime, what: str, number: int) -> Due:
    return Due(at=at, kind=kind, key=f"{kind}.{number}", name=kind, what=what)


def _mails(policy: Policy, state: TrialState, ends: datetime) -> list[Due]:
    """The onboarding mails that go out before the end, each on its day."""
    days = {field.removesuffix("_day"): state.deadline_in(day) for field, day in policy.onboarding}
    return [Due(at=at, kind="mail", key=f"mail.{name}", name=name, what=TEXTS(f"mail.{name}")) for name, at in days.items() if at < ends]


def _deadline(policy: Policy, origin: Origin, state: TrialState, ends: datetime) -> list[Due]:
    """The question whose answer is due at the end, the warning before it, and what happens when nobody answers."""
    lengths, deadline = policy.trial.self_serve if origin == "self_serve" else policy.trial.ce_requested, policy.trial.deadline
    found = []
    if state.period == 0:
        at = state.deadline_in(lengths.warning_day)
        found.append(Due(at=at, kind="warning", key="warning", name="warning", what=TEXTS("warning")))
    if automatic_deadline(origin, state):
        at, mode = state.deadline_in(policy.trial.self_serve.notice_day), policy.trial.d15.mode
        due = _due("due", ends, TEXTS(f"due.{mode}", day=state.total_days), state.period)
        return [*found, _due("ask", at, TEXTS("ask.foretold" if mode == "automatic" else "ask.open"), state.period), due]
    grace = ends + timedelta(days=deadline.grace_days)
    ask = _due("ask", ends - timedelta(days=deadline.ask_days_before), TEXTS("ask.open"), state.period)
    return [*found, ask, _due("grace", grace, TEXTS(f"grace.{deadline.inactive_after_grace}"), state.period)]
