"""The command line ``tenure``. Every command takes ``--json``; exit codes: 0 done, 1 refused or not found, 2 misuse, 3 not available.

A command's module is imported when the command is called, so that ``tenure --help`` is at once there.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from starter import private_files
from starter.cli.lazy import Deferred, LazyGroup, module

#: Every command and group of commands by its panel, in the order of the help page: the module that has it.
COMMANDS = {
    "The local stack": {"up": "local", "demo": "local", "skip": "local"},
    "Set-up": {"migrate": "setup", "rebuild": "setup", "config": "setup", "schedules": "setup", "policy": "policy", "workers": "setup"},
    "Trials": {"signup": "trials", "tasks": "trials", "answer": "trials", "trial": "trials"},
    "Customers": {
        "forecast": "accounts",
        "account": "accounts",
        "health": "accounts",
        "renewal": "accounts",
        "red": "accounts",
        "plan": "accounts",
    },
    "Who may do what": {"rights": "access", "audit": "access", "token": "access"},
    "Personal data": {"forget": "personal_data", "whois": "personal_data", "keys": "personal_data"},
    "Operations": {"effects": "effects", "decisions": "replay"},
}


class Program(LazyGroup):
    """The program's commands."""

    deferred = tuple(Deferred(name, module, panel) for panel, modules in COMMANDS.items() for name, module in modules.items())


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
        if (code := module("base").report(error, "--json" in given)) is None:
            raise
        sys.exit(code)
