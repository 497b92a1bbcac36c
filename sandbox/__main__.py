"""``python -m sandbox``: run the stand-ins until SIGTERM or SIGINT, then exit with 0.

Each option has an environment variable of the same name (``SANDBOX_PORT`` for ``--port``); the option wins.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from sandbox import fleet
from sandbox.core import Mode, World
from sandbox.server import bind, serve
from sandbox.state import Keeper

#: The SMTP port's distance from the HTTP port, when it is not given.
SMTP_OFFSET = 25


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    """Read the options; exits with 2 and a message on wrong ones."""
    about = "Stand-ins for the outside systems, on one HTTP and one SMTP port."
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=about)

    def option(name: str, default: str | None, about: str, kind: Callable[[str], object] = str) -> None:
        variable = "SANDBOX_" + name.replace("-", "_").upper()
        parser.add_argument(f"--{name}", type=kind, default=environment.get(variable, default), help=f"{about} [{variable}]")

    option("host", "127.0.0.1", "address to listen on (%(default)s)")
    option("port", "8900", "HTTP port (%(default)s); 0 for any free one", int)
    option("smtp-port", None, f"SMTP port (the HTTP port + {SMTP_OFFSET}); 0 for any free one", int)
    option("webhook-url", "", "where GitHub's webhooks are sent")
    option("webhook-secret", "", "what signs them")
    option("slack-token", "", "the token that Slack takes (the sandbox's own)")
    option("slack-request-url", "", "where Slack sends what people do")
    option("slack-signing-secret", "", "what signs it")
    option("github-token", "", "the token that GitHub takes (the sandbox's own)")
    option("browser-url", "", "where a browser finds the sandbox, when that is elsewhere than for programs")
    option("hosts", "", "further names that it answers to, with commas between; this machine's own always count")
    option("state", "", "file that keeps what the services hold over a restart (nothing is kept)")
    option("cloud", "off", "how the scripted Cloud team begins: off or auto; what the state file says of it goes before", _mode)
    option("cloud-delay", "0.2", "seconds until it acts in auto (%(default)s)", float)
    option("fleet", "0", "how many invented customers there are, beside what the state file holds of them (%(default)s)", _customers)
    option("warehouse", "", "DuckDB file with the customers' usage, written at the start unless it reaches up to yesterday (none)")
    options = parser.parse_args(arguments)
    if options.smtp_port is None:
        options.smtp_port = options.port + SMTP_OFFSET if options.port else 0
    return options


def _mode(text: str) -> Mode:
    if text not in get_args(Mode):
        raise argparse.ArgumentTypeError(f"{text!r} is neither off nor auto")
    return "auto" if text == "auto" else "off"


def _customers(text: str) -> int:
    if not text.isdecimal() or int(text) > fleet.MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {fleet.MOST}")
    return int(text)


def settle(world: World, count: int, warehouse: str) -> None:
    """Make the fleet's customers known to the services, now and after every reset, and to the warehouse. OSError when it cannot be written."""
    today = datetime.now(UTC).date()
    founded = fleet.founded(world) or today
    fleet.seed(world, count, today, file=Path(warehouse) if warehouse else None)

    def again() -> None:
        fleet.seed(world, count, founded)

    world.resets.append(again)


async def run(options: argparse.Namespace) -> int:
    """Serve until a signal comes; returns the exit code."""
    world = World(webhook_url=options.webhook_url, cloud_mode=options.cloud, cloud_delay_seconds=options.cloud_delay)
    world.browser_url = options.browser_url
    world.hosts = tuple(filter(None, options.hosts.replace(" ", "").lower().split(",")))
    world.webhook_secret = options.webhook_secret or world.webhook_secret
    world.slack_token = options.slack_token or world.slack_token
    world.slack_request_url = options.slack_request_url
    world.slack_signing_secret = options.slack_signing_secret or world.slack_signing_secret
    world.github_token = options.github_token or world.github_token
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        http = bind(options.host, options.port)
        smtp = bind(options.host, options.smtp_port)
    except OSError as error:
        say(f"cannot listen on {options.host}:{options.port} and :{options.smtp_port}: {error}; choose others with --port and --smtp-port")
        return 1
    keeper = Keeper(world, Path(options.state), say) if options.state else None
    failed = False

    def ready() -> None:
        nonlocal failed
        try:
            # before the first request is answered: the loop does nothing else meanwhile
            settle(world, options.fleet, options.warehouse)
        except OSError as error:
            say(f"cannot write the warehouse {options.warehouse}: {error}; choose another file with --warehouse")
            failed = True
            stop.set()
            return
        say(f"sandbox on {world.public_url}, mail on {options.host}:{world.smtp_port}")

    await serve(world, http, smtp, stop, ready, keeper)
    return 1 if failed else 0


def say(line: str) -> None:
    """Write one line for the person who started this."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main() -> int:
    """Run the command line. What it keeps, mails and keys among it, is for its owner alone."""
    os.umask(0o077)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    return asyncio.run(run(parse(sys.argv[1:], os.environ)))


if __name__ == "__main__":
    sys.exit(main())
