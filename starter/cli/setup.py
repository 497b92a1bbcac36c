"""The commands about the set-up: the settings, the schedules, the builds of the workers."""

import os
from contextlib import closing
from typing import Annotated

import typer
from rich.text import Text

from starter import startup
from starter.cli.base import Json, argument, ask, emit, say
from starter.cli.parts import dim
from starter.cli.texts import listed
from starter.service.bootstrap import find
from starter.service.connect import named_by_environment
from starter.service.deployments import builds, make_current
from starter.service.rebuild import rebuild as made_anew
from starter.service.schedules import ensure
from store import migrations
from store.ledger import Ledger
from store.settings import PREFIX

workers = typer.Typer(help="See which builds of the workers there are, and let open workflows move to one.")


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
    emit(
        rows,
        as_json,
        lambda rows: listed("settings", rows, **{"from": lambda source: Text(source, "dim" if source == "default" else "cyan")}),
    )


def migrate(as_json: Json = False) -> None:
    """Make the ledger's database, or bring an older one up to date. Run it at every deployment, before the new processes start."""
    settings = find().settings
    startup.check(settings)
    with closing(Ledger(settings.ledger_url)) as ledger:
        before = ledger.create()
    done = "was up to date" if before == migrations.NEWEST else f"was made or brought up to date, from version {before or 'none'}"
    say(f"The database is of version {migrations.NEWEST}; it {done}.", as_json, {"before": before, "now": migrations.NEWEST})


def rebuild(as_json: Json = False) -> None:
    """Make the lists of processes and tasks anew from what runs, and show what differed; exits with 1 when a process did not answer."""
    done = ask(made_anew)
    lines = [*done.differed, *(f"{workflow} did not answer" for workflow in done.mute)]
    lines.append(f"{done.open} processes were asked; {len(done.differed)} rows differed")
    say("\n".join(lines), as_json, done, unbroken=True)
    if done.mute:
        raise typer.Exit(1)


def schedules(as_json: Json = False) -> None:
    """Make the recurring work's Schedules, or bring them up to date with the policy. Run it at every deployment."""
    made = ask(lambda tenure: ensure(tenure.client, tenure.settings))
    say("\n".join(f"{name}: {what}" for name, what in made.items()), as_json, made)


@workers.command("list")
def workers_list(as_json: Json = False) -> None:
    """List the builds, the newest first. Work goes to the one that is current."""
    none = dim("No worker has polled as a build yet. → start one: python worker.py")
    emit(ask(lambda tenure: builds(tenure.client)), as_json, lambda found: listed("builds", found) if found else none)


@workers.command("promote")
def workers_promote(build: Annotated[str, argument("BUILD", "A build that `tenure workers list` names.")], as_json: Json = False) -> None:
    """Make a build current: new workflows start on it, and each open one moves to it with its next task."""
    before = ask(lambda tenure: make_current(tenure.client, build))
    say(f"{build} is current" + (f", in place of {before}" if before and before != build else " already" if before else ""), as_json)
