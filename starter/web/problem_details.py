"""Errors over HTTP: one shape for all of them, after RFC 9457, with one more member that says what to do next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from domain.base import Value
from starter.errors import BadInput, NotAllowed, NotFound, NotSignedIn, Refused, TenureError, Unavailable

MEDIA_TYPE = "application/problem+json"
TITLES = {
    400: "That cannot be used",
    403: "From another site",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    413: "Too long",
    503: "Not available now",
}


class FieldProblem(Value):
    """What is wrong with one part of the request: where it stands (``body.email``), and why."""

    field: str
    detail: str


class Problem(Value):
    """Why it did not work. ``do`` says what to do next; ``event`` finds a fault of ours in the log."""

    title: str
    status: int
    detail: str
    do: str = ""
    code: str = ""
    errors: tuple[FieldProblem, ...] = ()
    event: str = ""


class Fault(TenureError):
    """A refusal that only HTTP knows. ``event`` finds it in the log or on record; ``retry_after`` is in seconds, 0 for never."""

    retry_after = 0

    def __init__(
        self,
        status: int,
        detail: str,
        do: str,
        *,
        title: str = "",
        code: str = "http",
        event: str = "",
        errors: tuple[FieldProblem, ...] = (),
    ) -> None:
        super().__init__(detail, do)
        self.status = status
        self.title = title or TITLES.get(status, TenureError.title)
        self.code = code
        self.event = event
        self.errors = errors


class TooMany(Fault):
    """Too many of a kind from one place."""

    def __init__(self, detail: str, do: str, retry_after: int) -> None:
        super().__init__(429, detail, do, title="Too many at once", code="too_many")
        self.retry_after = retry_after


class Kept(Fault):
    """A signup that could not be taken now, and is on record under ``reference``; ``status`` is of what kept it from being taken."""

    title = "Your signup did not go through"

    def __init__(self, detail: str, do: str, *, reference: str, retry_after: int, status: int) -> None:
        super().__init__(status, detail, do, title=self.title, code="kept", event=reference)
        self.retry_after = retry_after


#: Makes an answer of an error, in the form that the caller reads: a page for a person at a browser, JSON for a program.
Answer = Callable[[Request, TenureError], Response]


def problem_of(error: TenureError) -> Problem:
    """The problem that an error of ours is."""
    errors, event = (error.errors, error.event) if isinstance(error, Fault) else ((), "")
    if isinstance(error, BadInput) and error.field:
        errors = (FieldProblem(field=error.field, detail=error.detail),)
    return Problem(title=error.title, status=error.status, detail=error.detail, do=error.do, code=error.code, errors=errors, event=event)


def headers_of(error: TenureError) -> dict[str, str]:
    """The headers that go with an error: when to come again, or how to say who asks."""
    if isinstance(error, NotSignedIn):
        return {"WWW-Authenticate": "Bearer"}
    return {"Retry-After": str(error.retry_after)} if isinstance(error, Fault) and error.retry_after else {}


def problem_response(error: TenureError) -> JSONResponse:
    """The answer that carries an error as a problem; members that say nothing are left out."""
    problem = problem_of(error)
    return JSONResponse(problem.model_dump(mode="json", exclude_defaults=True), problem.status, headers_of(error), MEDIA_TYPE)


def _documented(description: str, error: TenureError) -> dict[str, Any]:
    example = problem_of(error).model_dump(mode="json", exclude_defaults=True)
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema, "example": example}}}


# For the OpenAPI document: which problems a route may answer, by status.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: _documented("Nobody is signed in, or the token is none.", NotSignedIn("nobody is signed in", "Send Authorization: Bearer TOKEN")),
    403: _documented(
        "Who asks may not; nothing was changed.",
        NotAllowed("sdr.one@tenure.example (inbound sdr) may not convert a trial. These may: CE (team), AE (team)", ""),
    ),
    404: _documented("There is no such thing.", NotFound("acme.com has no trial", "List the trials with GET /api/trials")),
    409: _documented(
        "Understood and refused; nothing was changed.", Refused("the trial of acme.com has ended", "Sign up again to start another trial")
    ),
    413: _documented("The body is too long.", Fault(413, "the body has more than 65,536 bytes", "Send less")),
    422: _documented(
        "What was sent cannot be used; nothing was changed.",
        BadInput("the e-mail address is not valid", "Enter an address like name@company.com", field="email"),
    ),
    429: _documented(
        "Too many of a kind from one place; Retry-After says when.",
        TooMany("more than 120 per 1 minute came from your address", "Try again in 20 seconds", 20),
    ),
    503: _documented(
        "Something that is needed cannot be reached; asking again is safe.",
        Unavailable("Temporal cannot be reached", "Try again in a minute"),
    ),
}
SIGNATURE = _documented(
    "The signature is wrong.", Fault(401, "X-Hub-Signature-256 is not the signature of this body", "", title="wrong signature")
)
KEPT = _documented(
    "The signup could not be taken now. It is kept, and need not be sent again; code `kept` and `event`, its reference, say so.",
    Kept(
        "something on our side does not answer. What you typed is not lost",
        "Support has your signup and writes to dana@acme.com within 4 office hours; you need not send it again",
        reference="3f9a1c0c5200",
        retry_after=60,
        status=503,
    ),
)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems of these statuses, as a route's ``responses``."""
    return {status: PROBLEMS[status] for status in statuses}
