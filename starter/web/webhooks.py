"""What GitHub tells us of our issues: ``POST /webhooks/github``, checked by signature, turned into a signal of the trial that raised the issue.

GitHub sends no time with a delivery, so its age is its id: one that had its effect before is answered, and has none again. One that failed is not
kept, so that redelivering it by hand works.

Polling is the fallback of every event (A9), so an event that is lost, late or told twice changes nothing but the time.

An issue of ours causes many deliveries, and each signal costs a workflow up to four events of its history. So only those are passed on
that a workflow acts on: the issue is closed, reopened, deleted or transferred, its instance is labelled ready, or somebody of the Cloud team
names the host of a ready one. A delivery is no more than a reason to look: the workflow reads the issue itself.
"""

import asyncio
import hashlib
import hmac
import logging
import re
from collections.abc import Awaitable, Iterable
from typing import Annotated, Literal, TypeVar

from fastapi import FastAPI, Header, Request
from pydantic import AliasPath, Field, ValidationError

from domain.base import Message
from domain.cloud.issues import READY_LABEL, Where, host_named, is_ready, same_repository, speaks_for_the_team
from domain.messages import IssueEvent
from starter.errors import Unavailable
from starter.service.tenure import Tenure
from starter.web.problem_details import DOCUMENTED, Fault, problems
from starter.web.texts import fault
from store.access import Deliveries

log = logging.getLogger(__name__)
T = TypeVar("T")

#: Bytes of a delivery.
BODY_LIMIT = 1024 * 1024
SIGNAL_SECONDS = 5.0  # GitHub gives up after ten
#: What takes an issue away.
GONE: dict[str, Where] = {"deleted": "deleted", "transferred": "transferred"}
#: What happens to an issue as a whole; of everything else only the label and the naming comment count.
STIRRING = ("closed", "reopened", *GONE)

# The customer's words stand in the body too, so whoever searches takes the last marker: ours is written after everything else.
_MARKER = re.compile(r"<!-- tenure:(?P<workflow>[^\s/]+)/[0-9a-f]{8}\.\d+/\S+ -->")


class Heard(Message):
    """What became of a delivery. ``why`` is said when no trial of ours acts on it; GitHub's delivery log shows it."""

    result: Literal["signalled", "ignored", "pong"]
    workflow: str = ""
    why: str = ""


class _Label(Message):
    name: str


class _Comment(Message):
    body: str | None = None
    author_association: str = ""
    login: str = Field(default="", validation_alias=AliasPath("user", "login"))


class _Payload(Message):
    """The little that we read of GitHub's ``issues`` and ``issue_comment`` payloads."""

    action: str = Field(default="", max_length=100)
    repository: str = Field(default="", validation_alias=AliasPath("repository", "full_name"))
    number: int = Field(validation_alias=AliasPath("issue", "number"))
    body: str | None = Field(default=None, validation_alias=AliasPath("issue", "body"))
    state: Literal["open", "closed"] = Field(default="open", validation_alias=AliasPath("issue", "state"))
    state_reason: str | None = Field(default=None, max_length=100, validation_alias=AliasPath("issue", "state_reason"))
    labels: tuple[_Label, ...] = Field(default=(), validation_alias=AliasPath("issue", "labels"))
    comment: _Comment | None = None


def signed(secret: str, body: bytes, header: str) -> bool:
    """Whether ``header`` (``X-Hub-Signature-256``) is the signature of these raw bytes. Takes the same time whatever differs."""
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), header.encode("utf-8", "replace"))


def workflow_of(body: str) -> str:
    """The workflow that raised the issue with this body; empty when no marker of ours is in it."""
    workflows: list[str] = _MARKER.findall(body)
    return workflows[-1] if workflows else ""


def event_of(payload: _Payload, team: Iterable[str] = ()) -> IssueEvent:
    """What the workflow is told: the state of the issue after the event. ``team`` are logins that count like the repository's own people."""
    comment = payload.comment
    return IssueEvent(
        issue=payload.number,
        action="commented" if comment else payload.action,
        labels=tuple(label.name for label in payload.labels),
        state=payload.state if comment else GONE.get(payload.action, payload.state),
        reason=payload.state_reason or "",
        host=_host(comment, team) if comment and payload.action != "deleted" else "",
    )


def _host(comment: _Comment, team: Iterable[str]) -> str:
    body = comment.body or ""
    return host_named(body) if speaks_for_the_team(comment.author_association, comment.login, team, body) else ""


def why_unheard(event: IssueEvent) -> str:
    """Why no workflow acts on the event; empty when one may."""
    ready = is_ready(event.labels)
    if event.action == "commented":
        # Before the label a comment decides nothing. After it, it may be the first that we hear of the label.
        return "" if ready and event.host else "of comments, only the Cloud team's that names the host of a ready instance counts"
    if (event.action == "labeled" and ready) or event.action in STIRRING:
        return ""
    return f"of an issue, only its closing, reopening, deletion and transfer and the label {READY_LABEL} count"


def add_to(app: FastAPI, tenure: Tenure) -> None:
    """Add the route, for :func:`starter.web.app.create_app`."""
    settings = tenure.settings
    secret = settings.github_webhook_secret.get_secret_value()
    seen = Deliveries(tenure.ledger)

    @app.post(
        "/webhooks/github",
        tags=["webhooks"],
        summary="A delivery of GitHub",
        status_code=202,
        max_body_size=BODY_LIMIT,
        responses={401: DOCUMENTED["signature"], **problems(413, 422, 503)},
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}},
    )
    async def github(
        request: Request,
        x_github_event: Annotated[str, Header()] = "",
        x_github_delivery: Annotated[str, Header()] = "",
        x_hub_signature_256: Annotated[str, Header()] = "",
    ) -> Heard:
        """Answers 202 to every delivery with a right signature; what no trial of ours acts on is ignored, and says why."""
        body = await request.body()
        if not secret or not signed(secret, body, x_hub_signature_256):
            raise Fault(401, **fault("wrong_signature"))
        if x_github_event == "ping":
            return Heard(result="pong")
        if x_github_event not in ("issues", "issue_comment"):
            return Heard(result="ignored", why=f"no trial listens to {x_github_event or 'a delivery without X-GitHub-Event'}")
        payload = _parsed(body)
        if not same_repository(payload.repository, settings.github_repo):
            return Heard(result="ignored", why=f"our issues are raised in {settings.github_repo}")
        workflow = workflow_of(payload.body or "")
        if not workflow:
            return Heard(result="ignored", why="the issue carries no marker of ours")
        if await _answered(tenure.read(lambda: seen.known(x_github_delivery, body))):
            return Heard(result="ignored", workflow=workflow, why="this delivery was heard before")
        event = event_of(payload, settings.cloud_team())
        if why := why_unheard(event):
            return Heard(result="ignored", workflow=workflow, why=why)
        try:
            async with asyncio.timeout(SIGNAL_SECONDS):
                heard = await tenure.issue_event(workflow, event)
                if not heard and event.action == "reopened" and (late := await tenure.late_word(workflow, event.issue)):
                    workflow, heard = late, True
        except TimeoutError:
            raise Unavailable(f"{workflow} could not be told in time", "Redeliver it; polling finds out meanwhile") from None
        if not heard:
            return Heard(result="ignored", workflow=workflow, why="the workflow has ended")
        await _answered(tenure.read(lambda: seen.keep(x_github_delivery, body)))
        log.info("delivery %s: issue %d, %s -> %s", x_github_delivery, payload.number, payload.action, workflow)
        return Heard(result="signalled", workflow=workflow)


async def _answered(asked: Awaitable[T]) -> T | None:
    """What the ledger says of deliveries; None while it is away. GitHub sends none again by itself, and one that is heard twice changes nothing."""
    try:
        return await asked
    except Unavailable as error:
        log.warning("a delivery is passed on, whether or not it was heard before: %s", error)
        return None


def _parsed(body: bytes) -> _Payload:
    try:
        return _Payload.model_validate_json(body)
    except ValidationError:
        raise Fault(422, **fault("no_delivery")) from None
