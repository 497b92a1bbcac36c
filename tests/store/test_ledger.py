"""An effect happens once: whatever attempt dies where, and however many are at it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, insert, select, update
from temporalio.exceptions import ApplicationError

from activities.effects.outside_system import OutsideSystem, carries_out
from activities.errors import from_status, limited, refused, retry_after, unsure
from domain.effects.effect import EffectBatch, Receipt
from domain.effects.pagerduty import Page
from store import ledger as ledger_module
from store.database import AsJson
from store.holds import Free
from store.ledger import SETTLE, EffectBusy, EffectId, Ledger, NotDone
from store.settings import Settings
from store.tables import assignments, effects
from tests.processes import finished, forked

AS_OF = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EFFECT = EffectId("trial-acme.com/0a1b2c3d.1", "page-cloud")


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    return either_ledger


class Remote:
    """A system outside that does what it is asked, each time; ``fail`` makes the next act fail before or after."""

    def __init__(self) -> None:
        self.acts: list[str] = []
        self.probes = 0
        self.before: Exception | None = None
        self.after: Exception | None = None
        self.probing: Exception | None = None

    def do(self) -> Receipt:
        before, self.before = self.before, None
        if before:
            raise before
        self.acts.append("acted")
        after, self.after = self.after, None
        if after:
            raise after
        return Receipt(ref=f"id-{len(self.acts)}", data={"by": "do"})

    def probe(self) -> Receipt | None:
        self.probes += 1
        probing, self.probing = self.probing, None
        if probing:
            raise probing
        return Receipt(ref=f"id-{len(self.acts)}", data={"by": "probe"}) if self.acts else None


def once(
    ledger: Ledger, remote: Remote, effect: EffectId = EFFECT, as_of: datetime = AS_OF, do: Callable[[], Receipt] | None = None
) -> Receipt:
    return ledger.once(effect, system="slack", act="message.posted", summary="hello", as_of=as_of, do=do or remote.do, probe=remote.probe)


def test_done_is_done(ledger: Ledger) -> None:
    remote = Remote()
    first = once(ledger, remote)
    assert once(ledger, remote) == first == Receipt(ref="id-1", data={"by": "do"})
    assert (len(remote.acts), remote.probes) == (1, 0)
    [row] = ledger.effects()
    assert (row.subject, row.key, row.system, row.act, row.summary, row.as_of, row.attempts) == (
        *EFFECT,
        "slack",
        "message.posted",
        "hello",
        AS_OF,
        1,
    )
    assert row.receipt == first
    assert row.done_at is not None
    assert row.begun_at <= row.done_at <= datetime.now(UTC)


def test_a_lost_answer_is_asked_for_not_repeated(ledger: Ledger) -> None:
    remote = Remote()
    remote.after = unsure("Slack", "connection lost")
    with pytest.raises(ApplicationError, match="may or may not have acted"):
        once(ledger, remote)
    assert ledger.receipt(EFFECT) is None
    assert ledger.effects()[0].done_at is None
    assert once(ledger, remote).data == {"by": "probe"}
    assert (len(remote.acts), remote.probes) == (1, 1)
    assert ledger.effects()[0].attempts == 2


def test_when_the_remote_side_says_no_it_is_done_then(ledger: Ledger) -> None:
    remote = Remote()
    remote.before = RuntimeError("who knows")
    with pytest.raises(RuntimeError, match="who knows"):
        once(ledger, remote)
    assert once(ledger, remote).data == {"by": "do"}
    assert (len(remote.acts), remote.probes) == (1, 1)


def test_what_certainly_did_not_happen_needs_no_question(ledger: Ledger) -> None:
    remote = Remote()
    remote.before = limited("Slack", "slow down", timedelta(seconds=7))
    with pytest.raises(NotDone):
        once(ledger, remote)
    assert ledger.effects() == []
    assert once(ledger, remote).data == {"by": "do"}
    assert remote.probes == 0


def test_a_refusal_does_not_hide_an_earlier_attempt_that_may_have_acted(ledger: Ledger) -> None:
    remote = Remote()
    remote.after = unsure("Slack", "connection lost")
    with pytest.raises(ApplicationError):
        once(ledger, remote)
    hidden, remote.acts = remote.acts, []  # the remote side's search lags: the probe does not see it yet
    remote.before = limited("Slack", "slow down")
    with pytest.raises(NotDone):
        once(ledger, remote)
    remote.acts = hidden
    assert once(ledger, remote).data == {"by": "probe"}
    assert len(remote.acts) == 1


def test_a_probe_that_fails_acts_on_nothing(ledger: Ledger) -> None:
    remote = Remote()
    remote.after = unsure("Slack", "connection lost")
    with pytest.raises(ApplicationError):
        once(ledger, remote)
    remote.probing = limited("Slack", "slow down")
    with pytest.raises(NotDone):
        once(ledger, remote)
    assert once(ledger, remote).data == {"by": "probe"}
    assert len(remote.acts) == 1


def test_two_attempts_at_once_act_once(ledger: Ledger) -> None:
    remote = Remote()
    inside, go_on = threading.Event(), threading.Event()

    def slow() -> Receipt:
        inside.set()
        assert go_on.wait(60)
        return remote.do()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(lambda: once(ledger, remote, do=slow))
        assert inside.wait(60)
        with pytest.raises(EffectBusy, match="under way") as busy:
            once(ledger, remote)
        assert busy.value.next_retry_delay is not None
        assert busy.value.next_retry_delay <= ledger_module.BUSY_RETRY
        assert not busy.value.non_retryable
        go_on.set()
        receipt = first.result()
    assert once(ledger, remote) == receipt
    assert (len(remote.acts), remote.probes) == (1, 0)


class Workspace(OutsideSystem):
    """A system whose effects are the test's."""

    name = "slack"

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def error(self, error: Exception) -> ApplicationError | None:
        return None


def posted(ledger: Ledger, remote: Remote, effect: EffectId = EFFECT) -> Receipt:
    return Workspace(ledger).once(effect, remote.do, remote.probe, act="message.posted", summary="hello", as_of=AS_OF)


def test_an_effect_costs_two_statements_each_a_transaction_of_its_own(ledger: Ledger) -> None:
    remote, said = Remote(), list[str]()
    posted(ledger, remote, EffectId("trial-x/1.1", "before"))  # what the first connection costs is not counted
    event.listen(ledger.engine, "before_cursor_execute", lambda *about: said.append(about[2].split()[0]))
    posted(ledger, remote)
    assert said == ["INSERT", "UPDATE"]
    [_, row] = ledger.effects()
    assert (row.attempts, row.holder, row.receipt) == (1, None, Receipt(ref="id-2", data={"by": "do"}))


def test_a_held_system_is_not_begun_and_what_is_done_is_answered(ledger: Ledger) -> None:
    remote = Remote()
    done = posted(ledger, remote)
    ledger.holds.failed("slack", Free(), timedelta(minutes=1))
    assert posted(ledger, remote) == done
    with pytest.raises(NotDone, match="nothing was done"):
        posted(ledger, remote, EffectId(EFFECT.subject, "next"))
    assert [row.key for row in ledger.effects()] == [EFFECT.key]
    assert len(remote.acts) == 1


def test_a_text_that_is_json_already_is_not_made_json_again(ledger: Ledger) -> None:
    given = {"text": AsJson('{"a": ["ä", 1]}'), "plain": {"a": ["ä", 1]}}
    with ledger.writing() as db:
        db.execute(insert(assignments), [{"subject": name, "owners": value, "as_of": AS_OF} for name, value in given.items()])
    with ledger.reading() as db:
        assert [row.owners for row in db.execute(select(assignments))] == [{"a": ["ä", 1]}] * 2


def test_many_threads_many_effects(ledger: Ledger) -> None:
    remote = Remote()

    def attempt(number: int) -> str:
        try:
            return once(ledger, remote, EffectId("trial-x/1.1", f"k{number % 25}")).data["by"]
        except EffectBusy:
            return "busy"

    with ThreadPoolExecutor(16) as pool:
        said = list(pool.map(attempt, range(200)))
    assert len(remote.acts) == 25
    assert "do" in said
    assert remote.probes == 0
    assert all(row.done_at for row in ledger.effects())


def die_holding(url: str) -> None:
    """Begin the effect and end without a word, as a killed worker does."""
    Ledger(url)._begin(EFFECT, "slack", "message.posted", "hello", AS_OF)


def test_a_dead_worker_holds_nothing_once_what_it_had_sent_has_arrived(ledger: Ledger) -> None:
    process = forked().Process(target=die_holding, args=(ledger.url,))
    process.start()
    assert finished(process) == 0
    remote = Remote()
    for _ in range(2):
        with pytest.raises(EffectBusy) as busy:
            once(ledger, remote)
        assert busy.value.next_retry_delay is not None
        assert busy.value.next_retry_delay <= SETTLE
    assert remote.probes == 0  # what it had sent may not be there yet
    with ledger.writing() as db:
        db.execute(update(effects).values(held_until=effects.c.begun_at))  # the moment is over
    assert once(ledger, remote).data == {"by": "do"}
    assert remote.probes == 1  # it may have acted


def test_a_hung_attempt_holds_for_a_time(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_hold", timedelta(0))
    remote = Remote()

    def takes_too_long() -> Receipt:
        assert once(ledger, remote).data == {"by": "do"}  # another attempt, once the hold has run out
        raise limited("Slack", "too late")

    with pytest.raises(NotDone):
        once(ledger, remote, do=takes_too_long)
    assert once(ledger, remote).ref == "id-1"  # what the other recorded stands


def test_a_restarted_container_is_not_its_predecessor(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger._begin(EFFECT, "slack", "message.posted", "hello", AS_OF)
    with pytest.raises(EffectBusy):
        once(ledger, Remote())
    monkeypatch.setattr(ledger, "settle", timedelta())
    monkeypatch.setattr("store.database._LIFE", "another0")  # the same host and process number, another life
    assert once(ledger, Remote()).data == {"by": "do"}


def test_a_holder_on_another_machine_is_believed(ledger: Ledger) -> None:
    ledger._begin(EFFECT, "slack", "message.posted", "hello", AS_OF)
    with ledger.writing() as db:
        db.execute(update(effects).values(holder="elsewhere:1:abcdefgh"))
    with pytest.raises(EffectBusy):
        once(ledger, Remote())


def test_effects_are_listed_in_the_workflows_time(ledger: Ledger) -> None:
    remote = Remote()
    for workflow, key, hours in (("trial-b_c.com", "late", 5), ("trial-b_c.com", "early", 1), ("trial-bxc.com", "other", 3)):
        once(ledger, remote, EffectId(f"{workflow}/12345678.1", key), AS_OF + timedelta(hours=hours))
    assert [row.key for row in ledger.effects()] == ["early", "other", "late"]
    assert [row.key for row in ledger.effects(workflow="trial-b_c.com")] == ["early", "late"]  # _ is no wildcard
    assert [row.key for row in ledger.effects(subject_prefix="trial-bxc.com/1234")] == ["other"]
    assert ledger.effects(workflow="trial-b") == []


def test_times_come_back_as_they_were(ledger: Ledger) -> None:
    once(ledger, Remote(), as_of=datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=ZoneInfo("Europe/Berlin")))
    assert ledger.effects()[0].as_of == datetime(2026, 7, 1, 10, 0, 0, 123456, tzinfo=UTC)
    with pytest.raises(Exception, match="no time zone"):
        once(ledger, Remote(), EffectId("a", "b"), as_of=datetime(2026, 7, 1))


def create(url: str) -> None:
    ledger = Ledger(url)
    ledger.create()
    ledger.create()
    ledger.close()


def test_many_processes_may_create_it_at_once(ledger: Ledger, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'ledger.db'}"
    if ledger.engine.dialect.name == "postgresql":
        url = ledger.url
        with ledger.writing() as db:
            db.exec_driver_sql("DROP SCHEMA public CASCADE")
            db.exec_driver_sql("CREATE SCHEMA public")
    processes = [forked().Process(target=create, args=(url,)) for _ in range(4)]
    for process in processes:
        process.start()
    assert [finished(process) for process in processes] == [0, 0, 0, 0]
    made = Ledger(url)
    assert made.effects() == []
    made.close()


def test_a_file_lets_readers_read_beside_the_writer(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.create()
    with ledger.reading() as db, ledger.writing() as writer:
        writer.execute(effects.delete())
        assert ledger.effects() == []
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert db.exec_driver_sql("PRAGMA synchronous").scalar() == 1
        assert db.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000
    ledger.close()


# --- Batches ------------------------------------------------------------------------------------------------------------------


def pages(*keys: str) -> EffectBatch:
    return EffectBatch(subject="trial-acme.com/0a1b2c3d.1", as_of=AS_OF, effects=tuple(Page(key=key, summary=key) for key in keys))


class Pager(OutsideSystem):
    """Pages, as ``do`` says; a key that is ``held`` is answered without."""

    name = "pagerduty"

    def __init__(self, ledger: Ledger, do: Callable[[Page, EffectId], Receipt], held: str = "") -> None:
        self._ledger, self._do, self._held = ledger, do, held

    @classmethod
    def from_settings(cls, settings: Settings, ledger: Ledger) -> Pager:
        raise NotImplementedError

    def error(self, error: Exception) -> ApplicationError | None:
        return refused("PagerDuty", str(error)) if isinstance(error, OSError) else None

    def _instead(self, page: Page, _effect_id: EffectId) -> Receipt | None:
        return Receipt(data={"held": "opted out"}) if page.key == self._held else None

    @carries_out(Page, act="page.sent", asks="-", means="-", window="-", told="not told: -", instead=_instead)
    def _page(self, page: Page, effect_id: EffectId) -> Receipt:
        return self._do(page, effect_id)


def test_a_batch_goes_on_where_it_stopped(ledger: Ledger) -> None:
    broken = {"b"}
    did: list[str] = []

    def do(page: Page, effect_id: EffectId) -> Receipt:
        if page.key in broken:
            raise OSError("cable")
        did.append(page.key)
        return Receipt(ref=str(effect_id))

    pager = Pager(ledger, do)
    with pytest.raises(NotDone, match=r"PagerDuty refused: cable \[1 of 3 done; waiting: b, c\]") as stopped:
        pager.carry_out(pages("a", "b", "c"))
    assert (stopped.value.type, stopped.value.non_retryable) == ("PagerDutyRefused", True)
    broken.clear()
    result = pager.carry_out(pages("a", "b", "c"))
    assert did == ["a", "b", "c"]
    assert result.of("c").ref == "trial-acme.com/0a1b2c3d.1/c"
    assert [row.system for row in ledger.effects()] == ["pagerduty"] * 3


def test_a_fault_of_ours_is_raised_as_it_is(ledger: Ledger) -> None:
    nothing: dict[str, str] = {}
    with pytest.raises(KeyError, match="missing"):
        Pager(ledger, lambda _page, _effect_id: Receipt(ref=nothing["missing"])).carry_out(pages("a"))


def test_an_effect_that_is_not_to_be_done_leaves_none(ledger: Ledger) -> None:
    result = Pager(ledger, lambda _page, _effect_id: Receipt(), held="a").carry_out(pages("a"))
    assert result.of("a").data == {"held": "opted out"}
    assert ledger.effects() == []


def test_what_was_begun_and_is_not_to_be_done_any_more_is_settled(ledger: Ledger) -> None:
    def lost(_page: Page, _effect_id: EffectId) -> Receipt:
        raise RuntimeError("the answer was lost")

    with pytest.raises(RuntimeError):
        Pager(ledger, lost).carry_out(pages("a"))
    Pager(ledger, lost, held="a").carry_out(pages("a"))
    [row] = ledger.effects()
    assert row.done_at is not None
    assert row.receipt == Receipt(data={"held": "opted out"})


# --- Errors -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "kind", "nothing_happened", "final", "delay"),
    [
        (400, {}, "XRefused", True, True, None),
        (422, {}, "XRefused", True, True, None),
        (401, {}, "XForbidden", True, False, timedelta(minutes=5)),
        (403, {}, "XForbidden", True, False, timedelta(minutes=5)),
        (403, {"Retry-After": "60"}, "XRateLimited", True, False, timedelta(seconds=60)),
        (429, {"retry-after": "7"}, "XRateLimited", True, False, timedelta(seconds=7)),
        (429, {}, "XRateLimited", True, False, timedelta(seconds=30)),
        (429, {"retry-after": "7200"}, "XRateLimited", True, False, timedelta(hours=2)),
        (429, {"retry-after": "86400"}, "XRateLimited", True, False, timedelta(days=1)),
        (429, {"retry-after": "999999"}, "XRateLimited", True, False, timedelta(days=1)),
        (429, {"retry-after": "99999999999999"}, "XRateLimited", True, False, timedelta(days=1)),
        (503, {"retry-after": "14400"}, "XUnsure", False, False, timedelta(hours=4)),
        (408, {}, "XUnsure", False, False, None),
        (500, {}, "XUnsure", False, False, None),
        (503, {"Retry-After": "3"}, "XUnsure", False, False, timedelta(seconds=3)),
    ],
)
def test_what_a_status_means(
    status: int, headers: dict[str, str], kind: str, nothing_happened: bool, final: bool, delay: timedelta | None
) -> None:
    error = from_status("X", status, "its words", headers)
    assert (error.type, isinstance(error, NotDone), error.non_retryable, error.next_retry_delay) == (kind, nothing_happened, final, delay)
    assert f"HTTP {status}: its words" in error.message


def test_retry_after_may_be_a_date() -> None:
    at = datetime.now(UTC) + timedelta(seconds=90)
    wait = retry_after({"Retry-After": f"{at:%a, %d %b %Y %H:%M:%S GMT}"})
    assert wait is not None
    assert timedelta(seconds=30) < wait <= timedelta(seconds=90)
    assert retry_after({"Retry-After": "Mon, 02 Mar 2020 09:00:00 GMT"}) == timedelta()
    assert retry_after({"Retry-After": "soon"}) is None
    assert retry_after({"Retry-After": "nan"}) is None
    assert retry_after({}) is None
