"""``tenure effects``: what was done in the world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import typer
from rich.text import Text

from starter.cli import parts
from starter.cli.base import Json, console, emit
from starter.cli.lazy import Deferred, LazyGroup
from starter.service.bootstrap import find, open_ledger, read_policy
from starter.service.effects import EffectsOnRecord
from store.ledger import EffectRow

T = TypeVar("T")


class _Effects(LazyGroup):
    """``tenure effects acme.com`` lists, as ``tenure effects list acme.com`` does. The others load the clients of the outside systems."""

    deferred = (
        Deferred(
            "show",
            "reconciliation",
            "Show all that is on record of an effect: when it was begun and done, its attempts and its receipt, and how it happens once.",
        ),
        Deferred(
            "verify",
            "reconciliation",
            "Hold the ledger against the outside systems, both ways, and print what does not match. It changes nothing there; the audit notes who asked.",
        ),
    )

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, else the list."""
        return super().resolve_command(ctx, args if not args or args[0] in self.commands else ["list", *args])


effects = typer.Typer(
    help="Look at what was done in the world, and check that the world still says so.", no_args_is_help=True, cls=_Effects
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
    found = look(lambda record: record.find(of, system=system, open=open, since=since))
    emit(found, as_json, lambda: _page(found, whole=bool(of)))


def look(question: Callable[[EffectsOnRecord], T]) -> T:
    """Ask the effects on record one thing."""
    place = find()
    policy = read_policy(place.settings)
    with open_ledger(place) as ledger:
        return question(EffectsOnRecord(ledger, place.settings, policy))


# --- Pages ------------------------------------------------------------------------------------------------------------------


def _page(found: Sequence[EffectRow], whole: bool) -> None:
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
