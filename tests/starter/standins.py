"""Small workflows under the real names, for tests of what stands in front of them: they note what they are told."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from domain.decision import Decision
    from domain.messages import CeRequest, IssueEvent, JoinAsk, JoinInput, RescueInput, Signup, SignupAnswer
    from domain.people import Role
    from domain.task import Answer, Choice, Task, TaskSpec
    from domain.trial.commands import Extend
    from domain.trial.state import TrialInput
    from domain.views import NextStep, TaskView, TrialStatus
    from workflows.frame.search_attributes import DUE_AT, STAGE


@workflow.defn(name="Trial")
class StandInTrial:
    """Redirects every signup after the first, refuses to extend beyond 30 days, and has one task, which ends it when answered."""

    @workflow.init
    def __init__(self, input: TrialInput) -> None:
        self.input = input
        self.signups: list[Signup] = []
        self.request_by = ""
        self.told: list[str] = []
        self.done = False
        due = workflow.now() + timedelta(hours=len(input.domain))
        spec = TaskSpec(
            kind="triage",
            title="Triage",
            asks="?",
            role=Role.CE if input.origin == "ce_requested" else Role.INBOUND_SDR,
            assignee="Sdr@tenure.example",
            choices=(Choice(name="qualify", label="Yes"),),
            due_at=due,
        )
        self.task = Task(id="triage-1", spec=spec, opened_at=workflow.now(), next_at=due)

    @workflow.run
    async def run(self, input: TrialInput) -> str:
        workflow.upsert_search_attributes([STAGE.value_set("triage"), DUE_AT.value_set(self.task.spec.due_at)])
        await workflow.wait_condition(lambda: self.done, timeout=timedelta(days=400), timeout_summary="the end")
        await workflow.wait_condition(workflow.all_handlers_finished)
        return "ended"

    @workflow.update
    async def signup(self, signup: Signup) -> SignupAnswer:
        self.signups.append(signup)
        again = len(self.signups) > 1
        return SignupAnswer(
            domain=self.input.domain,
            trial=workflow.info().workflow_id,
            case="1" if again else "3",
            outcome="redirected" if again else "triage",
            message=signup.model_dump_json(),
        )

    @workflow.update
    async def request(self, request: CeRequest) -> SignupAnswer:
        self.request_by = request.ce
        return SignupAnswer(
            domain=self.input.domain, trial=workflow.info().workflow_id, case="ce_requested", outcome="triage", message=self.input.origin
        )

    @workflow.update
    async def extend(self, extend: Extend) -> str:
        self.told.append("extend")
        return f"extended by {extend.days} days"

    @extend.validator
    def _may_extend(self, extend: Extend) -> None:
        if (extend.days or 0) > 30:
            raise ApplicationError("30 days are the most", type="Refused", non_retryable=True)

    @workflow.update
    async def answer(self, answer: Answer) -> str:
        self.done = True
        return f"{answer.task}: {answer.choice} by {answer.by}"

    @workflow.update
    async def join(self, ask: JoinAsk) -> str:
        return f"{ask.contact.email} via {ask.via}"

    @workflow.signal
    def issue_event(self, event: IssueEvent) -> None:
        self.told.append(f"issue {event.issue} {event.action}")

    @workflow.query
    def status(self) -> TrialStatus:
        return TrialStatus(
            domain=self.input.domain,
            stage="ended" if self.done else "triage",
            in_words="**Acme**: triage\n- and more",
            origin=self.input.origin,
            notes=tuple(self.told),
            policy=self.input.policy.hash,
        )

    @workflow.query
    def next_steps(self) -> list[NextStep]:
        return [] if self.done else [NextStep(at=self.task.spec.due_at, what="the SDR is reminded")]

    @workflow.query
    def dossier(self) -> list[Decision]:
        return [
            Decision(what="route", outcome="3", rule="nobody knows them", handbook="A7", at=workflow.now(), policy=self.input.policy.hash)
        ]

    @workflow.query
    def open_tasks(self) -> list[TaskView]:
        return [] if self.done else [TaskView.of(workflow.info().workflow_id, self.task)]


@workflow.defn(name="JoinRequest")
class StandInJoin:
    """Says whom it would tell."""

    @workflow.run
    async def run(self, input: JoinInput) -> str:
        return f"{input.contact.email} to {input.admin} of {input.host}"


@workflow.defn(name="SignupRescue")
class StandInRescue:
    """Says whom it would call, and why."""

    @workflow.run
    async def run(self, input: RescueInput) -> str:
        return f"{input.contact.name} of {input.company}: {input.error}"


@workflow.defn(name="Dies")
class StandInDying:
    """Ends while an update that it accepted still runs, as a workflow may that nobody taught to wait."""

    @workflow.init
    def __init__(self) -> None:
        self.asked = False

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: self.asked)

    @workflow.update(unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)
    async def extend(self, extend: Extend) -> str:
        self.asked = True
        await workflow.sleep(60)
        return "never"


ALL: list[type] = [StandInTrial, StandInJoin, StandInRescue, StandInDying]
