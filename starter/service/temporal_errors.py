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

#: A call that ran into our own limit says either, by where it was cut.
_TOO_SLOW = {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}
_TRANSIENT = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.ABORTED,
    RPCStatusCode.INTERNAL,
    RPCStatusCode.UNKNOWN,
}
#: How the SDK begins the plain RuntimeError of a lazy client's first call.
_NO_CONNECTION = "Failed client connect"
_ENDED_MEANWHILE = "AcceptedUpdateCompletedWorkflow"


class Closing(Refused):
    """The workflow ended while it was asked."""


class Over(Refused):
    """It has ended; who decided it, and when, is said."""


@contextmanager
def asking(whom: str, *, missing: TenureError | None = None) -> Iterator[None]:
    """Turn what goes wrong while ``whom`` is asked into a :class:`TenureError`; ``missing`` is raised when there is nobody to ask."""
    try:
        yield
    except WorkflowUpdateFailedError as error:
        cause = error.cause
        if isinstance(cause, ApplicationError) and cause.type == _ENDED_MEANWHILE:
            raise Closing(f"{whom} ended before it could answer", "Look at what became of it before you ask again") from error
        raise Refused(str(getattr(cause, "message", cause)), "") from error
    except (WorkflowQueryFailedError, WorkflowQueryRejectedError) as error:
        raise Unavailable(
            f"{whom} could not say: {error}", "Look at its history in the Web UI; the worker may be of another version"
        ) from error
    except (RPCTimeoutOrCancelledError, TimeoutError) as error:
        raise _slow(whom) from error
    except WorkflowAlreadyStartedError as error:
        raise Closing(f"{whom} ended before it could answer", "Ask again") from error
    except RuntimeError as error:
        if not str(error).startswith(_NO_CONNECTION):
            raise
        raise Unavailable(f"Temporal does not answer ({why(error)})", "Ask again in a moment; nothing is lost") from error
    except RPCError as error:
        raise _translated(error, whom, missing) from error
    except Exception as error:
        if (known := _of_the_codec(error)) is None:
            raise
        raise known from error


def _of_the_codec(error: Exception) -> TenureError | None:
    """What it means that a value could not be encrypted or decrypted; None for any other error."""
    if isinstance(error, Unreadable):
        return Unavailable(
            f"what Temporal has cannot be decrypted: {error}", "Every process needs the same keys; see docs/personal-data.md"
        )
    if isinstance(error, SQLAlchemyError):
        return Unavailable("the ledger's database, which has the keys of people, does not answer", "Ask again; check TENURE_LEDGER_URL")
    return None


def _slow(whom: str) -> Unavailable:
    return Unavailable(f"{whom} did not answer in time", "Check that a worker runs, then ask again with the same event id")


def _translated(error: RPCError, whom: str, missing: TenureError | None) -> TenureError:
    if error.status is RPCStatusCode.NOT_FOUND:
        return missing or NotFound(f"{whom} is not known to Temporal, or has ended", "Look at `tenure trial list --all`")
    if error.status is RPCStatusCode.INVALID_ARGUMENT:
        return BadInput(f"Temporal refused the question: {error.message}", "Correct it and ask again")
    if error.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED):
        return Unavailable(f"Temporal does not accept our credentials: {error.message}", "Check TEMPORAL_API_KEY or the client certificate")
    if error.status is RPCStatusCode.FAILED_PRECONDITION:
        return Unavailable(f"{whom} cannot be asked now: {error.message}", "Check that a worker runs, then ask again")
    if error.status in _TOO_SLOW:
        return _slow(whom)
    if error.status in _TRANSIENT:
        return Unavailable(
            f"Temporal does not answer ({error.message or error.status.name.lower()})", "Ask again in a moment; nothing is lost"
        )
    return Unavailable(
        f"Temporal answered {error.status.name.lower()}: {error.message}", "Ask again; if it stays, look at the server's log"
    )
