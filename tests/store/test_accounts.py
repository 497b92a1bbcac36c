"""Customers as the ledger has them: copied from the CRM and never forgotten, their teams, their renewals in any order, snapshots for ever."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from activities.salesforce.effects import Salesforce
from domain.account.account import AskAccount, Customer, HealthSnapshot, RenewalRow
from domain.forecast.weekly_round import AskForecast, AskLines, Owner, TakeForecast
from domain.health.score import score
from domain.health.types import Traits
from domain.markup import bold
from domain.people import Role
from domain.policy import default_accounts
from domain.renewal.commands import ProjectOutcome
from sandbox import fleet
from sandbox.server import SandboxServer
from store.accounts import Accounts
from store.forecasts import Forecasts
from store.ledger import Ledger
from store.registry import Registry
from store.settings import Settings
from store.tables import forecasts, health, health_changes
from tests.rows import all_customers, bands, keep_renewal

POLICY = default_accounts()
NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
MIRA, WEN, PAZ = "ae-mira@tenure.example", "ae-wen@tenure.example", "ta-paz@tenure.example"


@pytest.fixture
def salesforce(settings: Settings, ledger: Ledger) -> Iterator[Salesforce]:
    made = Salesforce.from_settings(settings, ledger)
    yield made
    made.close()


@pytest.fixture
def accounts(ledger: Ledger) -> Accounts:
    return Accounts(ledger)


def crm(sandbox: SandboxServer, domain: str = "acme.com", **fields: Any) -> dict[str, Any]:
    """A customer in the CRM; returns its record."""
    org = sandbox.world.services["salesforce"]
    base = {"Name": domain.partition(".")[0].capitalize(), "Domain__c": domain, "Type": "Customer", "Account_Executive__c": MIRA}
    org.seed({"accounts": [{**base, "Technical_Advisor__c": PAZ, **fields}]})
    return next(record for record in org.org.records["account"].values() if record["Domain__c"] == domain)


# --- the copy ----------------------------------------------------------------------------------------------------------------------


def test_one_sync_copies_people_accounts_and_customers(salesforce: Salesforce, sandbox: SandboxServer, accounts: Accounts) -> None:
    """A whole invented fleet, field by field, in pages."""
    sandbox.world.services["salesforce"].batch_size = 20
    made = fleet.seed(sandbox.world, 45, date(2026, 11, 25))
    found = salesforce.sync_accounts()
    assert (found.customers, found.left, found.customer_errors) == (45, (), ())
    assert found.people > 20
    known = {customer.domain: customer for customer, _ in accounts.standings()}
    assert len(known) == 45
    for one in made:
        customer = known[one.domain]
        assert (customer.name, customer.segment, customer.arr, customer.seats) == (one.name, one.segment, one.arr, one.seats)
        assert (customer.contract_start, customer.contract_end) == (one.contract_start, one.contract_end)
        assert (customer.deployed_on, customer.last_activity_on, customer.status) == (one.deployed_on, one.last_activity_on, "customer")
        assert customer.health == one.health
        assert customer.subscription
        team = accounts.view(one.domain).team
        assert (team.email(Role.AE), team.email(Role.TA)) == (f"{one.ae}@tenure.example", f"{one.ta}@tenure.example")


def test_b17_the_colour_that_people_give_in_the_crm_is_copied(salesforce: Salesforce, sandbox: SandboxServer, accounts: Accounts) -> None:
    """Set, changed, and taken away again; nothing is no colour."""
    record = crm(sandbox)
    seen = []
    for colour in (None, "Red", "Yellow", None):
        record["Customer_Health__c"] = colour
        salesforce.sync_accounts()
        known = accounts.view("acme.com").customer
        assert known is not None
        seen.append(known.health)
    assert seen == ["", "Red", "Yellow", ""]


def test_who_churns_is_told_once_and_not_forgotten(
    salesforce: Salesforce, sandbox: SandboxServer, accounts: Accounts, ledger: Ledger
) -> None:
    """A former customer and one that is not in the CRM's answer any more are churned; a merged one says into whom."""
    crm(sandbox, "stays.com")
    winner = crm(sandbox, "winner.com")
    former, gone, merged = (crm(sandbox, f"{name}.com") for name in ("former", "gone", "merged"))
    assert salesforce.sync_accounts().customers == 5
    former["Type"] = "Former Customer"
    merged["Merged_Into__c"] = winner["Id"]
    del sandbox.world.services["salesforce"].org.records["account"][gone["Id"]]
    found = salesforce.sync_accounts()
    assert found.customers == 2
    assert sorted(found.left) == [
        "Former (former.com) has churned",
        "Gone (gone.com) is no customer in the CRM any more, nor a former one: it counts as churned",
        "Merged (merged.com) was merged into winner.com",
    ]
    statuses = {customer.domain: (customer.status, customer.merged_into) for customer in all_customers(ledger)}
    assert statuses == {
        "stays.com": ("customer", ""),
        "winner.com": ("customer", ""),
        "former.com": ("churned", ""),
        "gone.com": ("churned", ""),
        "merged.com": ("merged", "winner.com"),
    }
    assert [customer.domain for customer, _ in accounts.standings()] == ["stays.com", "winner.com"]
    assert salesforce.sync_accounts().left == ()
    former["Type"] = "Customer"
    assert salesforce.sync_accounts().customers == 3
    assert accounts.view("former.com").customer is not None


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("www.site2.example", "site2.example"),
        ("https://site2.example/", "site2.example"),
        ("site2.example/", "site2.example"),
        ("ops@site2.example", "site2.example"),
        (" SITE2.Example ", "site2.example"),
        ("http://www.site2.example:8080/a?b", "site2.example"),
        ("eu.site2.example", "site2.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("shop.first.uk.com", "first.uk.com"),
    ],
)
def test_a_domain_as_people_type_it_is_the_companys_key(
    salesforce: Salesforce, sandbox: SandboxServer, accounts: Accounts, ledger: Ledger, typed: str, key: str
) -> None:
    crm(sandbox, typed, Name="Typed", Trial_Prequalified__c=True)
    found = salesforce.sync_accounts()
    assert (found.customer_errors, found.data_errors) == ((), ())
    assert accounts.view(key).customer is not None
    known = Registry(ledger).account_of(key)
    assert known is not None
    assert (known.account.name, known.account.prequalified, known.account.domain) == ("Typed", True, key)


@pytest.mark.parametrize("typed", ["n/a", "Acme Inc.", "gmail.com", "ops@gmail.com", "co.uk", "localhost", "10.0.0.1", "-"])
def test_a_domain_that_gives_no_company_is_told_and_the_account_goes_on(
    salesforce: Salesforce, sandbox: SandboxServer, accounts: Accounts, typed: str
) -> None:
    """A customer keeps the domain that it had, and its figures are still copied; a stranger is told with the accounts."""
    record = crm(sandbox, "acme.com", Seats__c=10)
    assert salesforce.sync_accounts().left == ()
    record |= {"Domain__c": typed, "Seats__c": 77}
    crm(sandbox, typed + " ", Name="Prospect", Type="Prospect")
    found = salesforce.sync_accounts()
    assert (found.left, found.customers) == ((), 1)
    assert [error.partition(" has no domain that can be used: ")[0] for error in found.customer_errors] == ["Acme"]
    assert [error.partition(" has no domain that can be used: ")[0] for error in found.data_errors] == ["Prospect"]
    assert all("correct it in the CRM" in error for error in (*found.customer_errors, *found.data_errors))
    kept = accounts.view("acme.com").customer
    assert kept is not None
    assert (kept.seats, kept.status) == (77, "customer")
    record["Domain__c"] = "acme.com"
    assert salesforce.sync_accounts().customer_errors == ()


def test_of_two_accounts_of_one_company_the_entitled_one_counts(salesforce: Salesforce, sandbox: SandboxServer, ledger: Ledger) -> None:
    crm(sandbox, "www.acme.com", Name="Entitled", Type="Prospect", Trial_Prequalified__c=True)
    crm(sandbox, "acme.com", Name="Other", Type="Prospect")
    salesforce.sync_accounts()
    known = Registry(ledger).account_of("acme.com")
    assert known is not None
    assert (known.account.name, known.account.prequalified) == ("Entitled", True)


def test_when_very_many_are_missing_the_answer_is_wrong_and_nobody_churns(
    salesforce: Salesforce, sandbox: SandboxServer, accounts: Accounts
) -> None:
    """A permission that hides accounts must not end their renewals; what is there is copied all the same."""
    records = [crm(sandbox, f"company-{number}.com") for number in range(20)]
    salesforce.sync_accounts()
    org = sandbox.world.services["salesforce"].org
    for record in records[:6]:
        del org.records["account"][record["Id"]]
    records[10]["Seats__c"] = 77
    found = salesforce.sync_accounts()
    assert (found.customers, found.left) == (14, ())
    assert found.customer_errors == (
        "6 of 20 customers are missing in the CRM's answer: they stay customers; see what hides them, or delete fewer",
    )
    assert len(accounts.standings()) == 20
    changed = accounts.view("company-10.com").customer
    assert changed is not None
    assert changed.seats == 77
    for record in records[:2]:
        org.records["account"][record["Id"]] = record  # four are still missing: so few may have left
    assert len(salesforce.sync_accounts().left) == 4


def test_f15_a_fact_nobody_means_leaves_what_was_known(salesforce: Salesforce, sandbox: SandboxServer, accounts: Accounts) -> None:
    """Every field that a person may mistype: an error in words, the copy goes on, and a correction is taken."""
    record = crm(sandbox, "acme.com")
    salesforce.sync_accounts()
    before = accounts.view("acme.com").customer
    slips = ("Contract_Start__c", "Contract_End__c", "Deployed_On__c", "LastActivityDate")
    record |= {**dict.fromkeys(slips, "9999-12-31"), "Seats__c": -1, "ARR__c": 1e15}
    other = crm(sandbox, "new.com")
    other |= {**dict.fromkeys(slips, "0202-05-31"), "Seats__c": 1e12}
    found = salesforce.sync_accounts()
    assert found.customers == 2
    fields = ("arr", "contract_end", "contract_start", "deployed_on", "last_activity_on", "seats")
    assert sorted(found.odd) == [*(f"acme.com/{name}" for name in fields), *(f"new.com/{name}" for name in fields[1:])]
    kept, new = accounts.view("acme.com").customer, accounts.view("new.com").customer
    assert before is not None
    assert kept is not None
    assert new is not None
    assert kept.model_copy(update={"as_of": before.as_of, "data_errors": {}}) == before
    assert (new.contract_start, new.contract_end, new.deployed_on, new.last_activity_on, new.seats) == (None, None, None, None, 0)
    record |= {**dict.fromkeys(slips, "2026-06-30"), "Seats__c": 7, "ARR__c": 1}
    other |= {**dict.fromkeys(slips, "2026-06-30"), "Seats__c": 7}
    assert salesforce.sync_accounts().odd == {}
    right = accounts.view("acme.com").customer
    assert right is not None
    assert (right.contract_end, right.seats, right.arr, right.data_errors) == (date(2026, 6, 30), 7, 1, {})


def test_of_two_records_of_one_company_the_customers_counts(salesforce: Salesforce, sandbox: SandboxServer, ledger: Ledger) -> None:
    org = sandbox.world.services["salesforce"].org
    crm(sandbox, "acme.com", Name="Acme today", Contract_End__c="2026-12-31")
    first = crm(sandbox, "other.com", Name="Acme of old", Type="Former Customer", Contract_End__c="2029-12-31")
    first["Domain__c"] = " ACME.com "
    assert len([record for record in org.records["account"].values() if "acme" in str(record["Domain__c"]).lower()]) == 2
    salesforce.sync_accounts()
    [found] = all_customers(ledger)
    assert (found.domain, found.name, found.status) == ("acme.com", "Acme today", "customer")


# --- who looks after an account ------------------------------------------------------------------------------------------------------


def test_a_team_has_managers_and_leaders_and_nobody_who_left(salesforce: Salesforce, sandbox: SandboxServer, accounts: Accounts) -> None:
    """C19: TA, AE and CE from the account (the AE's CE where it names none), managers from the CRM, leaders by role."""
    crm(sandbox)
    salesforce.sync_accounts()
    view = accounts.account(AskAccount(domain="acme.com"))
    team = view.team
    assert {role.value: team.email(role) for role in Role if team.email(role)} == {
        "ta": PAZ,
        "ae": MIRA,
        "ce": "ce-ada@tenure.example",
        "ta_manager": "ta-manager@tenure.example",
        "ae_manager": "ae-manager@tenure.example",
        "ts_leadership": "ts-lead@tenure.example",
        "sales_leadership": "sales-lead@tenure.example",
    }
    assert view.standing is None
    sandbox.world.services["salesforce"].seed({"users": [{"Email": PAZ, "IsActive": False}]})
    salesforce.sync_accounts()
    team = accounts.view("ACME.com ").team
    assert (team.email(Role.TA), team.email(Role.TA_MANAGER)) == ("", "ta-manager@tenure.example")


def test_a_domain_that_is_no_customers_is_empty(accounts: Accounts) -> None:
    view = accounts.account(AskAccount(domain="nobody.com"))
    assert (view.customer, view.standing, view.team.ta) == (None, None, None)
    assert accounts.health("nobody.com") is None


# --- health ------------------------------------------------------------------------------------------------------------------------


def test_health_is_read_with_its_evidence_and_its_changes(
    salesforce: Salesforce, sandbox: SandboxServer, accounts: Accounts, ledger: Ledger
) -> None:
    crm(sandbox)
    crm(sandbox, "unscored.com")
    salesforce.sync_accounts()
    traits = Traits(at=NOW, mau_seats=0.9, champion=True)
    first = score(POLICY, traits)
    second = score(POLICY, traits.model_copy(update={"mau_seats": 0.4, "at": NOW + timedelta(hours=1)}), first)
    standing = HealthSnapshot(as_of=NOW, score=second.total, band=second.band)
    with ledger.writing() as db:
        for at, band_before, each in ((NOW, "unknown", first), (second.at, first.band, second)):
            row = {"domain": "acme.com", "at": at, "total": each.total, "band": each.band, "score": each.model_dump(mode="json")}
            db.execute(insert(health_changes).values({**row, "band_before": band_before}))
        # since the score was made, the share fell further, and stays red
        later = traits.model_copy(update={"mau_seats": 0.3})
        db.execute(insert(health).values({**row, "traits": later.model_dump(mode="json"), "standing": standing.model_dump(mode="json")}))
    found = accounts.health("acme.com")
    assert found is not None
    assert (found.score, found.standing) == (second, standing)
    now = found.as_of_now(POLICY)
    assert (now.total, now.deltas) == (second.total, second.deltas)
    assert [each.value for each in now.contributions if each.trait == "mau_seats"] == [0.3]
    assert [(change.band_before, change.score.band) for change in accounts.changes("acme.com")] == [
        ("healthy", "poor"),
        ("unknown", "healthy"),
    ]
    assert len(accounts.changes("acme.com", limit=1)) == 1
    assert bands(ledger) == {"poor": 1}
    assert [(customer.domain, standing) for customer, standing in accounts.standings()] == [("acme.com", standing), ("unscored.com", None)]


# --- renewals ----------------------------------------------------------------------------------------------------------------------


def row(domain: str = "acme.com", on: date = date(2026, 12, 31), **more: Any) -> RenewalRow:
    base = {"workflow": f"renewal-{domain}-{on}", "domain": domain, "name": domain, "renewal_on": on, "arr": 100_000, "phase": "forecast"}
    return RenewalRow.model_validate({**base, "ae": MIRA, "updated_at": NOW, **more})


def test_an_older_row_never_replaces_a_newer_one(either_ledger: Ledger) -> None:
    accounts = Accounts(either_ledger)
    full = row(
        rating="red", outcome="partial_churn", ta_outcome="full_churn", system_outcome="full_churn", amount=40_000, ta=PAZ, forecast_at=NOW
    )
    for each in (full, row(phase="plan", updated_at=NOW - timedelta(hours=1)), full):
        keep_renewal(either_ledger, each)
    assert accounts.renewals() == [full]
    assert accounts.renewal(full.workflow) == full
    ended = full.model_copy(update={"status": "churned", "amount": None, "actual_outcome": "full_churn", "updated_at": NOW + timedelta(1)})
    keep_renewal(either_ledger, ended)
    assert accounts.renewals() == [ended]
    assert accounts.renewals(status="open") == []


def test_renewals_are_found_by_what_people_ask(accounts: Accounts, ledger: Ledger) -> None:
    rows = [row(), row("bolt.com", date(2026, 11, 30), ae=WEN), row("cube.com", date(2027, 3, 1), ae=""), row("dart.com", status="renewed")]
    for each in reversed(rows):
        keep_renewal(ledger, each)
    assert [each.domain for each in accounts.renewals()] == ["bolt.com", "acme.com", "dart.com", "cube.com"]
    assert [each.domain for each in accounts.renewals(status="open", ae=MIRA)] == ["acme.com"]
    assert [each.domain for each in accounts.renewals(ae="")] == ["cube.com"]
    assert [each.domain for each in accounts.renewals(domain="Bolt.com")] == ["bolt.com"]
    assert [each.domain for each in accounts.renewals(first=date(2026, 12, 1), last=date(2026, 12, 31))] == ["acme.com", "dart.com"]
    assert accounts.renewal("renewal-nobody.com-2026-01-01") is None


# --- the weekly forecast -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def forecasting(either_ledger: Ledger) -> Forecasts:
    """Three renewals of one AE, one of another, one of an AE whom the CRM does not know."""
    people = (
        (MIRA, Role.AE, "u9"),
        (WEN, Role.AE, "u9"),
        ("boss@tenure.example", Role.AE_MANAGER, None),
        ("first@tenure.example", Role.AE_MANAGER, None),
    )
    with either_ledger.writing() as db:
        from store.tables import roster

        for number, (email, role, manager) in enumerate(people):
            id_ = "u9" if email == "boss@tenure.example" else f"u{number}"
            name = email.partition("@")[0]
            active = email != WEN
            db.execute(insert(roster).values(id=id_, name=name, email=email, role=role, active=active, manager=manager))
    for each in (
        row(outcome="flat", rating="green"),
        row("bolt.com", date(2027, 2, 1), rating="yellow"),
        row("early.com", phase="assessment"),
        row("cube.com", ae=WEN, rating="red"),
        row("over.com", status="renewed", actual_outcome="flat", actual_arr=90_000),
    ):
        keep_renewal(either_ledger, each)
    return Forecasts(either_ledger)


def take(subject: str = "renewal-forecast/1.1", at: datetime = NOW, **more: Any) -> TakeForecast:
    return TakeForecast(subject=subject, as_of=at, policy=POLICY, **more)


def test_who_is_asked_about_what(forecasting: Forecasts) -> None:
    """The AE, and the manager whom the CRM names; of an AE who has left, the first manager of AEs."""
    assert forecasting.owners(AskForecast()).owners == (
        Owner(ae=MIRA, name="ae-mira", asks=MIRA, manager="boss@tenure.example", renewals=2),
        Owner(ae=WEN, name=WEN, asks="boss@tenure.example", manager="boss@tenure.example", renewals=1),
    )
    lines = forecasting.lines(AskLines(ae=MIRA))
    assert ([each.domain for each in lines.rows], lines.early) == (["acme.com", "bolt.com"], 1)


def test_a_snapshot_is_taken_once_for_each_quarter_and_never_changes(forecasting: Forecasts, either_ledger: Ledger) -> None:
    """A repetition, even with other words and later rows, reads back what the first attempt wrote."""
    accounts = Accounts(either_ledger)
    said = {"renewal-acme.com-2026-12-31": ProjectOutcome(by=MIRA, outcome="partial_churn", amount=40_000)}
    first = forecasting.take(take(said=said, confirmed=(MIRA,), unconfirmed=(WEN,)))
    assert first.weighted == {"FY27-Q4": 75_000, "FY28-Q1": 70_000}  # 40,000 as said, 35,000 by its red rating; nothing of who is not rated
    keep_renewal(either_ledger, row(outcome="full_churn", updated_at=NOW + timedelta(1)))
    assert forecasting.take(take()) == first
    [q4] = accounts.snapshots("FY27-Q4")
    assert (q4.total.arr, q4.total.unknown, q4.unconfirmed, q4.policy) == (300_000, 100_000, (WEN,), POLICY.hash)
    assert (q4.closed.renewals, q4.closed.weighted) == (1, 90_000)
    assert [line.confirmed for line in q4.lines if line.domain == "acme.com"] == [True]
    week = forecasting.take(take("renewal-forecast/2.1", NOW + timedelta(weeks=1)))
    assert week.weighted["FY27-Q4"] == 35_000
    assert "-40,000 since the last one: acme.com -40,000 (outcome: partial churn → full churn)" in week.text
    assert [each.taken_at for each in accounts.snapshots("FY27-Q4")] == [NOW, NOW + timedelta(weeks=1)]
    assert accounts.snapshots("FY27-Q4")[0] == q4


def test_a_snapshot_that_somebody_changed_is_noticed(forecasting: Forecasts, either_ledger: Ledger) -> None:
    forecasting.take(take())
    [before] = Accounts(either_ledger).snapshots("FY27-Q4")
    better = {**before.model_dump(mode="json"), "unconfirmed": ["nobody"]}
    with either_ledger.writing() as db:
        db.execute(update(forecasts).where(forecasts.c.quarter == "FY27-Q4").values(data=better))
    with pytest.raises(ValueError, match="not as it was written"):
        Accounts(either_ledger).snapshots("FY27-Q4")
    after = forecasting.take(take("renewal-forecast/2.1", NOW + timedelta(weeks=1)))  # the next week is taken all the same
    assert "since the last one" not in after.text


def test_the_week_in_which_a_quarter_ended_says_how_good_its_forecast_was(forecasting: Forecasts, either_ledger: Ledger) -> None:
    after = datetime(2027, 2, 3, 9, tzinfo=UTC)
    forecasting.take(take())
    keep_renewal(either_ledger, row(outcome="flat", status="renewed", actual_outcome="incremental", actual_arr=110_000, updated_at=after))
    keep_renewal(either_ledger, row("cube.com", ae=WEN, rating="red", status="churned", actual_outcome="full_churn", updated_at=after))
    text = forecasting.take(take("renewal-forecast/2.1", after)).text
    assert f"{bold('FY27-Q4')} is over: $110,000 came, $25,000 less than forecast, 0 of 1 outcomes as projected." in text
    assert "is over" not in forecasting.take(take("renewal-forecast/3.1", after + timedelta(weeks=1))).text


def test_without_renewals_nobody_is_asked_and_nothing_is_taken(ledger: Ledger) -> None:
    empty = Forecasts(ledger)
    assert empty.owners(AskForecast()).owners == ()
    taken = empty.take(take())
    assert (taken.weighted, taken.text) == ({}, f"{bold('Forecast of 2026-11-25')}: no renewal is open.")


def test_a_customer_in_the_ledger_is_a_message(salesforce: Salesforce, sandbox: SandboxServer, accounts: Accounts) -> None:
    """Empty fields of the CRM are no error: a customer is made by hand, and filled in later."""
    crm(sandbox, Account_Executive__c=None, Technical_Advisor__c=None)
    salesforce.sync_accounts()
    view = accounts.view("acme.com")
    assert view.customer is not None
    assert view.customer == Customer.model_validate_json(view.customer.model_dump_json())
    assert (view.customer.arr, view.customer.seats, view.customer.contract_end, view.team.ae) == (0, 0, None, None)
