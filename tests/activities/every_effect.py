"""One act of every kind, carried out through the activities: what the register's tests and the reconciliation's begin with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from activities.github.effects import GitHub
from activities.instance import Instance
from activities.licensing import Licensing
from activities.mail.effects import Mailer
from activities.pagerduty import PagerDuty
from activities.salesforce.effects import Salesforce
from activities.sheets import Sheets
from activities.slack.effects import Slack
from activities.vitally.effects import Vitally
from domain.effects.effect import BatchResult, EffectBatch
from domain.effects.github import CloseIssue, Comment, Dispatch, FillField, RaiseIssue
from domain.effects.instance import CreateAdmin, RemoveUser, ResetLink, SetKey
from domain.effects.licensing import IssueKey, ReissueKey
from domain.effects.mail import Mail
from domain.effects.pagerduty import Page, ResolvePage
from domain.effects.salesforce import AssignOwner, ConvertLead, KeepLead, KeepRenewal, SetAccount, SetLeadStatus, UpdateOpportunity
from domain.effects.sheets import KeepRow
from domain.effects.slack import ArchiveChannel, OpenChannel, Post
from domain.effects.vitally import CloseProject, KeepDoc, OpenProject, ScoreWrite, ScoreWrites, SetTraits
from domain.upkeep import PoolChange
from sandbox.server import SandboxServer
from store.instance_changes import Pool
from store.ledger import EffectId, Ledger
from store.settings import Settings
from store.vault import Vault

SUBJECT = "trial-acme.example/ab12cd34.0"
RENEWAL = "renewal-acme.example-2026-06-30/ab12cd34.0"
POOL = "pool-2026-03-02T09:00:00Z/ab12cd34.1"
AS_OF = datetime(2026, 3, 2, 9, tzinfo=UTC)
UNTIL = AS_OF + timedelta(days=37)
HOST = "acme.cloud.tenure.example"
EMAIL = "ada@acme.example"
CHANNEL = "cloud-trial-acme"
GIVEN: dict[str, Any] = {"subject": SUBJECT, "as_of": AS_OF}


def do_everything(settings: Settings, ledger: Ledger, sandbox: SandboxServer, only: Sequence[str] = ()) -> dict[str, BatchResult]:
    """Every act once, for one trial and its renewal, or only those of some systems; the receipts by the system."""
    vault = Vault(ledger, settings.key())
    done = {}
    for system, act in DOING.items():
        if not only or system in only or (system == "licensing" and "instance" in only):
            done[system] = act(settings, ledger, vault, sandbox)
    return done


def _slack(settings: Settings, ledger: Ledger, _vault: Vault, _sandbox: SandboxServer) -> BatchResult:
    acts = (
        OpenChannel(key="channel", name=CHANNEL, topic="Acme", invite=()),
        Post(key="hello", channel=CHANNEL, text="Hello"),
        Post(key="alert", channel="cloud-trial-alerts", text="New signup"),
        Post(key="answer", channel="cloud-trial-alerts", text="Seen", under="alert"),
        ArchiveChannel(key="archive", name=CHANNEL),
    )
    return Slack.from_settings(settings, ledger).carry_out(EffectBatch(**GIVEN, effects=acts))


def _github(settings: Settings, ledger: Ledger, _vault: Vault, _sandbox: SandboxServer) -> BatchResult:
    host = "src-1.cloud.tenure.example"
    acts = (
        RaiseIssue(key="issue", title="New", intro="", fields={"ce_email": "TODO"}, labels=()),
        FillField(key="fill", issue=1, field="ce_email", value="ce-ada@tenure.example"),
        Comment(key="comment", issue=1, text="The CE is known."),
        CloseIssue(key="close", issue=1, reason="completed", text="Done."),
    )
    run = Dispatch(key=f"warm.{host}", workflow="create-instance.yml", inputs={"host": host})
    with closing(GitHub.from_settings(settings, ledger)) as github:
        github.carry_out(EffectBatch(subject=POOL, as_of=AS_OF, effects=(run,)))
        return github.carry_out(EffectBatch(**GIVEN, effects=acts))


def _salesforce(settings: Settings, ledger: Ledger, _vault: Vault, sandbox: SandboxServer) -> BatchResult:
    org = sandbox.world.services["salesforce"].org
    account = next(record["Id"] for record in org.records["account"].values() if record["Domain__c"] == "glade.example")
    owner = str(org.find_user("ae-mira@tenure.example")["Id"])
    acts = (
        KeepLead(key="lead", email=EMAIL, first_name="Ada", last_name="L", company="Acme", domain="acme.example", source="web"),
        SetLeadStatus(key="status", status="Approved trial"),
        AssignOwner(key="owner", owner=owner, owner_name="Mira"),
        ConvertLead(key="convert", opportunity="Acme: trial"),
        UpdateOpportunity(key="stage", fields={"Trial_Stage__c": "Started"}),
        SetAccount(key="red", account=account, fields={"Customer_Health__c": "Red"}),
    )
    renewal = KeepRenewal(key="renewal", account=account, name="Glade: 2026", close_on=UNTIL.date(), amount=1_000)
    with closing(Salesforce.from_settings(settings, ledger)) as salesforce:
        salesforce.carry_out(EffectBatch(subject=RENEWAL, as_of=AS_OF, effects=(renewal,)))
        return salesforce.carry_out(EffectBatch(**GIVEN, effects=acts))


def _licensing(settings: Settings, ledger: Ledger, vault: Vault, _sandbox: SandboxServer) -> BatchResult:
    said: dict[str, Any] = {"account": "tenure-trials", "tags": ("trial",), "seats": 100, "expires_at": UNTIL}
    issued = (IssueKey(key="generic", purpose="generic", **said), IssueKey(key="key", purpose="trial", **said))
    with closing(Licensing(settings, ledger)) as licensing:
        receipts = licensing.carry_out(EffectBatch(**GIVEN, effects=issued))
        again = ReissueKey(key="renewed", subscription=receipts.of("key").ref, **said)
        licensing.carry_out(EffectBatch(**GIVEN, effects=(again,)))
        return receipts


def _instance(settings: Settings, ledger: Ledger, vault: Vault, sandbox: SandboxServer) -> BatchResult:
    sandbox.world.services["instances"].create(HOST)
    Pool(ledger).pool_change(PoolChange(subject=SUBJECT, as_of=AS_OF, host=HOST, change="ready"))
    key = ledger.receipt(EffectId(SUBJECT, "key"))
    assert key is not None
    acts = (
        CreateAdmin(key="admin", host=HOST, email=EMAIL, name="Ada"),
        ResetLink(key="link", host=HOST, email=EMAIL, ttl_hours=72),
        SetKey(key="generic-key", host=HOST),
        SetKey(key="own-key", host=HOST, vault=key.data["vault"]),
        RemoveUser(key="removed", host=HOST, email="nobody@acme.example"),
    )
    with closing(Instance(settings, ledger)) as instance:
        return instance.carry_out(EffectBatch(**GIVEN, effects=acts))


def _pagerduty(settings: Settings, ledger: Ledger, _vault: Vault, _sandbox: SandboxServer) -> BatchResult:
    with closing(PagerDuty(settings, ledger)) as pagerduty:
        return pagerduty.carry_out(
            EffectBatch(**GIVEN, effects=(Page(key="page", summary="late"), ResolvePage(key="resolve", page="page")))
        )


def _mail(settings: Settings, ledger: Ledger, _vault: Vault, _sandbox: SandboxServer) -> BatchResult:
    mail = Mail(key="mail", template="disqualified", to=EMAIL, values={"company": "Acme"})
    return Mailer(settings, ledger).carry_out(EffectBatch(**GIVEN, effects=(mail,)))


def _vitally(settings: Settings, ledger: Ledger, _vault: Vault, _sandbox: SandboxServer) -> BatchResult:
    acts = (
        SetTraits(key="traits", account="acme.example", traits={"Renewal Rating": "red"}),
        KeepDoc(key="doc", account="acme.example", doc="assessment", title="Assessment", lines=("red",)),
        OpenProject(key="project", account="acme.example", template="Account Save Plan", name="Save plan"),
        CloseProject(key="project.close", account="acme.example", project="project", why="saved"),
    )
    score = ScoreWrite(domain="acme.example", name="Acme", traits={"Health": 7})
    with closing(Vitally(settings, ledger)) as vitally:
        vitally.write_scores(ScoreWrites(subject="health-scores/ab12cd34.0", as_of=AS_OF, scores=(score,)))
        return vitally.carry_out(EffectBatch(**GIVEN, effects=acts))


def _sheets(settings: Settings, ledger: Ledger, _vault: Vault, _sandbox: SandboxServer) -> BatchResult:
    with closing(Sheets(settings, ledger)) as sheets:
        return sheets.carry_out(EffectBatch(**GIVEN, effects=(KeepRow(key="row", row="acme.example", cells={"Account": "Acme"}),)))


DOING: dict[str, Callable[[Settings, Ledger, Vault, SandboxServer], BatchResult]] = {
    "slack": _slack,
    "github": _github,
    "salesforce": _salesforce,
    "licensing": _licensing,
    "instance": _instance,
    "pagerduty": _pagerduty,
    "mail": _mail,
    "vitally": _vitally,
    "sheets": _sheets,
}
