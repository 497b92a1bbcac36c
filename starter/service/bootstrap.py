"""Where a command works: the running stack of its data directory, or whatever the environment names."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from domain import policy
from domain.policy import AccountPolicy, Policy
from starter import startup
from starter.errors import BadInput, Unavailable
from starter.local import stackfile
from starter.service.connect import connect, named_by_environment
from starter.service.tenure import Tenure
from store import ledger_file
from store.crypto.codec import data_converter
from store.ledger import Ledger
from store.ledger_file import LedgerFault
from store.settings import PREFIX, Settings


@dataclass(frozen=True)
class Environment:
    """The settings in force, and the stack that runs there, if one does."""

    settings: Settings
    stack: stackfile.StackFile | None

    @property
    def cluster(self) -> str | None:
        """The id of the local stack's own server."""
        return self.stack.cluster if self.stack else None


def find(environment: Mapping[str, str] = os.environ) -> Environment:
    """Read the settings; a stack that runs on the data directory says itself how its ports are moved. Raises :class:`BadInput`."""
    settings = read_settings()
    stack = stackfile.running(settings.data_dir)
    if stack is not None and "TENURE_PORT_OFFSET" not in environment and stack.port_offset != settings.port_offset:
        settings = read_settings(port_offset=stack.port_offset)
    return Environment(settings=settings, stack=stack)


def read_settings(**fixed: int) -> Settings:
    """The settings from the environment. Raises :class:`BadInput` naming the variable that is wrong."""
    try:
        return Settings(**fixed)
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]
        name = f"{PREFIX}{str(fault['loc'][0]).upper()}" if fault["loc"] else "the settings"
        raise BadInput(f"{name}: {fault['msg']}", f"Correct {name} in the environment or in .env; `tenure config` lists all") from None


def read_policies(settings: Settings) -> tuple[Policy, AccountPolicy]:
    """The policies of trials and of accounts in force, which stand in one file. Raises :class:`BadInput` naming each wrong entry with its line."""
    path = settings.policy_file
    try:
        if path is None:
            return policy.default(), policy.default_accounts()
        return policy.load(path), policy.load_accounts(path)
    except policy.PolicyError as error:
        raise BadInput(f"the policy is wrong:\n{error}", f"Correct {path}; `tenure policy check` tells when it is right") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"the policy file {path} cannot be read ({error})", "Check TENURE_POLICY_FILE") from None


@contextmanager
def open_ledger(place: Environment) -> Iterator[Ledger]:
    """The ledger alone, to read in; Temporal need not be there. Raises :class:`Unavailable` when there is none, or it does not answer."""
    startup.check(place.settings)
    _require_ledger(place.settings)
    ledger = Ledger(place.settings.ledger_url)
    try:
        yield ledger
    except SQLAlchemyError as error:
        raise startup.in_words(error, place.settings) or error from error
    finally:
        ledger.close()


def _require_ledger(settings: Settings) -> None:
    path = ledger_file.path_of(settings.ledger_url)
    if path is not None and ledger_file.is_missing(path):
        raise Unavailable(f"there is no ledger at {path}", "Name the directory of the stack with --data, or set TENURE_LEDGER_URL")


@asynccontextmanager
async def open_tenure(place: Environment, *, offline: bool = False, existing: bool = False) -> AsyncIterator[Tenure]:
    """The service for a command; ``offline``: connected to the ledger alone, to the server at the first use; ``existing``: which must be there already.

    Raises :class:`Unavailable` when the server or the ledger cannot be reached, or cannot be used.
    """
    startup.check(place.settings)
    if existing:
        _require_ledger(place.settings)
    own = place.stack.temporal if place.stack and not named_by_environment(os.environ) else ""
    try:
        async with opened(place.settings, address=own, patience=1.0, lazy=offline) as tenure:
            yield tenure
    except (SQLAlchemyError, LedgerFault) as error:
        raise startup.in_words(error, place.settings) or error from error


@asynccontextmanager
async def opened(settings: Settings, **how: Any) -> AsyncIterator[Tenure]:
    """The service on the ledger of the settings and on the server that :func:`connect` finds (``how``)."""
    policy, _ = read_policies(settings)
    ledger = Ledger(settings.ledger_url, probe=timedelta(seconds=settings.outage_probe_seconds))
    try:
        # The server first: without one there is nothing to look up, and no empty ledger is left behind in a wrong directory.
        fallback = f"127.0.0.1:{settings.temporal_port}"
        client = await connect(data_converter(settings, ledger), key=settings.way_in_key, fallback=fallback, **how)
        await asyncio.to_thread(ledger.check)
        yield Tenure(client, ledger, settings, policy)
    finally:
        await asyncio.to_thread(ledger.close)
