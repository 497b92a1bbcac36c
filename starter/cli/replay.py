"""``tenure decisions``: whether what was decided would be decided again."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from starter.cli.base import Json, emit, option, whole
from starter.service.bootstrap import find, open_ledger
from starter.service.effects import read_since
from store import decisions as on_record
from store.decisions import Replayed, Said

decisions = typer.Typer(help="Look at what was decided, and decide it again.")


@decisions.command()
def replay(
    since: Annotated[str, option("--since", "Only what was decided since: 2026-11-01, or 7d.", "D")] = "",
    workflow: Annotated[str, option("--workflow", "Only of this workflow.", "ID")] = "",
    as_json: Json = False,
) -> None:
    """Decide everything again, by today's functions, from the inputs and the policy of then; exits with 1 when anything comes out otherwise."""
    with open_ledger(find()) as ledger:
        done = on_record.replay(ledger, since=read_since(since), workflow=workflow)
    emit(done, as_json, _page)
    if done.differing:
        raise typer.Exit(1)


def _page(done: Replayed) -> Iterator[Any]:
    for each in done.differing:
        yield whole(f"{each.workflow} {each.at:%Y-%m-%d %H:%M} {each.what}")
        yield from (whole(f"  {word} {_in_words(said)}") for word, said in (("was", each.was), ("is", each.now)))
    yield f"{done.same} decisions are the same, {done.by_people} of them made by people; {len(done.differing)} differ"
    if done.without_inputs:
        yield f"{done.without_inputs} were made before inputs were kept, or their rows were made anew: nobody can decide them again"


def _in_words(said: Said) -> str:
    return ": ".join(each for each in (said.outcome, said.rule, *said.flags) if each)
