"""D27, 4.6: Lighthouse, beside plan and forecast: the save plan, the executive sponsor, the inspections, and the one way out.

The TA's weekly update and the leadership's inspection are those of the account's get-well plan, so that an account has each only once
(gap 11, C34); this renewal is one of the plan's reasons, and hears of every inspection.
"""

from __future__ import annotations

from temporalio import workflow

from domain.account.account import PlanReviewed
from domain.effects.vitally import KeepDoc
from domain.people import Role
from domain.renewal import decisions, documents
from domain.renewal.state import SavePlan
from domain.task import Choice, FieldSpec, Task, TaskKind, TaskSpec
from workflows.renewal.process import RenewalProcess

SAVE_PLAN_DOC = "account-save-plan"
PLAN = Choice(
    name="filled_in",
    label="Fill in",
    fields=(
        FieldSpec(name="problem", asks="the problem statement, and the goal"),
        FieldSpec(name="criteria", asks="the success criteria, in numbers"),
        FieldSpec(name="steps", asks="each step with its owner"),
        FieldSpec(name="asks", asks="what is asked of others", required=False),
    ),
)
REVIEW = (Choice(name="agreed", label="Agreed"), Choice(name="changes", label="Needs changes: say which in the note"))
SPONSOR = Choice(name="assign", label="Assign", fields=(FieldSpec(name="sponsor", asks="the executive's address", kind="email"),))
VOTE = (
    Choice(name="leave_green", label="It leaves, as green"),
    Choice(name="leave_yellow", label="It leaves, as yellow"),
    Choice(name="stay", label="It stays"),
)
VOTES = (TaskKind.EXIT_SALES, TaskKind.EXIT_TS)


async def watch(r: RenewalProcess) -> None:
    """Each time that a rating brings the account into the program, until the renewal is over."""
    while await r.beside(lambda: r.state.entering):
        await _program(r)


def inspected(r: RenewalProcess, review: PlanReviewed) -> str | None:
    """What an inspection means: criteria that are met are voted on, unmet ones end a vote. Returns why it means nothing."""
    s = r.state
    if r.over or not s.in_lighthouse:
        return "the account is not in Lighthouse"
    if review.criteria_met and (s.save_plan is None or not s.save_plan.agreed_by):
        return "the save plan, and with it the success criteria, are not agreed yet"
    s.reviewed = review
    if not review.criteria_met:
        for kind in VOTES:
            r.desk.withdraw(kind, "the last inspection found the criteria unmet")
    return None


async def _program(r: RenewalProcess) -> None:
    s = r.state
    s.entering, s.in_lighthouse = False, True
    s.save_plan, s.sponsor, s.reviewed = None, "", None
    r.spawn(r.reason(True, f"the renewal of {s.renewal_on} is {s.rating}"))
    plan, sponsor = r.open(_plan(r), _sponsor(r))
    r.spawn(_sponsored(r, sponsor))
    if await _agreed(r, plan):
        while await r.beside(lambda: s.reviewed is not None and s.reviewed.criteria_met):
            if await _left(r):
                return


async def _agreed(r: RenewalProcess, task: Task) -> bool:
    """The TA's save plan, reviewed by the AE at once, until they agree; False when the renewal is over."""
    s = r.state
    while answer := await r.answer_beside(task):
        fields = {name: str(value).strip() for name, value in answer.fields.items() if value is not None}
        s.save_plan = SavePlan.model_validate({**fields, "by": answer.by, "at": workflow.now()})
        r.do(_document(r, s.save_plan))
        [review] = r.open(_review(r, s.save_plan))
        verdict = await r.answer_beside(review)
        if verdict is None:
            return False
        if verdict.choice == "agreed":
            s.save_plan = s.save_plan.model_copy(update={"agreed_by": verdict.by})
            return True
        [task] = r.open(_plan(r, verdict.note))
    return False


async def _sponsored(r: RenewalProcess, task: Task) -> None:
    s = r.state
    if answer := await r.answer_beside(task):
        s.sponsor = str(answer.fields["sponsor"])
        r.say("sponsor", f"Executive sponsor: {s.sponsor}.", Role.TA, Role.AE)
        if s.save_plan:
            r.do(_document(r, s.save_plan))


async def _left(r: RenewalProcess) -> bool:
    """The vote. Only with the criteria met, and with both leaderships' yes, does it leave; else the next inspection may ask again."""
    s = r.state
    if s.save_plan is None or s.reviewed is None:
        return False
    sales, ts = r.open(
        _vote(r, TaskKind.EXIT_SALES, Role.SALES_LEADERSHIP, s.reviewed), _vote(r, TaskKind.EXIT_TS, Role.TS_LEADERSHIP, s.reviewed)
    )
    if not await r.beside(lambda: not (sales.is_open or ts.is_open) or _stays(sales) or _stays(ts)):
        return True
    for kind in VOTES:
        r.desk.withdraw(kind, "the other leadership said that it stays")
    decision = r.record(decisions.exits(r.policy, s.save_plan, s.reviewed, sales.answer, ts.answer, workflow.now()))
    s.reviewed = None
    if decision.outcome == "stays in":
        r.say("stays", f"Lighthouse: {decision.rule}", Role.TA, Role.AE)
        return False
    s.in_lighthouse = False
    r.rated(decision.outcome, decision, enters=False)  # type: ignore[arg-type]  # the votes name a rating
    r.spawn(r.reason(False, "it left Lighthouse: its success criteria are met"))
    return True


def _stays(vote: Task) -> bool:
    return vote.answer is not None and vote.answer.choice == "stay"


# --- what is asked, and written ------------------------------------------------------------------------------------------------------


def _document(r: RenewalProcess, plan: SavePlan) -> KeepDoc:
    return KeepDoc(
        key=r.state.next("doc.save_plan"),
        account=r.customer.domain,
        doc=SAVE_PLAN_DOC,
        title=f"Account save plan: {r.customer.name}",
        lines=documents.save_plan(plan, r.state.sponsor),
    )


def _plan(r: RenewalProcess, wrong: str = "") -> TaskSpec:
    s = r.state
    again = f" The AE asks for changes: {wrong}" if wrong else ""
    asks = f"It is {s.rating} and in Lighthouse. Fill in the save plan; the AE reviews it at once, and leadership inspects it.{again}"
    return r.spec(TaskKind.SAVE_PLAN, "account save plan", asks, Role.TA, (PLAN,), r.policy.lighthouse.save_plan_hours)


def _review(r: RenewalProcess, plan: SavePlan) -> TaskSpec:
    asks = " ".join(f"{line}." for line in documents.save_plan(plan, r.state.sponsor)[:4])
    return r.spec(TaskKind.REVIEW_PLAN, "review of the save plan", asks, Role.AE, REVIEW, r.policy.lighthouse.save_plan_hours)


def _sponsor(r: RenewalProcess) -> TaskSpec:
    asks = f"{r.customer.name} is in Lighthouse: name its executive sponsor."
    return r.spec(TaskKind.SPONSOR, "executive sponsor", asks, Role.TS_LEADERSHIP, (SPONSOR,), r.policy.lighthouse.sponsor_hours)


def _vote(r: RenewalProcess, kind: str, role: Role, review: PlanReviewed) -> TaskSpec:
    plan = r.state.save_plan
    found = f" {review.by or 'The inspection'}: {review.note}" if review.note else ""
    asks = f"The inspection found the success criteria met ({plan.criteria if plan else ''}).{found} Does it leave Lighthouse?"
    return r.spec(kind, "does it leave Lighthouse?", asks, role, VOTE, r.policy.lighthouse.exit_hours)
