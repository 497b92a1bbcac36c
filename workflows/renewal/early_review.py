"""D25, C10: half a year ahead, a yellow or red account is flagged, and the TA completes the health assessment early."""

from __future__ import annotations

from temporalio import workflow

from domain.account.account import Rating
from domain.effects.salesforce import KeepRenewal
from domain.effects.vitally import OpenProject
from domain.markup import code
from domain.people import Role
from domain.renewal import decisions, documents
from domain.renewal.state import Assessment, Phase, milestone
from domain.task import Answer, Choice, FieldSpec, TaskKind, TaskSpec
from workflows.renewal.process import RenewalProcess

#: The project's template in Vitally.
TEMPLATE = "Renewal Health Assessment"
#: What the TA says with a rating.
TA_FIELDS = (
    FieldSpec(name="risk", asks="the technical risk: deployment, versions, tickets, product gaps"),
    FieldSpec(name="utilization", asks="a note on utilization and usage"),
)


async def begin(r: RenewalProcess) -> None:
    """What the ledger knows by now, and the opportunity: the one that people made is adopted, else there is a new one."""
    await r.look()
    s, customer, ae = r.state, r.customer, r.team.ae
    opportunity = KeepRenewal(
        key="crm.renewal",
        account=customer.id,
        name=f"{customer.name}: renewal {s.renewal_on}",
        close_on=s.renewal_on,
        amount=customer.arr,
        seats=customer.seats,
        owner=ae.id if ae else "",
    )
    r.begin(opportunity)
    r.spawn(r.runs())


async def review(r: RenewalProcess) -> None:
    """The early review, unless it is over, or comes so late that the assessment itself is due."""
    s = r.state
    if "early_review" in s.done:
        return
    await r.wait_for(lambda: False, until="early_review", summary="the early review")
    if workflow.now() >= milestone(r.policy, s, "assessment").at:
        r.record(decisions.early_review_skipped(r.policy, s, workflow.now()))
        r.over_with("early_review")
        return
    await r.look()
    decision = r.record(decisions.early_review(r.policy, s.standing, workflow.now()))
    r.over_with("early_review")
    if decision.outcome == "flagged":
        await _completed(r)
    elif decision.outcome == "unknown":
        r.say("unknown", f"{decision.rule} Find out what is missing: {code(f'tenure health show {r.customer.domain}')}.", Role.TA)


async def _completed(r: RenewalProcess) -> None:
    """The TA's early assessment; when it does not come, the assessment itself asks the same."""
    s = r.state
    r.enter(Phase.EARLY_REVIEW)
    s.project = s.next("project.early")
    r.do(OpenProject(key=s.project, account=r.customer.domain, template=TEMPLATE, name=f"{TEMPLATE} {s.renewal_on}"))
    [task] = r.open(_spec(r))
    if await r.wait_for(lambda: not task.is_open, until="assessment", summary=task.spec.title) and task.answer:
        s.early = said_by_ta(task.answer)
        r.do(r.assessment(early=True), *r.project_done("the early assessment is complete"))
    r.desk.withdraw(TaskKind.EARLY_REVIEW, "the assessment asks the same")
    r.enter(Phase.UPCOMING)


def _spec(r: RenewalProcess) -> TaskSpec:
    asks = (
        f"It renews on {r.state.renewal_on}, and its health is not what it should be: {documents.health(r.state.standing)}. "
        "Complete the renewal health assessment now, while there is time to act."
    )
    title = "early renewal health assessment"
    return r.spec(TaskKind.EARLY_REVIEW, title, asks, Role.TA, ratings(TA_FIELDS), r.policy.renewal.early_review_hours)


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
