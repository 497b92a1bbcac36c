"""Every decision of a renewal, as a function of (policy, facts, now), each with its evidence; and why a message cannot be taken."""

from datetime import date, datetime, timedelta
from enum import StrEnum

from domain.account.account import HealthSnapshot, Outcome, PlanReviewed, Rating
from domain.calendar import day_of, days_after
from domain.decision import Conclusion, Fact, known, replayable
from domain.forecast.rollup import expectation, words
from domain.policy import AccountPolicy
from domain.renewal.commands import AssessRenewal, CancelRenewal, MoveRenewal
from domain.renewal.state import Assessment, RenewalState, SavePlan, falls_due
from domain.task import Answer
from domain.wording import Wording, behind

TEXTS = Wording(__file__)
PLANNED: tuple[Outcome, ...] = ("full_churn", "partial_churn", "flat")


#: What the look half a year ahead comes to (C10).
EarlyReview = StrEnum("EarlyReview", "FLAGGED HEALTHY UNKNOWN SKIPPED")
#: A rating, or why there is none.
Rated = StrEnum("Rated", "GREEN YELLOW RED DISAGREEMENT NONE")
#: Whether the account is in Lighthouse (C08, 4.6); who leaves is yellow or green.
Membership = StrEnum(
    "Membership", {"ENTERS": "enters", "STAYS_OUT": "stays out", "STAYS_IN": "stays in", "YELLOW": "yellow", "GREEN": "green"}
)
#: What a renewal brings, by the change of its ARR; ``NONE``: nobody has projected it.
Brought = StrEnum("Brought", "FULL_CHURN PARTIAL_CHURN FLAT INCREMENTAL NONE")
#: What becomes of the renewal's dates.
Change = StrEnum("Change", {"GRANTED": "granted", "BEGINS_ANEW": "begins anew", "RE_ARMED": "re-armed"})
#: Why there is nothing to renew.
Cancelled = StrEnum("Cancelled", "CHURNED_EARLY MERGED")


def _health(standing: HealthSnapshot | None, now: datetime) -> tuple[Fact, ...]:
    """The health score that was known, as evidence."""
    if standing is None:
        return known("no score yet", now, {"health": None})
    return known("health score", standing.as_of, {"health": standing.score, "band": standing.band})


def _said(who: str, assessment: Assessment | None, now: datetime) -> tuple[Fact, ...]:
    if assessment is None:
        return known(who, now, {f"{who}'s rating": None})
    return known(assessment.by, assessment.at, {f"{who}'s rating": assessment.rating})


# --- rating --------------------------------------------------------------------------------------------------------------------------


@replayable("early review", "D25, C10")
def early_review(policy: AccountPolicy, standing: HealthSnapshot | None, now: datetime) -> Conclusion[EarlyReview]:
    """Half a year ahead (D25, C10): a yellow or red account is looked at; an unknown one is neither flagged nor called healthy."""
    band = standing.band if standing else "unknown"
    outcome = {"healthy": EarlyReview.HEALTHY, "unknown": EarlyReview.UNKNOWN}.get(band, EarlyReview.FLAGGED)
    return TEXTS.conclude(outcome, f"early_review.{outcome}", _health(standing, now), band=band)


@replayable("early review", "C10")
def early_review_skipped(policy: AccountPolicy, state: RenewalState, now: datetime) -> Conclusion[EarlyReview]:
    """It began so late that the assessment itself is due."""
    left = (state.renewal_on - day_of(policy.office, now)).days
    return TEXTS.conclude(EarlyReview.SKIPPED, "early_review.skipped", left=left, days=policy.renewal.process_days)


def fresh(policy: AccountPolicy, early: Assessment | None, now: datetime) -> Assessment | None:
    """The early assessment, when it is young enough to fill the new one in (C10: it never replaces it)."""
    return early if early and now - early.at < timedelta(days=policy.renewal.assessment_fresh_days) else None


@replayable("rating", "D26")
def agreed(policy: AccountPolicy, state: RenewalState, ta_side: Answer, ae_side: Answer, now: datetime) -> Conclusion[Rated]:
    """Whether the two managers rate alike (D26)."""
    facts = (
        *_said("TA", state.ta, now),
        *_said("AE", state.ae, now),
        *known(ta_side.by, now, {"TA manager's rating": ta_side.choice}),
        *known(ae_side.by, now, {"AE manager's rating": ae_side.choice}),
        *_health(state.standing, now),
    )
    if ta_side.choice == ae_side.choice:
        return TEXTS.conclude(Rated(ta_side.choice), "agreed.alike", facts, rating=ta_side.choice)
    return TEXTS.conclude(Rated.DISAGREEMENT, "agreed.disagreement", facts, ta=ta_side.choice, ae=ae_side.choice)


@replayable("rating", "D26")
def settled(policy: AccountPolicy, opinions: tuple[Fact, ...], answer: Answer, now: datetime) -> Conclusion[Rated]:
    """The one named person's word on a disagreement, with both opinions as its evidence."""
    return TEXTS.conclude(Rated(answer.choice), "settled", opinions, by=answer.by, rating=answer.choice, why=behind(answer.note))


@replayable("rating", "D27")
def by_hand(policy: AccountPolicy, message: AssessRenewal, standing: HealthSnapshot | None, now: datetime) -> Conclusion[Rated]:
    """A rating that a manager gives without an assessment (D27)."""
    facts = _health(standing, now)
    return TEXTS.conclude(Rated(message.rating), "by_hand", facts, by=message.by, rating=message.rating, why=message.why)


@replayable("rating", "D26")
def unrated(policy: AccountPolicy, waited_for: str, now: datetime) -> Conclusion[Rated]:
    """Nobody rated it before it had to be processed."""
    return TEXTS.conclude(Rated.NONE, "unrated", who=waited_for)


# --- Lighthouse ------------------------------------------------------------------------------------------------------------------------


@replayable("lighthouse", "D27, C08")
def enters(policy: AccountPolicy, rating: Rating, now: datetime) -> Conclusion[Membership]:
    """Whether a rating brings the account into Lighthouse (C08)."""
    members = policy.lighthouse.ratings
    listed = " and ".join(members)
    if rating in members:
        return TEXTS.conclude(Membership.ENTERS, "enters.enters", rating=rating, listed=listed)
    handled = TEXTS("enters.handled.green" if rating == "green" else "enters.handled.other")
    return TEXTS.conclude(Membership.STAYS_OUT, "enters.stays_out", rating=rating, listed=listed, handled=handled)


@replayable("lighthouse", "D27")
def exits(
    policy: AccountPolicy, plan: SavePlan, review: PlanReviewed, sales: Answer | None, ts: Answer | None, now: datetime
) -> Conclusion[Membership]:
    """Whether the account leaves: its quantitative criteria are met, and sales and TS leadership both say so (4.6)."""
    facts = (
        *known(plan.by, plan.at, {"success criteria": plan.criteria}),
        *known(review.by or "leadership's inspection", now, {"criteria met": review.criteria_met}),
        *known(sales.by if sales else "no answer", now, {"sales leadership": sales.choice if sales else None}),
        *known(ts.by if ts else "no answer", now, {"TS leadership": ts.choice if ts else None}),
    )
    votes = [answer.choice for answer in (sales, ts) if answer]
    if not review.criteria_met:
        return TEXTS.conclude(Membership.STAYS_IN, "exits.unmet", facts)
    if len(votes) < 2 or "stay" in votes:
        return TEXTS.conclude(Membership.STAYS_IN, "exits.not_both", facts)
    to = Membership.YELLOW if "leave_yellow" in votes else Membership.GREEN
    return TEXTS.conclude(to, "exits.leaves", facts, to=to)


# --- plan, forecast, processing ----------------------------------------------------------------------------------------------------------


@replayable("forecast", "D28")
def projected(policy: AccountPolicy, state: RenewalState, role: str, outcome: Outcome, by: str, now: datetime) -> Conclusion[Brought]:
    """What somebody projects; where C13 would not expect it, that is said, and never refused."""
    facts = known("assessment", now, {"rating": state.rating})
    odd = expectation(state.rating, outcome)
    return TEXTS.conclude(
        Brought(outcome), "projected.odd" if odd else "projected.expected", facts, by=by, role=role.upper(), outcome=words(outcome), odd=odd
    )


@replayable("plan", "D28")
def unplanned(policy: AccountPolicy, now: datetime) -> Conclusion[Brought]:
    """The AE projected nothing before it had to be processed."""
    return TEXTS.conclude(Brought.NONE, "unplanned")


@replayable("outcome", "D30")
def came(policy: AccountPolicy, before: int, arr: int, answer: Answer, now: datetime) -> Conclusion[Brought]:
    """What the renewal brought, by the change of its ARR (D30)."""
    outcome = Brought.FLAT if arr == before else Brought.PARTIAL_CHURN if arr < before else Brought.INCREMENTAL
    facts = (*known("Salesforce", now, {"ARR before": before}), *known(answer.by, now, {"ARR after": arr}))
    note = behind(answer.note) or "."
    return TEXTS.conclude(outcome if arr else Brought.FULL_CHURN, "came", facts, by=answer.by, before=before, after=arr, note=note)


@replayable("extension", "D30")
def extended(policy: AccountPolicy, state: RenewalState, days: int, approved_by: str, by: str, now: datetime) -> Conclusion[Change]:
    """An extension that the deal desk granted (4.5)."""
    facts, until = known(by, now, {"approved by": approved_by}), days_after(state.due_on, days)
    return TEXTS.conclude(Change.GRANTED, "extended", facts, by=by, days=days, until=until, who=approved_by)


def begins_anew(policy: AccountPolicy, state: RenewalState, to: date, now: datetime) -> str:
    """Why all must begin again by another date: the assessment would be stale (C10), or was never made, or the early review is ahead again.

    Empty when what was found stays.
    """
    then = state.model_copy(update={"renewal_on": to, "extension_days": 0})
    if state.assessed_at is not None:
        stale = timedelta(days=policy.renewal.assessment_fresh_days)
        late = falls_due(policy, then, "assessment").at - state.assessed_at > stale
        return TEXTS("anew.stale") if late else ""
    if "assessment" in state.done and now < falls_due(policy, then, "processing").at:
        return TEXTS("anew.unrated")
    return TEXTS("anew.early") if now < falls_due(policy, then, "early_review").at else ""


@replayable("move", "I, C10")
def moved(policy: AccountPolicy, state: RenewalState, message: MoveRenewal, now: datetime) -> Conclusion[Change]:
    """What another date means (gap 9): every moment is re-armed, and what lies in the past happens at once."""
    anew = begins_anew(policy, state, message.renewal_on, now)
    outcome, why = Change.BEGINS_ANEW if anew else Change.RE_ARMED, behind(message.reason, ". ") or "."
    then = anew or TEXTS("anew.not")
    return TEXTS.conclude(outcome, "moved", by=message.by, was=state.renewal_on, will=message.renewal_on, then=then, why=why)


@replayable("cancel", "I")
def cancelled(policy: AccountPolicy, message: CancelRenewal, now: datetime) -> Conclusion[Cancelled]:
    """There is nothing to renew any more."""
    return TEXTS.conclude(Cancelled(message.why), f"cancelled.{message.why}", by=message.by, note=behind(message.note) or ".")


def planned(policy: AccountPolicy) -> tuple[Outcome, ...]:
    """The outcomes that the assessment and the plan may project (C13)."""
    return (*PLANNED, "incremental") if policy.renewal.plan_may_be_incremental == "yes" else PLANNED
