"""The fleet of invented customers: believable, the same for the same seed, and known to every stand-in."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from sandbox import warehouse
from sandbox.__main__ import parse
from sandbox.core import World
from sandbox.fleet import KEY_BUFFER, KEY_TAGS, MOST, PROFILES, FleetAccount, fleet, founded, seed, segment_of
from sandbox.graphql_api import decode_license, read_id
from sandbox.licensing import TOKEN
from sandbox.org import ACCOUNTS, PEOPLE
from sandbox.salesforce_schema import CUSTOM, OBJECTS
from sandbox.server import SandboxServer

TODAY = date(2026, 11, 25)
RED = "Account - Red Account?"


@pytest.fixture(scope="module")
def customers() -> list[FleetAccount]:
    return fleet(300, TODAY)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer() as running:
        yield running


def records(world: World, kind: str) -> list[dict[str, Any]]:
    return list(world.services["salesforce"].org.records[kind].values())


def of_fleet(world: World) -> dict[str, dict[str, Any]]:
    return {record["Domain__c"]: record for record in records(world, "account") if record["Type"] == "Customer"}


class TestFleet:
    def test_it_is_the_same_for_the_same_seed_and_begins_alike_when_larger(self, customers: list[FleetAccount]) -> None:
        assert fleet(300, TODAY) == customers
        assert fleet(40, TODAY) == customers[:40]
        assert fleet(900, TODAY)[:300] == customers
        assert fleet(300, TODAY, seed=8) != customers

    def test_another_day_moves_contracts_and_nothing_else(self, customers: list[FleetAccount]) -> None:
        for now, later in zip(customers, fleet(300, TODAY + timedelta(90)), strict=True):
            moved = {"contract_start", "contract_end", "term_months", "deployed_on", "last_activity_on", "usage", "health"}
            same = set(FleetAccount.__dataclass_fields__) - moved
            who = ("number", "name", "domain", "industry", "segment", "seats", "arr", "profile")
            assert set(who) <= same
            assert [getattr(now, each) for each in who] == [getattr(later, each) for each in who]

    def test_no_two_share_a_name_or_a_domain(self) -> None:
        everybody = fleet(MOST, TODAY)
        known = {account.domain for account in ACCOUNTS}
        domains = [account.domain for account in everybody]
        assert len(set(domains)) == len({account.name for account in everybody}) == MOST
        assert not known & set(domains)
        assert all(domain.endswith(".example") and domain.count(".") == 1 and domain.isascii() for domain in domains)
        assert len({account.slug for account in everybody}) == MOST
        with pytest.raises(ValueError, match=f"from 0 to {MOST}"):
            fleet(MOST + 1, TODAY)

    def test_every_profile_occurs_as_often_as_it_should(self, customers: list[FleetAccount]) -> None:
        occurs = Counter(account.profile for account in customers)
        assert {profile: abs(occurs[profile] / 3 - percent) < 1 for profile, percent in PROFILES.items()} == dict.fromkeys(PROFILES, True)
        assert set(Counter(account.profile for account in fleet(30, TODAY))) == set(PROFILES)

    def test_segments_follow_seats_and_revenue(self, customers: list[FleetAccount]) -> None:
        assert [segment_of(*size) for size in ((9_990, 999_999), (10_000, 5), (50, 1_000_000))] == ["Enterprise", "Strategic", "Strategic"]
        assert [segment_of(*size) for size in ((1_499, 99_999), (1_500, 5), (50, 100_000))] == ["Commercial", "Enterprise", "Enterprise"]
        assert all(account.segment == segment_of(account.seats, account.arr) for account in customers)
        sizes = Counter(account.segment for account in customers)
        assert sizes["Commercial"] > sizes["Enterprise"] > sizes["Strategic"] >= 10
        assert sum(account.arr < 50_000 for account in customers if account.segment == "Commercial") >= 40
        price = [account.arr / account.seats for account in customers]
        assert min(price) > 20
        assert max(price) < 260
        assert all(account.employees > account.seats for account in customers)

    def test_contracts_end_in_the_coming_400_days_and_mostly_with_a_quarter(self, customers: list[FleetAccount]) -> None:
        ends = [(account.contract_end - TODAY).days for account in customers]
        assert min(ends) > 0
        assert max(ends) <= 400
        assert all(sum(low <= each < low + 100 for each in ends) >= 30 for low in (0, 100, 200, 300))
        quarters = [date(2027, 1, 31), date(2027, 4, 30), date(2027, 7, 31), date(2027, 10, 31)]
        closing = sum(any(0 <= (quarter - account.contract_end).days <= 8 for quarter in quarters) for account in customers)
        assert 0.35 < closing / len(customers) < 0.65  # nine days of each quarter; evenly it would be a tenth

    def test_contracts_began_in_the_last_three_years_and_run_whole_terms(self, customers: list[FleetAccount]) -> None:
        ages = [(TODAY - account.contract_start).days for account in customers]
        assert min(ages) > 10
        assert max(ages) <= 1125
        assert all(sum(low <= each < low + 365 for each in ages) >= 40 for low in (0, 365, 730))
        for account in customers:
            following = account.contract_end + timedelta(1)
            months = (following.year - account.contract_start.year) * 12 + following.month - account.contract_start.month
            assert months % account.term_months == 0
            assert abs(following.day - account.contract_start.day) <= 3  # a month's end
            assert account.term_months in (12, 24, 36)

    def test_most_are_deployed_within_70_days(self, customers: list[FleetAccount]) -> None:
        waits = [(account.deployed_on - account.contract_start).days for account in customers if account.deployed_on]
        assert min(waits) >= 20
        assert max(waits) <= 70
        late = [account for account in customers if account.deployed_on is None]
        assert 3 <= len(late) <= 15
        assert any((TODAY - account.contract_start).days > 60 for account in late)
        assert all(account.deployed_on < TODAY for account in customers if account.deployed_on)

    def test_everybody_has_owners_who_exist_and_belong_together(self, customers: list[FleetAccount]) -> None:
        people = {person.handle: person for person in PEOPLE}
        for account in customers:
            ae, ce, ta = (people[handle] for handle in (account.ae, account.ce, account.ta))
            assert (ae.role, ce.role, ta.role) == ("ae", "ce", "ta")
            assert ae.ce == account.ce
            assert ae.region == ta.region == account.region
        for role in ("ae", "ta"):
            assert {account.ae if role == "ae" else account.ta for account in customers} == {p.handle for p in PEOPLE if p.role == role}

    def test_traits_set_by_hand_fit_the_profile_and_some_are_missing(self, customers: list[FleetAccount]) -> None:
        for name, values in (("pulse", {"Healthy", "Concerning", "Poor"}), ("champion", {True, False}), ("buyer", {True, False})):
            said = [getattr(account, name) for account in customers]
            assert set(said) == values | {None}
            assert 0.02 < said.count(None) / len(said) < 0.2
        good = [account for account in customers if account.profile == "steady"]
        bad = [account for account in customers if account.profile in ("declining", "dead")]
        assert sum(account.champion is True for account in good) / len(good) > 0.7 > 0.5 > sum(a.champion is True for a in bad) / len(bad)
        assert not any(account.health == "Red" for account in good)
        assert {account.health for account in customers} == {"Green", "Yellow", "Red"}
        quiet = [(TODAY - account.last_activity_on).days for account in customers if account.last_activity_on]
        assert min(quiet) >= 0
        assert [sum(low <= each < high for each in quiet) > 15 for low, high in ((0, 15), (15, 30), (30, 200))] == [True] * 3


class TestSeed:
    def test_the_crm_knows_accounts_and_their_open_renewals(self, sandbox: SandboxServer, customers: list[FleetAccount]) -> None:
        assert seed(sandbox.world, 300, TODAY) == customers
        assert sandbox.world.log.effects == []
        held = of_fleet(sandbox.world)
        users = {record["Id"]: record["Email"].partition("@")[0] for record in records(sandbox.world, "user")}
        renewals = {record["AccountId"]: record for record in records(sandbox.world, "opportunity")}
        assert len(held) == len(renewals) == 300
        for account in customers:
            record = held[account.domain]
            assert (record["Name"], record["Segment__c"], record["Seats__c"], record["ARR__c"]) == (
                account.name, account.segment, account.seats, account.arr,
            )  # fmt: skip
            assert (record["Contract_Start__c"], record["Contract_End__c"]) == (str(account.contract_start), str(account.contract_end))
            assert record["Deployed_On__c"] == (str(account.deployed_on) if account.deployed_on else None)
            assert record["Customer_Health__c"] == account.health
            roles = ("Account_Executive__c", "Customer_Engineer__c", "Technical_Advisor__c", "OwnerId")
            assert [users[record[role]] for role in roles] == [account.ae, account.ce, account.ta, account.ae]
            deal = renewals[record["Id"]]
            assert (deal["Type"], deal["IsClosed"], deal["CloseDate"]) == ("Renewal", False, str(account.contract_end))
            assert (deal["Amount"], deal["Seats__c"], users[deal["OwnerId"]], deal["Tenure_Key__c"]) == (
                account.arr, account.seats, account.ae, None,
            )  # fmt: skip

    def test_what_is_seeded_is_what_the_fields_take(self, sandbox: SandboxServer) -> None:
        """The seed goes past the checks of the API; another organisation would refuse what they refuse."""
        seed(sandbox.world, 60, TODAY)
        org = sandbox.world.services["salesforce"].org
        for kind, held in (("account", of_fleet(sandbox.world).values()), ("opportunity", records(sandbox.world, "opportunity"))):
            fields = [field for field in OBJECTS[kind].fields.values() if field.writable and not field.createable_only]
            for record in held:
                said = {field.name: record[field.name] for field in fields if record[field.name] is not None}
                org.update(OBJECTS[kind], record["Id"], said)
                assert {name: org.records[kind][record["Id"]][name] for name in said} == said
                for field in CUSTOM[OBJECTS[kind].name]:
                    assert not field.values or record[field.name] is None or record[field.name] in field.values

    def test_the_licence_is_real(self, sandbox: SandboxServer, customers: list[FleetAccount]) -> None:
        seed(sandbox.world, 300, TODAY)
        service = sandbox.world.services["licensing"]
        held = of_fleet(sandbox.world)
        for account in customers:
            subscription = service.subscriptions[read_id("ProductSubscription", held[account.domain]["License_Subscription__c"])]
            assert service.owner_of(subscription).username == account.slug
            (made,) = subscription.licenses
            info = decode_license(made.key)
            assert info is not None
            assert info.tags == (*KEY_TAGS, f"customer:{account.slug}")
            assert info.user_count == account.seats + KEY_BUFFER
            assert datetime.fromtimestamp(info.expires_at, UTC).date() == account.contract_end
        one = held[customers[0].domain]["License_Subscription__c"]
        query = (
            "query ($s: ID!) { dotcom { productLicenses(productSubscriptionID: $s) { nodes { info { userCount } subscription { id } } } } }"
        )
        answer = httpx.post(
            f"{sandbox.url}/licensing/.api/graphql",
            json={"query": query, "variables": {"s": one}},
            headers={"Authorization": f"token {TOKEN}"},
        ).json()
        assert answer["data"]["dotcom"]["productLicenses"]["nodes"] == [
            {"info": {"userCount": customers[0].seats + KEY_BUFFER}, "subscription": {"id": one}}
        ]

    def test_vitally_knows_what_people_said(self, sandbox: SandboxServer, customers: list[FleetAccount]) -> None:
        seed(sandbox.world, 300, TODAY)
        held = of_fleet(sandbox.world)
        for account in customers:
            known = sandbox.world.services["vitally"].account(account.domain)
            assert (known["externalId"], known["name"]) == (account.domain, account.name)
            said = {"Relationship - CE Pulse": account.pulse, "Active Champion?": account.champion, "Access to Buyer?": account.buyer}
            assert known["traits"] == {name: value for name, value in said.items() if value is not None} | {RED: account.health == "Red"}
            assert known["traits"][RED] == (held[account.domain]["Customer_Health__c"] == "Red")

    def test_again_it_changes_nothing_and_a_larger_one_joins(self, sandbox: SandboxServer, customers: list[FleetAccount]) -> None:
        seed(sandbox.world, 40, TODAY)
        assert founded(sandbox.world) == TODAY
        held = of_fleet(sandbox.world)[customers[0].domain]
        held["Seats__c"] = 9
        later = TODAY + timedelta(200)
        assert seed(sandbox.world, 60, later) == fleet(60, TODAY)
        found = of_fleet(sandbox.world)
        assert len(found) == len(records(sandbox.world, "opportunity")) == 60
        assert found[customers[0].domain]["Seats__c"] == 9
        assert found[customers[50].domain]["Contract_End__c"] == str(customers[50].contract_end)
        assert len(sandbox.world.services["licensing"].subscriptions) == 60

    def test_the_twelve_are_as_they_were(self, sandbox: SandboxServer) -> None:
        before = {record["Id"]: dict(record) for record in records(sandbox.world, "account")}
        seed(sandbox.world, 300, TODAY)
        assert {key: sandbox.world.services["salesforce"].org.records["account"][key] for key in before} == before
        assert len(before) == len(ACCOUNTS) == 12


@contextmanager
def process(tmp_path: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--state", str(tmp_path / "state"), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            line = running.stderr.readline()
            yield (line.split()[2].rstrip(",") if line.startswith("sandbox on ") else line), running
        finally:
            running.kill()


def shown(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{url}/_sandbox/services/salesforce").json()["view"]["Account"]
    return sorted((record for record in found if record["Type"] == "Customer"), key=lambda record: str(record["Name"]))


class TestProcess:
    def test_a_sandbox_with_a_fleet_keeps_it_over_restart_and_reset(self, tmp_path: Path) -> None:
        file = tmp_path / "data" / "warehouse.duckdb"
        options = ("--fleet", "30", "--warehouse", str(file))
        with process(tmp_path, *options) as (url, running):
            first = shown(url)
            running.send_signal(signal.SIGTERM)
            assert running.wait(timeout=20) == 0
        assert len(first) == 30
        assert all(record["Segment__c"] and record["Contract_End__c"] for record in first)
        with duckdb.connect(str(file), read_only=True) as db:
            assert db.execute("SELECT count(DISTINCT account), max(day) < current_date FROM usage_daily").fetchone() == (30, True)
        written = file.stat().st_mtime_ns
        self._yesterday(tmp_path / "state")
        with process(tmp_path, *options) as (url, running):
            assert [record["Contract_End__c"] for record in shown(url)] == [record["Contract_End__c"] for record in first]
            httpx.post(f"{url}/_sandbox/reset")
            assert len(shown(url)) == 30
            running.send_signal(signal.SIGTERM)
            assert running.wait(timeout=20) == 0
        assert file.stat().st_mtime_ns > written  # of other customers: those of another day

    @staticmethod
    def _yesterday(state: Path) -> None:
        """Make the kept fleet one that was founded earlier, as after a night."""
        held = json.loads(state.read_bytes())
        for record in held["services"]["salesforce"]["org"]["records"]["account"].values():
            if record["AccountSource"]:
                words, _, day = record["AccountSource"].rpartition(" ")
                record["AccountSource"] = f"{words} {date.fromisoformat(day) - timedelta(1)}"
        state.write_text(json.dumps(held))

    def test_a_file_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with process(tmp_path, "--fleet", "1", "--warehouse", str(tmp_path / "file" / "warehouse.duckdb")) as (line, running):
            assert running.wait(timeout=20) == 1
        assert "cannot write the warehouse" in line
        assert "choose another file with --warehouse" in line

    def test_options(self, capsys: pytest.CaptureFixture[str]) -> None:
        options = parse([], {})
        assert (options.fleet, options.warehouse) == (0, "")
        options = parse(["--fleet", "20"], {"SANDBOX_FLEET": "10", "SANDBOX_WAREHOUSE": "w.duckdb"})
        assert (options.fleet, options.warehouse) == (20, "w.duckdb")
        for wrong in ("-1", "many", str(MOST + 1)):
            with pytest.raises(SystemExit):
                parse(["--fleet", wrong], {})
        assert f"is not a number from 0 to {MOST}" in capsys.readouterr().err

    def test_the_file_is_left_alone_while_it_is_of_today_and_of_these(self, tmp_path: Path, customers: list[FleetAccount]) -> None:
        file = tmp_path / "warehouse.duckdb"
        few = customers[:20]
        assert not warehouse.covers(file, few, TODAY)
        file.write_text("not a database")
        assert not warehouse.covers(file, few, TODAY)
        warehouse.write(file, few, TODAY)
        assert warehouse.covers(file, few, TODAY)
        assert not warehouse.covers(file, few, TODAY + timedelta(1))
        assert not warehouse.covers(file, customers[:21], TODAY)
        assert not warehouse.covers(file, [replace(few[0], contract_start=TODAY - timedelta(20)), *few[1:]], TODAY)
