"""``tenure effects show`` and ``verify``: how an effect happens once, and whether the world still says what the ledger says."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from activities.effects.outside_system import effect_kinds
from activities.effects.verify import Verified
from starter.cli import parts
from starter.cli.base import By, Json, console, emit
from starter.cli.effects import Of, System, look
from starter.run import run_cli
from starter.service import reconciliation
from starter.service.authorization import operator
from store.ledger import EffectRow

MISMATCH, NOT_ASKED = 1, 2
#: A longer remote id is a name of ours, which stands beside it.
LONGEST_REF = 36


def add_to(app: typer.Typer) -> None:
    """Add these commands to the group ``effects``."""
    app.command("show")(effects_show)
    app.command("verify")(effects_verify)


def effects_show(
    which: Annotated[str, typer.Argument(metavar="NUMBER|WORKFLOW", help="The effect's number, or its workflow.", show_default=False)],
    key: Annotated[str, typer.Argument(metavar="[KEY]", help="The effect's key within the workflow.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Show all that is on record of an effect: when it was begun and done, its attempts and its receipt, and how it happens once."""
    found = look(lambda record: record.show(which, key))
    emit(found, as_json, lambda: _details(found))


def effects_verify(of: Of = "", system: System = "", by: By = "", as_json: Json = False) -> None:
    """Hold the ledger against the outside systems, both ways, and print what does not match. It changes nothing there; the audit notes who asked.

    Exit codes: 0 all matches, 1 something does not, 2 a system could not be asked.
    """
    found = look(lambda record: run_cli(reconciliation.verify(record, operator(), of, system=system, by=by)))
    emit(found, as_json, lambda: _verified(found))
    if any(one.outcome.failed for one in found):
        sys.exit(NOT_ASKED)
    if any(one.outcome.mismatches for one in found):
        sys.exit(MISMATCH)


def _details(found: Sequence[EffectRow]) -> None:
    page, register = console(), effect_kinds()
    for row in found:
        kind = register.get((row.system, row.act))
        held = f"{row.holder}, until {parts.when(row.held_until)}" if row.holder and row.held_until else ""
        receipt = row.receipt
        page.print(Text.assemble((f"{row.number}", "bold"), f"  {row.system}  {row.act}  {row.summary}"))
        page.print(
            parts.facts(
                [
                    ("workflow", row.subject.rpartition("/")[0]),
                    ("subject", row.subject),
                    ("key", row.key),
                    ("its time", parts.when(row.as_of)),
                    ("begun", parts.when(row.begun_at)),
                    ("done", parts.when(row.done_at) or Text("not known to be", style="yellow")),
                    ("attempts", str(row.attempts)),
                    ("held by", held),
                    ("remote id", receipt.ref if receipt is not None else ""),
                    *((name, value) for name, value in (receipt.data.items() if receipt is not None else ())),
                    ("asked by", kind.probe if kind is not None else ""),
                    ("once by", kind.means if kind is not None else ""),
                    ("left open", kind.window if kind is not None else ""),
                ]
            )
        )


_LOOK_AT = {"missing": "red", "changed": "yellow", "unknown": "magenta", "duplicate": "red", "hanging": "yellow"}


def _verified(found: Sequence[Verified]) -> None:
    page = console()
    mismatches = [one for system in found for one in system.outcome.mismatches]
    if mismatches:
        rows: list[dict[str, Any]] = [
            {
                "": Text(one.what, style=_LOOK_AT[one.what]),
                "system": one.system,
                "thing": f"{one.kind} {one.ref}".strip() if len(one.ref) <= LONGEST_REF else one.kind,
                "number": str(one.number or ""),
                "effect": one.effect,
                "detail": one.detail,
            }
            for one in mismatches
        ]
        page.print(parts.columns(rows, right=("number",), whole=("", "system")))
        page.print()
    summary = parts.table("system", "compared", "seen there", "mismatches", "cannot be told", "requests", "seconds")
    for one in found:
        told = one.outcome
        cells = (told.compared, told.seen, len(told.mismatches), sum(told.untold.values()), one.requests)
        summary.add_row(told.system, *map(str, cells), f"{one.seconds:.1f}")
    page.print(summary)
    for one in found:
        for why, count in one.outcome.untold.items():
            page.print(Text(f"{one.outcome.system}: {count} {why}", style="dim"), soft_wrap=True)
        for why in one.outcome.failed:
            page.print(Text.assemble((f"{one.outcome.system} could not be asked: ", "bold red"), why), soft_wrap=True)
    if not mismatches and not any(one.outcome.failed for one in found):
        page.print(Text("The ledger and the outside systems match.", style="green"))
