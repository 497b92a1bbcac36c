"""An effect of two parts whose second is refused: the first stays on record, and is finished when somebody mended it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from sqlalchemy import update
from temporalio.exceptions import ApplicationError

from activities.effects.verify import verify
from activities.github.effects import GitHub
from activities.instance import Instance
from activities.licensing import Licensing
from activities.salesforce.effects import Salesforce
from activities.slack.effects import Slack
from activities.vitally.effects import Vitally
from domain.effects.effect import EffectBatch
from domain.effects.github import CloseIssue, RaiseIssue
from domain.effects.instance import CreateAdmin
from domain.effects.licensing import IssueKey
from domain.effects.salesforce import ConvertLead, KeepLead
from domain.effects.slack import OpenChannel
from domain.effects.vitally import KeepDoc, OpenProject
from sandbox.core import Fault
from sandbox.server import SandboxServer
from store.effect_kinds import named
from store.ledger import Ledger
from store.settings import Settings
from store.tables import effects

SUBJECT = "trial-acme.example/ab12cd34.0"
GIVEN: dict[str, Any] = {"subject": SUBJECT, "as_of": datetime(2026, 3, 2, 9, tzinfo=UTC)}
HOST = "acme.cloud.tenure.example"
SALESFORCE_REFUSES = '[{"message": "no", "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION"}]'
VITALLY_REFUSES = '{"error": "no"}'
GRAPHQL_REFUSES = '{"errors": [{"message": "no", "locations": [{"line": 1, "column": 1}]}]}'
LEAD = KeepLead(
    key="lead",
    email="ada@acme.example",
    first_name="Ada",
    last_name="L",
    company="Acme",
    domain="acme.example",
    source="Cloud trial signup",
)
KEY = IssueKey(
    key="key", account="acme", purpose="trial", tags=("trial",), seats=10, expires_at=datetime(2026, 4, 1, tzinfo=UTC) + timedelta(days=30)
)


class Case(NamedTuple):
    """An effect: its system, its key, the refusal of its second part, what is asked for before, and the asking."""

    system: str
    key: str
    refusal: Fault
    before: Callable[[], object]
    ask: Callable[[], Any]


@pytest.fixture
def cases(settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> Iterator[dict[str, Case]]:
    sandbox.world.services["instances"].create(HOST)
    slack = Slack.from_settings(settings, ledger)
    with ExitStack() as stack:
        github = stack.enter_context(closing(GitHub.from_settings(settings, ledger)))
        crm = stack.enter_context(closing(Salesforce.from_settings(settings, ledger)))
        instance = stack.enter_context(closing(Instance(settings, ledger)))
        vitally = stack.enter_context(closing(Vitally(settings, ledger)))
        licensing = stack.enter_context(closing(Licensing(settings, ledger)))

        def refusing(service: str, match: str, status: int, body: str) -> Fault:
            return Fault(service, "status", match=match, status=status, body=body)

        opened = OpenChannel(key="channel", name="cloud-trial-acme", topic="Acme", invite=())
        raised = RaiseIssue(key="issue", title="t", intro="i", fields={}, labels=())
        closed = CloseIssue(key="close", issue=1, text="Done", reason="completed")
        admin = CreateAdmin(key="admin", host=HOST, email="ada@acme.example", name="Ada", ttl_hours=72, share_ttl_hours=24)
        doc = KeepDoc(key="doc", account="acme.example", doc="plan", title="Plan", lines=("Be well",))
        project = OpenProject(key="project", account="acme.example", template="Get well", name="Get well")
        convert = ConvertLead(key="convert", opportunity="Acme")
        slack_no = '{"ok": false, "error": "too_long"}'
        yield {
            "channel": Case(
                "slack",
                "channel",
                refusing("slack", "conversations.setTopic", 200, slack_no),
                lambda: None,
                lambda: slack.carry_out(EffectBatch(**GIVEN, effects=(opened,))),
            ),
            "close": Case(
                "github",
                "close",
                refusing("github", '"state"', 422, '{"message": "Validation Failed"}'),
                lambda: github.carry_out(EffectBatch(**GIVEN, effects=(raised,))),
                lambda: github.carry_out(EffectBatch(**GIVEN, effects=(closed,))),
            ),
            "lead": Case(
                "salesforce",
                "lead",
                refusing("salesforce", "CampaignMember", 400, SALESFORCE_REFUSES),
                lambda: None,
                lambda: crm.carry_out(EffectBatch(**GIVEN, effects=(LEAD,))),
            ),
            "convert": Case(
                "salesforce",
                "convert",
                refusing("salesforce", "PATCH", 400, SALESFORCE_REFUSES),
                lambda: crm.carry_out(EffectBatch(**GIVEN, effects=(LEAD,))),
                lambda: crm.carry_out(EffectBatch(**GIVEN, effects=(convert,))),
            ),
            "admin": Case(
                "instance",
                "admin",
                refusing("instances", "MakeSiteAdmin", 200, GRAPHQL_REFUSES),
                lambda: None,
                lambda: instance.carry_out(EffectBatch(**GIVEN, effects=(admin,))),
            ),
            "key": Case(
                "licensing",
                "key",
                refusing("licensing", "generateProductLicense", 200, GRAPHQL_REFUSES),
                lambda: None,
                lambda: licensing.carry_out(EffectBatch(**GIVEN, effects=(KEY,))),
            ),
            "doc": Case(
                "vitally",
                "doc",
                refusing("vitally", "POST /vitally/resources/notes", 400, VITALLY_REFUSES),
                lambda: None,
                lambda: vitally.carry_out(EffectBatch(**GIVEN, effects=(doc,))),
            ),
            "project": Case(
                "vitally",
                "project",
                refusing("vitally", "POST /vitally/resources/projects", 400, VITALLY_REFUSES),
                lambda: sandbox.world.services["vitally"].seed({"templates": ["Get well"]}),
                lambda: vitally.carry_out(EffectBatch(**GIVEN, effects=(project,))),
            ),
        }


EVERY = ["channel", "close", "lead", "convert", "admin", "key", "doc", "project"]


@pytest.mark.parametrize("what", EVERY)
def test_the_first_part_stays_on_record_when_the_second_is_refused(
    cases: dict[str, Case], what: str, ledger: Ledger, sandbox: SandboxServer
) -> None:
    case = cases[what]
    case.before()
    before = len(sandbox.world.log.effects)
    sandbox.world.faults.append(case.refusal)
    with pytest.raises(ApplicationError) as caught:
        case.ask()
    assert caught.value.non_retryable
    assert len(sandbox.world.log.effects) > before, "its first part happened"
    (row,) = [row for row in ledger.effects(SUBJECT) if row.key == case.key]
    assert (row.done_at, row.holder) == (None, None)
    assert row.receipt is not None
    assert row.receipt.ref or row.receipt.data
    done = [effect.act for effect in sandbox.world.log.effects]
    receipt = case.ask().of(case.key)
    assert receipt.ref
    assert ledger.receipt(row_name(ledger, case.key)) == receipt
    after = [effect.act for effect in sandbox.world.log.effects]
    assert [
        act
        for act in ("account.created", "channel.created", "user.created", "subscription.created", "lead.converted", "issue.commented")
        if after.count(act) > 1
    ] == []
    assert len(after) > len(done)


@pytest.mark.parametrize("what", ["channel", "close", "admin", "doc", "project"])
def test_verify_knows_the_first_part_and_says_that_the_rest_hangs(
    cases: dict[str, Case], what: str, settings: Settings, ledger: Ledger, sandbox: SandboxServer
) -> None:
    case = cases[what]
    case.before()
    sandbox.world.faults.append(case.refusal)
    with pytest.raises(ApplicationError):
        case.ask()
    with ledger.writing() as db:  # a while ago
        db.execute(update(effects).where(effects.c.key == case.key).values(begun_at=datetime.now(UTC) - timedelta(minutes=4)))
    (verified,) = verify(settings, ledger, (case.system,))
    assert [one.what for one in verified.outcome.mismatches] == ["hanging"]
    assert "its first part is done" in verified.outcome.mismatches[0].detail


def row_name(ledger: Ledger, key: str) -> Any:
    return next(named(row) for row in ledger.effects(SUBJECT) if row.key == key)
