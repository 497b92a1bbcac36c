"""The hourly run (D12): everybody is scored, and only what differs is written, told, or shown in Vitally; a second run does nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import select, update
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.health import hourly_run as activities
from activities.health import scoring
from activities.health.hourly_run import Fleet
from activities.salesforce.effects import Salesforce
from activities.vitally.effects import Vitally
from activities.warehouse import Warehouse
from domain.account.account import AccountFacts, HealthSnapshot
from domain.health.guidance import guidance
from domain.health.hourly_run import FleetScored, ScoreFleet, TellAccounts, WriteScores
from domain.health.score import score, traits_of
from domain.health.types import Score
from domain.policy import AccountPolicy, default_accounts
from sandbox import fleet as invented
from sandbox import warehouse
from sandbox.core import Fault
from sandbox.server import SandboxServer
from store.accounts import Accounts
from store.ledger import Ledger
from store.settings import Settings
from store.tables import customers, hand_traits, health, health_changes, health_news
from tests.rows import bands

POLICY = default_accounts()
TODAY = date(2026, 11, 18)
NOW = datetime(2026, 11, 18, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
COUNT = 24


class Hours:
    """A fleet, and what its hourly runs do."""

    def __init__(self, settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> None:
        self.settings, self.ledger, self.sandbox = settings, ledger, sandbox
        self.file = settings.data_dir / "warehouse.duckdb"
        self.made = {one.domain: one for one in invented.seed(sandbox.world, COUNT, TODAY, file=self.file)}
        self.salesforce, self.vitally = Salesforce.from_settings(settings, ledger), Vitally(settings, ledger)
        self.accounts = Accounts(ledger)
        self.told: list[AccountFacts] = []
        self.deaf: set[str] = set()
        self.fleet = Fleet(ledger, Warehouse(settings.warehouse_url), self.vitally.accounts, self.vitally.write_scores, self._tell)
        self.number = 0
        self.salesforce.sync_accounts()

    def close(self) -> None:
        self.salesforce.close()
        self.vitally.close()

    async def _tell(self, facts: AccountFacts) -> None:
        if facts.customer.domain in self.deaf:
            raise ApplicationError(f"{facts.customer.domain} cannot be reached")
        self.told.append(facts)

    def crm(self, domain: str, **fields: Any) -> None:
        """Somebody changes an account in the CRM, and the copy follows."""
        self.record(domain).update(fields)
        self.salesforce.sync_accounts()

    def record(self, domain: str) -> dict[str, Any]:
        org = self.sandbox.world.services["salesforce"].org
        return next(record for record in org.records["account"].values() if record["Domain__c"] == domain)

    def set(self, domain: str, **traits: Any) -> None:
        """A TA sets a trait in Vitally."""
        self.sandbox.world.services["vitally"].seed({"accounts": [{"externalId": domain, "traits": traits}]})

    def shown(self, domain: str) -> dict[str, Any]:
        """What Vitally shows of an account."""
        return dict(self.sandbox.world.services["vitally"].account(domain)["traits"])

    def score(self, at: datetime = NOW, policy: AccountPolicy = POLICY) -> FleetScored:
        env = ActivityEnvironment()
        env.run(self.fleet.copy_hand_traits)
        return env.run(self.fleet.score_fleet, ScoreFleet(as_of=at, policy=policy))

    async def tell(self) -> list[AccountFacts]:
        """Who is told now."""
        before = len(self.told)
        told = await ActivityEnvironment().run(self.fleet.tell_accounts, TellAccounts())
        assert told.accounts == len(self.told) - before
        return self.told[before:]

    def write(self, at: datetime = NOW) -> list[str]:
        """Whose score is written to Vitally now."""
        self.number += 1
        subject = f"health-scores/{self.number}.1"
        ActivityEnvironment().run(self.fleet.write_scores, WriteScores(subject=subject, as_of=at, policy=POLICY))
        return [row.key.removeprefix("score.") for row in self.ledger.effects(subject_prefix=subject)]

    async def run(self, at: datetime = NOW, policy: AccountPolicy = POLICY) -> tuple[FleetScored, list[str], list[str]]:
        """One whole run: what was scored, who was told, whose score was written."""
        scored = self.score(at, policy)
        return scored, [facts.customer.domain for facts in await self.tell()], self.write(at)

    def tables(self) -> dict[str, list[Any]]:
        """Everything that a run may write; the copy of the hand-set traits without its age."""
        with self.ledger.reading() as db:
            kept = {table.name: list(db.execute(select(table))) for table in (health, health_changes, health_news)}
            hand = [column for column in hand_traits.c if column.name != "as_of"]
            return {**kept, "hand_traits": sorted(map(tuple, db.execute(select(*hand))), key=str)}


@pytest.fixture
def hours(settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> Iterator[Hours]:
    made = Hours(settings, ledger, sandbox)
    yield made
    made.close()


def one(hours: Hours, **wanted: Any) -> str:
    """An account of that profile, in that band."""
    profile, band = wanted.get("profile"), wanted.get("band")
    standings = {customer.domain: standing for customer, standing in hours.accounts.standings()}
    for domain, made in hours.made.items():
        standing = standings.get(domain)
        if profile in (None, made.profile) and (band is None or (standing is not None and standing.band == band and not standing.reds)):
            return domain
    raise LookupError(f"the fleet has no account that is {wanted}")


# --- the first run, and the second -------------------------------------------------------------------------------------------------


async def test_the_first_run_scores_everybody_and_tells_everybody_once(hours: Hours, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also over the seams between two handfuls of accounts."""
    monkeypatch.setattr(scoring, "CHUNK", 7)
    monkeypatch.setattr(activities, "PAGE", 5)
    scored, told, written = await hours.run()
    assert (scored.accounts, scored.changed, scored.to_tell, scored.to_write) == (COUNT, COUNT, COUNT, COUNT)
    assert sum(scored.bands.values()) == COUNT
    assert len(scored.bands) >= 3
    assert scored.bands == bands(hours.ledger)
    assert scored.snapshot == date(2026, 10, 1)
    assert sorted(told) == sorted(written) == sorted(hours.made)


async def test_lives_begin_at_the_pace_of_the_settings_and_news_of_them_does_not_wait(hours: Hours) -> None:
    hours.score()
    hours.fleet._beginnings_per_second = 100.0
    began = time.monotonic()
    assert len(await hours.tell()) == COUNT
    assert time.monotonic() - began >= COUNT / 100
    hours.fleet._beginnings_per_second = 0.0001  # one in three hours: whoever is met already does not wait for a turn
    with hours.ledger.writing() as db:
        db.execute(update(health_news).values(facts_at=NOW))
    assert len(await hours.tell()) == COUNT


def moved(of: Score) -> Score:
    """What the history of changes keeps of a score: its evidence stands with the last one only."""
    return Score(at=of.at, total=of.total, band=of.band, deltas=of.deltas, policy=of.policy)


async def test_what_is_kept_is_what_one_account_at_a_time_would_give(hours: Hours) -> None:
    """Scored all at once, each is the score of its own traits, with its evidence, and its processes are told the same."""
    await hours.run()
    facts = {each.customer.domain: each for each in hours.told}
    for domain in hours.made:
        found = hours.accounts.health(domain)
        assert found is not None
        assert found.score == score(POLICY, found.traits)
        standing = facts[domain].standing
        assert standing == found.standing
        assert standing is not None
        assert (standing.score, standing.band) == (found.score.total, found.score.band)
        [change] = hours.accounts.changes(domain)
        assert (change.band_before, change.score) == ("unknown", moved(found.score))
        shown = hours.shown(domain)
        assert shown["Health Score"] == round(found.score.total or 0, 2)
        assert shown["Health Band"] == found.score.band
        assert shown["Health Scored At"] == NOW.isoformat()
        assert shown["Health Evidence"].startswith(f"Health {found.score.total:.2f} of 10: {found.score.band}")
        assert facts[domain].team.ae is not None


async def test_of_whom_too_little_is_known_is_unknown_everywhere_and_nothing_is_proposed(hours: Hours) -> None:
    """One trait of a category of 15 % was "poor 5.0", and a red account by itself."""
    account = {"Name": "New", "Domain__c": "new.example", "Type": "Customer", "Contract_Start__c": "2026-10-30", "Seats__c": 10}
    last = (TODAY - timedelta(days=20)).isoformat()
    hours.sandbox.world.services["salesforce"].seed({"accounts": [{**account, "LastActivityDate": last, "Deployed_On__c": "2026-10-30"}]})
    hours.salesforce.sync_accounts()
    scored, told, written = await hours.run()
    assert scored.bands["unknown"] >= 1
    assert "new.example" in told
    assert "new.example" in written
    found = hours.accounts.health("new.example")
    assert found is not None
    assert (found.score.total, found.score.band, guidance(POLICY, found.score), found.standing.reds) == (None, "unknown", (), ())
    shown = hours.shown("new.example")
    assert (shown.get("Health Score"), shown["Health Band"]) == (None, "unknown")
    assert shown["Health Evidence"].startswith("Health unknown: only 15 % of the weight is known, and a score needs 50 %")


async def test_what_the_warehouse_says_that_cannot_be_is_named_and_not_believed(hours: Hours) -> None:
    domain = one(hours, profile="steady")
    with duckdb.connect(str(hours.file)) as db:
        db.execute("UPDATE usage_monthly SET seats = -7, mau = 2000000000 WHERE account = ?", [domain])
    scored, _, _ = await hours.run()
    assert scored.odd == (f"{domain}: mau is 2000000000 in the warehouse", f"{domain}: seats is -7 in the warehouse")
    found = hours.accounts.health(domain)
    assert found is not None
    assert found.standing.mau_seats is None


async def test_a_second_run_in_the_same_hour_changes_nothing(hours: Hours) -> None:
    await hours.run()
    before = hours.tables()
    effects = len(hours.sandbox.world.log.effects)
    for at in (NOW, NOW + HOUR):
        scored, told, written = await hours.run(at)
        assert (scored.changed, scored.to_tell, scored.to_write, told, written) == (0, 0, 0, [], [])
        assert hours.tables() == before
    assert len(hours.sandbox.world.log.effects) == effects


async def test_traits_say_of_when_they_are(hours: Hours) -> None:
    """What stands on October's snapshots is of October's end, what the CRM and people say of their copies."""
    domain = one(hours, profile="steady")
    await hours.run()
    found = hours.accounts.health(domain)
    assert found is not None
    customer = hours.accounts.view(domain).customer
    assert customer is not None
    ages = {each.trait: each.as_of for each in found.score.contributions}
    assert ages["mau_seats"] == ages["versions_behind"] == datetime(2026, 11, 1, tzinfo=UTC)
    assert ages["usage_score"] == ages["help_tickets"] == NOW
    assert ages["last_activity"] == customer.as_of


# --- what changes, and whom it concerns ----------------------------------------------------------------------------------------------


async def test_an_account_whose_band_changes_gets_one_signal_and_nobody_else(hours: Hours) -> None:
    await hours.run()
    domain = one(hours, profile="steady", band="healthy")
    before = hours.accounts.health(domain)
    assert before is not None
    warehouse.set_usage(hours.file, domain, mau_share=0.2, usage_score=0.1, today=TODAY)
    scored, told, written = await hours.run(NOW + HOUR)
    assert (scored.changed, told, written) == (1, [domain], [domain])
    after = hours.accounts.health(domain)
    assert after is not None
    assert after.score.band == "poor"
    change = hours.accounts.changes(domain)[0]
    assert (change.at, change.band_before, change.score) == (NOW + HOUR, before.score.band, moved(after.score))
    assert sum(delta.change for delta in change.score.deltas) == pytest.approx((after.score.total or 0) - (before.score.total or 0))
    [facts] = hours.told[COUNT:]
    assert facts.standing is not None
    assert (facts.standing.band, facts.standing.was_at_target) == ("poor", True)
    assert "health" in facts.standing.reds
    assert hours.shown(domain)["Health Band"] == "poor"
    assert (await hours.run(NOW + 2 * HOUR))[1:] == ([], [])


async def test_a_number_that_crosses_nothing_is_kept_and_told_to_nobody(hours: Hours) -> None:
    domain = one(hours, profile="steady")
    warehouse.set_usage(hours.file, domain, mau_share=0.90, usage_score=0.40, today=TODAY)
    await hours.run()
    changes = hours.accounts.changes(domain)
    warehouse.set_usage(hours.file, domain, mau_share=0.95, usage_score=0.45, today=TODAY)
    scored, told, written = await hours.run(NOW + HOUR)
    assert (scored.changed, told, written) == (0, [], [])
    found = hours.accounts.health(domain)
    assert found is not None
    assert found.traits.mau_seats == pytest.approx(0.95, abs=0.01)
    assert found.standing.mau_seats == found.traits.mau_seats
    assert hours.accounts.changes(domain) == changes
    values = {each.trait: each.value for each in found.as_of_now(POLICY).contributions}
    assert values["mau_seats"] == found.traits.mau_seats


async def test_a_target_is_crossed_within_a_band(hours: Hours) -> None:
    """The adoption target of usage and the target of MAU/seats are the limits of green: a crossing is a change of colour, and of score."""
    domain = one(hours, profile="steady")
    warehouse.set_usage(hours.file, domain, mau_share=0.84, usage_score=0.40, today=TODAY)
    await hours.run()
    warehouse.set_usage(hours.file, domain, mau_share=0.76, usage_score=0.40, today=TODAY)
    _, told, written = await hours.run(NOW + HOUR)
    assert (told, written) == ([domain], [domain])
    standing = hours.told[-1].standing
    assert standing is not None
    assert standing.mau_seats == pytest.approx(0.76, abs=0.01)


async def test_another_colour_is_another_score_though_the_total_is_the_same(hours: Hours) -> None:
    """One trait better, its neighbour as much worse: the evidence is another, so Vitally gets it; the account's processes need not know."""
    domain = one(hours, profile="steady")
    hours.set(domain, **{"Access to Buyer?": False})
    hours.crm(domain, LastActivityDate=TODAY.isoformat())
    await hours.run()
    before = hours.accounts.health(domain)
    hours.set(domain, **{"Access to Buyer?": True})
    hours.crm(domain, LastActivityDate=(TODAY - timedelta(days=33)).isoformat())
    scored, told, written = await hours.run(NOW + HOUR)
    after = hours.accounts.health(domain)
    assert before is not None
    assert after is not None
    assert after.score.total == before.score.total
    assert (scored.changed, told, written) == (1, [], [domain])
    assert len(hours.accounts.changes(domain)) == 1
    assert {each.trait: each.level for each in after.score.contributions}["last_activity"] == "red"


@pytest.mark.parametrize(
    "fields",
    [{"Contract_End__c": "2028-06-30"}, {"ARR__c": 1.0}, {"Seats__c": 3}, {"Name": "Renamed"}, {"Technical_Advisor__c": None}],
    ids=lambda fields: next(iter(fields)),
)
async def test_what_the_crm_says_of_the_contract_or_the_team_is_told(hours: Hours, fields: dict[str, Any]) -> None:
    await hours.run()
    domain = one(hours, profile="steady")
    hours.crm(domain, **fields)
    scored, told, written = await hours.run(NOW + HOUR)
    assert (scored.changed, told, written) == (0, [domain], [])
    assert (await hours.run(NOW + 2 * HOUR))[1:] == ([], [])


async def test_who_leaves_is_told_to_the_accounts_they_looked_after(hours: Hours) -> None:
    await hours.run()
    crm = hours.sandbox.world.services["salesforce"]
    crm.seed({"users": [{"Email": "ta-paz@tenure.example", "IsActive": False}]})
    hours.salesforce.sync_accounts()
    _, told, written = await hours.run(NOW + HOUR)
    assert sorted(told) == sorted(domain for domain, made in hours.made.items() if made.ta == "ta-paz")
    assert told
    assert written == []


async def test_b17_a_day_too_many_without_contact_makes_red_by_itself(hours: Hours) -> None:
    """Nothing changed but the date: 39 days without a word are quiet, 40 are red."""
    domain = one(hours, profile="steady")
    hours.crm(domain, LastActivityDate=(TODAY - timedelta(days=39)).isoformat())
    await hours.run()
    assert domain in [facts.customer.domain for facts in hours.told]
    _, told, _ = await hours.run(NOW + timedelta(days=1))
    assert domain in told
    facts = next(facts for facts in reversed(hours.told) if facts.customer.domain == domain)
    assert facts.standing is not None
    assert facts.standing.reds == ("no_contact",)


async def test_b17_d31_red_by_hand_is_told_once_from_either_system(hours: Hours) -> None:
    """A colour in the CRM and a trait in Vitally are no part of the score, but their account hears of them: set, and taken back."""
    domain = one(hours, profile="steady")
    other = next(each for each, made in hours.made.items() if made.health == "Green" and each != domain)
    hours.crm(domain, Customer_Health__c="Green")
    hours.set(domain, **{"Account - Red Account?": False})
    await hours.run()

    async def told(at: int) -> list[tuple[str, str, bool]]:
        scored, who, written = await hours.run(NOW + at * HOUR)
        assert (scored.changed, written) == (0, [])
        facts = hours.told[len(hours.told) - len(who) :]
        return [(each.customer.domain, each.customer.health, each.standing is not None and each.standing.hand_red) for each in facts]

    hours.crm(domain, Customer_Health__c="Red")
    hours.set(other, **{"Account - Red Account?": True})
    assert sorted(await told(1)) == sorted([(domain, "Red", False), (other, "Green", True)])
    assert await told(2) == []
    hours.set(domain, **{"Account - Red Account?": "yes"})  # our own mark, or a person's
    assert await told(3) == [(domain, "Red", True)]
    hours.crm(domain, Customer_Health__c="Yellow")
    hours.set(domain, **{"Account - Red Account?": None})
    assert await told(4) == [(domain, "Yellow", False)]
    assert await told(5) == []


async def test_b17_the_fleet_that_is_red_in_both_systems_is_told_so_at_the_first_run(hours: Hours) -> None:
    """And no more: the second run tells nobody anything."""
    await hours.run()
    red = {each.customer.domain for each in hours.told if each.customer.health == "Red" and each.standing and each.standing.hand_red}
    assert red == {domain for domain, made in hours.made.items() if made.health == "Red"}
    assert red
    assert (await hours.run(NOW + HOUR))[1:] == ([], [])


async def test_what_people_set_in_vitally_counts(hours: Hours) -> None:
    domain = one(hours, profile="steady")
    hours.set(domain, **{"Relationship - CE Pulse": "Healthy", "Active Champion?": True})
    await hours.run()
    hours.set(domain, **{"Relationship - CE Pulse": "Poor", "Active Champion?": "No"})
    _, told, written = await hours.run(NOW + HOUR)
    assert (told, written) == ([domain], [domain])
    found = hours.accounts.health(domain)
    assert found is not None
    assert (found.traits.pulse, found.traits.champion, found.standing.champion) == ("Poor", False, False)


async def test_what_cannot_be_read_is_not_known_and_named(hours: Hours) -> None:
    domain = one(hours, profile="steady")
    hours.set(domain, **{"Relationship - CE Pulse": " healthy ", "Active Champion?": "perhaps", "Access to Buyer?": 1})
    copied = ActivityEnvironment().run(hours.fleet.copy_hand_traits)
    assert copied.accounts == COUNT
    assert copied.unreadable == (f"{domain}: Active Champion? is 'perhaps'", f"{domain}: Access to Buyer? is '1'")
    hours.score()
    found = hours.accounts.health(domain)
    assert found is not None
    assert (found.traits.pulse, found.traits.champion, found.traits.buyer_access) == ("Healthy", None, None)
    assert {"champion", "buyer_access"} <= set(found.score.missing)


async def test_who_is_no_customer_any_more_is_told_so_once_and_scored_no_more(hours: Hours) -> None:
    await hours.run()
    domain = one(hours, profile="steady")
    hours.crm(domain, Type="Former Customer")
    scored, told, written = await hours.run(NOW + HOUR)
    assert (scored.accounts, told, written) == (COUNT - 1, [domain], [])
    assert hours.told[-1].customer.status == "churned"
    assert sum(bands(hours.ledger).values()) == COUNT - 1
    assert (await hours.run(NOW + 2 * HOUR))[1:] == ([], [])
    hours.crm(domain, Type="Customer")
    assert (await hours.run(NOW + 3 * HOUR))[1] == [domain]


async def test_who_was_never_ours_is_told_of_nothing(hours: Hours) -> None:
    """An account that churned before we came has no process, and gets none."""
    domain = one(hours, profile="steady")
    hours.crm(domain, Type="Former Customer")
    scored, told, written = await hours.run()
    assert (scored.accounts, len(told), len(written)) == (COUNT - 1, COUNT - 1, COUNT - 1)
    assert domain not in told


async def test_another_policy_scores_everybody_anew(hours: Hours) -> None:
    await hours.run()
    stricter = POLICY.health.model_copy(update={"healthy_at_least": 10.0})
    policy = POLICY.model_copy(update={"health": stricter})
    healthy = {domain for domain in hours.made if (found := hours.accounts.health(domain)) and found.score.band == "healthy"}
    perfect = {domain for domain in healthy if (found := hours.accounts.health(domain)) and found.score.total == 10}
    _, told, written = await hours.run(NOW + HOUR, policy)
    assert set(told) == set(written) == healthy - perfect
    assert told
    change = hours.accounts.changes(told[0])[0]
    assert (change.band_before, change.score.band, change.score.policy) == ("healthy", "concerning", policy.hash)


# --- what goes wrong ----------------------------------------------------------------------------------------------------------------


async def test_while_the_warehouse_is_away_the_old_scores_stay(hours: Hours, tmp_path: Path) -> None:
    await hours.run()
    before = hours.tables()
    away = hours.file.rename(tmp_path / "away.duckdb")
    with pytest.raises(ApplicationError) as missing:
        hours.score(NOW + HOUR)
    assert not missing.value.non_retryable
    assert hours.tables() == before
    away.rename(hours.file)
    assert (await hours.run(NOW + HOUR))[1:] == ([], [])


async def test_a_signal_that_fails_is_sent_by_the_next_attempt_and_the_others_are_not_sent_again(hours: Hours) -> None:
    hours.score()
    hours.deaf = {sorted(hours.made)[3]}
    with pytest.raises(ApplicationError, match="cannot be reached"):
        await hours.tell()
    assert sorted(facts.customer.domain for facts in hours.told) == sorted(set(hours.made) - hours.deaf)
    last, hours.deaf = hours.deaf, set()
    assert {facts.customer.domain for facts in await hours.tell()} == last


async def test_what_changes_again_before_it_was_told_is_told_as_it_is_now(hours: Hours) -> None:
    """Two runs while Temporal is away: one signal, with the newest facts."""
    hours.score()
    domain = one(hours, profile="steady")
    hours.crm(domain, Seats__c=5)
    hours.score(NOW + HOUR)
    told = await hours.tell()
    assert len(told) == COUNT
    [facts] = [facts for facts in told if facts.customer.domain == domain]
    assert facts.customer.seats == 5


async def test_while_vitally_is_away_the_scores_wait(hours: Hours, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half are written, the connection fails; the next attempt writes the rest, and each once."""
    monkeypatch.setattr(activities, "PAGE", 8)
    hours.score()
    unlucky = sorted(hours.made)[10]
    hours.sandbox.world.faults.append(Fault(service="vitally", kind="status", status=503, match=unlucky))
    with pytest.raises(ApplicationError):
        hours.write()
    rest = hours.write()
    done = [row.key for row in hours.ledger.effects(subject_prefix="health-scores/") if row.done_at]
    assert {key.removeprefix("score.") for key in done} == set(hours.made)
    assert rest == sorted(hours.made)[8:]  # the first eight are struck off
    assert hours.write() == []


async def test_a_run_cut_off_between_scoring_and_telling_loses_nothing(hours: Hours) -> None:
    """The scores are on record, the worker dies: the next run finds nothing new, and tells all the same."""
    hours.score()
    scored, told, written = await hours.run(NOW + HOUR)
    assert scored.changed == 0
    assert (len(told), len(written)) == (COUNT, COUNT)
    assert {facts.standing.as_of for facts in hours.told if facts.standing} == {NOW}


def test_without_customers_there_is_nothing_to_do(settings: Settings, ledger: Ledger) -> None:
    """A new installation: an empty CRM, an empty warehouse."""
    warehouse.write(settings.data_dir / "warehouse.duckdb", [], TODAY)

    async def nobody(_facts: AccountFacts) -> None:
        raise AssertionError("nobody is told")

    empty = Fleet(ledger, Warehouse(settings.warehouse_url), lambda: iter(()), lambda _writes: pytest.fail("nothing is written"), nobody)
    found = ActivityEnvironment().run(empty.score_fleet, ScoreFleet(as_of=NOW, policy=POLICY))
    assert found == FleetScored()
    with ledger.reading() as db:
        assert list(db.execute(select(customers))) == []


def test_what_is_in_the_ledger_reads_as_messages(hours: Hours) -> None:
    hours.score()
    with hours.ledger.reading() as db:
        rows = db.execute(select(health)).all()
    for row in rows:
        assert row.traits == {}  # until others are seen, they are the score's
        assert score(POLICY, traits_of(Score.model_validate(row.score))) == Score.model_validate(row.score)
        standing = HealthSnapshot.model_validate(row.standing)
        assert (standing.score, standing.band) == (row.total, row.band)
