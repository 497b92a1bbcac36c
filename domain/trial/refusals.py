"""Why a message to a trial cannot be taken, in words that say what to do; None when it can."""

import re
from datetime import datetime, timedelta

from domain import licence_keys
from domain import plausibility as facts
from domain.amounts import MOST_SEATS
from domain.calendar import months_after
from domain.decision import Decision
from domain.messages import Origin
from domain.policy import Policy
from domain.trial.commands import Convert, Extend
from domain.trial.decisions import extension_days
from domain.trial.state import OPEN_TO_DECIDE, OPEN_TO_TERMINATE, Extension, Stage
from domain.wording import Wording

TEXTS = Wording(__file__)


def _not_now(stage: Stage, what: str) -> str:
    if stage in {Stage.SIGNUP, Stage.DECIDING}:
        return TEXTS(f"not_now.{stage}", what=what)
    if stage in {Stage.TEARDOWN, Stage.CONVERTING}:
        return TEXTS("not_now.too_late", what=what, stage=stage)
    if stage in {Stage.TRIAGE, Stage.APPROVAL, Stage.WAITLISTED, Stage.PROVISIONING, Stage.HAND_OFF}:
        return TEXTS("not_now.too_early", what=what, stage=stage)
    return TEXTS("not_now.ended", what=what, stage=stage)


def already(decision: Decision) -> str:
    """Why a second decision loses."""
    return TEXTS("already", who=decision.by or "the policy", at=decision.at, outcome=decision.outcome)


def refuse_extend(
    policy: Policy,
    stage: Stage,
    message: Extend,
    last: Extension | None,
    now: datetime,
    origin: Origin = "self_serve",
    ends_at: datetime | None = None,
) -> str | None:
    """Why the trial cannot be extended. Two extensions of one period are one, unless the second says that it means another.

    The period that ``last`` extended goes on until it would have ended, and for so many hours after it was extended: whoever sends within
    them may have looked at the trial before.
    """
    if stage not in OPEN_TO_DECIDE:
        return _not_now(stage, "extend")
    limit = policy.trial.max_extension_days
    if message.days is not None and not 1 <= message.days <= limit:
        return TEXTS("extend.days", limit=limit, days=message.days)
    if last and not message.again and now < max(last.before, last.at + timedelta(hours=policy.trial.again_hours)):
        return TEXTS("extend.again", who=last.by or "the policy", at=last.at, until=last.until)
    until = max(ends_at or now, now) + timedelta(days=extension_days(policy, origin, message.days))
    late = licence_keys.too_far(policy.license, licence_keys.last_day_of_trial(policy, until))
    return TEXTS("extend.key", until=until, late=late) if late else None


def refuse_convert(policy: Policy, stage: Stage, message: Convert, now: datetime) -> str | None:
    """Why the trial cannot be converted."""
    if stage not in OPEN_TO_DECIDE:
        return _not_now(stage, "convert")
    if message.seats is None or not 1 <= message.seats <= MOST_SEATS:
        return TEXTS("convert.seats")
    if message.contract_end is None:
        terms = policy.license.production.term_months
        late = licence_keys.too_far(policy.license, months_after(now.date(), terms))
        return TEXTS("convert.term", terms=terms, late=late) if late else None
    odd = facts.odd_day(policy.facts, message.contract_end, now.date())
    if not odd and message.contract_end <= now.date():
        odd = f"{message.contract_end} is not in the future"
    odd = odd or licence_keys.too_far(policy.license, message.contract_end)
    return f"contract_end {odd}" if odd else None


def refuse_terminate(stage: Stage) -> str | None:
    """Why the trial cannot be terminated."""
    return None if stage in OPEN_TO_TERMINATE else _not_now(stage, "terminate")


def refuse_host(new_host: str, host: str) -> str | None:
    """Why an instance cannot move to a host (A20)."""
    wanted = new_host.strip().lower()
    if not re.fullmatch(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,62}", wanted):
        return TEXTS("host.no_name", host=repr(new_host))
    return TEXTS("host.same", host=host) if wanted == host else None
