"""Every activity that a worker runs, each with its client and the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from activities.effects.batch import Moments
from activities.github import GitHub
from activities.health.hourly_run import Fleet, Tell
from activities.instance import Instance
from activities.licensing import Licensing
from activities.mail.effects import Mailer
from activities.pagerduty import PagerDuty
from activities.provenance import DirectDecisions
from activities.salesforce.effects import Salesforce
from activities.sheets import Sheets
from activities.signup import SigningUp, SignUp
from activities.slack.effects import Slack
from activities.vitally.effects import Vitally
from activities.warehouse import Warehouse
from domain.effects.models import Receipts
from store.accounts import Accounts
from store.forecasts import Forecasts
from store.instance_pool import Pool
from store.ledger import Ledger
from store.registry import Registry
from store.settings import Settings
from store.vault import Vault


@contextmanager
def activities(
    settings: Settings, ledger: Ledger, sign_up: SignUp, tell: Tell, direct: DirectDecisions
) -> Iterator[list[Callable[..., Any]]]:
    """All activities, whose clients are closed at the end; ``sign_up`` and ``tell`` are the starter's ways in."""
    vault = Vault(ledger, settings.key())
    slack = Slack.from_settings(settings, ledger)
    github = GitHub.from_settings(settings, ledger)
    salesforce = Salesforce.from_settings(settings, ledger)
    instances = Instance(settings, ledger, vault)
    licensing = Licensing(settings, ledger, vault)
    pagerduty = PagerDuty(settings, ledger)
    registry, pool, accounts = Registry(ledger), Pool(ledger), Accounts(ledger)
    mailer = Mailer(settings, ledger)
    vitally, sheets = Vitally(settings, ledger), Sheets(settings, ledger)
    fleet = Fleet(
        ledger, Warehouse.from_settings(settings), vitally.accounts, vitally.write_scores, tell, settings.account_beginnings_per_second
    )
    forecasts = Forecasts(ledger)
    systems: dict[str, Callable[[Any], Receipts]] = {
        "slack": slack.slack,
        "github": github.github,
        "salesforce": salesforce.salesforce,
        "instance": instances.instance,
        "licensing": licensing.licensing,
        "pagerduty": pagerduty.pagerduty,
        "mail": mailer.mail,
        "vitally": vitally.vitally,
        "sheets": sheets.sheets,
    }
    moments = Moments(systems)
    clients = (direct, moments, github, salesforce, instances, licensing, pagerduty, vitally, sheets)
    made: list[Callable[..., Any]] = [
        slack.slack,
        github.github,
        github.issue,
        github.runs,
        github.reopened,
        salesforce.salesforce,
        salesforce.sync_accounts,
        instances.instance,
        instances.instance_usage,
        licensing.licensing,
        pagerduty.pagerduty,
        mailer.mail,
        vitally.vitally,
        sheets.sheets,
        moments.moment,
        registry.claim,
        registry.owners,
        registry.registry,
        registry.instance_host,
        pool.pool_level,
        pool.pool_change,
        accounts.account,
        accounts.keep_renewal_row,
        fleet.copy_hand_traits,
        fleet.score_fleet,
        fleet.tell_accounts,
        fleet.write_scores,
        forecasts.owners,
        forecasts.lines,
        forecasts.take,
        SigningUp(sign_up).sign_up,
        direct.judge,
        direct.note,
    ]
    try:
        yield made
    finally:
        for client in clients:
            client.close()
