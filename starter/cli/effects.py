"""The commands about effects: what was done in the world, and whether the world still says so."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from starter.cli.base import By, Json, console, emit

if TYPE_CHECKING:
    from activities.effects.verify import Verified
    from starter.service.effects import Effects
    from store.ledger import EffectRow

T = TypeVar("T")

MISMATCH, NOT_ASKED = 1, 2
#: A longer remote id is a name of ours, which stands beside it.
LONGEST_REF = 36


class _ListByDefault(TyperGroup):
    """``tenure effects acme.com`` lists, as ``tenure effects list acme.com`` does."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, else the list."""
        return super().resolve_command(ctx, args if not args or args[0] in self.commands else ["list", *args])


effects = typer.Typer(
    help="Look at what was done in the world, and check that the world still says so.", no_args_is_help=True, cls=_ListByDefault
)

Of = Annotated[
    str,
    typer.Argument(metavar="[DOMAIN|WORKFLOW]", help="Only of this company, or of this workflow by its id.", show_default=False),
]
System = Annotated[str, typer.Option("--system", help="Only of this system: slack, github, …", show_default=False)]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(effects, name="effects", rich_help_panel="Operations")


@effects.command("list")
def effects_list(
    of: Of = "",
    system: System = "",
    open: Annotated[bool, typer.Option("--open", help="Only what was begun and is not known to be done.")] = False,
    since: Annotated[
        str, typer.Option("--since", metavar="D", help="Only what was begun since: 2026-11-01, or 7d.", show_default=False)
    ] = "",
    as_json: Json = False,
) -> None:
    """List what was done in the world, in the order in which it was begun."""
    found = _look(lambda record: record.find(of, system=system, open=open, since=since))
    emit(found, as_json, lambda: _page(found, whole=bool(of)))


@effects.command("show")
def effects_show(
    which: Annotated[str, typer.Argument(metavar="NUMBER|WORKFLOW", help="The effect's number, or its workflow.", show_default=False)],
    key: Annotated[str, typer.Argument(metavar="[KEY]", help="The effect's key within the workflow.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Show all that is on record of an effect: when it was begun and done, its attempts and its receipt, and how it happens once."""
    found = _look(lambda record: record.show(which, key))
    emit(found, as_json, lambda: _details(found))


@effects.command("verify")
def effects_verify(of: Of = "", system: System = "", by: By = "", as_json: Json = False) -> None:
    """Hold the ledger against the outside systems, both ways, and print what does not match. It changes nothing there; the audit notes who asked.

    Exit codes: 0 all matches, 1 something does not, 2 a system could not be asked.
    """
    from starter.run import run_cli
    from starter.service.authorization import operator

    found = _look(lambda record: run_cli(record.verify_for(operator(), of, system=system, by=by)))
    emit(found, as_json, lambda: _verified(found))
    if any(one.outcome.failed for one in found):
        sys.exit(NOT_ASKED)
    if any(one.outcome.mismatches for one in found):
        sys.exit(MISMATCH)


def _look(question: Callable[[Effects], T]) -> T:
    from starter.service.bootstrap import find, open_ledger, read_policy
    from starter.service.effects import Effects

    place = find()
    policy = read_policy(place.settings)
    with open_ledger(place) as ledger:
        return question(Effects(ledger, place.settings, policy))


# --- Pages ------------------------------------------------------------------------------------------------------------------


def _page(found: Sequence[EffectRow], whole: bool) -> None:
    from rich.text import Text

    from starter.cli import parts

    if not found:
        console().print("Nothing is on record.")
        return
    rows: list[dict[str, Any]] = [
        {
            "number": str(row.number),
            "begun": f"{row.begun_at:%Y-%m-%d %H:%M}",
            "workflow": "" if whole and len({one.subject for one in found}) == 1 else row.subject.rpartition("/")[0],
            "key": row.key,
            "system": row.system,
            "what": row.act,
            "": row.summary if row.done_at else Text(f"{row.summary}: begun, not known to be done", style="yellow"),
        }
        for row in found
    ]
    console().print(parts.columns(rows, right=("number",), whole=("begun", "system"), spare=("what", "key")))


def _details(found: Sequence[EffectRow]) -> None:
    from rich.text import Text

    from activities.effects.registry import BY_NAME
    from starter.cli import parts

    page = console()
    for row in found:
        kind = BY_NAME.get((row.system, row.act))
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
    from rich.text import Text

    from starter.cli import parts

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
