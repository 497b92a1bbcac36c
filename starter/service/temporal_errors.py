"""What Temporal's errors mean to whoever asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import RPCTimeoutOrCancelledError, WorkflowQueryFailedError, WorkflowQueryRejectedError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from starter.errors import BadInput, NotFound, Refused, TenureError, Unavailable
from starter.service.connect import why
from store.crypto.key_ring import Unreadable

_TRANSIENT = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.ABORTED,
    RPCStatusCode.INTERNAL,
    RPCStatusCode.UNKNOWN,
}
#: How the SDK begins the plain RuntimeError of a lazy client's first call.
_NO_CONNECTION = "Failed client connect"
_AGAIN = "Ask again in a moment; nothing is lost"


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
            return _slow(whom)
        case WorkflowAlreadyStartedError():
            return Closing(f"{whom} ended before it could answer", "Ask again")
        case RuntimeError() if str(error).startswith(_NO_CONNECTION):
            return Unavailable(f"Temporal does not answer ({why(error)})", _AGAIN)
        case RPCError():
            return missing if missing and error.status is RPCStatusCode.NOT_FOUND else _of_status(error, whom)
        case Unreadable():
            return Unavailable(
                f"what Temporal has cannot be decrypted: {error}", "Every process needs the same keys; see docs/personal-data.md"
            )
        case SQLAlchemyError():
            do = "Ask again; check TENURE_LEDGER_URL"
            return Unavailable("the ledger's database, which has the keys of people, does not answer", do)
    return None


def _slow(whom: str) -> Unavailable:
    return Unavailable(f"{whom} did not answer in time", "Check that a worker runs, then ask again with the same event id")


def _of_status(error: RPCError, whom: str) -> TenureError:
    said, status = error.message, error.status.name.lower()
    match error.status:
        case RPCStatusCode.NOT_FOUND:
            return NotFound(f"{whom} is not known to Temporal, or has ended", "Look at `tenure trial list --all`")
        case RPCStatusCode.INVALID_ARGUMENT:
            return BadInput(f"Temporal refused the question: {said}", "Correct it and ask again")
        case RPCStatusCode.PERMISSION_DENIED | RPCStatusCode.UNAUTHENTICATED:
            return Unavailable(f"Temporal does not accept our credentials: {said}", "Check TEMPORAL_API_KEY or the client certificate")
        case RPCStatusCode.FAILED_PRECONDITION:
            return Unavailable(f"{whom} cannot be asked now: {said}", "Check that a worker runs, then ask again")
        case (
            RPCStatusCode.DEADLINE_EXCEEDED | RPCStatusCode.CANCELLED
        ):  # a call that ran into our own limit says either, by where it was cut
            return _slow(whom)
    if error.status in _TRANSIENT:
        return Unavailable(f"Temporal does not answer ({said or status})", _AGAIN)
    return Unavailable(f"Temporal answered {status}: {said}", "Ask again; if it stays, look at the server's log")
