"""What could not be taken is kept, and taken up again later: signups that went wrong (A21), and CEs' requests whose worker died over them.

On record in the ledger or, when that does not answer in time, in a file (:mod:`starter.service.spool`), before anything else is tried.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from temporalio.common import WorkflowIDConflictPolicy

from domain import ids
from domain.base import Message
from domain.messages import SignupAnswer
from starter.errors import BadInput, NotFound, Refused, Unavailable
from starter.service.addresses import checked_address
from starter.service.commands import Commands
from starter.service.failed_signups import FailedSignup, FailedSignups
from starter.service.forms import SignupForm, TrialRequestForm
from starter.service.spool import Spool
from starter.service.temporal_errors import asking

if TYPE_CHECKING:
    from domain.addresses import Address
    from store.ledger import Ledger
    from store.settings import Settings

log = logging.getLogger(__name__)

#: Seconds within which the ledger does a small thing; one that is locked by another may take for ever.
LEDGER_PATIENCE = 4.0


@asynccontextmanager
async def ledger_in_time() -> AsyncIterator[None]:
    """Raises :class:`Unavailable` when the ledger takes longer than anybody waits at a form."""
    try:
        async with asyncio.timeout(LEDGER_PATIENCE):
            yield
    except TimeoutError as error:
        raise Unavailable("the ledger's database does not answer in time", "Ask again; check what holds it") from error


class KeptRequests(Commands):
    """The part of :class:`starter.service.tenure.Tenure` that loses nothing."""

    task_queue: str

    def _keeps(self, ledger: Ledger, settings: Settings) -> None:
        self._failed = FailedSignups(ledger)
        self._spool = Spool(settings.data_dir)

    @abstractmethod
    def outsider(self, email: str) -> Address:
        """What an address says of whose trial it is."""

    @abstractmethod
    async def _request_trial(self, form: TrialRequestForm, address: Address, ce: str) -> SignupAnswer:
        """Send a CE's request, whose rights were judged."""

    async def failed_signup(self, form: SignupForm, error: str) -> str:
        """Keep a signup that went wrong and have support look after it; returns its reference. The same ``event_id`` is kept once.

        It is on record before Temporal is asked, so that an outage loses nothing: :meth:`retry_failed_signups` starts it later.
        """
        event = self.event("", "failed signup", form.event_id, form.via, form.email)
        row = self._failed.row(form.model_copy(update={"event_id": event}), error, _now())
        await self._keep(row)
        try:
            async with ledger_in_time():  # which has the keys of people: without them nothing goes to Temporal
                await self._rescue(row.rescue_input(self.policy, self.settings), row.email)
                self._spool.drop(row.id)
                await self.read(lambda: self._failed.rescued(row.id, _now()))
        except Unavailable as fault:
            log.warning("the rescue %s waits: %s", row.id, fault)
        return row.id

    async def _keep(self, row: FailedSignup) -> str:
        """Put it on record, in the ledger or, when that does not answer in time, in a file of ours. Raises :class:`Unavailable`."""
        try:
            async with ledger_in_time():
                await self.read(lambda: self._failed.keep(row))
        except Unavailable as fault:
            log.warning("%s is kept in a file: %s", row.id, fault)
            try:
                self._spool.keep(row)  # here and now: the threads may all wait for the ledger
            except OSError as full:
                raise Unavailable("it could not be kept", f"Write to {self.settings.support_email}") from full
        return row.id

    async def retry_failed_signups(self) -> int:
        """Start what every failed signup still waits for: a signup's rescue, or a CE's request once more. Returns how many were started."""
        for row in self._spool.waiting():
            await asyncio.to_thread(self._failed.keep, row)
            self._spool.drop(row.id)
        rows = await asyncio.to_thread(self._failed.waiting)
        for done, row in enumerate(rows):
            try:
                await self._start_again(row)
            except Unavailable:
                return done
            await asyncio.to_thread(self._failed.rescued, row.id, _now())
        return len(rows)

    async def _start_again(self, row: FailedSignup) -> None:
        if (request := row.trial_request()) is not None:
            try:
                await self._request_trial(request, self.outsider(request.email), checked_address(request.ce))
                return
            except (BadInput, NotFound, Refused) as error:
                # Nobody looks at an answer any more, so a person tells the CE.
                row = replace(row, problem=f"{request.ce} asked for a trial of it: {error}")
        await self._rescue(row.rescue_input(self.policy, self.settings), row.email)

    async def _rescue(self, message: Message, email: str) -> None:
        with asking("the rescue"):
            await self.client.start_workflow(
                "SignupRescue",
                message,
                id=ids.rescue(email),
                task_queue=self.task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary="A signup that the form failed",
            )


def _now() -> datetime:
    return datetime.now(UTC)
