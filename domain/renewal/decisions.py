"""Every decision of a renewal, as a function of (policy, facts, now), each with its evidence; and why a message cannot be taken."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from domain import licence_keys
from domain import plausibility as facts
from domain.account.account import HealthSnapshot, Outcome, PlanReviewed, Rating
from domain.amounts import dollars
from domain.calendar import day_of, days_after, months_after
from domain.decision import Decision, Fact, last_word
from domain.forecast.rollup import expectation, words
from domain.policy import AccountPolicy
from domain.renewal.commands import AssessRenewal, CancelRenewal, MoveRenewal, ProjectOutcome
from domain.renewal.state import PROJECTED, SETTLED, Assessment, Phase, RenewalState, SavePlan, falls_due
from domain.task import Answer

PLANNED: tuple[Outcome, ...] = ("full_churn", "partial_churn", "flat")


def _decided(policy: AccountPolicy, what: str, outcome: str, rule: str, handbook: str, now: datetime, **more: object) -> Decision:
    return Decision.model_validate(
        {"what": what, "outcome": outcome, "rule": rule, "handbook": handbook, "at": now, "policy": policy.hash, **more}
    )


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


def early_review(policy: AccountPolicy, standing: HealthSnapshot | None, now: datetime) -> Decision:
    """Half a year ahead (D25, C10): a yellow or red account is looked at; an unknown one is neither flagged nor called healthy."""
    band = standing.band if standing else "unknown"
    outcome, rule, nearest = {
        "poor": ("flagged", "The account's health is poor: the TA completes the assessment early.", "a healthy band"),
        "concerning": ("flagged", "The account's health is concerning: the TA completes the assessment early.", "a healthy band"),
        "healthy": ("healthy", "The account is healthy: nothing is asked before the assessment.", "a concerning or poor band"),
        "unknown": ("unknown", "The account's health is not known: it counts neither as healthy nor as poor.", "more that is known of it"),
    }[band]
    return _decided(policy, "early review", outcome, rule, "D25, C10", now, facts=_health(standing, now), nearest=nearest)


def early_review_skipped(policy: AccountPolicy, state: RenewalState, now: datetime) -> Decision:
    """It began so late that the assessment itself is due."""
    days = (state.renewal_on - day_of(policy.office, now)).days
    rule = f"It began {days} days ahead, when the assessment is due already: there is no early review."
    return _decided(policy, "early review", "skipped", rule, "C10", now, nearest=f"a start {policy.renewal.process_days} days ahead")


def fresh(policy: AccountPolicy, early: Assessment | None, now: datetime) -> Assessment | None:
    """The early assessment, when it is young enough to fill the new one in (C10: it never replaces it)."""
    return early if early and now - early.at < timedelta(days=policy.renewal.assessment_fresh_days) else None


def agreed(policy: AccountPolicy, state: RenewalState, ta_side: Answer, ae_side: Answer, now: datetime) -> Decision:
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
        return _decided(policy, "rating", ta_side.choice, rule, "D26", now, facts=facts, nearest="one manager's other rating")
    rule = f"The TA manager rates it {ta_side.choice}, the AE manager {ae_side.choice}: one person settles it."
    return _decided(policy, "rating", "disagreement", rule, "D26", now, facts=facts, nearest="the same rating by both")


def settled(policy: AccountPolicy, disagreement: Decision, answer: Answer, now: datetime) -> Decision:
    """The one named person's word on a disagreement, with both opinions as its evidence."""
    why = f": {answer.note}" if answer.note else ""
    rule = f"The managers disagreed; it is settled as {answer.choice}{why}."
    return _decided(
        policy, "rating", answer.choice, rule, "D26", now, facts=disagreement.facts, by=answer.by, nearest="that person's choice"
    )


def by_hand(policy: AccountPolicy, message: AssessRenewal, standing: HealthSnapshot | None, now: datetime) -> Decision:
    """A rating that a manager gives without an assessment (D27)."""
    rule = f"Rated {message.rating} by hand: {message.why}"
    return _decided(
        policy, "rating", message.rating, rule, "D27", now, facts=_health(standing, now), by=message.by, nearest="the person's choice"
    )


def unrated(policy: AccountPolicy, waited_for: str, now: datetime) -> Decision:
    """Nobody rated it before it had to be processed."""
    rule = f"It must be processed now, and there is no rating: {waited_for} did not answer."
    return _decided(policy, "rating", "none", rule, "D26", now, nearest="an answer in time")


# --- Lighthouse ------------------------------------------------------------------------------------------------------------------------


def enters(policy: AccountPolicy, rating: Rating, now: datetime) -> Decision:
    """Whether a rating brings the account into Lighthouse (C08)."""
    members = policy.lighthouse.ratings
    listed = " and ".join(members)
    if rating in members:
        return _decided(policy, "lighthouse", "enters", f"Rated {rating}: {listed} enter.", "D27, C08", now, nearest="another rating")
    handled = "monitored" if rating == "green" else "a save plan in the one-on-ones with the manager"
    rule = f"Rated {rating}: only {listed} enter; it is {handled}."
    return _decided(policy, "lighthouse", "stays out", rule, "D27, C08", now, nearest=f"a rating of {listed}")


def exits(policy: AccountPolicy, plan: SavePlan, review: PlanReviewed, sales: Answer | None, ts: Answer | None, now: datetime) -> Decision:
    """Whether the account leaves: its quantitative criteria are met, and sales and TS leadership both say so (4.6)."""
    facts = (
        Fact(name="success criteria", value=plan.criteria, source=plan.by, as_of=plan.at),
        Fact(name="criteria met", value=review.criteria_met, source=review.by or "leadership's inspection", as_of=now),
        Fact(name="sales leadership", value=sales.choice if sales else None, source=sales.by if sales else "no answer", as_of=now),
        Fact(name="TS leadership", value=ts.choice if ts else None, source=ts.by if ts else "no answer", as_of=now),
    )
    votes = [answer.choice for answer in (sales, ts) if answer]
    if review.criteria_met and len(votes) == 2 and "stay" not in votes:
        to = "yellow" if "leave_yellow" in votes else "green"
        rule = f"The success criteria are met, and both leaderships agree: it leaves as {to}."
        return _decided(policy, "lighthouse", to, rule, "D27", now, facts=facts, nearest="one leadership's no")
    why = "the last inspection found the criteria unmet" if not review.criteria_met else "not both leaderships agree"
    return _decided(policy, "lighthouse", "stays in", f"It stays: {why}.", "D27", now, facts=facts, nearest="both leaderships' yes")


# --- plan, forecast, processing ----------------------------------------------------------------------------------------------------------


def projected(policy: AccountPolicy, state: RenewalState, role: str, outcome: Outcome, by: str, now: datetime) -> Decision:
    """What somebody projects; where C13 would not expect it, that is said, and never refused."""
    odd = expectation(state.rating, outcome)
    rule = f"The {role.upper()} projects {words(outcome)}" + (f"; {odd}." if odd else ".")
    facts = (Fact(name="rating", value=state.rating, source="assessment", as_of=now),)
    return _decided(policy, "forecast", outcome, rule, "D28, C13" if odd else "D28", now, facts=facts, by=by, nearest="that person's word")


def unplanned(policy: AccountPolicy, now: datetime) -> Decision:
    """The AE projected nothing before it had to be processed."""
    rule = "It must be processed now, and the AE has projected no outcome."
    return _decided(policy, "plan", "none", rule, "D28", now, nearest="an answer in time")


def came(policy: AccountPolicy, before: int, arr: int, answer: Answer, now: datetime) -> Decision:
    """What the renewal brought, by the change of its ARR (D30)."""
    outcome: Outcome = "full_churn" if arr == 0 else "partial_churn" if arr < before else "flat" if arr == before else "incremental"
    rule = f"ARR ${before:,} → ${arr:,}" + (f": {answer.note}" if answer.note else ".")
    facts = (
        Fact(name="ARR before", value=before, source="Salesforce", as_of=now),
        Fact(name="ARR after", value=arr, source=answer.by, as_of=now),
    )
    return _decided(policy, "outcome", outcome, rule, "D30", now, facts=facts, by=answer.by, nearest="another ARR")


def extended(policy: AccountPolicy, state: RenewalState, days: int, approved_by: str, by: str, now: datetime) -> Decision:
    """An extension that the deal desk granted (4.5)."""
    rule = f"{days} days more until {days_after(state.due_on, days)}, approved by {approved_by}; the next term begins where this one ends."
    facts = (Fact(name="approved by", value=approved_by, source=by, as_of=now),)
    return _decided(policy, "extension", f"{days} days", rule, "D30", now, facts=facts, by=by, nearest="the deal desk's no")


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


def moved(policy: AccountPolicy, state: RenewalState, message: MoveRenewal, now: datetime) -> Decision:
    """What another date means (gap 9): every moment is re-armed, and what lies in the past happens at once."""
    anew = begins_anew(policy, state, message.renewal_on, now)
    why = f". {message.reason}" if message.reason else "."
    rule = f"{state.renewal_on} → {message.renewal_on}: {anew or 'every moment ahead moves along'}{why}"
    outcome = "begins anew" if anew else "re-armed"
    return _decided(policy, "move", outcome, rule, "I, C10", now, by=message.by, nearest="the date staying")


def cancelled(policy: AccountPolicy, message: CancelRenewal, now: datetime) -> Decision:
    """There is nothing to renew any more."""
    rule = {"churned_early": "The account churned before its term ended", "merged": "The account was merged into another"}[message.why]
    note = f": {message.note}" if message.note else "."
    return _decided(policy, "cancel", message.why, rule + note, "I", now, by=message.by, nearest="the account staying a customer")


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
