"""Every activity that a worker runs, each with its client and the ledger; what needs the starter is handed in, since activities import none."""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from temporalio import activity

from activities.effects.batch import EffectBatches
from activities.effects.outside_system import systems
from activities.health.hourly_run import Fleet, Tell
from activities.provenance import DirectDecisions
from activities.vitally.effects import Vitally
from activities.warehouse import Warehouse
from domain.messages import SignupAgain, SignupAnswer
from store.accounts import Accounts
from store.forecasts import Forecasts
from store.instance_changes import Pool
from store.ledger import Ledger
from store.registry import Registry
from store.settings import Settings

SignUp = Callable[[SignupAgain], Awaitable[SignupAnswer]]


class SigningUp:
    """Signing somebody up on their behalf (A21, and the free-mail signups of A3): by the starter's service, as the form does."""

    def __init__(self, sign_up: SignUp) -> None:
        self._sign_up = sign_up

    @activity.defn(name="sign_up")
    async def sign_up(self, again: SignupAgain) -> SignupAnswer:
        """Sign up. Safe to repeat: ``event`` is the update's id, so that it is one signup."""
        return await self._sign_up(again)


@contextmanager
def activities(
    settings: Settings, ledger: Ledger, sign_up: SignUp, tell: Tell, direct: DirectDecisions
) -> Iterator[list[Callable[..., Any]]]:
    """All activities, whose clients are closed at the end; ``sign_up`` and ``tell`` are the starter's ways in."""
    made = {name: system.from_settings(settings, ledger) for name, system in systems().items()}
    vitally = made[Vitally.name]
    assert isinstance(vitally, Vitally)
    beginnings = settings.account_beginnings_per_second
    fleet = Fleet(ledger, Warehouse(settings.warehouse_url), vitally.accounts, vitally.write_scores, tell, beginnings)
    batches = EffectBatches(made)
    ours = (Registry(ledger), Pool(ledger), Accounts(ledger), Forecasts(ledger), fleet, SigningUp(sign_up), direct)
    try:
        yield [*batches.activities(), *(each for owner in (*made.values(), *ours) for each in _defined(owner))]
    finally:
        direct.close()
        batches.close()
        for system in made.values():
            system.close()


def _defined(owner: object) -> Iterator[Callable[..., Any]]:
    """The activities among the methods of an object."""
    for name, method in inspect.getmembers(type(owner), inspect.isfunction):
        if hasattr(method, "__temporal_activity_definition"):
            yield getattr(owner, name)
