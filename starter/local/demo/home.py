"""Where the demo plays: the local stack that runs, or one of its own in a temporary directory, on ports that are free."""

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from domain import policy
from starter.errors import Refused, Unavailable
from starter.local import stack, stackfile
from starter.local.supervise import Exit, Part, Supervisor, awaited, port_is_free
from starter.service.bootstrap import Environment, read_policies, read_settings
from starter.web.health import sandbox_of
from store.settings import Settings

#: Seconds that the stack may take to stop: longer than each of its parts may.
STOP = 60.0
#: Offsets to choose from. Above them lie the ports that the kernel gives to whoever asks for any.
OFFSETS = range(1_000, 20_000)


@dataclass
class Home:
    """``own`` says whether the stack goes with the demo; with ``keep`` its directory ``data`` stays, for a look at the logs."""

    place: Environment
    data: Path
    own: bool
    keep: bool = False


@asynccontextmanager
async def at_home(place: Environment, fleet: int) -> AsyncIterator[Home]:
    """The stack to play on; one of its own has ``fleet`` customers. Raises :class:`Refused` where a demo would do harm, :class:`Unavailable` when no stack comes up."""
    if place.stack is not None:
        _require_stand_ins(place)
        yield Home(place, place.settings.data_dir, own=False)
        return
    home = Home(place, Path(tempfile.mkdtemp(prefix="tenure-demo-")), own=True)
    try:
        with _nobodys_environment(home.data, place.settings.port_offset or free_offset()):
            async with Supervisor(home.data / "logs", os.environ) as children:
                # Behind -m, for the script may stand anywhere; tied to us, so that it ends when we are killed.
                command = (sys.executable, "-m", "starter.cli", "up", "--json", "--fleet", str(fleet))
                await children.start(Part("stack", command, layer=0, grace=STOP))
                home.place = Environment(settings=read_settings(), stack=await _ready(children, home))
                yield home
    finally:
        if not home.keep:
            shutil.rmtree(home.data, ignore_errors=True)


def free_offset() -> int:
    """An offset at which every port of a stack is free now. Raises :class:`Unavailable` when there is none."""
    for _ in range(100):
        offset = OFFSETS[secrets.randbelow(len(OFFSETS))]
        if all(map(port_is_free, stack.ports(Settings(_env_file=None, port_offset=offset)).values())):
            return offset
    raise Unavailable("no free ports were found", "Name an offset whose ports are free with --port-offset")


def _require_stand_ins(place: Environment) -> None:
    """A demo writes to everybody and signs a dozen companies up: never to real systems, and only by the rules that its stories follow."""
    settings, sandbox = place.settings, sandbox_of(place.settings)
    mail = f"smtp://127.0.0.1:{settings.smtp_port}"
    real = [
        name for name in stack.OUTSIDE if not getattr(settings, name).startswith(sandbox or "nowhere") and getattr(settings, name) != mail
    ]
    if real:
        what = f"is not on stand-ins alone: {', '.join(f'TENURE_{name.upper()}' for name in real)}"
    elif read_policies(settings) != (policy.default(), policy.default_accounts()):
        what = "has a policy of its own, and the stories follow the figures of domain/policy.toml"
    else:
        return
    raise Refused(f"the stack that runs here {what}", "Let the demo start a stack of its own: name an unused directory with --data")


@contextmanager
def _nobodys_environment(data: Path, offset: int) -> Iterator[None]:
    """The environment of a laptop that was never set up: no ``TENURE_`` or ``TEMPORAL_`` variable, and no ``.env`` in the directory."""
    ours = dict(os.environ)
    kept = {name: value for name, value in ours.items() if not name.startswith(("TENURE_", "TEMPORAL_"))}
    with contextlib.chdir(data):
        try:
            os.environ.clear()
            os.environ.update(kept, TENURE_DATA_DIR=str(data), TENURE_PORT_OFFSET=str(offset), TENURE_ACCOUNT_BEGINNINGS_PER_SECOND="50")
            yield
        finally:
            os.environ.clear()
            os.environ.update(ours)


async def _ready(children: Supervisor, home: Home) -> stackfile.StackFile:
    dying = asyncio.ensure_future(children.first_exit())

    async def look() -> stackfile.StackFile | Exit | None:
        return stackfile.running(home.data) or (dying.result() if dying.done() else None)

    try:
        found: stackfile.StackFile | Exit | None = await awaited(look, stack.START)
    finally:
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
    if isinstance(found, stackfile.StackFile):
        return found
    home.keep = True
    said = "\n".join((f"{found.how}:", *found.last_words())) if found else f"is not ready after {stack.START:.0f} seconds"
    raise Unavailable(f"the demo's stack {said}", f"Look at the logs in {home.data / 'logs'}")
