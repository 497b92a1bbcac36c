"""What the Web UI shows of a failure: the reason in our words, small enough that Temporal keeps it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime

import pytest
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter, DefaultFailureConverter
from temporalio.exceptions import ApplicationError

from activities.errors import translating, unreachable
from activities.github.effects import GitHub
from activities.instance import Instance
from activities.mail.effects import Mailer
from activities.pagerduty import PagerDuty
from activities.salesforce.effects import Salesforce
from activities.slack.effects import Slack
from domain.effects.effect import EffectBatch, Receipt
from domain.effects.github import AskIssue, RaiseIssue
from domain.effects.instance import CreateAdmin
from domain.effects.mail import Mail
from domain.effects.pagerduty import Page
from domain.effects.salesforce import KeepLead
from domain.effects.slack import Post
from domain.messages import AskUsage
from domain.upkeep import AskRuns
from store.ledger import EffectId, Ledger
from store.settings import Settings
from tests.store.test_ledger import Pager

SUBJECT = "trial-acme.com/0a1b2c3d.1"
AS_OF = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
#: The server shortens a pending activity's failure from 4 kB on, and warns from 2 kB on.
MOST_BYTES = 2_000
NOBODY = "http://127.0.0.1:9"
HOST = "acme.cloud.tenure.example"


def encoded(error: BaseException) -> Failure:
    """The failure as the worker sends it."""
    failure = Failure()
    DefaultFailureConverter().to_failure(error, DataConverter.default.payload_converter, failure)
    return failure


Call = Callable[[], object]


@pytest.fixture
def calls(settings: Settings, ledger: Ledger) -> Iterator[dict[str, Call]]:
    """An activity of each system, by what it does, where nothing listens: the discard port refuses every connection."""
    nowhere = settings.model_copy(
        update={
            "slack_url": f"{NOBODY}/api/",
            "github_url": f"{NOBODY}/api/v3",
            "salesforce_url": NOBODY,
            "instance_url": f"{NOBODY}/{{host}}",
            "pagerduty_url": NOBODY,
            "smtp_url": "smtp://127.0.0.1:9",
        }
    )
    lead = KeepLead(key="lead", email="ada@acme.com", first_name="Ada", last_name="L", company="Acme", domain="acme.com", source="trial")
    admin = CreateAdmin(key="admin", host=HOST, email="ada@acme.com", name="Ada")
    mail = Mail(key="mail", template="disqualified", to="ada@acme.com", values={"company": "Acme"})
    slack = Slack.from_settings(nowhere, ledger)
    mailer = Mailer.from_settings(nowhere, ledger)
    with ExitStack() as stack:
        github = stack.enter_context(closing(GitHub.from_settings(nowhere, ledger)))
        salesforce = stack.enter_context(closing(Salesforce.from_settings(nowhere, ledger)))
        instance = stack.enter_context(closing(Instance(nowhere, ledger)))
        pagerduty = stack.enter_context(closing(PagerDuty(nowhere, ledger)))
        of = {"subject": SUBJECT, "as_of": AS_OF}
        yield {
            "slack": lambda: slack.carry_out(EffectBatch(**of, effects=(Post(key="post", channel="trials", text="hello"),))),
            "github": lambda: github.carry_out(
                EffectBatch(**of, effects=(RaiseIssue(key="request", title="t", intro="i", fields={}, labels=()),))
            ),
            "github_issue": lambda: github.issue(AskIssue(issue=7)),
            "github_reopened": github.reopened,
            "github_runs": lambda: github.runs(AskRuns(workflow="create.yml", requests=("a",))),
            "salesforce": lambda: salesforce.carry_out(EffectBatch(**of, effects=(lead,))),
            "salesforce_accounts": salesforce.sync_accounts,
            "instance": lambda: instance.carry_out(EffectBatch(**of, effects=(admin,))),
            "instance_usage": lambda: instance.instance_usage(AskUsage(host=HOST, admin="ada@acme.com", as_of=AS_OF)),
            "pagerduty": lambda: pagerduty.carry_out(EffectBatch(**of, effects=(Page(key="page", summary="s"),))),
            "mail": lambda: mailer.carry_out(EffectBatch(**of, effects=(mail,))),
        }


@pytest.mark.parametrize(
    "what",
    [
        "slack",
        "github",
        "github_issue",
        "github_reopened",
        "github_runs",
        "salesforce",
        "salesforce_accounts",
        "instance",
        "instance_usage",
        "pagerduty",
        "mail",
    ],
)
def test_a_refused_connection_fits_into_the_web_ui(calls: dict[str, Call], what: str) -> None:
    with pytest.raises(ApplicationError, match=r"cannot be reached: .*; check its address and that it runs") as caught:
        calls[what]()
    failure = encoded(caught.value)
    assert failure.message == caught.value.message
    assert not failure.HasField("cause")
    assert failure.ByteSize() < MOST_BYTES, failure.stack_trace


def secretive() -> None:
    """Fails as a client does: with a cause, and with words that nobody should read."""
    try:
        raise ConnectionRefusedError("token=hush")
    except ConnectionRefusedError as error:
        raise OSError("password=hush") from error


def test_where_it_came_from_is_logged_once_without_the_clients_words(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    def do(_page: Page, _effect_id: EffectId) -> Receipt:
        secretive()
        return Receipt()

    batch = EffectBatch(subject=SUBJECT, as_of=AS_OF, effects=(Page(key="page", summary="s"),))
    with caplog.at_level(logging.DEBUG, logger="temporalio.activity"), pytest.raises(ApplicationError):
        Pager(ledger, do).carry_out(batch)
    (said,) = [record.getMessage() for record in caplog.records if record.name == "temporalio.activity"]
    assert said.startswith("PagerDutyRefused stands for OSError < ConnectionRefusedError\n")
    assert "in secretive" in said
    assert "=hush" not in said.replace('raise OSError("password=hush")', "")  # a line of code is shown, as it stands in the file


def test_a_fault_of_ours_keeps_its_cause() -> None:
    with pytest.raises(OSError, match="password") as caught, translating(lambda _error: None):
        secretive()
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_an_error_in_our_terms_is_not_worded_again() -> None:
    ours = unreachable("Slack", "no route")
    with pytest.raises(ApplicationError) as caught, translating(lambda _error: unreachable("Other", "")):
        raise ours
    assert caught.value is ours
