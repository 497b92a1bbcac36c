"""The JSON API under ``/api``: what the pages and the command line do, for programs. Its document is ``/openapi.json``.

Every error is a :class:`starter.web.problem_details.Problem`. A write may carry an ``Idempotency-Key``: sent again with the same key, it has
no second effect and gets the first one's answer.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ConfigDict, Field

from domain import commands
from domain.base import Value
from domain.messages import SignupAnswer
from domain.task import Answer
from domain.views import TaskView
from starter.service.accounts import Accounts
from starter.service.forms import GivenName, JoinForm, Name, SignupForm, TrialRequestForm, new_event
from starter.service.tenure import Tenure
from starter.service.views import TrialPage, TrialView
from starter.web import accounts_api, decisions, signups
from starter.web.decisions import BY, CHANGED, Asker, Domain, Done, IdempotencyKey
from starter.web.limiting import Limits
from starter.web.problem_details import PROBLEMS

TaskId = Annotated[
    str, Path(max_length=600, description="`WORKFLOW:TASK`, as the list of tasks gives it.", examples=["trial-acme.com:triage-1"])
]
Responses = dict[int | str, dict[str, Any]]
TRIED: Responses = {code: PROBLEMS[code] for code in (422, 503)}
SENT: Responses = {code: PROBLEMS[code] for code in (422, 429, 503)}
SIGNED_UP: Responses = {**SENT, 503: PROBLEMS["kept"]}
JOINED: Responses = {code: PROBLEMS[code] for code in (404, 409, 422, 429, 503)}
READ: Responses = {code: PROBLEMS[code] for code in (404, 422, 503)}


def _body(example: dict[str, Any]) -> ConfigDict:
    """Configuration of a request's body: a misspelt field is an error here, although a workflow would pass over it."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


class SignupBody(Value):
    """A signup, as the form takes it."""

    model_config = _body({"email": "dana@acme.com", "first_name": "Dana", "last_name": "Reyes", "company": "Acme"})

    email: str = Field(min_length=1, max_length=2_000)
    first_name: Name = ""
    last_name: Name = ""
    company: Name = ""

    def form(self, key: str | None) -> SignupForm:
        """The form, under the caller's own id when there is one."""
        return SignupForm(**self.model_dump(), via="api", event_id=key or new_event())


class FailedSignupBody(SignupBody):
    """A signup that a form elsewhere could not deliver (A21)."""

    model_config = _body({"email": "dana@acme.com", "company": "Acme", "error": "the form timed out"})

    error: str = Field(min_length=1, max_length=2_000)


class TrialRequestBody(Value):
    """A CE's request for a trial that is sized to need (A28)."""

    model_config = _body({"email": "dana@acme.com", "company": "Acme", "ce": "ce.one@tenure.example", "size": "medium", "seats": 250})

    email: str = Field(min_length=1, max_length=2_000, description="The prospect who will be the instance's administrator.")
    first_name: Name = ""
    last_name: Name = ""
    company: GivenName
    ce: str = Field(min_length=3, max_length=254, description="The CE's own address.")
    size: Literal["small", "medium", "large"] = "small"
    seats: int = Field(default=100, ge=1, le=1_000_000)
    success_criteria: str = Field(default="", max_length=2_000)
    standard: bool = Field(default=True, description="False when the deployment differs from the usual and a technical review comes first.")


class JoinBody(Value):
    """A person who cannot get into their company's instance (A22)."""

    model_config = _body({"email": "lee@acme.com", "first_name": "Lee"})

    email: str = Field(min_length=1, max_length=2_000)
    first_name: Name = ""
    last_name: Name = ""


class AnswerBody(Value):
    """An answer to a task: one of its choices, what its checks came to, and the fields that the choice needs."""

    model_config = _body(
        {
            "choice": "qualify",
            "by": "sdr.one@tenure.example",
            "note": "met at the meetup",
            "checks": {"core_use_case": True},
            "fields": {},
        }
    )

    choice: str = Field(min_length=1, max_length=100)
    by: str = Field(default="", max_length=254, description=BY)
    note: str = Field(default="", max_length=2_000)
    checks: dict[str, bool] = Field(default={}, max_length=50)
    fields: dict[str, str | int | None] = Field(default={}, max_length=50)


class Kept(Value):
    """A failed signup is on record under this id; support is told, and the person is written to."""

    id: str


def router(tenure: Tenure, limits: Limits) -> APIRouter:
    """The routes, for :func:`starter.web.app.create_app`."""
    accounts = Accounts.of(tenure)
    routes = APIRouter(prefix="/api")

    @routes.post(
        "/signups",
        tags=["signups"],
        summary="Sign a company up",
        status_code=201,
        responses={
            200: {
                "model": SignupAnswer,
                "description": "The company has an instance already, or somebody of it who has not confirmed theirs (case 1).",
            },
            **SIGNED_UP,
        },
    )
    async def sign_up(body: SignupBody, request: Request, response: Response, idempotency_key: IdempotencyKey = None) -> SignupAnswer:
        """Answers with the routing decision; a signup that cannot be taken now is kept, and the answer says so. Two signups of one company at the same instant give one trial."""
        await limits.check(request, body.email)
        answer = await signups.take(tenure, limits, body.form(idempotency_key))
        if answer.outcome in ("redirected", "unconfirmed"):
            response.status_code = 200
        return answer

    @routes.post(
        "/signups/failed", tags=["signups"], summary="Report a signup that a form could not deliver", status_code=202, responses=SENT
    )
    async def report(body: FailedSignupBody, request: Request, idempotency_key: IdempotencyKey = None) -> Kept:
        """Nothing is lost: support gets a task to help the person, and the trial is set up from what they typed (A21)."""
        await limits.check(request, body.email)
        form = SignupBody(**body.model_dump(exclude={"error"})).form(idempotency_key)
        return Kept(id=await tenure.failed_signup(form, body.error))

    @routes.get("/trials", tags=["trials"], summary="List trials, newest first", responses=TRIED)
    async def trials(
        stage: Annotated[str, Query(max_length=100, description="Only trials in this stage.", examples=["triage"])] = "",
        closed: Annotated[bool, Query(description="List those that have ended, too.")] = False,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        page: Annotated[str, Query(max_length=4_000, description="`next_page` of the page before.")] = "",
    ) -> TrialPage:
        """One page from the server's visibility store, which may lag by a second or so."""
        return await tenure.trials(limit, page, stage=stage, closed=closed)

    @routes.get("/trials/{domain}", tags=["trials"], summary="Everything about one trial", responses=READ)
    async def trial(domain: Domain) -> TrialView:
        """Where it stands, what comes next and when, every decision so far with its evidence, and the open tasks."""
        return await tenure.trial(domain)

    @routes.post("/trial-requests", tags=["trials"], summary="Request a trial sized to need, as a CE", status_code=201, responses=CHANGED)
    async def request_trial(body: TrialRequestBody, caller: Asker, idempotency_key: IdempotencyKey = None) -> SignupAnswer:
        """The CE's manager is asked to approve it; see the task that this opens (A28)."""
        return await tenure.called_by(caller).request_trial(TrialRequestForm(**body.model_dump(), event_id=idempotency_key or new_event()))

    accounts_api.add_to(routes, accounts)
    for kind in commands.kinds():
        decisions.add_to(routes, accounts, kind)

    @routes.post("/joins", tags=["signups"], summary="Ask for an invitation to the company's instance", status_code=201, responses=JOINED)
    async def join(body: JoinBody, request: Request, idempotency_key: IdempotencyKey = None) -> Done:
        """One request per person and company, however often it is sent (A22)."""
        await limits.check(request, body.email)
        return Done(done=await tenure.join(JoinForm(**body.model_dump(), event_id=idempotency_key or new_event())))

    @routes.get("/tasks", tags=["tasks"], summary="List what people are asked to do, earliest due first", responses=TRIED)
    async def tasks(
        role: Annotated[str, Query(max_length=50, description="Only what this role is asked.", examples=["inbound_sdr"])] = "",
        assignee: Annotated[str, Query(max_length=254, description="Only what this person of ours is asked.")] = "",
        workflow: Annotated[str, Query(max_length=300, description="Only what this process asks.", examples=["trial-acme.com"])] = "",
        after: Annotated[str, Query(max_length=600, description="The next page: `id` of the last task of the page before.")] = "",
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
    ) -> list[TaskView]:
        """Open tasks of all workflows, with their choices and the fields that each choice needs."""
        return await tenure.tasks(limit, after=after, role=role, assignee=assignee, workflow=workflow)

    @routes.post("/tasks/{id}/answer", tags=["tasks"], summary="Answer a task", responses=CHANGED)
    async def answer(id: TaskId, body: AnswerBody, caller: Asker, idempotency_key: IdempotencyKey = None) -> Done:
        """One answer wins. A late, stale or unknown one is refused with who answered, and when; nothing is changed."""
        given = Answer(task=id.rpartition(":")[2], **body.model_dump())
        return Done(done=await tenure.called_by(caller).answer(id, given, idempotency_key or new_event()))

    return routes
