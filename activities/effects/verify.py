"""The reconciliation of the ledger with the outside systems: it reads both, through the real clients, and writes nothing.

What is compared stands in :mod:`domain.effects.reconcile`; what an effect leaves behind, and what cannot be told, in the register
(:mod:`activities.effects.registry`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from temporalio.exceptions import ApplicationError

from activities import instance
from activities.effects.kind import named
from activities.effects.registry import BY_NAME, REGISTER
from activities.errors import translating
from activities.github import GitHub
from activities.graphql import translated
from activities.instance import Instance
from activities.licensing import SYSTEM as LICENSING
from activities.licensing import Licensing
from activities.remote_listing import Ask, RetryingReader, Scope
from activities.salesforce import effects
from activities.salesforce import remote as salesforce_remote
from activities.salesforce.effects import Salesforce
from activities.sheets import Sheets
from activities.slack import effects as slack
from activities.slack import remote as slack_remote
from activities.slack.effects import Slack
from activities.vitally import client
from activities.vitally.effects import Vitally
from domain.base import Value
from domain.effects.reconcile import Begun, Claim, OnRecord, Reconciled, Thing, Unseen, reconcile
from store.effect_log import find
from store.ledger import HOLD, EffectRow, Ledger
from store.settings import Settings
from store.vault import Vault

SYSTEMS: tuple[str, ...] = tuple(dict.fromkeys(kind.system for kind in REGISTER))
Translate = Callable[[Exception], ApplicationError | None]


class Verified(Value):
    """One system's outcome, and what it took: requests and seconds."""

    outcome: Reconciled
    requests: int = 0
    seconds: float = 0.0


class _Remote(NamedTuple):
    """How a system is asked what is there."""

    show: Callable[[Ask, Scope], Iterable[Thing | Unseen]]
    translate: Translate


@contextmanager
def remotes(settings: Settings, ledger: Ledger) -> Iterator[Mapping[str, _Remote]]:
    """The systems that can be asked, each by its own client."""
    vault = Vault(ledger, settings.key())
    with ExitStack() as stack:
        github = stack.enter_context(closing(GitHub.from_settings(settings, ledger)))
        crm = stack.enter_context(closing(Salesforce.from_settings(settings, ledger)))
        instances = stack.enter_context(closing(Instance(settings, ledger, vault)))
        licensing = stack.enter_context(closing(Licensing(settings, ledger, vault)))
        vitally = stack.enter_context(closing(Vitally(settings, ledger)))
        sheets = stack.enter_context(closing(Sheets(settings, ledger)))
        yield {
            "slack": _Remote(partial(slack_remote.remote, Slack.from_settings(settings, ledger).client), slack.error_of),
            "github": _Remote(github.remote, github.error),
            "salesforce": _Remote(partial(salesforce_remote.remote, crm.crm), effects.error_of),
            "instance": _Remote(instances.remote, instance.error_of),
            "licensing": _Remote(licensing.remote, partial(translated, LICENSING)),
            "vitally": _Remote(vitally.remote, client.translated),
            "sheets": _Remote(sheets.remote, sheets.error),
        }


def verify(settings: Settings, ledger: Ledger, systems: Sequence[str] = SYSTEMS, workflows: Sequence[str] = ()) -> list[Verified]:
    """Reconcile these systems side by side; of these workflows only, if any are named. What failed is part of a system's outcome."""
    with remotes(settings, ledger) as asked, ThreadPoolExecutor(max_workers=len(SYSTEMS), thread_name_prefix="verify") as threads:
        return list(threads.map(lambda system: _verified(ledger, system, asked.get(system), workflows), systems))


def _verified(ledger: Ledger, system: str, remote: _Remote | None, workflows: Sequence[str]) -> Verified:
    began = time.monotonic()
    before = find(ledger, system=system)
    scope = _scope(before, workflows)
    seen: list[Thing | Unseen] = []
    requests, failed = 0, ""
    if remote is not None and (scope.whole or scope.claims):
        ask = RetryingReader(remote.translate)
        try:
            with translating(remote.translate):
                seen = list(remote.show(ask, scope))
        except ApplicationError as error:
            failed = error.message
        requests = ask.requests
    now = datetime.now(UTC)
    if failed:
        # What hangs is known all the same; what is there is not.
        blind = OnRecord(untold={failed: len(scope.claims)} if scope.claims else {})
        after = _on_record(find(ledger, system=system)).model_copy(update={"claims": ()})
        outcome = reconcile(system, blind, after, (), at=now, hold=HOLD, workflows=workflows)
        outcome = outcome.model_copy(update={"failed": (failed,)})
    else:
        first = _on_record(before)
        if workflows:
            mine = [row for row in before if _is_of(row, workflows)]
            first = first.model_copy(update={"untold": _on_record(mine).untold})
        outcome = reconcile(system, first, _on_record(find(ledger, system=system)), seen, at=now, hold=HOLD, workflows=workflows)
    return Verified(outcome=outcome, requests=requests, seconds=round(time.monotonic() - began, 3))


def _is_of(row: EffectRow, workflows: Sequence[str]) -> bool:
    return any(row.subject.startswith(f"{workflow}/") for workflow in workflows)


def _scope(rows: Sequence[EffectRow], workflows: Sequence[str]) -> Scope:
    chosen = [row for row in rows if not workflows or _is_of(row, workflows)]
    since = min((row.begun_at for row in chosen), default=None)
    return Scope(claims=_on_record(chosen).claims, since=since, whole=not workflows)


def _on_record(rows: Iterable[EffectRow]) -> OnRecord:
    """What the rows say, by the register. An act that it does not know was written by another version of ours."""
    claims: list[Claim] = []
    begun: list[Begun] = []
    untold: Counter[str] = Counter()
    for row in rows:
        kind = BY_NAME.get((row.system, row.act))
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
                    kinds=kind.kinds if kind is not None else (),
                    marks=kind.marks(named(row)) if kind is not None else (),
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
