"""What an open trial does when: everything ahead, from its policy and its state. The timers and ``next_steps`` both read it."""

from datetime import timedelta

from domain.calendar import Due
from domain.messages import Origin
from domain.policy import Policy
from domain.trial.state import TrialState


def automatic_deadline(origin: Origin, state: TrialState) -> bool:
    """Whether this deadline is day 15 of a self-serve trial, where the policy may act by itself (C02)."""
    return origin == "self_serve" and state.period == 0


def agenda(policy: Policy, origin: Origin, state: TrialState) -> list[Due]:
    """What is ahead, or past due and not done, in the order of time."""
    if state.started_at is None or state.ends_at is None:
        return []
    ahead = [*_mails(policy, state), *_deadline(policy, origin, state), *_key(policy, state)]
    return sorted((due for due in ahead if due.key not in state.done), key=lambda due: (due.at, due.key))


def _mails(policy: Policy, state: TrialState) -> list[Due]:
    if state.opted_out:
        return []
    days = policy.onboarding
    campaign = {
        "connect_code_host": (days.connect_code_host_day, "mail: connect a code host"),
        "invite_team": (days.invite_team_day, "mail: sign-in by SSO and inviting the team"),
        "learn": (days.learn_day, "mail: e-mail set-up and where to learn more"),
        "usage_check": (days.usage_check_day, "mail: how is it going (only after usage)"),
        "community": (days.community_day, "mail: community and support"),
        "next_steps": (days.next_steps_day, "mail: what comes after the trial (only after usage)"),
    }
    return [
        Due(at=at, kind="mail", key=f"mail.{name}", name=name, what=what)
        for name, (day, what) in campaign.items()
        if state.ends_at and (at := state.deadline_in(day)) < state.ends_at
    ]


def _deadline(policy: Policy, origin: Origin, state: TrialState) -> list[Due]:
    if state.ends_at is None:
        return []
    period, ends = state.period, state.ends_at
    lengths = policy.trial.self_serve if origin == "self_serve" else policy.trial.ce_requested
    first_day_15 = automatic_deadline(origin, state)
    ask_at = (
        state.deadline_in(policy.trial.self_serve.notice_day)
        if first_day_15
        else ends - timedelta(days=policy.trial.deadline.ask_days_before)
    )
    found = [Due(at=ask_at, kind="ask", key=f"ask.{period}", name="ask", what=_ask_words(policy, first_day_15))]
    if period == 0:
        warn_at = state.deadline_in(lengths.warning_day)
        found.append(Due(at=warn_at, kind="warning", key="warning", name="warning", what="warn the admin by mail if nothing is used"))
    if first_day_15:
        what = "extend if active, terminate if not" if policy.trial.d15.mode == "automatic" else "the CE's decision is due"
        found.append(Due(at=ends, kind="due", key=f"due.{period}", name="due", what=f"day {state.total_days}: {what}"))
    else:
        grace = ends + timedelta(days=policy.trial.deadline.grace_days)
        words = "terminate if inactive" if policy.trial.deadline.inactive_after_grace == "terminate" else "stays with the manager"
        found.append(Due(at=grace, kind="grace", key=f"grace.{period}", name="grace", what=f"the grace ends: {words}"))
    return found


def _key(policy: Policy, state: TrialState) -> list[Due]:
    """A trial that is open still when its key would end, since it waits for a person, gets another one in time."""
    if state.key_until is None:
        return []
    at = state.key_until - timedelta(days=policy.license.trial.renew_days_before)
    return [Due(at=at, kind="key", key=f"key.{state.keys}", name="key", what="a new licence key, if nobody has decided by then")]


def _ask_words(policy: Policy, first_day_15: bool) -> str:
    if first_day_15 and policy.trial.d15.mode == "automatic":
        return "tell the CE what day 15 will do"
    return "ask the CE: extend, convert or terminate"
