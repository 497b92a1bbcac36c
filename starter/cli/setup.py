"""The commands about the set-up: the local stack, the demo, the policy, the settings, the schedules."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from starter.cli.base import Json, console, emit
from starter.cli.policy_adoption import adopt

policy = typer.Typer(help="Look at the policy's figures, check a policy file, move open trials to another.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("up", rich_help_panel="The local stack")(up)
    app.command("demo", rich_help_panel="The local stack")(demo)
    policy.command("adopt")(adopt)
    app.add_typer(policy, name="policy", rich_help_panel="Set-up")
    app.command("migrate", rich_help_panel="Set-up")(migrate)
    app.command("config", rich_help_panel="Set-up")(config)
    app.command("schedules", rich_help_panel="Set-up")(schedules)


def up(
    sandbox: Annotated[bool, typer.Option("--sandbox/--no-sandbox", help="Run the stand-ins for the outside systems too.")] = True,
    fleet: Annotated[int, typer.Option("--fleet", min=0, max=2_000, help="How many customers the stand-ins have.")] = 300,
    as_json: Json = False,
) -> None:
    """Start the local stack and stay until Ctrl-C: Temporal's dev server, the stand-ins, the web, one worker."""
    from starter.local import stack
    from starter.run import run_cli
    from starter.service.bootstrap import find

    raise typer.Exit(run_cli(stack.up(find().settings, with_sandbox=sandbox, fleet=fleet, as_json=as_json)))


def demo(
    renewals: Annotated[bool, typer.Option("--renewals", help="Play a quarter's renewals instead of a dozen trials.")] = False,
    as_json: Json = False,
) -> None:
    """Play a dozen companies through every case, time skipped, against the running stack or one of its own."""
    from starter.local.demo import main
    from starter.service.bootstrap import find

    raise typer.Exit(main(find(), as_json, of_renewals=renewals))


@policy.command("show")
def policy_show(
    section: Annotated[
        str, typer.Argument(metavar="[SECTION]", help="Only what begins so: trial, license.generic.", show_default=False)
    ] = "",
    file: Annotated[Path | None, typer.Option("--file", help="Another policy file.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Show every figure with its unit and its handbook id."""
    from domain import policy as figures
    from starter.cli import show_trials
    from starter.errors import BadInput, NotFound

    path = _policy_file(file)
    try:
        loaded, accounts, entries = figures.load(path), figures.load_accounts(path), figures.entries(path)
    except (figures.PolicyError, OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is no policy:\n{error}", f"Correct it; `tenure policy check {path}` tells when it is right") from None
    shown = [entry for entry in entries if entry.path == section or entry.path.startswith(f"{section}." if section else "")]
    if not shown:
        raise NotFound(
            f"the policy has no section {section[:40]!r}", f"Choose one of: {', '.join(sorted({e.path.split('.')[0] for e in entries}))}"
        )
    answer = {"file": str(path), "hash": loaded.hash, "accounts_hash": accounts.hash, "figures": shown}
    emit(answer, as_json, lambda: show_trials.policy(shown, f"trials {loaded.hash}, accounts {accounts.hash}", str(path)))


@policy.command("check")
def policy_check(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The file; the one in force when not given.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a policy file; names every wrong entry with its line, and exits with 1."""
    from domain import policy as figures

    path = _policy_file(file)
    try:
        loaded, accounts = figures.load(path), figures.load_accounts(path)
    except (figures.PolicyError, OSError, UnicodeDecodeError) as error:
        unread = f"{path}: cannot be read as text: {getattr(error, 'strerror', None) or error}"
        faults = str(error).splitlines() if isinstance(error, figures.PolicyError) else [unread]
        emit({"ok": False, "file": str(path), "errors": faults}, as_json, lambda: console().print("\n".join(faults), markup=False))
        raise typer.Exit(1) from None
    emit(
        {"ok": True, "file": str(path), "hash": loaded.hash, "accounts_hash": accounts.hash},
        as_json,
        lambda: console().print(f"{path} is right: policy of trials {loaded.hash}, of accounts {accounts.hash}", markup=False),
    )


def config(as_json: Json = False) -> None:
    """List every setting, secrets masked, with where its value is from."""
    from starter.cli import show_trials
    from starter.service.bootstrap import find
    from starter.service.connect import named_by_environment
    from store.settings import PREFIX

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
    emit(rows, as_json, lambda: show_trials.config(rows))


def migrate(as_json: Json = False) -> None:
    """Make the ledger's database, or bring an older one up to date. Run it at every deployment, before the new processes start."""
    from starter import startup
    from starter.service.bootstrap import find
    from store import schema
    from store.ledger import Ledger

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


def schedules(as_json: Json = False) -> None:
    """Make the recurring work's Schedules, or bring them up to date with the policy. Run it at every deployment."""
    from starter.cli.base import ask
    from starter.service.schedules import ensure

    made = ask(lambda tenure: ensure(tenure.client, tenure.settings))
    emit(made, as_json, lambda: console().print("\n".join(f"{name}: {what}" for name, what in made.items()), markup=False))


def _policy_file(file: Path | None) -> Path:
    from domain import policy as figures
    from starter.service.bootstrap import read_settings

    return file or read_settings().policy_file or figures.DEFAULT
