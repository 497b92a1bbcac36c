"""The command line ``tenure``. Every command takes ``--json``; exit codes: 0 done, 1 refused or not found, 2 misuse, 3 not available.

A command's module is imported when the command is called, so that ``tenure --help`` is at once there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from starter import private_files
from starter.cli.lazy import Deferred, LazyGroup
from starter.errors import TenureError

TRIALS, CUSTOMERS, LOCAL, SETUP, RIGHTS = "Trials", "Customers", "The local stack", "Set-up", "Who may do what"
OPERATIONS, PERSONAL = "Operations", "Personal data"


class Program(LazyGroup):
    """Every command of the program, in the order of its help page."""

    deferred = (
        Deferred(
            "up",
            "local",
            "Start the local stack and stay until Ctrl-C: Temporal's dev server, the stand-ins, the web, one worker.",
            panel=LOCAL,
        ),
        Deferred(
            "demo",
            "local",
            "Play a dozen companies through every case, time skipped, against the running stack or one of its own.",
            panel=LOCAL,
        ),
        Deferred(
            "migrate",
            "setup",
            "Make the ledger's database, or bring an older one up to date. Run it at every deployment, before the new processes start.",
            panel=SETUP,
        ),
        Deferred(
            "rebuild",
            "setup",
            "Make the lists of processes and tasks anew from what runs, and show what differed; exits with 1 when a process did not answer.",
            panel=SETUP,
        ),
        Deferred("config", "setup", "List every setting, secrets masked, with where its value is from.", panel=SETUP),
        Deferred(
            "schedules",
            "setup",
            "Make the recurring work's Schedules, or bring them up to date with the policy. Run it at every deployment.",
            panel=SETUP,
        ),
        Deferred("signup", "trials", "Sign a company up, as the signup page does.", panel=TRIALS),
        Deferred("tasks", "trials", "List the open tasks, the earliest due first.", panel=TRIALS),
        Deferred("answer", "trials", "Answer a task; the first answer wins.", panel=TRIALS),
        Deferred("skip", "local", "Move one trial's clock on. Only the local stack's server can.", panel=LOCAL),
        Deferred(
            "forecast",
            "accounts",
            "Show a quarter's forecast of the renewals: by outcome, rating and owner, where people disagree, and what came of a closed one.",
            panel=CUSTOMERS,
        ),
        Deferred("rights", "access", "Print the table of rights, as Markdown.", panel=RIGHTS),
        Deferred(
            "forget",
            "personal_data",
            "Erase one person for good: their key, and their texts in the ledger. Nobody can bring them back.",
            panel=PERSONAL,
        ),
        Deferred(
            "whois",
            "personal_data",
            "Tell the handle under which a colleague owns workflows in Temporal, or whose a handle is.",
            panel=PERSONAL,
        ),
        Deferred("policy", "policy", "Look at the policy's figures, check a policy file, move open trials to another.", panel=SETUP),
        Deferred("trial", "trials", "Look at trials and decide about them.", panel=TRIALS),
        Deferred("account", "accounts", "Look at customers' accounts.", panel=CUSTOMERS),
        Deferred("health", "accounts", "Look at health scores and what they stand on.", panel=CUSTOMERS),
        Deferred("renewal", "accounts", "Look at renewals and decide about them.", panel=CUSTOMERS),
        Deferred("red", "accounts", "Look at red accounts, mark accounts red, and promote them again.", panel=CUSTOMERS),
        Deferred("plan", "accounts", "Look at get-well plans and write them.", panel=CUSTOMERS),
        Deferred("workers", "setup", "See which builds of the workers there are, and let open workflows move to one.", panel=SETUP),
        Deferred("effects", "effects", "Look at what was done in the world, and check that the world still says so.", panel=OPERATIONS),
        Deferred("audit", "access", "Look at who decided what and what was refused, and check that nobody touched it.", panel=RIGHTS),
        Deferred("token", "access", "Make, list and revoke the tokens of machines and persons for the API.", panel=RIGHTS),
        Deferred("keys", "personal_data", "The keys that everything is encrypted with on its way to Temporal.", panel=PERSONAL),
    )


app = typer.Typer(
    name="tenure",
    cls=Program,
    help="Run a software vendor's customer life: cloud trials from signup to end, and renewals from 120 days out.",
    epilog="--data and --port-offset may stand anywhere in a command. Exit codes: 0 done, 1 refused or not found, 2 misuse, 3 not available.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

#: Options of the whole program that people write behind the command as well: `tenure up --port-offset 10`.
_ANYWHERE = ("--data", "--port-offset")


@app.callback()
def _everywhere(
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Where state lives, and the running stack is found. [TENURE_DATA_DIR, .tenure]"),
    ] = None,
    port_offset: Annotated[
        int | None,
        typer.Option("--port-offset", metavar="N", min=0, max=50_000, help="Move every local port by N. [TENURE_PORT_OFFSET, 0]"),
    ] = None,
) -> None:
    """Let the options win over the environment, for this process and for those that it starts."""
    if data is not None:
        os.environ["TENURE_DATA_DIR"] = str(data)
    if port_offset is not None:
        os.environ["TENURE_PORT_OFFSET"] = str(port_offset)


def hoist(arguments: Sequence[str]) -> list[str]:
    """The same arguments with the program's own options moved to the front, from wherever they stand."""
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest += [argument, *waiting]
        elif argument in _ANYWHERE:
            front += [argument, *([value] if (value := next(waiting, None)) is not None else [])]
        elif argument.startswith(tuple(f"{name}=" for name in _ANYWHERE)):
            front.append(argument)
        else:
            rest.append(argument)
    return front + rest


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script."""
    private_files.keep_private()
    given = hoist(sys.argv[1:] if arguments is None else arguments)
    try:
        app(given, prog_name="tenure")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if (code := _report(error, "--json" in given)) is None:
            raise
        sys.exit(code)


def _report(error: Exception, as_json: bool) -> int | None:
    """Print an error in words and return the exit code; None when it is none that people can do something about."""
    from starter import startup
    from starter.cli.base import report

    known = error if isinstance(error, TenureError) else startup.in_words(error)
    return None if known is None else report(known, as_json)
