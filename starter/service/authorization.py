"""Authorizes every request and writes the audit log.

The role of a person is looked up when their message arrives, so whoever has changed roles or left since the question was asked is judged
by what they are now.
"""

import asyncio
import getpass
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from domain import rights
from domain.people import Person
from domain.rights import Actor, Asked, Group, Right
from starter.errors import BadInput, NotAllowed, NotFound, Refused, Unavailable
from store.audit import Audit, Entry, Via
from store.ledger import Ledger
from store.roster import Judge, Roster, judged, named

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Caller:
    """Who asks: a signed-in person (``email``), a token (``token``, with its ``group`` or its person), the operator at the command
    line, or the reader of a link of ours, who may do what the link is for.
    """

    via: Via
    email: str = ""
    token: str = ""
    group: Group | None = None
    operator: str = ""
    by_link: bool = False

    @property
    def speaks_for_others(self) -> bool:
        """Whether ``by`` may name somebody else: an operator has the server's own keys, and a token of ops is trusted to."""
        return bool(self.operator) or (self.group is Group.OPS and not self.email)

    @property
    def through(self) -> str:
        """What stands on the audit beside the person."""
        return f"token {self.token}" if self.token else f"operator {self.operator}" if self.operator else "link" if self.by_link else ""


def operator() -> Caller:
    """Whoever runs this process: the command line acts with the operator's own access to the server and the ledger."""
    try:
        return Caller(via="cli", operator=getpass.getuser())
    except (KeyError, OSError):  # a process whose user has no name
        return Caller(via="cli", operator="unnamed")


LINK = Caller(via="web", by_link=True)


class Authorization:
    """Judges and notes. ``ours`` are the mail domains of our own people."""

    def __init__(self, ledger: Ledger, ours: Iterable[str]) -> None:
        self._ledger, self._ours = ledger, tuple(ours)

    @asynccontextmanager
    async def decision(
        self, caller: Caller, judge: Judge, *, by: str, what: str, subject: str, event: str = "", nameless: bool = False
    ) -> AsyncIterator[str]:
        """Around the carrying out of a decision: gives the address of whoever decides, and notes what became of it.

        ``nameless``: an operator need not name anybody. Raises :class:`NotAllowed`, and :class:`BadInput` when somebody must be named; both
        are on the audit, as is a refusal of the workflow's.
        """
        who, role, right, noted = await self._let(caller, judge, by.strip(), nameless, what=what, subject=subject)
        if not right.allowed:
            if not who and not by.strip():
                raise BadInput(right.why, 'Name yourself: --by you@… (or TENURE_BY) on the command line, "by" in a body', field="by")
            raise NotAllowed(right.why, "Nothing was changed; docs/rights.md has the whole table" if role else "")
        try:
            yield who
        except Exception as error:  # nobody knows whether what was not refused took effect; what nobody foresaw may say anything
            outcome = "refused" if isinstance(error, Refused | NotFound | BadInput) else "unknown"
            reason = error.detail if isinstance(error, Refused | NotFound | BadInput | Unavailable) else type(error).__name__
            await self._note(**noted, outcome=outcome, reason=reason, event=event)
            raise
        await self._note(**noted, outcome="accepted", event=event)

    def operating(self, caller: Caller, action: str, *, by: str, what: str, subject: str = "") -> AbstractAsyncContextManager[str]:
        """Around an act of operations, which concerns no trial's owners: an operator at the command line holds the keys anyway, and is noted."""
        return self.decision(caller, lambda actor, _: rights.may(action, actor), by=by, what=what, subject=subject, nameless=True)

    async def admit(self, caller: Caller, action: str) -> str:
        """Let somebody read, or do what concerns no trial; only a refusal is noted. Returns who it is. Raises :class:`NotAllowed`."""
        what = rights.RIGHTS[action].words
        who, _, right, _ = await self._let(caller, lambda actor, _: rights.may(action, actor), "", False, what=what)
        if not right.allowed:
            raise NotAllowed(right.why, "")
        return who

    async def refused(self, via: Via, what: str, reason: str, *, who: str = "nobody") -> None:
        """Note an attempt that ended before anything was asked, as a sign-in that was not let through."""
        await self._note(who=who, via=via, what=what, outcome="refused", reason=reason)

    async def person(self, email: str) -> Person | None:
        """The person of ours with that address, as the roster has them now."""
        return await self._read(lambda: named(email, Roster(self._ledger).roster()))

    async def roster(self) -> list[Person]:
        """Everybody of ours."""
        return await self._read(lambda: Roster(self._ledger).roster())

    async def _let(self, caller: Caller, judge: Judge, by: str, nameless: bool, **about: str) -> tuple[str, str, Right, dict[str, str]]:
        """Who it is, in which role, whether they may, and what is noted of them; a refusal is noted here."""
        who, role, right = await self._read(lambda: self._judged(caller, judge, by, nameless))
        noted = {"who": who or by or "nobody", "role": role, "via": caller.via, "through": caller.through, **about}
        noted |= {"rule": right.rule, "rules": rights.table_hash()}
        if not right.allowed:
            await self._note(**noted, outcome="refused", reason=right.why)
        return who, role, right, noted

    def _judged(self, caller: Caller, judge: Judge, by: str, nameless: bool) -> tuple[str, str, Right]:
        """Who decides, in which role, and whether they may."""
        if caller.by_link:
            return by, "prospect", Right(allowed=True, rule="link")
        if nameless and caller.operator and not by:
            return f"operator:{caller.operator}", "operator", Right(allowed=True, rule="operator")
        roster = Roster(self._ledger).roster()
        wanted = caller.email or by
        if caller.email and by and by.lower() != caller.email.lower():
            me = named(caller.email, roster)
            why = f'you are signed in as {caller.email}, and "by" names {by[:254]!r}: leave it out, or let them do it'
            return caller.email, me.role.value if me else "", Right(allowed=False, rule="by", why=why)
        if not caller.email and by and not caller.speaks_for_others:
            why = f'a token of {caller.group} acts for nobody, and "by" names {by[:254]!r}: leave it out, or use their own token or one of ops'
            return f"token:{caller.token}", str(caller.group), Right(allowed=False, rule="by", why=why)
        if not wanted:
            if caller.group is None:
                return "", "", Right(allowed=False, rule="by", why="nobody is named who decides")
            return f"token:{caller.token}", caller.group.value, judge(Actor(group=caller.group), roster)
        return judged(wanted, roster, judge)

    async def _note(self, **fields: Any) -> None:
        entry = Entry(**{name: value[:1_000] if isinstance(value, str) else value for name, value in fields.items()})
        await self._read(lambda: Audit(self._ledger, self._ours).append(entry))

    async def _read(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except SQLAlchemyError as error:
            log.warning("the ledger: %s", type(error).__name__)
            raise Unavailable(
                "the ledger's database does not answer, and without it nobody's rights are known and nothing is noted",
                "Ask again with the same event id: what was done already is not done twice",
            ) from error


def on_owned(action: str, owners: Callable[[Iterable[Person]], Iterable[Person]]) -> Judge:
    """Judge by who looks after what is asked for; ``owners`` is given the roster and runs where the ledger may be read."""

    def judge(actor: Actor, roster: Iterable[Person]) -> Right:
        return rights.may(action, actor, tuple(owners(roster)), roster)

    return judge


def on_task(asked: Asked | None) -> Judge:
    """Judge by whom a task is asked of. A task that is not open: the workflow says so, in its own words."""

    def judge(actor: Actor, roster: Iterable[Person]) -> Right:
        return Right(allowed=True, rule="answer: not open") if asked is None else rights.may_answer(asked, actor, roster)

    return judge
