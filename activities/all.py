"""Every activity that a worker runs, each with its client and the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from activities.accounts import Accounts
from activities.direct import DirectDecisions
from activities.fleet import Fleet, Tell
from activities.forecasts import Forecasts
from activities.github import GitHub
from activities.instance import Instance
from activities.ledger import Ledger
from activities.licensing import Licensing
from activities.mail import Mailer
from activities.moment import Moments
from activities.pagerduty import PagerDuty
from activities.pool import Pool
from activities.registry import Registry
from activities.salesforce import Salesforce
from activities.settings import Settings
from activities.sheets import Sheets
from activities.signup import SigningUp, SignUp
from activities.slack import Slack
from activities.vault import Vault
from activities.vitally import Vitally
from activities.warehouse import Warehouse
from domain.acts import Receipts


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
