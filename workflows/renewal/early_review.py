"""D25, C10: half a year ahead, a yellow or red account is flagged, and the TA completes the health assessment early."""

from __future__ import annotations

from temporalio import workflow

from domain.account.account import Rating
from domain.effects.salesforce import KeepRenewal
from domain.effects.vitally import OpenProject
from domain.markup import code
from domain.people import Role
from domain.renewal import decisions, documents
from domain.renewal.state import Assessment, Phase, falls_due
from domain.task import Answer, Choice, FieldSpec, TaskKind, TaskSpec
from workflows.renewal.process import RenewalProcess

#: The project's template in Vitally.
TEMPLATE = "Renewal Health Assessment"
#: What the TA says with a rating.
TA_FIELDS = (
    FieldSpec(name="risk", asks="the technical risk: deployment, versions, tickets, product gaps"),
    FieldSpec(name="utilization", asks="a note on utilization and usage"),
)


async def begin(renewal: RenewalProcess) -> None:
    """What the ledger knows by now, and the opportunity: the one that people made is adopted, else there is a new one."""
    await renewal.look()
    state, customer, ae = renewal.state, renewal.customer, renewal.team.ae
    opportunity = KeepRenewal(
        key="crm.renewal",
        account=customer.id,
        name=f"{customer.name}: renewal {state.renewal_on}",
        close_on=state.renewal_on,
        amount=customer.arr,
        seats=customer.seats,
        owner=ae.id if ae else "",
    )
    renewal.begin(opportunity)
    renewal.spawn(renewal.runs())


async def review(renewal: RenewalProcess) -> None:
    """The early review, unless it is over, or comes so late that the assessment itself is due."""
    state = renewal.state
    if "early_review" in state.done:
        return
    await renewal.wait_for(lambda: False, until="early_review", summary="the early review")
    if workflow.now() >= falls_due(renewal.policy, state, "assessment").at:
        renewal.record(decisions.early_review_skipped(renewal.policy, state, workflow.now()))
        renewal.over_with("early_review")
        return
    await renewal.look()
    decision = renewal.record(decisions.early_review(renewal.policy, state.standing, workflow.now()))
    renewal.over_with("early_review")
    if decision.outcome == decisions.EarlyReview.FLAGGED:
        await _completed(renewal)
    elif decision.outcome == decisions.EarlyReview.UNKNOWN:
        renewal.say(
            "unknown", f"{decision.rule} Find out what is missing: {code(f'tenure health show {renewal.customer.domain}')}.", Role.TA
        )


async def _completed(renewal: RenewalProcess) -> None:
    """The TA's early assessment; when it does not come, the assessment itself asks the same."""
    state = renewal.state
    renewal.enter(Phase.EARLY_REVIEW)
    state.project = state.next("project.early")
    renewal.do(OpenProject(key=state.project, account=renewal.customer.domain, template=TEMPLATE, name=f"{TEMPLATE} {state.renewal_on}"))
    [task] = renewal.open(_spec(renewal))
    if await renewal.wait_for(lambda: not task.is_open, until="assessment", summary=task.spec.title) and task.answer:
        state.early = said_by_ta(task.answer)
        renewal.do(renewal.assessment(early=True), *renewal.project_done("the early assessment is complete"))
    renewal.tasks.withdraw(TaskKind.EARLY_REVIEW, "the assessment asks the same")
    renewal.enter(Phase.UPCOMING)


def _spec(renewal: RenewalProcess) -> TaskSpec:
    asks = (
        f"It renews on {renewal.state.renewal_on}, and its health is not what it should be: {documents.health(renewal.state.standing)}. "
        "Complete the renewal health assessment now, while there is time to act."
    )
    title = "early renewal health assessment"
    return renewal.spec(TaskKind.EARLY_REVIEW, title, asks, Role.TA, ratings(TA_FIELDS), renewal.policy.renewal.early_review_hours)


def ratings(fields: tuple[FieldSpec, ...] = (), *, label: str = "{rating}", every_check: bool = False) -> tuple[Choice, ...]:
    """A choice for each rating."""
    known: tuple[Rating, ...] = ("green", "yellow", "red")
    return tuple(Choice(name=each, label=label.format(rating=each.title()), fields=fields, every_check=every_check) for each in known)


def said_by_ta(answer: Answer) -> Assessment:
    """What the TA's answer means."""
    risk, utilization = (str(answer.fields[name]).strip() for name in ("risk", "utilization"))
    return Assessment.model_validate(
        {"by": answer.by, "at": workflow.now(), "rating": answer.choice, "risk": risk, "utilization": utilization}
    )
