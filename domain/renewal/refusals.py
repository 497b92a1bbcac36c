"""Why a message to a renewal, or an answer, cannot be taken, in words that say what to do; None when it can."""

import re
from datetime import date, datetime

from domain import licence_keys
from domain import plausibility as facts
from domain.amounts import dollars
from domain.calendar import day_of, days_after, months_after
from domain.decision import last_word
from domain.forecast.rollup import words
from domain.policy import AccountPolicy
from domain.renewal.commands import AssessRenewal, MoveRenewal, ProjectOutcome
from domain.renewal.decisions import planned
from domain.renewal.state import PROJECTED, SETTLED, Phase, RenewalState, falls_due
from domain.task import Answer
from domain.wording import Wording, behind

TEXTS = Wording(__file__)


def _too_late(state: RenewalState, what: str) -> str | None:
    if state.phase in SETTLED:
        stands = "being closed" if state.phase is Phase.CLOSING else state.phase.value
        return TEXTS("too_late.settled", what=what, stands=stands, said=behind(last_word(state.decisions), "; "))
    return TEXTS("too_late.cancelling", what=what, why=state.cancel.why) if state.cancel else None


def _nobody(by: str) -> str | None:
    return None if by.strip() else TEXTS("nobody")


def refuse_forecast(policy: AccountPolicy, state: RenewalState, arr: int, message: ProjectOutcome) -> str | None:
    """Why an outcome cannot be projected."""
    if late := _too_late(state, "forecast"):
        return late
    if state.phase not in PROJECTED:
        return TEXTS("too_early.forecast", phase=state.phase)
    if state.phase is Phase.PLAN and message.role == "ae" and (why := _not_planned(policy, message.outcome)):
        return why
    return _nobody(message.by) or _odd_amount(message.outcome, message.amount, arr)


def refuse_assess(policy: AccountPolicy, state: RenewalState, message: AssessRenewal, now: datetime) -> str | None:
    """Why a manager's rating cannot be taken."""
    if late := _too_late(state, "rate"):
        return late
    if state.phase is Phase.PROCESSING:
        return TEXTS("too_late.rating")
    first = falls_due(policy, state, "early_review").at
    if state.phase is Phase.UPCOMING and now < first:
        return TEXTS("too_early.rating", first=first)
    if state.in_lighthouse and message.rating not in policy.lighthouse.ratings:
        return TEXTS("in_lighthouse")
    if not message.why.strip():
        return TEXTS("no_reason")
    return _nobody(message.by)


def refuse_move(policy: AccountPolicy, state: RenewalState, message: MoveRenewal, now: datetime) -> str | None:
    """Why the date cannot be moved."""
    if late := _too_late(state, "move it"):
        return late
    if message.renewal_on == state.renewal_on:
        return TEXTS("move.same", on=state.renewal_on)
    today = day_of(policy.office, now)
    if message.renewal_on < today:
        return TEXTS("move.past", on=message.renewal_on)
    return facts.odd_day(policy.facts, message.renewal_on, today) or _nobody(message.by)


def refuse_cancel(state: RenewalState) -> str | None:
    """Why the renewal cannot be cancelled."""
    return _too_late(state, "cancel")


def refuse_answer(policy: AccountPolicy, state: RenewalState, arr: int, kind: str, answer: Answer) -> str | None:
    """Why an answer whose form is right cannot be taken."""
    match kind, answer.choice:
        case "assess_ae", _:
            return _not_planned(policy, str(answer.fields.get("outcome", "")).strip())
        case "plan", choice:
            return _odd_amount(choice, dollars(answer.fields.get("amount")), arr)
        case "save_plan", _ if not re.search(r"\d", str(answer.fields.get("criteria", ""))):
            return TEXTS("criteria")
        case "process", "renewed":
            return _not_renewed(policy, state, answer)
        case "process", "extend":
            return _not_extended(policy, state, int(str(answer.fields["days"])))
        case _:
            return None


def _not_planned(policy: AccountPolicy, outcome: str) -> str | None:
    may = planned(policy)
    if outcome in may:
        return None
    return TEXTS("planned.growth" if outcome == "incremental" else "planned.unknown", known=", ".join(may), outcome=repr(outcome))


def _odd_amount(outcome: str, amount: int | None, arr: int) -> str | None:
    if amount is None:
        return None
    fits = {"full_churn": amount == 0, "partial_churn": 0 < amount < arr, "flat": amount == arr, "incremental": amount > arr}
    if fits.get(outcome, True):
        return None
    return TEXTS("amount.odd", amount=amount, outcome=words(outcome), arr=arr, stays=TEXTS(f"amount.{outcome}"))


def _not_renewed(policy: AccountPolicy, state: RenewalState, answer: Answer) -> str | None:
    if not dollars(answer.fields.get("arr")):
        return TEXTS("renewed.no_arr")
    given = answer.fields.get("contract_end")
    if not given:
        late = licence_keys.too_far(policy.license, months_after(state.renewal_on, policy.renewal.term_months))
        return TEXTS("renewed.key", late=late) if late else None
    if (end := date.fromisoformat(str(given))) <= state.due_on:
        return TEXTS("renewed.early", given=given, due=state.due_on)
    odd = facts.odd_day(policy.facts, end, state.due_on) or licence_keys.too_far(policy.license, end)
    return f"contract_end {odd}" if odd else None


def _not_extended(policy: AccountPolicy, state: RenewalState, days: int) -> str | None:
    most, had = policy.renewal.extension_days, state.extension_days
    if had + days <= most:
        late = licence_keys.too_far(policy.license, days_after(state.due_on, days))
        return TEXTS("extended_again.key", late=late) if late else None
    return TEXTS("extended_again.more" if had else "extended_again.long", most=most, had=had, left=most - had)
