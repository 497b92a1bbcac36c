"""The reconciliation of the ledger with the outside systems: it reads both, through the real clients, and writes nothing.

What is compared stands in :mod:`domain.effects.reconcile`; what an effect leaves behind, and what cannot be told, where its kind is declared.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime

from temporalio.exceptions import ApplicationError

from activities.asking import RetryingReader, Scope
from activities.effects.outside_system import OutsideSystem, effect_kinds, systems
from activities.errors import translating
from domain.base import Value
from domain.effects.reconcile import Begun, Claim, OnRecord, Reconciled, Thing, Unseen, reconcile
from store.effect_kinds import EffectKind, named
from store.ledger import HOLD, EffectRow, Ledger
from store.settings import Settings

Register = Mapping[tuple[str, str], EffectKind]


class Verified(Value):
    """One system's outcome, and what it took: requests and seconds."""

    outcome: Reconciled
    requests: int = 0
    seconds: float = 0.0


def known_systems() -> tuple[str, ...]:
    """The systems on record, by their names there."""
    return tuple(dict.fromkeys(kind.system for kind in effect_kinds().values()))


def verify(settings: Settings, ledger: Ledger, only: Sequence[str] = (), workflows: Sequence[str] = ()) -> list[Verified]:
    """Reconcile all systems, or these, side by side, each by its own client; of these workflows only, if any are named.

    What failed is part of a system's outcome.
    """
    register, names = effect_kinds(), tuple(only) or known_systems()
    with ExitStack() as stack:
        made = {name: stack.enter_context(closing(system.from_settings(settings, ledger))) for name, system in systems().items()}
        threads = stack.enter_context(ThreadPoolExecutor(max_workers=len(names), thread_name_prefix="verify"))
        return list(threads.map(lambda name: _verified(ledger, register, name, made.get(name), workflows), names))


def _verified(ledger: Ledger, register: Register, system: str, remote: OutsideSystem | None, workflows: Sequence[str]) -> Verified:
    began = time.monotonic()
    before = ledger.find(system=system)
    scope = _scope(register, before, workflows)
    seen: list[Thing | Unseen] = []
    requests, failed = 0, ""
    if remote is not None and (scope.whole or scope.claims):
        ask = RetryingReader(remote.error)
        try:
            with translating(remote.error):
                seen = list(remote.remote(ask, scope))
        except ApplicationError as error:
            failed = error.message
        requests = ask.requests
    now = datetime.now(UTC)
    first, after = _on_record(register, before), _on_record(register, ledger.find(system=system))
    if failed:
        # What hangs is known all the same; what is there is not.
        first, after = OnRecord(untold={failed: len(scope.claims)} if scope.claims else {}), after.model_copy(update={"claims": ()})
    elif workflows:
        mine = [row for row in before if _is_of(row, workflows)]
        first = first.model_copy(update={"untold": _on_record(register, mine).untold})
    outcome = reconcile(system, first, after, seen, at=now, hold=HOLD, workflows=workflows)
    if failed:
        outcome = outcome.model_copy(update={"failed": (failed,)})
    return Verified(outcome=outcome, requests=requests, seconds=round(time.monotonic() - began, 3))


def _is_of(row: EffectRow, workflows: Sequence[str]) -> bool:
    return any(row.subject.startswith(f"{workflow}/") for workflow in workflows)


def _scope(register: Register, rows: Sequence[EffectRow], workflows: Sequence[str]) -> Scope:
    chosen = [row for row in rows if not workflows or _is_of(row, workflows)]
    since = min((row.begun_at for row in chosen), default=None)
    return Scope(claims=_on_record(register, chosen).claims, since=since, whole=not workflows)


def _on_record(register: Register, rows: Iterable[EffectRow]) -> OnRecord:
    """What the rows say, by the register. An act that it does not know was written by another version of ours."""
    claims: list[Claim] = []
    begun: list[Begun] = []
    untold: Counter[str] = Counter()
    for row in rows:
        kind = register.get((row.system, row.act))
        if row.done_at is None:
            begun.append(
                Begun(
                    number=row.number,
                    effect=str(named(row)),
                    act=row.act,
                    begun_at=row.begun_at,
                    attempts=row.attempts,
                    held_until=row.held_until,
                    part=_part(row),
                    kinds=(kind.makes,) if kind is not None and kind.makes else (),
                    marks=((kind.makes, kind.mark(named(row))),) if kind is not None and kind.mark else (),
                )
            )
            if kind is not None and row.receipt is not None:
                claims += kind.first(row)
        elif kind is None:
            untold[f"{row.act} is not in the register of this version"] += 1
        elif kind.untold:
            untold[kind.untold] += 1
        elif found := kind.claims(row):
            claims += found
        else:
            untold["on record without an id, since there was nothing to act on"] += 1
    return OnRecord(claims=tuple(claims), begun=tuple(begun), untold=dict(untold))


def _part(row: EffectRow) -> str:
    """What the first part of an effect left behind, whose rest is not done; empty when there is none."""
    if row.receipt is None:
        return ""
    return ", ".join([*filter(None, [row.receipt.ref]), *(f"{name} {value}" for name, value in row.receipt.data.items())])
