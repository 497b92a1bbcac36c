"""What an entry point may answer instead of doing what was asked.

TenureError
 ├─ BadInput      what was sent cannot be understood or is out of bounds; nothing was changed      (HTTP 422, exit 2)
 ├─ NotFound      there is no such trial, task or company                                          (HTTP 404, exit 1)
 ├─ NotSignedIn   nobody is signed in, or the token is none                                         (HTTP 401, exit 1)
 ├─ Refused       understood, and the answer is no: too late, already decided                      (HTTP 409, exit 1)
 │   └─ NotAllowed    it is known who asks, and they may not                                        (HTTP 403, exit 1)
 ├─ Outdated      the database is of an older version than this program                            (HTTP 503, exit 2)
 └─ Unavailable   Temporal, a worker or the ledger cannot be reached; asking again is safe         (HTTP 503, exit 3)
"""

from __future__ import annotations

from typing import ClassVar


class TenureError(Exception):
    """The base of all. ``detail`` says what is the matter, ``do`` what to do next."""

    title: ClassVar[str] = "It did not work"
    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, detail: str, do: str) -> None:
        self.detail = detail
        self.do = do
        super().__init__(f"{detail}. {do}" if do else detail)


class BadInput(TenureError):
    """What was sent cannot be used. ``field`` names the part at fault when there is one."""

    title = "That cannot be used"
    code = "bad_input"
    status = 422
    exit_code = 2

    def __init__(self, detail: str, do: str, *, field: str = "") -> None:
        self.field = field
        super().__init__(detail, do)


class NotFound(TenureError):
    """There is no such thing."""

    title = "Not found"
    code = "not_found"
    status = 404
    exit_code = 1


class Refused(TenureError):
    """Understood and refused; nothing was changed."""

    title = "Refused"
    code = "refused"
    status = 409
    exit_code = 1


class NotSignedIn(TenureError):
    """It is not known who asks."""

    title = "Sign in first"
    code = "not_signed_in"
    status = 401
    exit_code = 1


class NotAllowed(Refused):
    """It is known who asks, and they may not; nothing was changed."""

    title = "Not allowed"
    code = "not_allowed"
    status = 403


class Unavailable(TenureError):
    """Something that is needed cannot be reached now."""

    title = "Not available now"
    code = "unavailable"
    status = 503
    exit_code = 3


class Outdated(TenureError):
    """The database is of an older version than this program."""

    title = "The database is out of date"
    code = "outdated"
    status = 503
    exit_code = 2
