"""``tenure workers``: which builds of the workers there are, and which one work goes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from starter.cli.base import Json, ask, console, emit, say

if TYPE_CHECKING:
    from starter.service.deployments import Build

workers = typer.Typer(help="See which builds of the workers there are, and let open workflows move to one.", no_args_is_help=True)


@workers.command("list")
def workers_list(as_json: Json = False) -> None:
    """List the builds, the newest first. Work goes to the one that is current."""
    from starter.service.deployments import builds

    found = ask(lambda tenure: builds(tenure.client))
    emit(found, as_json, lambda: _page(found))


@workers.command("promote")
def workers_promote(
    build: Annotated[str, typer.Argument(metavar="BUILD", help="A build that `tenure workers list` names.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Make a build current: new workflows start on it, and each open one moves to it with its next task."""
    from starter.service.deployments import make_current

    before = ask(lambda tenure: make_current(tenure.client, build))
    say(f"{build} is current" + (f", in place of {before}" if before and before != build else " already" if before else ""), as_json)


def _page(found: list[Build]) -> None:
    from rich.text import Text

    from starter.cli.parts import columns, when

    page = console()
    if not found:
        page.print(Text("No worker has polled as a build yet. → start one: python worker.py", style="dim"))
        return
    rows = [{"build": each.build_id, "status": each.status, "known since": when(each.known_since)} for each in found]
    page.print(columns(rows, whole=("build", "status")))
