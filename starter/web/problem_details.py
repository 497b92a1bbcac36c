"""Errors over HTTP: one shape for all of them, after RFC 9457, with one more member that says what to do next."""

from __future__ import annotations

from typing import Any, ClassVar

from starlette.responses import JSONResponse

from domain.base import Value
from starter.errors import BadInput, NotAllowed, NotFound, NotSignedIn, Refused, TenureError, Unavailable

MEDIA_TYPE = "application/problem+json"


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


class TooMany(TenureError):
    """Too many of a kind from one place; ``retry_after`` is in seconds."""

    title = "Too many at once"
    code = "too_many"
    status = 429

    def __init__(self, detail: str, do: str, retry_after: int) -> None:
        super().__init__(detail, do)
        self.retry_after = retry_after


class Crowded(TooMany):
    """Too many signups from everybody together: this one is nobody's fault, and is kept."""

    code = "crowded"
    status = 503


class Kept(TenureError):
    """A signup that could not be taken now, and is on record under ``reference``. ``http_status``: what kept it from being taken."""

    title = "Your signup did not go through"
    code = "kept"
    status = 503

    def __init__(self, detail: str, do: str, *, reference: str, retry_after: int, http_status: int) -> None:
        super().__init__(detail, do)
        self.reference = reference
        self.retry_after = retry_after
        self.http_status = http_status


class Fault(TenureError):
    """A refusal that only HTTP knows: its status and title come with it."""

    code: ClassVar[str] = "http"

    def __init__(self, status: int, title: str, detail: str, do: str) -> None:
        super().__init__(detail, do)
        self.http_status = status
        self.http_title = title


def problem_of(error: TenureError) -> Problem:
    """The problem that an error of ours is."""
    if isinstance(error, Fault):
        return Problem(title=error.http_title, status=error.http_status, detail=error.detail, do=error.do, code=error.code)
    if isinstance(error, Kept):
        return Problem(
            title=error.title, status=error.http_status, detail=error.detail, do=error.do, code=error.code, event=error.reference
        )
    field = error.field if isinstance(error, BadInput) else ""
    return Problem(
        title=error.title,
        status=error.status,
        detail=error.detail,
        do=error.do,
        code=error.code,
        errors=(FieldProblem(field=field, detail=error.detail),) if field else (),
    )


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer that carries a problem; members that say nothing are left out."""
    body = problem.model_dump(mode="json", exclude_defaults=True)
    return JSONResponse(body, problem.status, headers, MEDIA_TYPE)


def _documented(description: str, error: TenureError) -> dict[str, Any]:
    example = problem_of(error).model_dump(mode="json", exclude_defaults=True)
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema, "example": example}}}


# For the OpenAPI document: which problems a route may answer, by status.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: _documented("The signature is wrong.", Fault(401, "wrong signature", "X-Hub-Signature-256 is not the signature of this body", "")),
    404: _documented("There is no such thing.", NotFound("acme.com has no trial", "List the trials with GET /api/trials")),
    403: _documented(
        "Who asks may not; nothing was changed.",
        NotAllowed("sdr.one@tenure.example (inbound sdr) may not convert a trial. These may: CE (team), AE (team)", ""),
    ),
    409: _documented(
        "Understood and refused; nothing was changed.", Refused("the trial of acme.com has ended", "Sign up again to start another trial")
    ),
    413: _documented("The body is too long.", Fault(413, "too long", "the body has more than 65,536 bytes", "Send less")),
    429: _documented(
        "Too many of a kind from one place; Retry-After says when.",
        TooMany("more than 120 per 1 minute came from your address", "Try again in 20 seconds", 20),
    ),
    422: _documented(
        "What was sent cannot be used; nothing was changed.",
        BadInput("the e-mail address is not valid", "Enter an address like name@company.com", field="email"),
    ),
    "kept": _documented(
        "The signup could not be taken now. It is kept, and need not be sent again; code `kept` and `event`, its reference, say so.",
        Kept(
            "something on our side does not answer. What you typed is not lost",
            "Support has your signup and writes to dana@acme.com within 4 office hours; you need not send it again",
            reference="3f9a1c0c5200",
            retry_after=60,
            http_status=503,
        ),
    ),
    503: _documented(
        "Something that is needed cannot be reached; asking again is safe.",
        Unavailable("Temporal cannot be reached", "Try again in a minute"),
    ),
}
NOT_SIGNED_IN = _documented(
    "Nobody is signed in, or the token is none.", NotSignedIn("nobody is signed in", "Send Authorization: Bearer TOKEN")
)
