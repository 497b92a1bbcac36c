"""What an entry point may answer instead of doing what was asked; each with its HTTP status and its exit code."""

from collections.abc import Collection
from typing import ClassVar


class TenureError(Exception):
    """The base of all. ``detail`` says what is the matter, ``do`` what to do next."""

    title: str = "It did not work"
    code: str = "error"
    status: int = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, detail: str, do: str) -> None:
        self.detail = detail
        self.do = do
        super().__init__(f"{detail}. {do}" if do else detail)


class BadInput(TenureError):
    """What was sent cannot be understood or is out of bounds; nothing was changed. ``field`` names the part at fault when there is one."""

    title, code, status, exit_code = "That cannot be used", "bad_input", 422, 2

    def __init__(self, detail: str, do: str, *, field: str = "") -> None:
        self.field = field
        super().__init__(detail, do)


class NotFound(TenureError):
    """There is no such trial, task or company."""

    title, code, status = "Not found", "not_found", 404


class Refused(TenureError):
    """Understood, and the answer is no, as too late or decided already; nothing was changed."""

    title, code, status = "Refused", "refused", 409


class NotSignedIn(TenureError):
    """Nobody is signed in, or the token is none."""

    title, code, status = "Sign in first", "not_signed_in", 401


class NotAllowed(Refused):
    """It is known who asks, and they may not; nothing was changed."""

    title, code, status = "Not allowed", "not_allowed", 403


class Unavailable(TenureError):
    """Temporal, a worker or the ledger cannot be reached now; asking again is safe."""

    title, code, status, exit_code = "Not available now", "unavailable", 503, 3


class Outdated(TenureError):
    """The database is of an older version than this program."""

    title, code, status, exit_code = "The database is out of date", "outdated", 503, 2


def require_one_of(known: Collection[str], given: str, words: str, field: str) -> None:
    """Raises :class:`BadInput` when ``given`` is none of those, ``words`` (``is not a band``) saying so; nothing given asks for all."""
    if given and given not in known:
        *first, last = known
        choose = f"Choose {', '.join(first)} or {last}" if len(known) <= 3 else f"Choose one of: {', '.join(known)}"
        raise BadInput(f"{given[:40]!r} {words}", choose, field=field)
