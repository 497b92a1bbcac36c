"""Whether the world still says what the ledger says: every outside system is asked, through the clients of the activities."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from activities.effects.verify import Verified
from activities.effects.verify import verify as compare
from domain.rights import Action
from starter.service.authorization import Authorization, Caller
from starter.service.effects import EffectsOnRecord, require_system


async def verify(record: EffectsOnRecord, caller: Caller, of: str = "", *, system: str = "", by: str = "") -> list[Verified]:
    """Reconcile the ledger with the outside systems, of one company or workflow, or all. It reads only, and stands on the audit.

    Raises :class:`NotAllowed`, :class:`NotFound`, :class:`BadInput`.
    """

    def compared() -> list[Verified]:
        require_system(system)
        workflows: Sequence[str] = record.workflows(of) if of else ()
        return compare(record.settings, record.ledger, (system,) if system else (), workflows)

    what = " ".join(("verify effects", *filter(None, (of[:80], system))))
    async with Authorization(record.ledger, (record.settings.vendor_domain,)).operating(caller, Action.VERIFY_EFFECTS, by=by, what=what):
        return await asyncio.to_thread(compared)
