"""The command line ``tenure``. Every command takes ``--json``; exit codes: 0 done, 1 refused or not found, 2 misuse, 3 not available.

Nothing heavy is imported before a command needs it, so that ``tenure --help`` is at once there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from starter import startup
from starter.cli import access, accounts, effects, personal_data, setup, trials, workers
from starter.cli.base import report
from starter.errors import TenureError

app = typer.Typer(
    name="tenure",
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
    from starter.service.bootstrap import options_to_environment

    options_to_environment(data, port_offset)


setup.add_to(app)
trials.add_to(app)
accounts.add_to(app)
app.add_typer(workers.workers, name="workers", rich_help_panel="Set-up")
effects.add_to(app)
access.add_to(app)
personal_data.add_to(app)


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
    startup.keep_private()
    given = hoist(sys.argv[1:] if arguments is None else arguments)
    try:
        app(given, prog_name="tenure")
    except TenureError as error:
        sys.exit(report(error, "--json" in given))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if (known := startup.in_words(error)) is None:
            raise
        sys.exit(report(known, "--json" in given))
