"""Errors over HTTP: one shape for all of them, after RFC 9457, with one more member that says what to do next."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from domain.base import Value
from starter.errors import BadInput, NotSignedIn, TenureError
from starter.web.texts import PROBLEMS, TITLES

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
        self.title = title or TITLES.get(str(status), TenureError.title)
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


def _documented(description: str, **example: Any) -> dict[str, Any]:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}}


#: What the OpenAPI document says of the problems that a route may answer, by status or by name.
DOCUMENTED = {name: _documented(**said) for name, said in PROBLEMS.items()}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems of these statuses, as a route's ``responses``."""
    return {status: DOCUMENTED[str(status)] for status in statuses}
