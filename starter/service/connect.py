"""The one way to Temporal: where it is by ``temporalio.envconfig``, how values travel by :func:`store.crypto.codec.data_converter`."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping

from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.envconfig import ClientConfig

from starter.errors import BadInput, Unavailable
from starter.service.provenance import WayIn

DEFAULT_ADDRESS = "127.0.0.1:7233"
_BETWEEN_TRIES = 0.2


async def connect(
    converter: DataConverter,
    *,
    key: Callable[[], bytes] = bytes,
    address: str = "",
    fallback: str = DEFAULT_ADDRESS,
    patience: float = 5.0,
    lazy: bool = False,
    given_up: Callable[[], bool] = lambda: False,
) -> Client:
    """A client of the server that the environment names, whose values travel by ``converter`` and whose messages are marked as ours with ``key``
    (:meth:`store.settings.Settings.way_in_key`); without one they are judged where they arrive, like anybody's.

    ``address`` takes the place of the environment altogether (the local stack knows its own server); ``fallback`` is used when the
    environment names none. The first connection is tried for ``patience`` seconds, since a stack's parts start together; ``lazy`` makes
    it at the first call instead. ``given_up`` says that nobody waits for it any more. Raises :class:`Unavailable`.
    """
    options = {"target_host": address} if address else _from_environment()
    options.setdefault("target_host", fallback)
    where = options["target_host"]
    deadline = time.monotonic() + patience
    while True:
        try:
            return await Client.connect(**options, data_converter=converter, lazy=lazy, interceptors=[WayIn(key)])
        except RuntimeError as error:  # what the SDK raises for every failed connection
            if given_up() or time.monotonic() >= deadline:
                raise Unavailable(
                    f"Temporal does not answer at {where} ({why(error)})",
                    "Start the local stack with `tenure up`, or set TEMPORAL_ADDRESS to your server",
                ) from error
            await asyncio.sleep(_BETWEEN_TRIES)
        except ValueError as error:
            raise BadInput(
                f"the address of Temporal, {where!r}, cannot be used ({_short(error)})", "Set TEMPORAL_ADDRESS to HOST:PORT"
            ) from None


def named_by_environment(environment: Mapping[str, str]) -> bool:
    """Whether the environment says which server is meant; then that one is meant, whatever runs on this machine."""
    return bool(environment.get("TEMPORAL_ADDRESS") or environment.get("TEMPORAL_PROFILE"))


def _from_environment() -> dict[str, object]:
    try:
        return dict(ClientConfig.load_client_connect_config())
    except (RuntimeError, ValueError) as error:
        raise BadInput(
            f"the settings of Temporal cannot be read ({_short(error)})", "Check TEMPORAL_* and the file TEMPORAL_CONFIG_FILE"
        ) from None


def why(error: RuntimeError) -> str:
    """What is wrong with a connection, from the SDK's error, whose text is that of nested Rust values."""
    text = str(error)
    known = re.search(r'message: "([^"]+)"', text) or re.search(r'error: "([^"]+)"', text)
    return known[1].lower() if known else _short(error)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]}…"
