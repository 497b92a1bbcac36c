"""``tenure effects show`` and ``verify``: how an effect happens once, and whether the world still says what the ledger says."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from rich.text import Text

from activities.effects.outside_system import effect_kinds
from activities.effects.verify import Verified
from activities.effects.verify import verify as compare
from domain.effects.reconcile import Mismatch
from domain.rights import Action
from starter.cli import parts
from starter.cli.base import By, Json, argument, emit, whole
from starter.cli.effects import Of, System, look
from starter.cli.texts import known, listed
from starter.run import run_cli
from starter.service.authorization import Authorization, operator
from starter.service.effects import EffectsOnRecord, require_system
from store.ledger import EffectRow

MISMATCH, NOT_ASKED = 1, 2
#: A longer remote id is a name of ours, which stands beside it.
LONGEST_REF = 36


def show(
    which: Annotated[str, argument("NUMBER|WORKFLOW", "The effect's number, or its workflow.")],
    key: Annotated[str, argument("[KEY]", "The effect's key within the workflow.")] = "",
    as_json: Json = False,
) -> None:
    """Show all that is on record of an effect: when it was begun and done, its attempts and its receipt, and how it happens once."""
    emit(look(lambda record: record.show(which, key)), as_json, _details)


def verify(of: Of = "", system: System = "", by: By = "", as_json: Json = False) -> None:
    """Hold the ledger against the outside systems, both ways, and print what does not match. It changes nothing there; the audit notes who asked.

    Exit codes: 0 all matches, 1 something does not, 2 a system could not be asked.
    """
    found = look(lambda record: run_cli(_verify(record, of, system, by)))
    emit(found, as_json, _verified)
    if any(one.outcome.failed for one in found):
        sys.exit(NOT_ASKED)
    if any(one.outcome.mismatches for one in found):
        sys.exit(MISMATCH)


async def _verify(record: EffectsOnRecord, of: str, system: str, by: str) -> list[Verified]:
    """Ask every outside system, or one, through the clients of the activities; of one company or workflow, or all. It stands on the audit."""

    def compared() -> list[Verified]:
        require_system(system)
        return compare(record.settings, record.ledger, (system,) if system else (), record.workflows(of) if of else ())

    what = " ".join(("verify effects", *filter(None, (of[:80], system))))
    authorization = Authorization(record.ledger, (record.settings.vendor_domain,))
    async with authorization.operating(operator(), Action.VERIFY_EFFECTS, by=by, what=what):
        return await asyncio.to_thread(compared)


def _details(found: Sequence[EffectRow]) -> Iterator[Any]:
    register = effect_kinds()
    for row in found:
        kind, receipt = register.get((row.system, row.act)), row.receipt
        facts = known(
            "effect",
            row,
            done=lambda row: parts.when(row.done_at) or Text("not known to be", style="yellow"),
            held=lambda row: f"{row.holder}, until {parts.when(row.held_until)}" if row.holder and row.held_until else "",
        )
        if receipt:
            facts += [("remote id", receipt.ref), *receipt.data.items()]
        if kind:
            facts += [("asked by", kind.probe), ("once by", kind.means), ("left open", kind.window)]
        yield Text.assemble((f"{row.number}", "bold"), f"  {row.system}  {row.act}  {row.summary}")
        yield parts.facts(facts)


_LOOK_AT = {"missing": "red", "changed": "yellow", "unknown": "magenta", "duplicate": "red", "hanging": "yellow"}


def _thing(one: Mismatch) -> str:
    return f"{one.kind} {one.ref}".strip() if len(one.ref) <= LONGEST_REF else one.kind


def _verified(found: Sequence[Verified]) -> Iterator[Any]:
    mismatches = [one for system in found for one in system.outcome.mismatches]
    if mismatches:
        yield listed("mismatches", mismatches, what=lambda what: Text(what, style=_LOOK_AT[what]), thing=_thing)
        yield ""
    yield listed("systems", found, total=lambda untold: str(sum(untold.values())))
    for one in found:
        yield from (whole(f"{one.outcome.system}: {count} {why}", style="dim") for why, count in one.outcome.untold.items())
        yield from (
            Text.assemble((f"{one.outcome.system} could not be asked: ", "bold red"), why, no_wrap=True) for why in one.outcome.failed
        )
    if not mismatches and not any(one.outcome.failed for one in found):
        yield Text("The ledger and the outside systems match.", style="green")
