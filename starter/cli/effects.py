"""``tenure effects``: what was done in the world."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer
from rich.text import Text

from starter.cli.base import Json, argument, emit, option
from starter.cli.lazy import Deferred, LazyGroup
from starter.cli.texts import listed
from starter.service.bootstrap import find, open_ledger, read_policies
from starter.service.effects import EffectsOnRecord
from store.ledger import EffectRow

T = TypeVar("T")


class _Effects(LazyGroup):
    """``tenure effects acme.com`` lists, as ``tenure effects list acme.com`` does. The others load the clients of the outside systems."""

    deferred = (Deferred("show", "reconciliation"), Deferred("verify", "reconciliation"))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, else the list."""
        return super().resolve_command(ctx, args if not args or args[0] in self.commands else ["list", *args])


effects = typer.Typer(cls=_Effects, help="Look at what was done in the world, and check that the world still says so.")

Of = Annotated[str, argument("[DOMAIN|WORKFLOW]", "Only of this company, or of this workflow by its id.")]
System = Annotated[str, option("--system", "Only of this system: slack, github, …")]


@effects.command("list")
def effects_list(
    of: Of = "",
    system: System = "",
    open: Annotated[bool, typer.Option("--open", help="Only what was begun and is not known to be done.")] = False,
    since: Annotated[str, option("--since", "Only what was begun since: 2026-11-01, or 7d.", "D")] = "",
    as_json: Json = False,
) -> None:
    """List what was done in the world, in the order in which it was begun."""
    found = look(lambda record: record.find(of, system=system, open=open, since=since))
    own: dict[str, Any] = {"workflow": lambda _: ""} if of and len({row.subject for row in found}) == 1 else {}
    emit(found, as_json, lambda found: listed("effects", found, done=_done, **own))


def look(question: Callable[[EffectsOnRecord], T]) -> T:
    """Ask the effects on record one thing."""
    place = find()
    policy, _ = read_policies(place.settings)
    with open_ledger(place) as ledger:
        return question(EffectsOnRecord(ledger, place.settings, policy))


def _done(row: EffectRow) -> Text | str:
    return row.summary if row.done_at else Text(f"{row.summary}: begun, not known to be done", style="yellow")
