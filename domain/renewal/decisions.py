"""Every decision of a renewal, as a function of (policy, facts, now), each with its evidence; and why a message cannot be taken."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from enum import StrEnum

from domain import licence_keys
from domain import plausibility as facts
from domain.account.account import HealthSnapshot, Outcome, PlanReviewed, Rating
from domain.amounts import dollars
from domain.calendar import day_of, days_after, months_after
from domain.decision import Conclusion, Fact, last_word, replayable
from domain.forecast.rollup import expectation, words
from domain.policy import AccountPolicy
from domain.renewal.commands import AssessRenewal, CancelRenewal, MoveRenewal, ProjectOutcome
from domain.renewal.state import PROJECTED, SETTLED, Assessment, Phase, RenewalState, SavePlan, falls_due
from domain.task import Answer

PLANNED: tuple[Outcome, ...] = ("full_churn", "partial_churn", "flat")


class EarlyReview(StrEnum):
    """What the look half a year ahead comes to (C10)."""

    FLAGGED = "flagged"
    HEALTHY = "healthy"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


class Rated(StrEnum):
    """A rating, or why there is none."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"
    DISAGREEMENT = "disagreement"
    NONE = "none"


class Membership(StrEnum):
    """Whether the account is in Lighthouse (C08, 4.6); who leaves is yellow or green."""

    ENTERS = "enters"
    STAYS_OUT = "stays out"
    STAYS_IN = "stays in"
    YELLOW = "yellow"
    GREEN = "green"


class Brought(StrEnum):
    """What a renewal brings, by the change of its ARR; ``NONE``: nobody has projected it."""

    FULL_CHURN = "full_churn"
    PARTIAL_CHURN = "partial_churn"
    FLAT = "flat"
    INCREMENTAL = "incremental"
    NONE = "none"


class Change(StrEnum):
    """What becomes of the renewal's dates."""

    GRANTED = "granted"
    BEGINS_ANEW = "begins anew"
    RE_ARMED = "re-armed"


class Cancelled(StrEnum):
    """Why there is nothing to renew."""

    CHURNED_EARLY = "churned_early"
    MERGED = "merged"


def _health(standing: HealthSnapshot | None, now: datetime) -> tuple[Fact, ...]:
    """The health score that was known, as evidence."""
    if standing is None:
        return (Fact(name="health", value=None, source="no score yet", as_of=now),)
    return (
        Fact(name="health", value=standing.score, source="health score", as_of=standing.as_of),
        Fact(name="band", value=standing.band, source="health score", as_of=standing.as_of),
    )


def _said(who: str, assessment: Assessment | None, now: datetime) -> Fact:
    value = assessment.rating if assessment else None
    return Fact(
        name=f"{who}'s rating", value=value, source=assessment.by if assessment else who, as_of=assessment.at if assessment else now
    )


# --- rating --------------------------------------------------------------------------------------------------------------------------


@replayable("early review", "D25, C10")
def early_review(policy: AccountPolicy, standing: HealthSnapshot | None, now: datetime) -> Conclusion:
    """Half a year ahead (D25, C10): a yellow or red account is looked at; an unknown one is neither flagged nor called healthy."""
    flagged, asked = EarlyReview.FLAGGED, "the TA completes the assessment early."
    band = standing.band if standing else "unknown"
    outcome, rule, nearest = {
        "poor": (flagged, f"The account's health is poor: {asked}", "a healthy band"),
        "concerning": (flagged, f"The account's health is concerning: {asked}", "a healthy band"),
        "healthy": (EarlyReview.HEALTHY, "The account is healthy: nothing is asked before the assessment.", "a concerning or poor band"),
        "unknown": (
            EarlyReview.UNKNOWN,
            "The account's health is not known: it counts neither as healthy nor as poor.",
            "more that is known of it",
        ),
    }[band]
    return Conclusion(outcome, rule, nearest, _health(standing, now))


@replayable("early review", "C10")
def early_review_skipped(policy: AccountPolicy, state: RenewalState, now: datetime) -> Conclusion:
    """It began so late that the assessment itself is due."""
    days = (state.renewal_on - day_of(policy.office, now)).days
    rule = f"It began {days} days ahead, when the assessment is due already: there is no early review."
    return Conclusion(EarlyReview.SKIPPED, rule, f"a start {policy.renewal.process_days} days ahead")


def fresh(policy: AccountPolicy, early: Assessment | None, now: datetime) -> Assessment | None:
    """The early assessment, when it is young enough to fill the new one in (C10: it never replaces it)."""
    return early if early and now - early.at < timedelta(days=policy.renewal.assessment_fresh_days) else None


@replayable("rating", "D26")
def agreed(policy: AccountPolicy, state: RenewalState, ta_side: Answer, ae_side: Answer, now: datetime) -> Conclusion:
    """Whether the two managers rate alike (D26)."""
    facts = (
        _said("TA", state.ta, now),
        _said("AE", state.ae, now),
        Fact(name="TA manager's rating", value=ta_side.choice, source=ta_side.by, as_of=now),
        Fact(name="AE manager's rating", value=ae_side.choice, source=ae_side.by, as_of=now),
        *_health(state.standing, now),
    )
    if ta_side.choice == ae_side.choice:
        rule = f"Both managers rate it {ta_side.choice}."
        return Conclusion(Rated(ta_side.choice), rule, "one manager's other rating", facts)
    rule = f"The TA manager rates it {ta_side.choice}, the AE manager {ae_side.choice}: one person settles it."
    return Conclusion(Rated.DISAGREEMENT, rule, "the same rating by both", facts)


@replayable("rating", "D26")
def settled(policy: AccountPolicy, opinions: tuple[Fact, ...], answer: Answer, now: datetime) -> Conclusion:
    """The one named person's word on a disagreement, with both opinions as its evidence."""
    why = f": {answer.note}" if answer.note else ""
    rule = f"The managers disagreed; it is settled as {answer.choice}{why}."
    return Conclusion(Rated(answer.choice), rule, "that person's choice", opinions, by=answer.by)


@replayable("rating", "D27")
def by_hand(policy: AccountPolicy, message: AssessRenewal, standing: HealthSnapshot | None, now: datetime) -> Conclusion:
    """A rating that a manager gives without an assessment (D27)."""
    rule = f"Rated {message.rating} by hand: {message.why}"
    return Conclusion(Rated(message.rating), rule, "the person's choice", _health(standing, now), by=message.by)


@replayable("rating", "D26")
def unrated(policy: AccountPolicy, waited_for: str, now: datetime) -> Conclusion:
    """Nobody rated it before it had to be processed."""
    rule = f"It must be processed now, and there is no rating: {waited_for} did not answer."
    return Conclusion(Rated.NONE, rule, "an answer in time")


# --- Lighthouse ------------------------------------------------------------------------------------------------------------------------


@replayable("lighthouse", "D27, C08")
def enters(policy: AccountPolicy, rating: Rating, now: datetime) -> Conclusion:
    """Whether a rating brings the account into Lighthouse (C08)."""
    members = policy.lighthouse.ratings
    listed = " and ".join(members)
    if rating in members:
        return Conclusion(Membership.ENTERS, f"Rated {rating}: {listed} enter.", "another rating")
    handled = "monitored" if rating == "green" else "a save plan in the one-on-ones with the manager"
    rule = f"Rated {rating}: only {listed} enter; it is {handled}."
    return Conclusion(Membership.STAYS_OUT, rule, f"a rating of {listed}")


@replayable("lighthouse", "D27")
def exits(
    policy: AccountPolicy, plan: SavePlan, review: PlanReviewed, sales: Answer | None, ts: Answer | None, now: datetime
) -> Conclusion:
    """Whether the account leaves: its quantitative criteria are met, and sales and TS leadership both say so (4.6)."""
    facts = (
        Fact(name="success criteria", value=plan.criteria, source=plan.by, as_of=plan.at),
        Fact(name="criteria met", value=review.criteria_met, source=review.by or "leadership's inspection", as_of=now),
        Fact(name="sales leadership", value=sales.choice if sales else None, source=sales.by if sales else "no answer", as_of=now),
        Fact(name="TS leadership", value=ts.choice if ts else None, source=ts.by if ts else "no answer", as_of=now),
    )
    votes = [answer.choice for answer in (sales, ts) if answer]
    if review.criteria_met and len(votes) == 2 and "stay" not in votes:
        to = Membership.YELLOW if "leave_yellow" in votes else Membership.GREEN
        rule = f"The success criteria are met, and both leaderships agree: it leaves as {to}."
        return Conclusion(to, rule, "one leadership's no", facts)
    why = "the last inspection found the criteria unmet" if not review.criteria_met else "not both leaderships agree"
    return Conclusion(Membership.STAYS_IN, f"It stays: {why}.", "both leaderships' yes", facts)


# --- plan, forecast, processing ----------------------------------------------------------------------------------------------------------


@replayable("forecast", "D28")
def projected(policy: AccountPolicy, state: RenewalState, role: str, outcome: Outcome, by: str, now: datetime) -> Conclusion:
    """What somebody projects; where C13 would not expect it, that is said, and never refused."""
    odd = expectation(state.rating, outcome)
    rule = f"The {role.upper()} projects {words(outcome)}" + (f"; {odd}." if odd else ".")
    facts = (Fact(name="rating", value=state.rating, source="assessment", as_of=now),)
    return Conclusion(Brought(outcome), rule, "that person's word", facts, by=by, handbook="D28, C13" if odd else "")


@replayable("plan", "D28")
def unplanned(policy: AccountPolicy, now: datetime) -> Conclusion:
    """The AE projected nothing before it had to be processed."""
    rule = "It must be processed now, and the AE has projected no outcome."
    return Conclusion(Brought.NONE, rule, "an answer in time")


@replayable("outcome", "D30")
def came(policy: AccountPolicy, before: int, arr: int, answer: Answer, now: datetime) -> Conclusion:
    """What the renewal brought, by the change of its ARR (D30)."""
    outcome = Brought.FLAT if arr == before else Brought.PARTIAL_CHURN if arr < before else Brought.INCREMENTAL
    rule = f"ARR ${before:,} → ${arr:,}" + (f": {answer.note}" if answer.note else ".")
    facts = (
        Fact(name="ARR before", value=before, source="Salesforce", as_of=now),
        Fact(name="ARR after", value=arr, source=answer.by, as_of=now),
    )
    return Conclusion(outcome if arr else Brought.FULL_CHURN, rule, "another ARR", facts, by=answer.by)


@replayable("extension", "D30")
def extended(policy: AccountPolicy, state: RenewalState, days: int, approved_by: str, by: str, now: datetime) -> Conclusion:
    """An extension that the deal desk granted (4.5)."""
    rule = f"{days} days more until {days_after(state.due_on, days)}, approved by {approved_by}; the next term begins where this one ends."
    facts = (Fact(name="approved by", value=approved_by, source=by, as_of=now),)
    return Conclusion(Change.GRANTED, rule, "the deal desk's no", facts, by=by)


def begins_anew(policy: AccountPolicy, state: RenewalState, to: date, now: datetime) -> str:
    """Why all must begin again by another date: the assessment would be stale (C10), or was never made, or the early review is ahead again.

    Empty when what was found stays.
    """
    then = state.model_copy(update={"renewal_on": to, "extension_days": 0})
    if state.assessed_at is not None:
        stale = timedelta(days=policy.renewal.assessment_fresh_days)
        late = falls_due(policy, then, "assessment").at - state.assessed_at > stale
        return "the assessment would be stale by then, so all begins again" if late else ""
    if "assessment" in state.done and now < falls_due(policy, then, "processing").at:
        return "it was never rated, and there is time for it again"
    return "the early review is ahead again" if now < falls_due(policy, then, "early_review").at else ""


@replayable("move", "I, C10")
def moved(policy: AccountPolicy, state: RenewalState, message: MoveRenewal, now: datetime) -> Conclusion:
    """What another date means (gap 9): every moment is re-armed, and what lies in the past happens at once."""
    anew = begins_anew(policy, state, message.renewal_on, now)
    why = f". {message.reason}" if message.reason else "."
    rule = f"{state.renewal_on} → {message.renewal_on}: {anew or 'every moment ahead moves along'}{why}"
    return Conclusion(Change.BEGINS_ANEW if anew else Change.RE_ARMED, rule, "the date staying", by=message.by)


@replayable("cancel", "I")
def cancelled(policy: AccountPolicy, message: CancelRenewal, now: datetime) -> Conclusion:
    """There is nothing to renew any more."""
    rule = {"churned_early": "The account churned before its term ended", "merged": "The account was merged into another"}[message.why]
    note = f": {message.note}" if message.note else "."
    return Conclusion(Cancelled(message.why), rule + note, "the account staying a customer", by=message.by)


# --- refusals: why a message cannot be taken, in words that say what to do; None when it can -------------------------------------------


def _too_late(state: RenewalState, what: str) -> str | None:
    if state.phase in SETTLED:
        said = f"; {word}" if (word := last_word(state.decisions)) else ""
        return f"too late to {what}: the renewal is {'being closed' if state.phase is Phase.CLOSING else state.phase.value}{said}"
    return f"too late to {what}: the renewal is being cancelled ({state.cancel.why})" if state.cancel else None


def _nobody(by: str) -> str | None:
    return None if by.strip() else 'say who: "by" must be your e-mail address'


def refuse_forecast(policy: AccountPolicy, state: RenewalState, arr: int, message: ProjectOutcome) -> str | None:
    """Why an outcome cannot be projected."""
    if late := _too_late(state, "forecast"):
        return late
    if state.phase not in PROJECTED:
        return f"too early to forecast: an outcome is projected once the renewal is rated (phase {state.phase.value})"
    if state.phase is Phase.PLAN and message.role == "ae" and (why := _not_planned(policy, message.outcome)):
        return why
    return _nobody(message.by) or _odd_amount(message.outcome, message.amount, arr)


def refuse_assess(policy: AccountPolicy, state: RenewalState, message: AssessRenewal, now: datetime) -> str | None:
    """Why a manager's rating cannot be taken."""
    if late := _too_late(state, "rate"):
        return late
    if state.phase is Phase.PROCESSING:
        return "too late to rate: the renewal is being processed; answer the task `process`"
    first = falls_due(policy, state, "early_review").at
    if state.phase is Phase.UPCOMING and now < first:
        return f"too early to rate: the renewal is looked at from {first:%Y-%m-%d} on; move it if its date is wrong"
    if state.in_lighthouse and message.rating not in policy.lighthouse.ratings:
        return (
            "it is in Lighthouse, which it leaves only when its success criteria are met and sales and TS leadership agree: "
            "record a leadership review that says so, and answer the two votes"
        )
    if not message.why.strip():
        return 'say why: "why" must not be empty'
    return _nobody(message.by)


def refuse_move(policy: AccountPolicy, state: RenewalState, message: MoveRenewal, now: datetime) -> str | None:
    """Why the date cannot be moved."""
    if late := _too_late(state, "move it"):
        return late
    if message.renewal_on == state.renewal_on:
        return f"the renewal is on {state.renewal_on} already"
    today = day_of(policy.office, now)
    if message.renewal_on < today:
        return f"{message.renewal_on} is over; a renewal cannot move into the past"
    if odd := facts.odd_day(policy.facts, message.renewal_on, today):
        return odd
    return _nobody(message.by)


def refuse_cancel(state: RenewalState) -> str | None:
    """Why the renewal cannot be cancelled."""
    return _too_late(state, "cancel")


def refuse_answer(policy: AccountPolicy, state: RenewalState, arr: int, kind: str, answer: Answer) -> str | None:
    """Why an answer whose form is right cannot be taken."""
    match kind, answer.choice:
        case "assess_ae", _:
            outcome = str(answer.fields.get("outcome", "")).strip()
            return _not_planned(policy, outcome)
        case "plan", choice:
            return _odd_amount(choice, dollars(answer.fields.get("amount")), arr)
        case "save_plan", _ if not re.search(r"\d", str(answer.fields.get("criteria", ""))):
            return "the success criteria must be quantitative: name a number that shows that the account is saved"
        case "process", "renewed":
            return _not_renewed(policy, state, answer)
        case "process", "extend":
            return _not_extended(policy, state, int(str(answer.fields["days"])))
        case _:
            return None


def planned(policy: AccountPolicy) -> tuple[Outcome, ...]:
    """The outcomes that the assessment and the plan may project (C13)."""
    return (*PLANNED, "incremental") if policy.renewal.plan_may_be_incremental == "yes" else PLANNED


def _not_planned(policy: AccountPolicy, outcome: str) -> str | None:
    known = planned(policy)
    if outcome in known:
        return None
    if outcome == "incremental":
        return f"growth is not planned, only forecast (C13): project one of {', '.join(known)}, and forecast the growth afterwards"
    return f"'outcome' must be one of {', '.join(known)}, not {outcome!r}"


def _odd_amount(outcome: str, amount: int | None, arr: int) -> str | None:
    if amount is None:
        return None
    fits = {"full_churn": amount == 0, "partial_churn": 0 < amount < arr, "flat": amount == arr, "incremental": amount > arr}
    if fits.get(outcome, True):
        return None
    said = {"full_churn": "nothing stays", "partial_churn": "less than that stays", "flat": "just that stays", "incremental": "more comes"}
    return f"{amount:,} does not fit {words(outcome)}: the ARR is ${arr:,} now, and {said[outcome]}; leave the amount out or mend it"


def _not_renewed(policy: AccountPolicy, state: RenewalState, answer: Answer) -> str | None:
    if not dollars(answer.fields.get("arr")):
        return "a renewal brings some ARR; when nothing is renewed, choose churned"
    given = answer.fields.get("contract_end")
    if not given:
        late = licence_keys.too_far(policy.license, months_after(state.renewal_on, policy.renewal.term_months))
        return f"the next term ends too late for a key: {late}; name the contract_end" if late else None
    if (end := date.fromisoformat(str(given))) <= state.due_on:
        return f"contract_end {given} is not after {state.due_on}, when this term ends"
    odd = facts.odd_day(policy.facts, end, state.due_on) or licence_keys.too_far(policy.license, end)
    return f"contract_end {odd}" if odd else None


def _not_extended(policy: AccountPolicy, state: RenewalState, days: int) -> str | None:
    most, had = policy.renewal.extension_days, state.extension_days
    if had + days <= most:
        late = licence_keys.too_far(policy.license, days_after(state.due_on, days))
        return f"the extension ends too late: {late}" if late else None
    more = f"{had} were granted already, so {most - had} at most are left" if had else "a longer one is a renewal of its own"
    return f"an extension may be of {most} days in all: {more}"
