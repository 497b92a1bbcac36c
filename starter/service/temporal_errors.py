"""What Temporal's errors mean to whoever asked."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import RPCTimeoutOrCancelledError, WorkflowQueryFailedError, WorkflowQueryRejectedError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from domain.wording import beside
from starter.errors import BadInput, NotFound, Refused, TenureError, Unavailable
from starter.service.connect import why
from store.crypto.key_ring import Unreadable

#: How the SDK begins the plain RuntimeError of a lazy client's first call.
_NO_CONNECTION = "Failed client connect"


class Closing(Refused):
    """The workflow ended while it was asked."""


class Over(Refused):
    """It has ended; who decided it, and when, is said."""


_ERRORS: dict[str, type[TenureError]] = {each.__name__: each for each in (BadInput, NotFound, Refused, Unavailable, Closing)}
_MEANS = {name: said for each, said in beside(__file__).items() for name in (each, *said.get("also", ()))}


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
    said: object = error
    match error:
        case WorkflowUpdateFailedError(cause=ApplicationError(type="AcceptedUpdateCompletedWorkflow")):
            name = "closing"
        case WorkflowUpdateFailedError():
            name, said = "refused", getattr(error.cause, "message", error.cause)
        case WorkflowQueryFailedError() | WorkflowQueryRejectedError():
            name = "mute"
        case RPCTimeoutOrCancelledError() | TimeoutError():
            name = "deadline_exceeded"
        case WorkflowAlreadyStartedError():
            name = "closed"
        case RuntimeError() if str(error).startswith(_NO_CONNECTION):
            name, said = "unavailable", why(error)
        case RPCError(status=RPCStatusCode.NOT_FOUND) if missing:
            return missing
        case RPCError():
            name = error.status.name.lower()
            said = error.message or name
        case Unreadable():
            name = "unreadable"
        case SQLAlchemyError():
            name = "ledger"
        case _:
            return None
    means = _MEANS.get(name, _MEANS["other"])
    return _ERRORS[means["error"]](means["detail"].format(whom=whom, said=said, name=name), means["do"])
