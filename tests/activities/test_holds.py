"""A system that said *wait*, or that is down, is left alone by every worker; one probe finds out when it is back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.asking import asking
from activities.effects.batch import EffectBatches
from activities.errors import RateLimited, from_status, limit_wait, no_answer, refused, retry_after, unreachable, unsure
from activities.github.effects import GitHub
from activities.instance import Instance
from activities.mail.effects import Mailer
from activities.salesforce.effects import Salesforce
from activities.sheets import Sheets
from activities.slack.effects import Slack
from activities.vitally.effects import Vitally
from domain.effects.effect import EffectBatch
from domain.effects.github import AskIssue
from domain.effects.instance import CreateAdmin, ResetLink, SetKey
from domain.effects.mail import Mail
from domain.effects.sheets import KeepRow
from domain.effects.slack import Post
from domain.effects.vitally import SetTraits
from domain.messages import AskUsage
from domain.upkeep import AskRuns
from sandbox.core import Fault
from sandbox.server import SandboxServer
from store import holds as module
from store.holds import Free, Held
from store.ledger import Ledger, NotDone
from store.settings import Settings
from store.tables import holds
from store.vault import Vault
from tests.activities.holding import its_time_has_come

AS_OF = datetime(2026, 3, 2, 9, tzinfo=UTC)
LONG = 10_000
HOSTS = ("one.cloud.tenure.example", "two.cloud.tenure.example")


class Clock:
    """The real time, which a test can move for the holds."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self, _zone: object = None) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "datetime", made)
    return made


@pytest.fixture
def slack(settings: Settings, ledger: Ledger) -> Slack:
    return Slack.from_settings(settings, ledger)


def post(number: int) -> EffectBatch:
    act = Post(key="hello", channel="growth", text=f"Hello {number}")
    return EffectBatch(subject=f"trial-{number}.example/ab12cd34.0", as_of=AS_OF, effects=(act,))


def asked(fault: Fault) -> int:
    """How many requests the fault met."""
    return LONG - fault.times


def tried(slack: Slack, number: int) -> str:
    """What became of one workflow's post: done, or the type of its error."""
    try:
        slack.carry_out(post(number))
    except ApplicationError as error:
        return f"{error.type}, for good" if error.non_retryable else str(error.type)
    return "done"


def on_hold(ledger: Ledger) -> list[str]:
    with ledger.reading() as db:
        return list(db.execute(select(holds.c.system).order_by(holds.c.system)).scalars())


# --- What it said ---------------------------------------------------------------------------------------------------------------


def test_a_system_that_said_wait_is_left_alone_until_then_and_probed_once(
    slack: Slack, settings: Settings, ledger: Ledger, sandbox: SandboxServer, clock: Clock
) -> None:
    limit = Fault("slack", "rate_limit", match="chat.postMessage", times=LONG, retry_after=10)
    sandbox.world.faults.append(limit)
    assert tried(slack, 0) == "SlackRateLimited"
    other = Slack.from_settings(settings, Ledger(ledger.url))  # another worker
    assert [tried(each, number) for each in (slack, other) for number in range(1, 21)] == ["SystemHeld"] * 40
    assert asked(limit) == 1
    clock.ahead = timedelta(seconds=9)
    assert tried(other, 1) == "SystemHeld"
    clock.ahead = timedelta(seconds=10.1)
    assert tried(slack, 7) == "SlackRateLimited"  # the probe
    assert [tried(each, number) for each in (slack, other) for number in range(1, 21)] == ["SystemHeld"] * 40
    assert asked(limit) == 2
    sandbox.world.faults.clear()
    clock.ahead += timedelta(seconds=10.1)
    assert [tried(each, number) for each in (slack, other) for number in range(1, 21)] == ["done"] * 40  # 20 of them by the ledger
    assert on_hold(ledger) == []


def test_what_one_worker_is_told_the_others_keep_from_that_moment(either_ledger: Ledger) -> None:
    """Also those that have just looked and found nothing, and those that have just seen it held."""
    with closing(Ledger(either_ledger.url)) as other:
        for system in ("slack", "instance one.example"):
            assert (other.holds.enter(system), other.holds.on(system)) == (Free(), False)
            either_ledger.holds.failed(system, Free(), timedelta(seconds=60))
            assert isinstance(other.holds.enter(system), Held)
            its_time_has_come(either_ledger, system)
            assert either_ledger.holds.enter(system) == Free(probe=True)
            assert isinstance(other.holds.enter(system), Held)
            either_ledger.holds.answered(system)
            assert (other.holds.enter(system), other.holds.on(system)) == (Free(), False)


def test_what_is_done_is_done_whatever_is_held(slack: Slack, sandbox: SandboxServer) -> None:
    assert tried(slack, 1) == "done"
    sandbox.world.faults.append(Fault("slack", "rate_limit", match="chat.postMessage", retry_after=600))
    assert tried(slack, 2) == "SlackRateLimited"
    assert (tried(slack, 1), tried(slack, 3)) == ("done", "SystemHeld")


def test_a_held_act_leaves_nothing_on_record_and_says_when(slack: Slack, ledger: Ledger, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("slack", "rate_limit", match="chat.postMessage", retry_after=100))
    assert tried(slack, 1) == "SlackRateLimited"
    with pytest.raises(NotDone, match=r"slack asked us to wait: nobody asks it before .* UTC") as caught:
        slack.carry_out(post(2))
    assert caught.value.next_retry_delay is not None
    assert timedelta(seconds=98) < caught.value.next_retry_delay <= timedelta(seconds=106)
    assert ledger.effects() == []


def test_the_moment_carries_the_delay_on(slack: Slack, settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> None:
    limit = Fault("slack", "rate_limit", match="chat.postMessage", times=LONG, retry_after=10)
    sandbox.world.faults.append(limit)
    mailer = Mailer.from_settings(settings, ledger)
    batches = EffectBatches({"slack": slack, "mail": mailer})
    given: dict[str, Any] = {"subject": "trial-acme.example/ab12cd34.0", "as_of": AS_OF}
    mail = Mail(key="mail", template="disqualified", to="ada@acme.example", values={"company": "Acme"})
    asking_both = EffectBatch(**given, effects=(Post(key="hello", channel="growth", text="Hello"), mail))
    together = ActivityEnvironment().run(batches.carry_out, asking_both)
    batches.close()
    assert set(together.receipts) == {"mail"}
    assert timedelta(seconds=8) < together.not_before["slack"] - datetime.now(UTC) <= timedelta(seconds=10)
    alone = EffectBatch(**given, effects=asking_both.effects[:1], not_before=together.not_before["slack"])
    with pytest.raises(NotDone) as caught:
        slack.carry_out(alone)
    assert caught.value.next_retry_delay is not None
    assert timedelta(seconds=8) < caught.value.next_retry_delay <= timedelta(seconds=10)
    assert asked(limit) == 1


# --- What is down ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["status", "cut_before"])
def test_a_system_that_is_down_for_an_hour_is_probed_every_half_minute_whatever_waits(
    slack: Slack, sandbox: SandboxServer, ledger: Ledger, clock: Clock, kind: Any
) -> None:
    down = Fault("slack", kind, match="chat.postMessage", times=LONG)
    sandbox.world.faults.append(down)
    probes = []
    for second in range(0, 3600, 10):
        clock.ahead = timedelta(seconds=second)
        before = asked(down)
        outcomes = {tried(slack, number) for number in range(8)}
        assert outcomes <= {"SlackUnsure", "SystemHeld"}
        probes += [second] * (asked(down) - before)
    # The first is no probe: it is how one hears of it.
    assert probes[0] == 0
    assert min(late - early for early, late in pairwise(probes[1:])) >= 30
    assert len(probes) >= 100
    sandbox.world.faults.clear()
    clock.ahead += timedelta(seconds=30)
    assert {tried(slack, number) for number in range(8)} == {"done"}
    assert on_hold(ledger) == []


def test_an_answer_that_is_lost_by_itself_holds_nobody_up(slack: Slack, sandbox: SandboxServer, ledger: Ledger) -> None:
    sandbox.world.faults.append(Fault("slack", "cut_after", match="chat.postMessage"))
    assert tried(slack, 1) == "SlackUnsure"
    assert [tried(slack, number) for number in (2, 3, 1)] == ["done"] * 3
    assert on_hold(ledger) == []


def test_of_many_that_come_at_once_one_is_the_probe(either_ledger: Ledger) -> None:
    ledgers = [Ledger(either_ledger.url) for _ in range(2)]
    either_ledger.holds.failed("slack", Free(), timedelta(seconds=60))
    its_time_has_come(either_ledger, "slack")
    together = Barrier(8, timeout=60)

    def enter(number: int) -> Free | Held:
        together.wait()
        return ledgers[number % 2].holds.enter("slack")

    with ThreadPoolExecutor(8) as threads:
        entered = list(threads.map(enter, range(8)))
    assert entered.count(Free(probe=True)) == 1
    waiting = [each for each in entered if isinstance(each, Held)]
    assert len(waiting) == 7
    # What the probe finds is looked for soon.
    assert all(timedelta(seconds=1) <= each.after <= timedelta(seconds=3) for each in waiting)
    ledgers[0].holds.answered("slack")
    assert ledgers[0].holds.enter("slack") == Free()
    for ledger in ledgers:
        ledger.close()


def test_a_probe_that_asked_nothing_leaves_it_to_the_next(ledger: Ledger) -> None:
    ledger.holds.failed("slack", Free(), None)
    with pytest.raises(KeyError), asking(ledger, "slack"):
        raise KeyError("a fault of ours")
    with asking(ledger, "slack"):
        assert isinstance(ledger.holds.enter("slack"), Held)
    assert on_hold(ledger) == []


def test_a_probe_that_dies_is_followed_by_another(ledger: Ledger, clock: Clock) -> None:
    ledger.holds.failed("slack", Free(), None)
    assert ledger.holds.enter("slack") == Free(probe=True)
    clock.ahead = timedelta(seconds=29)
    assert isinstance(ledger.holds.enter("slack"), Held)
    clock.ahead = timedelta(seconds=31)
    assert ledger.holds.enter("slack") == Free(probe=True)


@pytest.mark.parametrize(("error", "kept"), [(refused("X", "no"), []), (unsure("X", "perhaps"), []), (unreachable("X", "gone"), ["slack"])])
def test_any_answer_frees_the_system(ledger: Ledger, error: ApplicationError, kept: list[str]) -> None:
    ledger.holds.failed("slack", Free(), None)
    with pytest.raises(ApplicationError), asking(ledger, "slack"):
        raise error
    assert on_hold(ledger) == kept


def test_who_asked_in_vain_comes_last_of_those_who_wait(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.holds.failed("slack", Free(), None)
    with pytest.raises(ApplicationError) as vain, asking(ledger, "slack"):
        raise no_answer("Slack", "HTTP 503")
    for chance in (0.0, 0.5, 1.0):
        monkeypatch.setattr(random, "random", lambda chance=chance: chance)
        waits = ledger.holds.enter("slack")
        assert isinstance(waits, Held)
        assert vain.value.next_retry_delay is not None
        assert timedelta(seconds=29) < waits.after <= vain.value.next_retry_delay <= timedelta(seconds=35)


def test_what_was_held_long_ago_is_forgotten(ledger: Ledger, clock: Clock) -> None:
    ledger.holds.failed("instance gone.example", Free(), None)
    clock.ahead = timedelta(days=2)
    ledger.holds.failed("slack", Free(), None)
    assert on_hold(ledger) == ["slack"]


# --- Every system, reads too ----------------------------------------------------------------------------------------------------


@pytest.fixture
def calls(settings: Settings, ledger: Ledger, vault: Vault) -> Iterator[dict[str, tuple[str, str, Callable[[int], object]]]]:
    """By what is asked: the name of the hold, the sandbox's service, and one workflow's asking."""

    def given(number: int) -> dict[str, Any]:
        return {"subject": f"trial-{number}.example/ab12cd34.0", "as_of": AS_OF}

    slack, mailer = Slack.from_settings(settings, ledger), Mailer.from_settings(settings, ledger)
    with ExitStack() as stack:
        github = stack.enter_context(closing(GitHub.from_settings(settings, ledger)))
        salesforce = stack.enter_context(closing(Salesforce.from_settings(settings, ledger)))
        instance = stack.enter_context(closing(Instance(settings, ledger)))
        vitally = stack.enter_context(closing(Vitally(settings, ledger)))
        sheets = stack.enter_context(closing(Sheets(settings, ledger)))
        admin = {"host": HOSTS[0], "email": "ada@acme.example", "ttl_hours": 72, "share_ttl_hours": 24}
        key = {"host": HOSTS[0], "vault": vault.put("license_key", "a key", None, "for a test")}
        mail = Mail(key="mail", template="disqualified", to="ada@acme.example", values={"company": "Acme"})
        held = f"instance {HOSTS[0]}"
        yield {
            "slack": ("slack", "slack", lambda n: slack.carry_out(post(n))),
            "mail": ("mail", "smtp", lambda n: mailer.carry_out(EffectBatch(**given(n), effects=(mail,)))),
            "issue": ("github", "github", lambda _: github.issue(AskIssue(issue=7))),
            "runs": ("github", "github", lambda _: github.runs(AskRuns(workflow="create.yml", requests=("a",)))),
            "sync": ("salesforce", "salesforce", lambda _: salesforce.sync_accounts()),
            "accounts": ("vitally", "vitally", lambda _: list(vitally.accounts())),
            "traits": (
                "vitally",
                "vitally",
                lambda n: vitally.carry_out(
                    EffectBatch(**given(n), effects=(SetTraits(key="t", account="acme.example", traits={"a": 1}),))
                ),
            ),
            "row": (
                "sheets",
                "sheets",
                lambda n: sheets.carry_out(
                    EffectBatch(**given(n), effects=(KeepRow(key="r", row="acme.example", cells={"Status": "Red"}),))
                ),
            ),
            "usage": (held, "instances", lambda _: instance.instance_usage(AskUsage(host=HOSTS[0], admin="a@b.example", as_of=AS_OF))),
            "admin": (
                held,
                "instances",
                lambda n: instance.carry_out(EffectBatch(**given(n), effects=(CreateAdmin(key="admin", name="Ada", **admin),))),
            ),
            "link": (
                held,
                "instances",
                lambda n: instance.carry_out(EffectBatch(**given(n), effects=(ResetLink(key="link", **admin),))),
            ),
            "key": (held, "instances", lambda n: instance.carry_out(EffectBatch(**given(n), effects=(SetKey(key="key", **key),)))),
        }


EVERY = ["slack", "mail", "issue", "runs", "sync", "accounts", "traits", "row", "usage", "admin", "link", "key"]


@pytest.mark.parametrize("what", EVERY)
def test_every_system_is_held_for_reads_and_for_writes(
    calls: dict[str, tuple[str, str, Callable[[int], object]]], what: str, ledger: Ledger, sandbox: SandboxServer
) -> None:
    held, service, call = calls[what]
    down = Fault(service, "status", times=LONG, status=451 if service == "smtp" else 503)
    sandbox.world.faults.append(down)
    for number in range(12):
        with pytest.raises(ApplicationError):
            call(number)
    assert asked(down) == 2  # how one hears of it, and the one probe
    assert on_hold(ledger) == [held]


@pytest.mark.parametrize("what", [what for what in EVERY if what != "mail"])
def test_every_system_that_said_wait_is_held(
    calls: dict[str, tuple[str, str, Callable[[int], object]]], what: str, ledger: Ledger, sandbox: SandboxServer
) -> None:
    held, service, call = calls[what]
    limit = Fault(service, "rate_limit", times=LONG, retry_after=10)
    sandbox.world.faults.append(limit)
    for number in range(12):
        with pytest.raises(NotDone):
            call(number)
    assert asked(limit) == 1
    assert on_hold(ledger) == [held]


def test_one_customers_instance_does_not_stall_the_others(settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> None:
    for host in HOSTS:
        sandbox.world.services["instances"].create(host)
    sandbox.world.faults.append(Fault("instances", "status", match=HOSTS[0], times=LONG))
    with closing(Instance(settings, ledger)) as instance:
        for _ in range(3):
            with pytest.raises(ApplicationError):
                instance.instance_usage(AskUsage(host=HOSTS[0], admin="a@b.example", as_of=AS_OF))
        assert instance.instance_usage(AskUsage(host=HOSTS[1], admin="a@b.example", as_of=AS_OF)).joiners == 0
    assert on_hold(ledger) == [f"instance {HOSTS[0]}"]


# --- How long -------------------------------------------------------------------------------------------------------------------


def test_a_limits_headers_in_every_form() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=100)
    epoch = str(int(soon.timestamp()))
    date = soon.strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert limit_wait({"Retry-After": "7", "RateLimit-Reset": "12"}) == timedelta(seconds=7)
    assert limit_wait({"retry-after": "1.5"}) == timedelta(seconds=1.5)
    assert limit_wait({"RateLimit-Reset": "12"}) == limit_wait({"X-RATELIMIT-RESET": "12"}) == timedelta(seconds=12)
    for headers in ({"Retry-After": date}, {"X-RateLimit-Reset": epoch}, {"RateLimit-Reset": epoch}):
        wait = limit_wait(headers)
        assert wait is not None
        assert timedelta(seconds=95) < wait <= timedelta(seconds=100)
    for headers in ({}, {"Retry-After": "soon"}, {"X-RateLimit-Reset": "²"}, {"RateLimit-Reset": "-3"}):
        assert limit_wait(headers) is None
    assert retry_after({"Retry-After": "Thu, 01 Jan 9999 00:00:00 GMT"}) == timedelta(days=1)


def test_a_403_whose_allowance_is_used_up_is_a_limit_and_no_credential() -> None:
    error = from_status("X", 403, "", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "90"})
    assert isinstance(error, RateLimited)
    assert error.next_retry_delay == timedelta(seconds=90)


# --- Many at once ---------------------------------------------------------------------------------------------------------------


def test_many_whose_answers_are_lost_at_once_begin_one_hold(either_ledger: Ledger) -> None:
    ledgers = [Ledger(either_ledger.url) for _ in range(4)]
    for round_ in range(20):
        system, together = f"instance {round_}.example", Barrier(8, timeout=60)

        def fail(number: int, system: str = system, together: Barrier = together) -> None:
            together.wait()
            ledgers[number % 4].holds.failed(system, Free(), timedelta(seconds=60 + number))

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(fail, range(8)))
        held = ledgers[0].holds.enter(system)
        assert isinstance(held, Held)
        assert held.until - datetime.now(UTC) > timedelta(seconds=60)
    assert len(on_hold(either_ledger)) == 20
    for ledger in ledgers:
        ledger.close()


@pytest.mark.parametrize("end", ["answered", "failed", "unused"])
def test_who_is_told_to_wait_while_another_probes_is_heard(either_ledger: Ledger, clock: Clock, end: str) -> None:
    holds_ = either_ledger.holds
    holds_.failed("slack", Free(), None)
    probe = holds_.enter("slack")
    assert probe == Free(probe=True)
    holds_.failed("slack", Free(), timedelta(seconds=20))  # it was asked before all this began; 20 s are less than a probe may take
    holds_.failed("slack", Free(), timedelta(seconds=600))
    {"answered": holds_.answered, "failed": lambda name: holds_.failed(name, Free(probe=True), None), "unused": holds_.unused}[end]("slack")
    for seconds in (0, 599):
        clock.ahead = timedelta(seconds=seconds)
        assert isinstance(holds_.enter("slack"), Held)
    clock.ahead = timedelta(seconds=601)
    assert holds_.enter("slack") == Free(probe=True)


@pytest.mark.parametrize("after", ["0", "1", "Mon, 02 Mar 2020 09:00:00 GMT"])
def test_a_system_that_is_down_and_says_come_at_once_is_probed_every_half_minute_all_the_same(
    ledger: Ledger, clock: Clock, after: str
) -> None:
    asked_at = []
    for second in range(300):
        clock.ahead = timedelta(seconds=second)
        with suppress(ApplicationError), asking(ledger, "slack"):
            asked_at.append(second)
            raise from_status("Slack", 503, "", {"Retry-After": after})
    assert len(asked_at) <= 11
