"""What was done in the world: the ledger alone is read, Temporal need not be there."""

import re
from datetime import UTC, datetime

from domain import ids
from domain.effects.effect import systems
from domain.policy import Policy
from starter.errors import BadInput, NotFound, require_one_of
from starter.local.skip import parse_duration
from starter.service.forms import read_key
from store.ledger import OWN_TABLES, EffectRow, Ledger
from store.settings import Settings

#: What ``--since`` may be: a day or a moment as ISO 8601 writes it.
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class EffectsOnRecord:
    """The effects on record. Times are real ones unless it is said that they are the workflow's."""

    def __init__(self, ledger: Ledger, settings: Settings, policy: Policy) -> None:
        self.ledger = ledger
        self.settings = settings
        self._policy = policy

    def find(self, of: str = "", *, system: str = "", open: bool = False, since: str = "") -> list[EffectRow]:
        """Those of a company (by domain, host or address), of a workflow (by its id), or all; in the order in which they were begun."""
        require_system(system)
        starts = self._starts(of) if of else ()
        return [row.public() for row in self.ledger.find(starts=starts, system=system, open=open, since=read_since(since))]

    def show(self, which: str, key: str = "") -> list[EffectRow]:
        """One effect by its number; or those of a workflow's key, one for each of its lives. Raises :class:`NotFound`."""
        if key:
            found = self.ledger.find(starts=(f"{which}/",), key=key)
        elif which.isdecimal() and len(which) < 16:
            found = self.ledger.find(number=int(which))
        else:
            do = "Write NUMBER, or WORKFLOW KEY; `tenure effects list` shows both"
            raise BadInput(f"{which[:60]!r} is not the number of an effect", do)
        if not found:
            shown = f"{which[:80]} {key[:80]}".strip()
            raise NotFound(f"no effect {shown} is on record", "Look for it with `tenure effects list`")
        return [row.public() for row in found]

    def workflows(self, of: str) -> list[str]:
        """The workflows on record of a company or of one workflow. Raises :class:`NotFound`."""
        rows = self.ledger.find(starts=self._starts(of))
        if not rows:
            raise NotFound(f"nothing is on record for {of[:80]}", "Check the name with `tenure effects list`")
        return sorted({row.subject.rpartition("/")[0] for row in rows})

    def _starts(self, of: str) -> tuple[str, ...]:
        """How the subjects begin that a person means. A workflow that is on record goes before a company."""
        named = of.strip()
        if re.fullmatch(r"[\w.-]+", named) and self.ledger.find(starts=(f"{named}/",)):
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
    return datetime.now(UTC) - parse_duration(text)


def require_system(system: str) -> None:
    """Raises :class:`BadInput` for a name that is no system on record; none at all is every system."""
    require_one_of((*systems(), OWN_TABLES), system, "is no system", "system")
