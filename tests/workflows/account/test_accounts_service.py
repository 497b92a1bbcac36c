"""The service for customers' accounts, over the real processes: what may be seen, what may be asked, and what is refused in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from domain import ids
from domain import policy as policies
from domain.account.account import RenewalRow
from domain.account.commands import MARK_ACCOUNT_RED, RESOLVE, START_RENEWAL, WRITE_PLAN
from domain.commands import PLAN as GET_WELL
from domain.commands import RED, RENEWAL
from domain.forecast.quarters import days_of, quarter_of
from domain.forecast.weekly_round import TakeForecast
from domain.health.score import score
from domain.health.types import Traits
from domain.renewal.commands import ASSESS, FORECAST, MOVE
from starter.errors import BadInput, NotFound, Refused, Unavailable
from starter.service.account_queries import csv_rows
from starter.service.accounts import Accounts
from store.forecasts import Forecasts
from store.tables import customers, forecasts, health, health_changes
from tests.rows import keep_renewal
from tests.workflows.accounts import PLAN, STEADY, TA, TA_MANAGER, Life, changed
from tests.workflows.play import NOW, Play, eventually
from tests.workflows.renewals import AE, AE_MANAGER, Course

TODAY = NOW.date()
POLICY = policies.default_accounts()
QUARTER = quarter_of(POLICY, TODAY)
FIRST, LAST = days_of(POLICY, QUARTER)


@pytest.fixture
def accounts(play: Play) -> Iterator[Accounts]:
    """The service; the clock of what it starts stands where the others' stand."""
    with play.env.with_time_skipping_disabled():
        yield Accounts(play.tenure, play.accounts)


def a_row(accounts: Accounts, domain: str, on: date, **more: Any) -> RenewalRow:
    """A renewal's row in the read model, as its process would keep it."""
    given = {
        "workflow": ids.renewal(domain, on),
        "domain": domain,
        "name": "Acme",
        "renewal_on": on,
        "arr": 100_000,
        "phase": "forecast",
        "ae": AE,
        "updated_at": NOW,
    }
    row = RenewalRow.model_validate({**given, **more})
    keep_renewal(accounts.tenure.ledger, row)
    return row


# --- Looking ----------------------------------------------------------------------------------------------------------------


async def test_who_is_known(play: Play, accounts: Accounts) -> None:
    acme, bolt = Life.of(play, facts={"band": "poor", "score": 2.0}), Life.of(play, "Bolt")
    with play.ledger.writing() as db:
        db.execute(health.delete().where(health.c.domain == bolt.domain))
    for named in (acme.domain, f"  Code.{acme.domain.upper()} "):
        customer, team, standing = await accounts.known(named)
        assert (customer.domain, team.ta and team.ta.email, standing and standing.band) == (acme.domain, TA, "poor")
    with pytest.raises(NotFound, match=r"nobody\.example is no customer that the last copy of the CRM knows.*tenure account list"):
        await accounts.known("nobody.example")
    with pytest.raises(BadInput, match="'nobody' is not a domain"):
        await accounts.known("nobody")
    for band, found in (("", [acme, bolt]), ("poor", [acme]), ("unknown", [bolt]), ("healthy", [])):
        assert [line.customer.domain for line in await accounts.customers(band)] == [life.domain for life in found], band
    with pytest.raises(BadInput, match=r"'so-so' is not a band.*healthy, concerning, poor, unknown"):
        await accounts.customers("so-so")


async def test_a_score_is_shown_with_the_values_of_now(play: Play, accounts: Accounts) -> None:
    """A value that moves within its colour makes no new score; the page shows it all the same."""
    life = Life.of(play)
    with play.ledger.writing() as db:
        db.execute(health.delete().where(health.c.domain == life.domain))
    assert ((await accounts.health(life.domain)).score, (await accounts.health(life.domain)).changes) == (None, ())
    before = score(POLICY, Traits(at=NOW - timedelta(days=2), champion=False))
    then = score(POLICY, Traits(at=NOW - timedelta(days=1), champion=True, mau_seats=0.6), before)
    now = Traits(at=NOW, champion=True, mau_seats=0.7)
    kept = {"domain": life.domain, "total": then.total, "band": then.band}
    changes = [
        {**kept, "at": each.at, "band_before": band, "score": each.model_dump(mode="json")}
        for each, band in ((before, "unknown"), (then, "poor"))
    ]
    row = {**kept, "at": NOW, "traits": now.model_dump(mode="json"), "standing": {"as_of": NOW.isoformat(), **STEADY}}
    with play.ledger.writing() as db:
        db.execute(insert(health_changes), changes)
        db.execute(insert(health).values({**row, "score": then.model_dump(mode="json")}))
    found = await accounts.health(life.domain, history=1)
    assert found.score is not None
    assert (found.score.total, found.score.deltas) == (then.total, then.deltas)
    assert [each.value for each in found.score.contributions if each.trait == "mau_seats"] == [0.7]
    assert found.changes == ((then.at, "poor", then),)
    other = Accounts(play.tenure, changed(red__program="lighthouse"))
    assert (await other.health(life.domain)).score == then  # another policy scores only from the next run on
    with pytest.raises(BadInput, match="a page of 0 is not given"):
        await accounts.health(life.domain, history=0)


async def test_renewals_by_quarter_status_and_rating(play: Play, accounts: Accounts) -> None:
    a_row(accounts, "a.example", LAST, rating="red")
    a_row(accounts, "b.example", FIRST, rating="green")
    a_row(accounts, "c.example", LAST + timedelta(days=1))
    a_row(accounts, "d.example", FIRST, status="renewed", rating="red")

    async def found(**asked: Any) -> str:
        return " ".join(row.domain[0] for row in await accounts.renewals(**asked))

    assert await found() == "b a c"
    assert await found(status="") == "b d a c"
    assert await found(status="", rating="red") == "d a"
    assert await found(quarter=QUARTER.lower()) == "b a"
    assert await found(quarter=QUARTER, status="renewed") == "d"
    assert await found(limit=1) == "b"
    for wrong, words in (
        ({"quarter": "Q4"}, "'Q4' is no fiscal quarter; write it as FY27-Q4"),
        ({"status": "won"}, "'won' is not a status. Choose one of: open, renewed, churned, cancelled"),
        ({"rating": "blue"}, "'blue' is not a rating. Choose green, yellow or red"),
        ({"limit": 0}, "a page of 0 is not given"),
    ):
        with pytest.raises(BadInput, match=words):
            await accounts.renewals(**wrong)


async def test_a_renewal_that_is_none_is_told_from_an_account_that_is_none(play: Play, accounts: Accounts) -> None:
    life = Life.of(play)
    for asked in (accounts.of_kind(RENEWAL, life.domain), accounts.decide(MOVE, life.domain, {"by": AE, "renewal_on": LAST})):
        with pytest.raises(NotFound, match=f"{life.domain} has no (open )?renewal.*180 days before.*tenure renewal start {life.domain}"):
            await asked
    with pytest.raises(NotFound, match=r"nobody\.example is no customer"):
        await accounts.of_kind(RENEWAL, "nobody.example")
    row = a_row(accounts, life.domain, LAST, status="churned")
    with pytest.raises(NotFound, match=f"{row.workflow} is not known to Temporal any more.*tenure renewal list --all"):
        await accounts.of_kind(RENEWAL, life.domain)
    with pytest.raises(NotFound, match="has no open renewal"):
        await accounts.decide(ASSESS, life.domain, {"by": AE_MANAGER, "rating": "red", "why": "left"})


# --- An account with everything ---------------------------------------------------------------------------------------------


async def test_an_account_with_every_process(play: Play, accounts: Accounts) -> None:
    """A renewal near its date and a low use: the account starts both; somebody marks it red, and the plan is written."""
    life = await Life.begin(play, weeks=40)
    await play.task(life.plan, "plan")
    await eventually(lambda: accounts.renewals())
    found = await accounts.overview(life.domain)
    assert [process.kind for process in found.processes] == ["Account", "Renewal", "GetWell"]
    assert [row.workflow for row in found.renewals] == [found.processes[1].workflow]
    assert all(process.open and process.status["in_words"] and process.dossier for process in found.processes)
    assert {task.kind for process in found.processes for task in process.tasks} == {"plan", "assess_ta", "assess_ae"}
    assert found.processes[1].next_steps[0].at > found.processes[1].at
    assert (found.standing and found.standing.band, found.team.ta and found.team.ta.email) == ("concerning", TA)

    reason = {"by": AE, "reason": "the champion left"}
    with pytest.raises(BadInput, match="nobody is named who decides"):
        await accounts.decide(MARK_ACCOUNT_RED, life.domain, {"reason": "the champion left"})
    said = [await accounts.decide(MARK_ACCOUNT_RED, life.domain, reason, "click-1") for _ in range(2)]
    assert said == ["Acme is marked red in the CRM, in Vitally and in the tracker: the champion left"] * 2
    await play.task(life.red, "fill")
    red = await accounts.of_kind(RED, life.domain)
    assert ([mark["reason"] for mark in red.status["marks"]], red.kind, red.open) == (["the champion left"], "RedAccount", True)

    assert (await accounts.of_kind(GET_WELL, life.domain)).status["fields"] == {}
    assert await accounts.decide(WRITE_PLAN, life.domain, {"by": TA, "drive": PLAN["drive"]}, "click-2") == (
        "taken: drive; still to be answered: state, onboarding_flow, docs, syncs, help, context"
    )
    with pytest.raises(Refused, match="there is nothing to write; give at least one of: state"):
        await accounts.decide(WRITE_PLAN, life.domain, {"by": TA})
    assert (await accounts.of_kind(GET_WELL, life.domain)).status["fields"] == {"drive": PLAN["drive"]}

    await life.handle().terminate("the account is closed")  # its last word is still shown; of the others, those that run
    found = await accounts.overview(life.domain)
    assert [(process.kind, process.open) for process in found.processes] == [
        ("Account", False),
        ("Renewal", True),
        ("GetWell", True),
        ("RedAccount", True),
    ]


async def test_marked_red_before_the_hourly_run_has_seen_it_and_promoted(play: Play, accounts: Accounts) -> None:
    life = Life.of(play, facts={"mau_seats": 0.9})
    for asked, words in (
        (accounts.decide(RESOLVE, life.domain, {"by": TA, "to": "green"}), "Acme is not red"),
        (accounts.of_kind(RED, life.domain), "Acme is not red, and was not"),
        (accounts.of_kind(GET_WELL, life.domain), "Acme has no get-well plan. One begins by itself when there is a reason"),
        (accounts.decide(WRITE_PLAN, life.domain, {"by": TA, "drive": "x"}), "Acme has no get-well plan"),
    ):
        with pytest.raises(NotFound, match=words):
            await asked
    assert not (await accounts.overview(life.domain)).processes
    with pytest.raises(BadInput, match="reason: String should have at most 2000 characters"):
        await accounts.decide(MARK_ACCOUNT_RED, life.domain, {"by": TA, "reason": "x" * 2_001})
    assert not await life.ran(life.id)
    await accounts.decide(MARK_ACCOUNT_RED, f"code.{life.domain}", {"by": TA, "reason": "their sponsor is gone"}, "click-1")
    await play.task(life.red, "fill")
    assert await life.ran(life.id, life.red) == {life.id, life.red}
    with pytest.raises(BadInput, match="to: Input should be 'yellow' or 'green'"):
        await accounts.decide(RESOLVE, life.domain, {"by": TA_MANAGER, "to": "blue"})
    assert await accounts.decide(RESOLVE, life.domain, {"by": TA_MANAGER, "to": "green"}) == "red no more: green, and written back"
    await play.ended(life.red)
    over = rf"{life.red} is over: red: green, decided by {TA_MANAGER} at .* UTC; nothing was changed.*tenure account show {life.domain}"
    with pytest.raises(Refused, match=over):
        await accounts.decide(RESOLVE, life.domain, {"by": TA_MANAGER, "to": "green"})
    assert not (await accounts.of_kind(RED, life.domain)).open


async def test_nobody_marks_or_renews_who_is_no_customer_any_more(play: Play, accounts: Accounts) -> None:
    life = Life.of(play)
    with play.ledger.writing() as db:
        db.execute(update(customers).where(customers.c.domain == life.domain).values(status="merged", merged_into="big.example"))
    for asked in (
        accounts.decide(MARK_ACCOUNT_RED, life.domain, {"by": TA, "reason": "x"}),
        accounts.decide(START_RENEWAL, life.domain, {}),
    ):
        with pytest.raises(Refused, match=r"Acme is no customer any more: the CRM says merged into big\.example"):
            await asked
    assert not await life.ran(life.id)


# --- A renewal --------------------------------------------------------------------------------------------------------------


async def test_started_by_hand_once_for_a_term(play: Play, accounts: Accounts) -> None:
    life = Life.of(play, Contract_End__c=None)
    with pytest.raises(BadInput, match=r"the CRM names no end of Acme's contract.*--date") as nowhen:
        await accounts.decide(START_RENEWAL, life.domain, {})
    assert nowhen.value.field == "date"
    on = TODAY + timedelta(days=300)
    renewal = ids.renewal(life.domain, on)
    assert await accounts.decide(START_RENEWAL, life.domain, {"date": on}) == f"{renewal}: started"
    await eventually(lambda: accounts.renewals())
    assert (await accounts.of_kind(RENEWAL, life.domain)).status["phase"] == "upcoming"
    with pytest.raises(Refused, match=f"{renewal} is open already.*tenure renewal move {life.domain} DATE"):
        await accounts.decide(START_RENEWAL, life.domain, {"date": on + timedelta(days=30)})
    await accounts.tenure.client.get_workflow_handle(renewal).signal("cancel", {"why": "churned_early"})
    await play.ended(renewal)
    last = await accounts.of_kind(RENEWAL, life.domain)
    assert (last.open, last.status["end"]) == (False, "cancelled")
    with pytest.raises(Refused, match=f"{renewal} has run already.*tenure renewal show {life.domain}"):
        await accounts.decide(START_RENEWAL, life.domain, {"date": on})


@pytest.mark.cacheless
async def test_rated_projected_and_moved_each_once(play: Play, accounts: Accounts) -> None:
    course = await Course.begin(play, days=100)
    domain = course.domain
    with pytest.raises(Refused, match="too early to forecast: an outcome is projected once the renewal is rated"):
        await accounts.decide(FORECAST, domain, {"by": AE, "outcome": "flat"})
    rated = {"by": AE_MANAGER, "rating": "green", "why": "they renew every year"}
    with pytest.raises(BadInput, match="rating: Input should be 'green', 'yellow' or 'red'"):
        await accounts.decide(ASSESS, domain, {**rated, "rating": "blue"})
    with pytest.raises(Refused, match='say why: "why" must not be empty'):
        await accounts.decide(ASSESS, domain, {**rated, "why": " "})
    await play.task(course.id, "assess_ta")
    assert [await accounts.decide(ASSESS, domain, rated, "click-1") for _ in range(2)] == ["rated green"] * 2
    assert (await course.dossier()).count(("rating", "green")) == 1

    await course.phase("plan", "forecast")
    said = {"by": AE, "outcome": "partial_churn", "amount": 90_000, "as": "ae", "note": None}
    with pytest.raises(Refused, match="120,000 does not fit partial churn"):
        await accounts.decide(FORECAST, domain, {**said, "amount": 120_000})
    first = await accounts.decide(FORECAST, domain, said, "click-2")
    assert await accounts.decide(FORECAST, domain, said, "click-2") == first
    await accounts.decide(FORECAST, domain, {"by": TA, "outcome": "flat", "as": "ta"})
    status = (await accounts.of_kind(RENEWAL, domain)).status
    assert (status["outcome"], status["amount"], status["ta_outcome"]) == ("partial_churn", 90_000, "flat")

    later = course.on + timedelta(days=14)
    with pytest.raises(Refused, match="is over; a renewal cannot move into the past"):
        await accounts.decide(MOVE, domain, {"by": AE, "renewal_on": date(2020, 1, 31)})
    said_moved = await accounts.decide(MOVE, domain, {"by": AE, "renewal_on": later}, "click-3")
    assert await accounts.decide(MOVE, domain, {"by": AE, "renewal_on": later}, "click-3") == said_moved
    with pytest.raises(Refused, match=f"the renewal is on {later} already"):
        await accounts.decide(MOVE, domain, {"by": AE, "renewal_on": later})

    async def listed() -> list[RenewalRow]:
        return [row for row in await accounts.renewals(rating="green") if row.renewal_on == later and row.ta_outcome == "flat"]

    [row] = await eventually(listed)
    assert (row.outcome, row.amount, row.workflow) == ("partial_churn", 90_000, course.id)


# --- The forecast -----------------------------------------------------------------------------------------------------------


def taken(play: Play, number: int, days_ago: int) -> None:
    """A weekly snapshot of all quarters, so many days ago."""
    at = NOW - timedelta(days=days_ago)
    Forecasts(play.ledger).take(TakeForecast(subject=f"renewal-forecast/{number}.1", as_of=at, policy=POLICY))


async def test_the_forecast_of_now_against_the_last_snapshot(play: Play, accounts: Accounts) -> None:
    nothing = await accounts.forecast()
    assert (nothing.forecast.quarter, nothing.first, nothing.last, nothing.since) == (QUARTER, FIRST, LAST, None)
    assert nothing.following == quarter_of(POLICY, LAST + timedelta(days=1))
    row = a_row(accounts, "a.example", LAST, rating="green", outcome="flat")
    a_row(accounts, "b.example", LAST, rating="red", outcome="full_churn", ta_outcome="flat")
    a_row(accounts, "c.example", LAST + timedelta(days=1), rating="green")
    taken(play, 1, days_ago=8)
    taken(play, 2, days_ago=1)
    keep_renewal(accounts.tenure.ledger, row.model_copy(update={"outcome": "partial_churn", "amount": 70_000}))
    found = await accounts.forecast(QUARTER.lower())
    assert (found.forecast.total.renewals, found.forecast.total.weighted) == (2, 70_000)
    assert (found.since, len(found.snapshots), found.actual) == (NOW - timedelta(days=1), 2, None)
    assert [(each.change, each.why) for each in found.moved] == [(-30_000, "outcome: flat → partial churn")]
    assert found.forecast.disagreements == ("Acme: TA says flat, AE says full churn",)
    names, *lines = csv_rows(found.forecast)
    assert [dict(zip(names, line, strict=True))["expected"] for line in lines] == [70_000, 0]
    with pytest.raises(BadInput, match="'Q4' is no fiscal quarter") as wrong:
        await accounts.forecast("q4")
    assert wrong.value.field == "quarter"


async def test_a_closed_quarter_is_held_against_what_was_forecast_of_it(play: Play, accounts: Accounts) -> None:
    """Against what was said before it began; not against a snapshot of when most of it had ended."""
    last = FIRST - timedelta(days=1)
    quarter = quarter_of(POLICY, last)
    begins, _ = days_of(POLICY, quarter)
    kept = a_row(accounts, "a.example", last, rating="green", outcome="flat")
    lost = a_row(accounts, "b.example", last, rating="green", outcome="flat")
    taken(play, 1, days_ago=(TODAY - begins).days + 3)
    keep_renewal(
        accounts.tenure.ledger, kept.model_copy(update={"status": "renewed", "actual_outcome": "incremental", "actual_arr": 120_000})
    )
    taken(play, 2, days_ago=(TODAY - last).days)
    keep_renewal(accounts.tenure.ledger, lost.model_copy(update={"status": "churned", "actual_outcome": "full_churn"}))
    found = await accounts.forecast(quarter)
    assert (found.forecast.total.renewals, found.forecast.closed.weighted, found.moved) == (0, 120_000, ())
    came = found.actual
    assert came is not None
    assert (came.forecast, came.actual, came.error, came.hits, came.judged) == (200_000, 120_000, -80_000, 0, 2)


async def test_a_snapshot_that_somebody_changed_is_not_believed(play: Play, accounts: Accounts) -> None:
    a_row(accounts, "a.example", LAST)
    taken(play, 1, days_ago=1)
    with play.ledger.writing() as db:
        db.execute(update(forecasts).values(data={}))
    with pytest.raises(Unavailable, match="is not as it was written: somebody changed the table; restore it from a backup"):
        await accounts.forecast()
