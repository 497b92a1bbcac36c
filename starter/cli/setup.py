"""The commands about the set-up: the settings, the schedules, the builds of the workers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from starter import startup
from starter.cli import parts
from starter.cli.base import Json, ask, console, emit, say
from starter.cli.parts import columns, when
from starter.service.bootstrap import find
from starter.service.connect import named_by_environment
from starter.service.deployments import Build, builds, make_current
from starter.service.rebuild import rebuild as made_anew
from starter.service.schedules import ensure
from store import schema
from store.ledger import Ledger
from store.settings import PREFIX

PANEL = "Set-up"
workers = typer.Typer(help="See which builds of the workers there are, and let open workflows move to one.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("migrate", rich_help_panel=PANEL)(migrate)
    app.command("rebuild", rich_help_panel=PANEL)(rebuild)
    app.command("config", rich_help_panel=PANEL)(config)
    app.command("schedules", rich_help_panel=PANEL)(schedules)
    app.add_typer(workers, name="workers", rich_help_panel=PANEL)


def config(as_json: Json = False) -> None:
    """List every setting, secrets masked, with where its value is from."""
    place = find()
    rows = [
        {"name": f"{PREFIX}{origin.name.upper()}", "value": origin.value, "source": origin.source} for origin in place.settings.origins()
    ]
    if named_by_environment(os.environ):
        address, source = os.environ.get("TEMPORAL_ADDRESS", f"profile {os.environ.get('TEMPORAL_PROFILE')}"), "environment"
    elif place.stack:
        address, source = place.stack.temporal, f"the stack that runs in {place.settings.data_dir}"
    else:
        address, source = f"127.0.0.1:{place.settings.temporal_port}", "default"
    rows.append({"name": "TEMPORAL_ADDRESS", "value": address, "source": source})
    emit(rows, as_json, lambda: _settings(rows))


def migrate(as_json: Json = False) -> None:
    """Make the ledger's database, or bring an older one up to date. Run it at every deployment, before the new processes start."""
    settings = find().settings
    startup.check(settings)
    ledger = Ledger(settings.ledger_url)
    try:
        before = ledger.create()
    finally:
        ledger.close()
    done = "was up to date" if before == schema.NEWEST else f"was made or brought up to date, from version {before or 'none'}"
    emit(
        {"before": before, "now": schema.NEWEST},
        as_json,
        lambda: console().print(f"The database is of version {schema.NEWEST}; it {done}."),
    )


def rebuild(as_json: Json = False) -> None:
    """Make the lists of processes and tasks anew from what runs, and show what differed; exits with 1 when a process did not answer."""
    done = ask(made_anew)
    lines = [*done.differed, *(f"{workflow} did not answer" for workflow in done.mute)]
    lines.append(f"{done.open} processes were asked; {len(done.differed)} rows differed")
    emit(done, as_json, lambda: console().print("\n".join(lines), markup=False, soft_wrap=True))
    if done.mute:
        raise typer.Exit(1)


def schedules(as_json: Json = False) -> None:
    """Make the recurring work's Schedules, or bring them up to date with the policy. Run it at every deployment."""
    made = ask(lambda tenure: ensure(tenure.client, tenure.settings))
    emit(made, as_json, lambda: console().print("\n".join(f"{name}: {what}" for name, what in made.items()), markup=False))


@workers.command("list")
def workers_list(as_json: Json = False) -> None:
    """List the builds, the newest first. Work goes to the one that is current."""
    found = ask(lambda tenure: builds(tenure.client))
    emit(found, as_json, lambda: _builds(found))


@workers.command("promote")
def workers_promote(
    build: Annotated[str, typer.Argument(metavar="BUILD", help="A build that `tenure workers list` names.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Make a build current: new workflows start on it, and each open one moves to it with its next task."""
    before = ask(lambda tenure: make_current(tenure.client, build))
    say(f"{build} is current" + (f", in place of {before}" if before and before != build else " already" if before else ""), as_json)


def _settings(rows: Sequence[dict[str, str]]) -> None:
    """The settings, each with where it is from."""
    table = parts.table("setting", "value", "from")
    for row in rows:
        table.add_row(
            row["name"], Text(row["value"], overflow="fold"), Text(row["source"], style="dim" if row["source"] == "default" else "cyan")
        )
    console().print(table)


def _builds(found: list[Build]) -> None:
    page = console()
    if not found:
        page.print(Text("No worker has polled as a build yet. → start one: python worker.py", style="dim"))
        return
    rows = [{"build": each.build_id, "status": each.status, "known since": when(each.known_since)} for each in found]
    page.print(columns(rows, whole=("build", "status")))
