"""What was done in the world, and whether the world still says so: the ledger alone is read, Temporal need not be there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from domain import ids
from domain.rights import Action
from starter.errors import BadInput, NotFound
from starter.service.addresses import read_key
from starter.service.authorization import Caller, Gate

if TYPE_CHECKING:
    from activities.effects.verify import Verified
    from domain.policy import Policy
    from store.ledger import EffectRow, Ledger
    from store.settings import Settings

#: What ``--since`` may be: a day or a moment as ISO 8601 writes it.
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class Effects:
    """The effects on record. Times are real ones unless it is said that they are the workflow's."""

    def __init__(self, ledger: Ledger, settings: Settings, policy: Policy) -> None:
        self._ledger = ledger
        self._settings = settings
        self._policy = policy

    def find(self, of: str = "", *, system: str = "", open: bool = False, since: str = "") -> list[EffectRow]:
        """Those of a company (by domain, host or address), of a workflow (by its id), or all; in the order in which they were begun."""
        from store.effect_log import find, public

        _known(system)
        starts = self._starts(of) if of else ()
        return [public(row) for row in find(self._ledger, starts=starts, system=system, open=open, since=read_since(since))]

    def show(self, which: str, key: str = "") -> list[EffectRow]:
        """One effect by its number; or those of a workflow's key, one for each of its lives. Raises :class:`NotFound`."""
        from store.effect_log import find, public

        if key:
            found = find(self._ledger, starts=(f"{which}/",), key=key)
        elif which.isdecimal() and len(which) < 16:
            found = find(self._ledger, number=int(which))
        else:
            raise BadInput(
                f"{which[:60]!r} is not the number of an effect", "Write NUMBER, or WORKFLOW KEY; `tenure effects list` shows both"
            )
        if not found:
            shown = f"{which[:80]} {key[:80]}".strip()
            raise NotFound(f"no effect {shown} is on record", "Look for it with `tenure effects list`")
        return [public(row) for row in found]

    def verify(self, of: str = "", *, system: str = "") -> list[Verified]:
        """Reconcile the ledger with the outside systems, of one company or workflow, or all; it reads only."""
        from activities.effects.verify import SYSTEMS, verify
        from store.effect_log import find

        _known(system)
        workflows: Sequence[str] = ()
        if of:
            rows = find(self._ledger, starts=self._starts(of))
            if not rows:
                raise NotFound(f"nothing is on record for {of[:80]}", "Check the name with `tenure effects list`")
            workflows = sorted({row.subject.rpartition("/")[0] for row in rows})
        return verify(self._settings, self._ledger, (system,) if system else SYSTEMS, workflows)

    async def verify_for(self, caller: Caller, of: str = "", *, system: str = "", by: str = "") -> list[Verified]:
        """The same for somebody who may; it asks every outside system, and stands on the audit. Raises :class:`NotAllowed`."""
        what = " ".join(("verify effects", *filter(None, (of[:80], system))))
        gate = Gate(self._ledger, (self._settings.vendor_domain,))
        async with gate.operating(caller, Action.VERIFY_EFFECTS, by=by, what=what):
            return await asyncio.to_thread(self.verify, of, system=system)

    def _starts(self, of: str) -> tuple[str, ...]:
        """How the subjects begin that a person means. A workflow that is on record goes before a company."""
        from store.effect_log import find

        named = of.strip()
        if re.fullmatch(r"[\w.-]+", named) and find(self._ledger, starts=(f"{named}/",)):
            return (f"{named}/",)
        return ids.of_company(read_key(named, self._policy.routing))


def read_since(text: str) -> datetime | None:
    """``2026-11-01``, ``2026-11-01T09:00`` (UTC unless it says otherwise), or a length of time before now, like ``7d``."""
    if not text:
        return None
    if _DAY.match(text):
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise BadInput(f"{text[:40]!r} is not a moment", "Write a day like 2026-11-01, or a length like 7d", field="since") from None
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    from starter.local.skip import parse_duration

    return datetime.now(UTC) - parse_duration(text)


def systems() -> tuple[str, ...]:
    """The systems on record, by their names there."""
    from domain.effects.models import Moment

    return (*(name for name in Moment.model_fields if name not in ("subject", "as_of")), "registry")


def _known(system: str) -> None:
    if system and system not in systems():
        raise BadInput(f"{system[:40]!r} is no system", f"Choose one of: {', '.join(systems())}", field="system")
