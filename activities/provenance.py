"""Decisions that came straight to Temporal: judged by the same table as every other, and noted on the audit."""

import logging
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from temporalio import activity

from domain import rights
from domain.commands import action_of
from domain.people import Person
from domain.provenance import Direct, Plea, Ruling, is_ours
from domain.rights import Actor, Right
from domain.trial.commands import REQUEST
from store.audit import Audit, Entry
from store.ledger import Ledger
from store.roster import Roster, judged
from store.settings import Settings

log = logging.getLogger(__name__)

#: In the place of a right: a validator refused it before anybody's was looked at.
UNCHECKED = "none: sent straight to Temporal"


class DirectDecisions:
    """Judges them and notes them. :meth:`close` waits for what is under way."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self._audit = Audit(ledger, (settings.vendor_domain,))
        self._colleagues = Roster(ledger)
        self.key = settings.way_in_key
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="direct")

    @activity.defn(name="judge_direct")
    def judge(self, plea: Plea) -> Ruling:
        """Whether whoever is named may do this now: with the mark of our own programs yes, without a rule; else by the table and the roster.

        What may not be is put on the audit. Raises when the ledger does not answer: it is asked again.
        """
        if plea.mark and is_ours(self.key(), plea.mark, plea.sealed):
            return Ruling(allowed=True)
        about = plea.about

        def right(actor: Actor, roster: Iterable[Person]) -> Right:
            if plea.asked is not None:
                return rights.may_answer(plea.asked, actor, roster)
            if not (action := action_of(plea.name)):
                return Right(allowed=False, rule="answer", why="no such task is open")
            owners = (actor.person,) if action == REQUEST.name and actor.person else self._colleagues.owners(about.subject, roster)
            return rights.may(action, actor, owners, roster)

        _, role, found = judged(about.by, self._colleagues.roster(), right)
        why = "" if found.allowed else f"{found.why}. Nothing was changed"
        if not found.allowed:
            self.note(about.model_copy(update={"reason": why[:500], "rule": found.rule, "role": role}))
        return Ruling(allowed=found.allowed, why=why, rule=found.rule, role=role)

    @activity.defn(name="note_direct")
    def note(self, direct: Direct) -> None:
        """Put one on the audit, once. Raises when the ledger does not answer: it is asked again."""
        self._audit.append(
            Entry(
                who=direct.by.strip() or "nobody",
                role=direct.role,
                via="temporal",
                what=direct.what,
                subject=direct.subject,
                outcome=direct.outcome,
                reason=direct.reason,
                rule=direct.rule or UNCHECKED,
                rules=rights.table_hash() if direct.rule else "",
                event=direct.event,
            )
        )

    def later(self, direct: Direct) -> None:
        """Put one on the audit soon, for a caller that must not wait; what the ledger does not take then is in the log only."""
        self._thread.submit(self.note, direct).add_done_callback(_logged)

    def close(self) -> None:
        """Finish."""
        self._thread.shutdown(wait=True)


def _logged(done: Future[None]) -> None:
    if error := done.exception():
        log.error("a refusal of what was sent straight to Temporal is not on the audit: %s", type(error).__name__)
