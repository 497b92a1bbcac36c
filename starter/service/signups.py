"""How a company comes to a trial: by its own signup (A3), by a CE's request (A28), and by what is taken up again when neither could be taken (A21)."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar, Literal

from temporalio.client import WorkflowExecutionStatus
from temporalio.common import Priority, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError

from domain import ids
from domain.addresses import Address
from domain.base import Message
from domain.messages import Account, CeRequest, CompanyInstance, Contact, Origin, RescueInput, Signup, SignupAgain, SignupAnswer
from domain.people import Person, Role
from domain.trial.commands import REQUEST
from domain.trial.state import Stage, TrialInput
from starter.errors import BadInput, NotFound, Refused, Unavailable
from starter.service.authorization import on_owned
from starter.service.commands import Commands
from starter.service.forms import SignupForm, TrialRequestForm, checked_address
from starter.service.kept_requests import KeptRequest, KeptRequests, Spool, ledger_in_time
from starter.service.temporal_errors import Closing, asking
from store.crypto.codec import Codec
from store.crypto.person_keys import PersonKeys
from store.crypto.tokenize import names_beside
from store.registry import Registry
from store.roster import named
from workflows.frame.search_attributes import DOMAIN, STAGE

log = logging.getLogger(__name__)
SignupVia = Literal["web", "api", "cli", "rescue", "free_mail"]

#: A person looks at the page until the answer comes: hundreds of customers whose health is being looked at may wait.
SOMEBODY_WAITS = Priority(priority_key=1)
#: A trial may close between our look and our message; then the next try starts a new one.
TRIES = 3


class Signups(Commands):
    """The ways into a trial."""

    #: What is done after an answer; kept until it is done, for a task that nobody holds may vanish.
    _later: ClassVar[set[asyncio.Task[None]]] = set()

    @cached_property
    def _spool(self) -> Spool:
        return Spool(self.settings.data_dir)

    @property
    def person_keys(self) -> PersonKeys | None:
        """The keys of people that this process's codec uses; None for a client that encrypts nothing."""
        codec = self.client.data_converter.payload_codec
        return codec.people if isinstance(codec, Codec) else None

    async def comes(self, contact: Contact) -> None:
        """Somebody comes to us by themselves. Were they erased before, they are no more: from now on they have a key again, and get mail."""
        if (known := self.person_keys) is None:
            return
        found = known.cached([contact.email])
        if found is None:
            found = await self.read(lambda: known.load([contact.email], names_beside(contact.model_dump_json())))
        if found[contact.email.lower()].key is None:
            await self.read(lambda: known.admit(contact.email))

    async def signup(self, form: SignupForm) -> SignupAnswer:
        """Sign a company up (A3): one round trip, whose answer is the routing decision. The same ``event_id`` is the same signup."""
        address = self.outsider(form.email)
        contact = form.contact(address.email)
        async with ledger_in_time():
            await self.comes(contact)
        return await self._signup(address, contact, form.company, form.via, form.event_id)

    async def sign_up_again(self, again: SignupAgain) -> SignupAnswer:
        """A process signs somebody up on their behalf: a rescue, or a free-mail signup whose company (``domain``) is known now."""
        address = self.outsider(again.contact.email)
        if again.domain:
            address = replace(address, key=self.company_of(again.domain), free_mail=False)
        return await self._signup(address, again.contact, again.company, again.via, again.event)

    async def _signup(self, address: Address, contact: Contact, company: str, via: SignupVia, event_id: str) -> SignupAnswer:
        async with ledger_in_time():
            account, as_of, instance = await self._company(address)
        contact = contact.model_copy(update={"email": address.email})
        message = Signup(contact=contact, company=company, at=_now(), account=account, account_as_of=as_of, instance=instance, via=via)
        event = self.event(ids.trial(address.key), "signup", event_id, via, address.email)
        answer = await self._ask_trial(address, "self_serve", "signup", message, event)
        if answer.outcome in ("instant", "building"):
            self.later(self._refill())
        return answer

    async def request_trial(self, form: TrialRequestForm) -> SignupAnswer:
        """A CE asks for a trial (A28); the manager's three checks are asked next."""
        address = self.outsider(form.email)
        ce, subject = checked_address(form.ce), ids.trial(address.key)
        what = f"request a {form.size} trial with {form.seats} seats"
        # In the CE's name: it is theirs, or their team's.
        judge = on_owned(REQUEST.name, lambda roster: [named(ce, roster) or Person(id="", name=ce, email=ce, role=Role.CE)])
        form = form.model_copy(update={"event_id": self.event(subject, "request", form.event_id, address.email)})
        noted: Any = {"by": "" if self.caller.email else ce, "what": what, "subject": subject, "event": form.event_id}
        async with self.authorization.decision(self.caller, judge, **noted):
            try:
                return await self._request_trial(form, address, ce)
            except Unavailable as error:
                # The worker died over it, say. Sent again with the same event it is the same request, so that is what is done with it.
                reference = await self._keep(KeptRequest.of(form, str(error), _now()))
                raise Unavailable(
                    f"{error.detail}; your request is kept as {reference} and is sent again by itself",
                    f"Nothing is lost: look at the trial of {address.key} in some minutes, or ask again with the same event id",
                ) from error

    async def _request_trial(self, form: TrialRequestForm, address: Address, ce: str) -> SignupAnswer:
        account, _, owned = await self._company(address)
        await self._may_have_one(address, owned)
        contact = form.contact(address.email)
        await self.comes(contact)
        asked = form.model_dump(include={"company", "size", "seats", "success_criteria", "standard"})
        message = CeRequest(contact=contact, ce=ce, at=_now(), account=account, **asked)
        return await self._ask_trial(address, "ce_requested", "request", message, form.event_id)

    async def _may_have_one(self, address: Address, owned: CompanyInstance | None) -> None:
        """Refuse a CE's request for who can have no trial; a trial that runs says for itself what it can take."""
        if address.free_mail:
            raise Refused(f"{address.email} is no company address", "Request the trial for an address that belongs to the company")
        if owned is None:
            return
        with suppress(NotFound), asking(ids.trial(address.key)):
            if (await self.client.get_workflow_handle(ids.trial(address.key)).describe()).status is WorkflowExecutionStatus.RUNNING:
                return
        raise Refused(f"{address.key} has an instance already: {owned.host}", "A company has one: more seats come with its contract")

    async def _ask_trial(self, address: Address, origin: Origin, update: str, message: Message, event: str) -> SignupAnswer:
        """Update-with-start: the trial of this company, new or running, takes the message and answers."""
        trial = ids.trial(address.key)
        shown = trial if address.free_mail else address.key  # the address itself is personal data
        given = TrialInput(domain=address.key, origin=origin, **self.carried)
        attributes = TypedSearchAttributes([SearchAttributePair(DOMAIN, shown), SearchAttributePair(STAGE, Stage.SIGNUP.value)])
        ended = Closing(f"{trial} ended before it could answer", "Ask again")
        for _ in range(TRIES):
            start = self.with_start("Trial", given, trial, f"Cloud trial of {shown}", search_attributes=attributes, priority=SOMEBODY_WAITS)
            with suppress(Closing):
                return await self.sent(trial, update, message, event, SignupAnswer, ended, start)
        raise Unavailable(f"the trial of {shown} is just ending", "Ask again in a moment")

    async def _company(self, address: Address) -> tuple[Account | None, datetime | None, CompanyInstance | None]:
        """What the CRM knows of the company, from the ledger's copy, and when it was read; and the instance that it has, if any.

        A customer's instance stays theirs when its trial is long over (A4).
        """
        if address.free_mail:
            return None, None, None
        known, owned = await self.read(lambda: Registry(self.ledger).company_of(address.key))
        account, as_of = known or (None, None)
        if owned is None:
            return account, as_of, None
        of = {"host": owned.host, "kind": owned.kind, "admin": owned.admin, "subject": owned.subject}
        return account, as_of, CompanyInstance.model_validate({**of, "confirmed": owned.confirmed_at is not None})

    async def _refill(self) -> None:
        """Let the pool replace what was claimed now instead of at its next round; the round comes anyway."""
        with suppress(RPCError):
            await self.client.get_schedule_handle(ids.POOL).trigger()

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something after the answer."""
        task = asyncio.create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    # --- What could not be taken --------------------------------------------------------------------------------------------

    async def failed_signup(self, form: SignupForm, error: str) -> str:
        """Keep a signup that went wrong and have support look after it; returns its reference. The same ``event_id`` is kept once.

        It is on record before Temporal is asked, so that an outage loses nothing: :meth:`retry_failed_signups` starts it later.
        """
        event = self.event("", "failed signup", form.event_id, form.via, form.email)
        row = KeptRequest.of(form.model_copy(update={"event_id": event}), error, _now())
        await self._keep(row)
        try:
            async with ledger_in_time():  # which has the keys of people: without them nothing goes to Temporal
                await self._take_up(row)
        except Unavailable as fault:
            log.warning("the rescue %s waits: %s", row.id, fault)
        return row.id

    async def _keep(self, row: KeptRequest) -> str:
        """Put it on record, in the ledger or, when that does not answer in time, in a file of ours. Raises :class:`Unavailable`."""
        try:
            async with ledger_in_time():
                await self.read(lambda: KeptRequests(self.ledger).keep(row))
        except Unavailable as fault:
            log.warning("%s is kept in a file: %s", row.id, fault)
            try:
                self._spool.keep(row)  # here and now: the threads may all wait for the ledger
            except OSError as full:
                raise Unavailable("it could not be kept", f"Write to {self.settings.support_email}") from full
        return row.id

    async def retry_failed_signups(self) -> int:
        """Start what every failed signup still waits for: a signup's rescue, or a CE's request once more. Returns how many were started."""
        kept = KeptRequests(self.ledger)
        for row in self._spool.waiting():
            await asyncio.to_thread(kept.keep, row)
            self._spool.drop(row.id)
        rows = await asyncio.to_thread(kept.waiting)
        for done, row in enumerate(rows):
            try:
                await self._take_up(row)
            except Unavailable:
                return done
        return len(rows)

    async def _take_up(self, row: KeptRequest) -> None:
        problem, request = row.problem, row.trial_request()
        if request is not None:
            try:
                await self._request_trial(request, self.outsider(request.email), checked_address(request.ce))
            except (BadInput, NotFound, Refused) as error:
                # Nobody looks at an answer any more, so a person tells the CE.
                problem, request = f"{request.ce} asked for a trial of it: {error}", None
        if request is None:
            of = {"contact": row.contact, "company": row.data.get("company", ""), "error": problem, "at": row.at, **self.carried}
            given = RescueInput(**of, support_email=self.settings.support_email)
            await self.start("SignupRescue", given, ids.rescue(row.email), "A signup that the form failed", about="the rescue")
        self._spool.drop(row.id)
        await self.read(lambda: KeptRequests(self.ledger).taken_up(row.id, _now()))


def _now() -> datetime:
    return datetime.now(UTC)
