"""The web process: ``python -m starter.web --port 8080`` runs it by itself; SIGTERM and Ctrl-C end it in order, with exit code 0."""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Sequence

from starter import logs, private_files, startup
from starter.build import build_id
from starter.run import run_cli
from starter.service.bootstrap import opened, read_settings
from starter.service.commands import PATIENCE
from starter.service.kept_requests import LEDGER_PATIENCE
from starter.web import health, temporal_ui
from starter.web.app import create_app
from starter.web.control import Control, control_option
from starter.web.serving import Server, beside, config
from store.settings import Settings

#: Whoever waits for an answer when the web is stopped gets it: taken or, when no worker answers, kept.
DRAIN_SECONDS = int(PATIENCE + 3 * LEDGER_PATIENCE)


async def serve(settings: Settings, host: str, port: int, ui: tuple[str, int] | None = None, address: str = "") -> None:
    """Connect to everything and serve until a signal comes. Temporal need not be up yet: ``/readyz`` says when it is.

    ``ui`` is the address of a development server's Web UI and the port on which it is shown; ``address`` is the control port's.
    """
    control = Control(settings)
    async with control.listening(address), contextlib.AsyncExitStack() as stack:
        tenure = await stack.enter_async_context(opened(settings, lazy=True))
        server = Server(config(settings, create_app(tenure, settings), host, port, grace=DRAIN_SECONDS))
        control.begin(tenure, health.probes(tenure, settings), await asyncio.to_thread(build_id), lambda: server.should_exit)
        if ui:
            http = await stack.enter_async_context(temporal_ui.client())
            await stack.enter_async_context(beside(config(settings, temporal_ui.front(settings, ui[0], http), host, ui[1])))
        await server.serve()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the web process; returns its exit code."""
    private_files.keep_private()
    logs.set_up()
    try:
        settings = read_settings()
        parser = argparse.ArgumentParser(prog="python -m starter.web", description=(__doc__ or "").splitlines()[0])
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
        parser.add_argument("--port", type=int, default=settings.web_port, help="the port to listen on (default: %(default)s)")
        what = "a development server's Web UI, to be shown with clear text for whoever is signed in"
        parser.add_argument("--temporal-ui", metavar="URL", help=what)
        what = "the port to show it on (default: %(default)s)"
        parser.add_argument("--temporal-ui-port", type=int, default=settings.temporal_ui_port, help=what)
        control_option(parser, settings)
        given = parser.parse_args(arguments)
        startup.check(settings)
        ui = (given.temporal_ui, given.temporal_ui_port) if given.temporal_ui else None
        run_cli(serve(settings, given.host, given.port, ui, given.control))
    except Exception as error:
        known = startup.in_words(error)
        if known is None:
            raise
        sys.stderr.write(f"{known}\n")
        return known.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
