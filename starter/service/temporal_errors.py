"""What Temporal's errors mean to whoever asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import RPCTimeoutOrCancelledError, WorkflowQueryFailedError, WorkflowQueryRejectedError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError
from temporalio.service import RPCStatusCode as Status

from starter.errors import BadInput, NotFound, Refused, TenureError, Unavailable
from starter.service.connect import why
from store.crypto.key_ring import Unreadable

#: How the SDK begins the plain RuntimeError of a lazy client's first call.
_NO_CONNECTION = "Failed client connect"
_AGAIN = "Ask again in a moment; nothing is lost"
_SLOW = Unavailable, "{whom} did not answer in time", "Check that a worker runs, then ask again with the same event id"
_REFUSED = Unavailable, "Temporal does not accept our credentials: {said}", "Check TEMPORAL_API_KEY or the client certificate"
_DOWN = Unavailable, "Temporal does not answer ({said})", _AGAIN
#: What each of its statuses means: the error, what is the matter with ``whom`` as Temporal ``said``, and what to do.
_STATUS: dict[Status, tuple[type[TenureError], str, str]] = {
    Status.NOT_FOUND: (NotFound, "{whom} is not known to Temporal, or has ended", "Look at `tenure trial list --all`"),
    Status.INVALID_ARGUMENT: (BadInput, "Temporal refused the question: {said}", "Correct it and ask again"),
    Status.FAILED_PRECONDITION: (Unavailable, "{whom} cannot be asked now: {said}", "Check that a worker runs, then ask again"),
    **dict.fromkeys((Status.PERMISSION_DENIED, Status.UNAUTHENTICATED), _REFUSED),
    # A call that ran into our own limit says either, by where it was cut.
    **dict.fromkeys((Status.DEADLINE_EXCEEDED, Status.CANCELLED), _SLOW),
    **dict.fromkeys((Status.UNAVAILABLE, Status.RESOURCE_EXHAUSTED, Status.ABORTED, Status.INTERNAL, Status.UNKNOWN), _DOWN),
}


class Closing(Refused):
    """The workflow ended while it was asked."""


class Over(Refused):
    """It has ended; who decided it, and when, is said."""


@contextmanager
def asking(whom: str, *, missing: TenureError | None = None) -> Iterator[None]:
    """Turn what goes wrong while ``whom`` is asked into a :class:`TenureError`; ``missing`` is raised when there is nobody to ask."""
    try:
        yield
    except Exception as error:
        if (known := _translated(error, whom, missing)) is None:
            raise
        raise known from error


def _translated(error: Exception, whom: str, missing: TenureError | None) -> TenureError | None:
    """What an error of Temporal's means, or that a value could not be encrypted or decrypted; None for any other error."""
    match error:
        case WorkflowUpdateFailedError(cause=ApplicationError(type="AcceptedUpdateCompletedWorkflow")):
            return Closing(f"{whom} ended before it could answer", "Look at what became of it before you ask again")
        case WorkflowUpdateFailedError():
            return Refused(str(getattr(error.cause, "message", error.cause)), "")
        case WorkflowQueryFailedError() | WorkflowQueryRejectedError():
            do = "Look at its history in the Web UI; the worker may be of another version"
            return Unavailable(f"{whom} could not say: {error}", do)
        case RPCTimeoutOrCancelledError() | TimeoutError():
            return _of_status(Status.DEADLINE_EXCEEDED, whom, "")
        case WorkflowAlreadyStartedError():
            return Closing(f"{whom} ended before it could answer", "Ask again")
        case RuntimeError() if str(error).startswith(_NO_CONNECTION):
            return Unavailable(f"Temporal does not answer ({why(error)})", _AGAIN)
        case RPCError():
            return missing if missing and error.status is Status.NOT_FOUND else _of_status(error.status, whom, error.message)
        case Unreadable():
            return Unavailable(
                f"what Temporal has cannot be decrypted: {error}", "Every process needs the same keys; see docs/personal-data.md"
            )
        case SQLAlchemyError():
            do = "Ask again; check TENURE_LEDGER_URL"
            return Unavailable("the ledger's database, which has the keys of people, does not answer", do)
    return None


def _of_status(status: Status, whom: str, said: str) -> TenureError:
    name = status.name.lower()
    kind, detail, do = _STATUS.get(
        status, (Unavailable, "Temporal answered {name}: {said}", "Ask again; if it stays, look at the server's log")
    )
    return kind(detail.format(whom=whom, said=said or name, name=name), do)
