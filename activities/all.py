"""Every activity that a worker runs, each with its client and the ledger."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from activities.effects.batch import EffectBatches
from activities.effects.outside_system import systems
from activities.health.hourly_run import Fleet, Tell
from activities.provenance import DirectDecisions
from activities.signup import SigningUp, SignUp
from activities.vitally.effects import Vitally
from activities.warehouse import Warehouse
from store.accounts import Accounts
from store.forecasts import Forecasts
from store.instance_changes import Pool
from store.ledger import Ledger
from store.registry import Registry
from store.settings import Settings


@contextmanager
def activities(
    settings: Settings, ledger: Ledger, sign_up: SignUp, tell: Tell, direct: DirectDecisions
) -> Iterator[list[Callable[..., Any]]]:
    """All activities, whose clients are closed at the end; ``sign_up`` and ``tell`` are the starter's ways in."""
    made = {name: system.from_settings(settings, ledger) for name, system in systems().items()}
    vitally = made[Vitally.name]
    assert isinstance(vitally, Vitally)
    beginnings = settings.account_beginnings_per_second
    fleet = Fleet(ledger, Warehouse.from_settings(settings), vitally.accounts, vitally.write_scores, tell, beginnings)
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
