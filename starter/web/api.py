"""The JSON API under ``/api``: what the pages and the command line do, for programs. Its document is ``/openapi.json``.

Every error is a :class:`starter.web.problem_details.Problem`. A write may carry an ``Idempotency-Key``: sent again with the same key, it has
no second effect and gets the first one's answer.
"""

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Request, Response
from pydantic import Field

from domain.base import Value
from domain.messages import SignupAnswer
from domain.task import Answer
from starter.service.accounts import Accounts
from starter.service.forms import Email, JoinForm, Name, Newcomer, SignupForm, TrialRequest, TrialRequestForm
from starter.service.tenure import Tenure
from starter.web import declared, signups
from starter.web.authentication import SCHEMES
from starter.web.declared import BY, Asker, Done, Event, strict
from starter.web.limiting import Limits
from starter.web.problem_details import DOCUMENTED, problems

TaskId = Annotated[
    str, Path(max_length=600, description="`WORKFLOW:TASK`, as the list of tasks gives it.", examples=["trial-acme.com:triage-1"])
]


class PersonBody(Newcomer):
    """Somebody outside."""

    email: Email = Field(max_length=2_000)


class JoinBody(PersonBody):
    """A person who cannot get into their company's instance (A22)."""

    model_config = strict(email="lee@acme.com", first_name="Lee")


class SignupBody(PersonBody):
    """A signup, as the form takes it."""

    model_config = strict(email="dana@acme.com", first_name="Dana", last_name="Reyes", company="Acme")

    company: Name = ""


class FailedSignupBody(SignupBody):
    """A signup that a form elsewhere could not deliver (A21)."""

    model_config = strict(email="dana@acme.com", company="Acme", error="the form timed out")

    error: str = Field(min_length=1, max_length=2_000)


class TrialRequestBody(TrialRequest):
    """A CE's request for a trial that is sized to need (A28)."""

    model_config = strict(email="dana@acme.com", company="Acme", ce="ce.one@tenure.example", size="medium", seats=250)


class AnswerBody(Value):
    """An answer to a task: one of its choices, what its checks came to, and the fields that the choice needs."""

    model_config = strict(
        choice="qualify", by="sdr.one@tenure.example", note="met at the meetup", checks={"core_use_case": True}, fields={}
    )

    choice: str = Field(min_length=1, max_length=100)
    by: str = Field(default="", max_length=254, description=BY)
    note: str = Field(default="", max_length=2_000)
    checks: dict[str, bool] = Field(default={}, max_length=50)
    fields: dict[str, str | int | None] = Field(default={}, max_length=50)


class Reported(Value):
    """A failed signup is on record under this id; support is told, and the person is written to."""

    id: str


def add_to(app: FastAPI, tenure: Tenure, limits: Limits) -> None:
    """Add the routes, for :func:`starter.web.app.create_app`: what prospects and programs of theirs may send without signing in, then all others."""
    accounts, decided = Accounts.of(tenure), problems(404, 409)
    public = APIRouter(prefix="/api", tags=["signups"], responses=problems(422, 429, 503))
    routes = APIRouter(prefix="/api", dependencies=SCHEMES, responses=problems(401, 403, 422, 503))

    existing = "The company has an instance already, or somebody of it who has not confirmed theirs (case 1)."
    answers: dict[int | str, Any] = {200: {"model": SignupAnswer, "description": existing}, 503: DOCUMENTED["kept"]}

    @public.post("/signups", summary="Sign a company up", status_code=201, responses=answers)
    async def sign_up(body: SignupBody, request: Request, response: Response, event: Event) -> SignupAnswer:
        """Answers with the routing decision; a signup that cannot be taken now is kept, and the answer says so. Two signups of one company at the same instant give one trial."""
        await limits.check(request, body.email)
        answer = await signups.take(tenure, limits, SignupForm(**body.model_dump(), via="api", event_id=event))
        if answer.outcome in ("redirected", "unconfirmed"):
            response.status_code = 200
        return answer

    @public.post("/signups/failed", summary="Report a signup that a form could not deliver", status_code=202)
    async def report(body: FailedSignupBody, request: Request, event: Event) -> Reported:
        """Nothing is lost: support gets a task to help the person, and the trial is set up from what they typed (A21)."""
        await limits.check(request, body.email)
        form = SignupForm(**body.model_dump(exclude={"error"}), via="api", event_id=event)
        return Reported(id=await tenure.failed_signup(form, body.error))

    @public.post("/joins", summary="Ask for an invitation to the company's instance", status_code=201, responses=decided)
    async def join(body: JoinBody, request: Request, event: Event) -> Done:
        """One request per person and company, however often it is sent (A22)."""
        await limits.check(request, body.email)
        return Done(done=await tenure.join(JoinForm(**body.model_dump(), event_id=event)))

    declared.add_reads(routes, tenure, accounts)
    declared.add_decisions(routes, accounts)

    @routes.post("/trial-requests", tags=["trials"], summary="Request a trial sized to need, as a CE", status_code=201, responses=decided)
    async def request_trial(body: TrialRequestBody, caller: Asker, event: Event) -> SignupAnswer:
        """The CE's manager is asked to approve it; see the task that this opens (A28)."""
        return await tenure.called_by(caller).request_trial(TrialRequestForm(**body.model_dump(), event_id=event))

    @routes.post("/tasks/{id}/answer", tags=["tasks"], summary="Answer a task", responses=decided)
    async def answer(id: TaskId, body: AnswerBody, caller: Asker, event: Event) -> Done:
        """One answer wins. A late, stale or unknown one is refused with who answered, and when; nothing is changed."""
        given = Answer(task=id.rpartition(":")[2], **body.model_dump())
        return Done(done=await tenure.called_by(caller).answer(id, given, event))

    app.include_router(public)
    app.include_router(routes)
