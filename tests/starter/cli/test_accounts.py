"""The commands about customers: what each asks of the service, what its page says, and how what cannot be used is refused."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from domain import commands
from domain.account.account import HealthSnapshot, RenewalRow
from domain.account.commands import MARK_ACCOUNT_RED, RESOLVE, START_RENEWAL, WRITE_PLAN
from domain.account.get_well import PlanReview, PlanStatus, PlanUpdate
from domain.account.lifecycle import AccountStatus
from domain.account.red import Mark, RedStatus, RedUpdate
from domain.commands import Command
from domain.decision import Decision, Fact
from domain.forecast import comparison
from domain.forecast import rollup as forecasting
from domain.forecast.quarters import days_of
from domain.health.guidance import guidance
from domain.health.score import score
from domain.renewal.commands import ASSESS, FORECAST, MOVE
from domain.renewal.state import RenewalStatus
from domain.task import Choice, FieldSpec
from domain.views import NextStep, TaskView
from starter.errors import NotFound
from starter.service import accounts as service
from starter.service.views import AccountOverview, CustomerLine, ForecastView, HealthView, ProcessView
from tests.domain.make_accounts import POLICY, customer, standing, team
from tests.domain.make_health import traits
from tests.starter.conftest import Run, Service, opens

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NASTY = "[red]Acme[/red] & [/] Söhne"
ACME = "acme.example"
BY = "ta@tenure.example"


def a_row(domain: str = ACME, **more: Any) -> RenewalRow:
    given = {
        "workflow": f"renewal-{domain}-2026-12-14",
        "domain": domain,
        "name": NASTY,
        "renewal_on": date(2026, 12, 14),
        "arr": 120_000,
        "phase": "early_review",
        "ae": "abe@tenure.example",
        "updated_at": NOON,
    }
    return RenewalRow.model_validate({**given, **more})


def a_process(kind: str, status: Any, **more: Any) -> ProcessView:
    fields = (FieldSpec(name="risk", asks="the technical risk"), FieldSpec(name="note", asks="what else", required=False))
    ask = TaskView(
        id=f"w-{ACME}:assess-1",
        workflow=f"w-{ACME}",
        task="assess-1",
        kind="assess",
        title=f"{NASTY}: assessment",
        asks=f"Rate {NASTY}.",
        role="ta",
        assignee=BY,
        choices=tuple(Choice(name=name, label=name.capitalize(), fields=fields) for name in ("green", "yellow", "red")),
        opened_at=NOON,
        due_at=NOON + timedelta(days=2),
    )
    decided = Decision(
        what="rating",
        outcome="red",
        rule=f"{NASTY} is poor.",
        handbook="D26",
        at=NOON,
        policy="p",
        facts=(Fact(name="MAU/seats", value=0.011929824561403509, source="warehouse", as_of=NOON),),
        nearest="a healthy band",
    )
    return ProcessView(
        workflow=f"w-{ACME}",
        kind=kind,
        open=True,
        at=NOON,
        status=status.model_dump(mode="json"),
        next_steps=(NextStep(at=NOON + timedelta(days=3), what=f"{NASTY} is processed"), NextStep(at=NOON, what="remind somebody")),
        dossier=(decided,),
        tasks=(ask,),
        **more,
    )


WORDS = f"**{NASTY}**: it waits\n- more"
LIFE = a_process("Account", AccountStatus(account=ACME, name=NASTY, stage="renewing", in_words=WORDS, goal="missed", notes=(NASTY,)))
RENEWAL = a_process(
    "Renewal",
    RenewalStatus(
        domain=ACME,
        name=NASTY,
        renewal_on=date(2026, 12, 14),
        due_on=date(2026, 12, 28),
        arr=120_000,
        phase="early_review",
        in_words=WORDS,
        rating="red",
        in_lighthouse=True,
        success_criteria=f"{NASTY} at 60 %",
        outcome="partial_churn",
        amount=90_000,
        forecast_by="abe@tenure.example",
        forecast_at=NOON,
        ta_outcome="full_churn",
        odd="rated green, yet lost",
        notes=(NASTY,),
    ),
)
PLAN = a_process(
    "GetWell",
    PlanStatus(
        account=ACME,
        name=NASTY,
        stage="planned",
        in_words=WORDS,
        reasons={"low_utilization": f"{NASTY} is at 1%"},
        planned_at=NOON,
        fields={"drive": f"trainings for {NASTY}"},
        updates=(
            PlanUpdate(at=NOON, by=BY, status="on_track", progress="the first one", next="the second one"),
            PlanUpdate(at=NOON + timedelta(days=7), by=BY, status="at_risk", progress=f"the later one of {NASTY}", blockers="SSO"),
        ),
        reviews=(PlanReview(at=NOON, by=BY, outcome="continue", note=NASTY),),
    ),
)
RED = a_process(
    "RedAccount",
    RedStatus(
        account=ACME,
        name=NASTY,
        stage="red",
        in_words=WORDS,
        marks=(Mark(at=NOON, reason=f"{NASTY} is silent", source="judgement", by=BY),),
        fields={"needs": f"a call to {NASTY}"},
        updates=(RedUpdate(at=NOON, by=BY, status="off_track", state=f"{NASTY} left", needs="an executive"),),
    ),
)
KNOWN = traits(pulse="Poor", champion=True, usage_score=0.25, mau_seats=0.79996)
SCORE = score(POLICY, KNOWN, score(POLICY, traits(pulse="Healthy", champion=True, usage_score=0.25)))
STANDING = standing(score=SCORE.total, band=SCORE.band, mau_seats=0.43, reds=("no_contact",))


def a_forecast(*rows: RenewalRow, quarter: str = "FY27-Q4", **more: Any) -> ForecastView:
    first, last = days_of(POLICY, quarter)
    rolled = forecasting.roll_up(POLICY, rows, quarter, at=NOON)
    return ForecastView(first=first, last=last, following="FY28-Q1", forecast=rolled, **more)


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> Service:
    acme = customer(name=NASTY, arr=120_000, contract_end=date(2026, 12, 14))
    shown = {commands.RENEWAL: RENEWAL, commands.PLAN: PLAN, commands.RED: RED}
    answers: dict[str, Any] = {
        "customers": [
            CustomerLine(customer=acme, standing=STANDING),
            CustomerLine(customer=customer(domain="b.example", name="Bolt"), standing=None),
        ],
        "health": HealthView(
            customer=acme,
            team=team(),
            score=SCORE,
            standing=STANDING,
            guidance=guidance(POLICY, SCORE),
            changes=((NOON, "healthy", SCORE),),
        ),
        "overview": AccountOverview(
            customer=acme, team=team(), standing=STANDING, processes=(LIFE, RENEWAL, PLAN, RED), renewals=(a_row(),)
        ),
        "renewals": [a_row(), a_row("b.example", ta_outcome="flat", ta="[red]tess[/]@tenure.example")],
        "forecast": a_forecast(a_row(rating="green", outcome="full_churn"), a_row("b.example")),
    }
    fake = Service({**answers, "of_kind": lambda kind, _: shown[kind], "decide": f"done for {NASTY}"})
    opens(monkeypatch, object())
    monkeypatch.setattr(service.Accounts, "of", lambda _tenure: fake)
    return fake


# --- What is asked of the service -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ("renewal start acme.example", (START_RENEWAL, (ACME, {"date": None, "by": ""}, ""))),
        ("renewal start acme.example --date 2027-01-31", (START_RENEWAL, (ACME, {"date": date(2027, 1, 31), "by": ""}, ""))),
        (
            "renewal assess acme.example --rating red --why left --by m@x.y --event-id e-1",
            (ASSESS, (ACME, {"rating": "red", "why": "left", "by": "m@x.y"}, "e-1")),
        ),
        (
            "renewal forecast acme.example --outcome flat",
            (FORECAST, (ACME, {"outcome": "flat", "amount": None, "note": "", "as": "ae", "by": ""}, "")),
        ),
        (
            "renewal forecast acme.example --outcome partial_churn --amount 90000 --note n --as ta --by ta@x.y --event-id e-2",
            (FORECAST, (ACME, {"outcome": "partial_churn", "amount": 90_000, "note": "n", "as": "ta", "by": "ta@x.y"}, "e-2")),
        ),
        (
            "renewal move acme.example 2027-02-28 --reason co-termed --by ae@x.y",
            (MOVE, (ACME, {"renewal_on": date(2027, 2, 28), "reason": "co-termed", "by": "ae@x.y"}, "")),
        ),
        (
            "red mark acme.example --reason left --by ta@x.y --event-id e-3",
            (MARK_ACCOUNT_RED, (ACME, {"reason": "left", "by": "ta@x.y"}, "e-3")),
        ),
        (
            "red resolve acme.example --to yellow --note better --by m@x.y",
            (RESOLVE, (ACME, {"to": "yellow", "note": "better", "by": "m@x.y"}, "")),
        ),
        (
            "plan update acme.example --field drive=a=b --field help=none --by ta@x.y",
            (WRITE_PLAN, (ACME, {"drive": "a=b", "help": "none", "by": "ta@x.y"}, "")),
        ),
    ],
)
def test_what_is_decided(run: Run, accounts: Service, arguments: str, asked: tuple[Command[Any], tuple[Any, ...]]) -> None:
    said = run(*arguments.split())
    assert (said.code, said.out.strip()) == (0, f"done for {NASTY}")
    command, given = asked
    assert accounts.asked == [("decide", (command, *given), {})]
    assert run(*arguments.split(), "--json").json == {"message": f"done for {NASTY}"}


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ("account list", ("customers", ("",), {})),
        ("account list --band poor", ("customers", ("poor",), {})),
        ("account show acme.example", ("overview", (ACME,), {})),
        ("health show acme.example", ("health", (ACME, 5), {})),
        ("health show acme.example --history 30", ("health", (ACME, 30), {})),
        ("renewal list", ("renewals", (), {"quarter": "", "status": "open", "rating": "", "limit": 50})),
        (
            "renewal list --quarter fy27-q4 --rating red --all --limit 7",
            ("renewals", (), {"quarter": "fy27-q4", "status": "", "rating": "red", "limit": 7}),
        ),
        ("renewal show acme.example", ("of_kind", (commands.RENEWAL, ACME), {})),
        ("plan show acme.example", ("of_kind", (commands.PLAN, ACME), {})),
        ("red show acme.example", ("of_kind", (commands.RED, ACME), {})),
        ("forecast", ("forecast", ("",), {})),
        ("forecast --quarter FY27-Q4", ("forecast", ("FY27-Q4",), {})),
    ],
)
def test_what_is_looked_at(run: Run, accounts: Service, arguments: str, asked: tuple[str, tuple[Any, ...], dict[str, Any]]) -> None:
    """What came from outside stands on every page as text, never as markup."""
    page = run(*arguments.split())
    assert (page.code, page.err) == (0, "")
    assert accounts.asked == [asked]
    assert ("[red]tess[/]" if "renewal list" in arguments else NASTY) in page.flat


def test_as_json_each_is_what_the_service_said(run: Run, accounts: Service) -> None:
    for command, model in (
        ("account show", AccountOverview),
        ("health show", HealthView),
        ("renewal show", ProcessView),
        ("plan show", ProcessView),
        ("red show", ProcessView),
    ):
        answer = model.model_validate(run(*command.split(), ACME, "--json").json)
        name, asked, _ = accounts.asked[-1]
        assert answer == (accounts.answers[name](*asked) if name == "of_kind" else accounts.answers[name]), command
    assert ForecastView.model_validate(run("forecast", "--json").json) == accounts.answers["forecast"]
    assert [RenewalRow.model_validate(row) for row in run("renewal", "list", "--json").json] == accounts.answers["renewals"]
    listed = run("account", "list", "--json", "--limit", "1").json
    assert [(row["customer"]["name"], HealthSnapshot.model_validate(row["standing"])) for row in listed] == [(NASTY, STANDING)]


def test_who_decides_may_stand_in_the_environment(run: Run, accounts: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENURE_BY", BY)
    run("red", "mark", ACME, "--reason", "left")
    assert accounts.asked[0][1][2] == {"reason": "left", "by": BY}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("renewal start acme.example --date 2027-13-01", "--date '2027-13-01' is not a date"),
        ("renewal move acme.example tomorrow", "the date 'tomorrow' is not a date"),
        ("renewal move acme.example", "Missing argument 'YYYY-MM-DD'"),
        ("renewal assess acme.example --why left", "Missing option '--rating'"),
        ("renewal assess acme.example --rating red", "Missing option '--why'"),
        ("renewal forecast acme.example --outcome flat --amount many", "Invalid value for '--amount'"),
        ("renewal list --limit 0", "Invalid value for '--limit'"),
        ("account list --limit -1", "Invalid value for '--limit'"),
        ("red mark acme.example", "Missing option '--reason'"),
        ("red resolve acme.example", "Missing option '--to'"),
        ("plan update acme.example --field drive", "'drive'"),
        ("plan update acme.example --field drive=x --field cure=y --field by=z", "there is no field by, cure"),
        ("health show", "Missing argument 'ACCOUNT'"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_asked(run: Run, accounts: Service, arguments: str, words: str) -> None:
    said = run(*arguments.split())
    assert (said.code, said.out, accounts.asked) == (2, "", [])
    assert words in " ".join(said.err.replace("│", " ").split())


def test_what_the_service_refuses_ends_in_words(run: Run, accounts: Service) -> None:
    accounts.error = NotFound(f"{NASTY} is not red", "look again")
    said = run("red", "resolve", ACME, "--to", "green", "--by", BY)
    assert (said.code, said.out, said.err) == (1, "", f"Not found: {NASTY} is not red\n→ look again\n")


# --- The pages --------------------------------------------------------------------------------------------------------------


def test_the_list_of_customers(run: Run, accounts: Service) -> None:
    page = run("account", "list").out
    head, acme, bolt, said = page.splitlines()
    assert head.split() == ["account", "domain", "health", "score", "MAU/seats", "ARR", "renews", "on"]
    assert acme.split()[-7:] == ["concerning", "5.5", "0.43", "$120,000", "14", "Dec", "2026"]
    assert bolt.split()[:5] == ["Bolt", "b.example", "not", "scored", "$0"]
    assert said == "1 concerning, 1 unknown"
    assert run("account", "list", "--limit", "1").out.splitlines()[-1] == "1 concerning, 1 unknown; the first 1 by name → --limit 2"
    assert run("account", "list", "--band", "poor").out.splitlines()[-1] == "2 poor"


def test_the_page_of_an_account(run: Run, accounts: Service) -> None:
    """One page says who it is, what runs, what is asked by when, what comes next, and where the rest stands."""
    page = run("account", "show", ACME).flat
    assert f"{NASTY} acme.example concerning 5.5" in page
    for known in (
        "red by itself no contact",
        "TA tess@tenure.example",
        "contract 02 Mar 2026 to 14 Dec 2026",
        "stage renewing",
        "onboarding goal missed",
    ):
        assert known in page
    for what, command in (("renewal", "renewal show"), ("get-well plan", "plan show"), ("red account", "red show")):
        assert f"{what} it waits → tenure {command} acme.example" in page
    assert page.count("Wed 25 Nov 2026 12:00 UTC ta assessment") == 4
    for what in ("account", "renewal", "get-well plan", "red account"):
        assert f"Thu 26 Nov 2026 12:00 UTC in 3 days {what} {NASTY} is processed" in page
    assert "remind somebody" not in page
    assert f"rating: red {NASTY} is poor." in page
    assert "{'" not in page


def test_the_page_of_a_score(run: Run, accounts: Service) -> None:
    page = run("health", "show", ACME)
    assert "MAU/seats just under 0.80 5 1.974 warehouse" in page.flat
    assert "Utilization 79 % 5.0" in page.flat
    assert "not known, and counted neither way: versions behind, precise code intelligence" in page.flat
    assert page.out.index("What to do, what costs most first") < page.out.index("How it came to be")
    assert "healthy → concerning 5.5 " in page.flat
    assert "+1.97 MAU/seats is known now" in page.flat
    assert all(each.why in page.flat for each in SCORE.deltas)
    assert "Health score 5.526" in page.flat
    assert sum(each.adds for each in SCORE.contributions) == pytest.approx(5.526, abs=0.001)


def test_the_page_of_a_renewal(run: Run, accounts: Service) -> None:
    page = run("renewal", "show", ACME).flat
    for known in (
        f"{NASTY} renewal early review",
        "extended to 28 Dec 2026",
        "ARR $120,000",
        "rating red",
        "Lighthouse in it",
        f"exit criteria {NASTY} at 60 %",
        "expected partial churn, $90,000, says abe@tenure.example (Mon 23 Nov 2026 12:00 UTC)",
        "the TA says full churn",
        "look at this rated green, yet lost",
        "green, yellow, red risk: the technical risk note (may be left out): what else → tenure answer",
        "MAU/seats = 0.01193 (warehouse,",
        f"· {NASTY}",
    ):
        assert known in page, known
    assert "- more" not in page  # the Web UI's list, which the page has in full below


def test_the_pages_of_a_plan_and_of_a_red_account(run: Run, accounts: Service) -> None:
    page = run("plan", "show", ACME).flat
    assert f"low utilization {NASTY} is at 1%" in page
    assert f"the plan to drive utilization trainings for {NASTY}" in page
    assert page.index("the later one") < page.index("the first one next: the second one")
    assert f"continue {BY} {NASTY}" in page
    page = run("red", "show", ACME).flat
    assert f"judgement {BY} {NASTY} is silent" in page
    assert f"needs a call to {NASTY}" in page
    assert f"off track {BY} {NASTY} left needs: an executive" in page
    accounts.answers["of_kind"] = lambda *_: RED.model_copy(update={"open": False})
    assert f"{NASTY} red account red ended" in run("red", "show", ACME).flat


def test_the_list_of_renewals_has_no_empty_columns(run: Run, accounts: Service) -> None:
    head, acme, bolt, said = run("renewal", "list").out.splitlines()
    assert head.split() == ["renews", "on", "account", "phase", "TA", "says", "ARR", "AE", "TA"]
    assert acme.split() == ["14", "Dec", "2026", ACME, "early", "review", "$120,000", "abe"]
    assert bolt.split()[-4:] == ["flat", "$120,000", "abe", "[red]tess[/]"]
    assert said == "2 renewals, $240,000 ARR"
    accounts.answers["renewals"] = [a_row(phase="churned", status="churned", rating="red", actual_outcome="full_churn", actual_arr=0)]
    ended = run("renewal", "list", "--all", "--limit", "1").out
    assert "came" in ended
    assert "$0" in ended
    assert ended.endswith("1 renewal, $120,000 ARR; perhaps there are more → --limit 2\n")


def test_a_narrow_page_leaves_columns_out_before_it_breaks_a_word(run: Run, accounts: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    wordy = {"outcome": "partial_churn", "ta_outcome": "full_churn", "rating": "yellow", "phase": "assessment"}
    accounts.answers["renewals"] = [a_row("a-customer-of-ours.example", ta="tess@tenure.example", **wordy)]
    heads = {}
    for width in (140, 98, 90, 80):
        monkeypatch.setattr("starter.cli.base.PIPED_WIDTH", width)
        head, *lines = run("renewal", "list").out.splitlines()
        heads[width] = head.split()[3:]
        assert {"a-customer-of-ours.example", "assessment", "partial", "churn", "$120,000"} <= {
            word for line in lines for word in line.split()
        }
    assert heads == {
        140: ["phase", "rating", "AE", "says", "TA", "says", "ARR", "AE", "TA"],
        98: ["phase", "rating", "AE", "says", "TA", "says", "ARR", "AE"],
        90: ["phase", "rating", "AE", "says", "TA", "says", "ARR"],
        80: ["phase", "rating", "AE", "says", "ARR"],
    }


def test_the_page_of_a_forecast(run: Run, accounts: Service) -> None:
    page = run("forecast").flat
    assert page.startswith("FY27-Q4 01 Nov 2026 to 31 Jan 2027, forecast as of Mon 23 Nov 2026 12:00 UTC")
    assert "2 open, $240,000 ARR, $0 expected; $120,000 is neither projected nor rated yet, and counts for nothing" in page
    assert "By outcome full churn 1 $120,000 $0 not projected 1 $120,000 ? $120,000" in page
    assert "By rating green 1 $120,000 $0 not rated 1 $120,000 ? $120,000 By owner abe@tenure.example 2" in page
    assert f"Look at these · {NASTY}: rated green, yet full churn is projected" in page
    assert page.endswith("→ the next quarter: tenure forecast --quarter FY28-Q1")


def test_what_moved_since_the_last_snapshot(run: Run, accounts: Service) -> None:
    before = forecasting.roll_up(POLICY, [a_row(outcome="flat", rating="green")], "FY27-Q4", at=NOON - timedelta(days=4))
    now = a_forecast(a_row(outcome="full_churn", rating="green"))
    moved = comparison.compare(before, now.forecast)
    accounts.answers["forecast"] = now.model_copy(update={"since": before.taken_at, "moved": moved})
    page = run("forecast").flat
    assert f"Since the snapshot of Thu 19 Nov 2026 12:00 UTC -$120,000 {NASTY} outcome: flat → full churn" in page


def test_what_came_of_a_closed_quarter(run: Run, accounts: Service) -> None:
    rows = [a_row(outcome="flat", rating="green"), a_row("b.example", outcome="full_churn", rating="red", arr=50_000)]
    said = forecasting.roll_up(POLICY, rows, "FY27-Q4", at=NOON)
    ended = [
        rows[0].model_copy(update={"status": "renewed", "actual_outcome": "partial_churn", "actual_arr": 70_000}),
        rows[1].model_copy(update={"status": "churned", "actual_outcome": "full_churn"}),
    ]
    accounts.answers["forecast"] = a_forecast(*ended, actual=comparison.against_actual(said, ended))
    page = run("forecast").flat
    assert "2 ended, $170,000 ARR, $70,000 kept" in page
    assert "On 23 Nov 2026 $120,000 was forecast; $70,000 came (-$50,000). 1 of 2 as projected." in page
    assert "acme.example $120,000 $70,000 no flat was projected, partial churn came" in page
    assert "b.example $0 $0 yes" in page


@pytest.mark.parametrize(
    ("command", "name", "answer", "says"),
    [
        (
            "account list",
            "customers",
            [],
            "No customers yet. → the schedule account-sync copies them from the CRM; `tenure schedules` makes it",
        ),
        ("account list --band poor", "customers", [], "No customer is poor."),
        ("renewal list", "renewals", [], "No open renewals. → one begins by itself"),
        ("renewal list --rating red --quarter fy27-q4 --all", "renewals", [], "No red renewals in FY27-Q4. → "),
        ("forecast", "forecast", a_forecast(), "No renewal falls into this quarter. → the next quarter"),
        ("forecast", "forecast", a_forecast(a_row()), "1 open, $120,000 ARR, neither projected nor rated yet"),
        (
            "health show a",
            "health",
            HealthView(customer=customer(), team=team(), score=None, standing=None),
            "Acme acme.example not scored Not",
        ),
        (
            "account show a",
            "overview",
            AccountOverview(customer=customer(), team=team(), standing=None),
            "deployed not yet TA tess@tenure.example AE abe@tenure.example Nothing runs for it.",
        ),
    ],
)
def test_that_there_is_nothing_is_said(run: Run, accounts: Service, command: str, name: str, answer: Any, says: str) -> None:
    accounts.answers[name] = answer
    page = run(*command.split())
    assert page.code == 0
    assert says in page.flat


# --- CSV --------------------------------------------------------------------------------------------------------------------


def test_the_forecast_as_csv(run: Run, accounts: Service) -> None:
    """Quotes, commas and line breaks of a name are read back as they are; none becomes a formula in a sheet."""
    names = ['Ab, "C"\nD', "=HYPERLINK(1)", "+1", "@x", "-", NASTY]
    rows = [a_row(f"{number}.example", name=name) for number, name in enumerate(names)]
    rows[0] = rows[0].model_copy(update={"rating": "green", "outcome": "partial_churn", "amount": 90_000, "ta_outcome": "flat"})
    accounts.answers["forecast"] = a_forecast(*rows)
    said = run("forecast", "--csv")
    head, first, *rest = list(csv.reader(io.StringIO(said.out, newline="")))
    assert said.code == 0
    line = dict(zip(head, first, strict=True))
    assert line == {
        "account": names[0],
        "domain": "0.example",
        "renewal_on": "2026-12-14",
        "arr": "120000",
        "rating": "green",
        "outcome": "partial_churn",
        "ta_outcome": "flat",
        "system_outcome": "",
        "amount": "90000",
        "expected": "90000",
        "ae": "abe@tenure.example",
        "rule": "The AE projects that this much of it stays.",
        "warning": "rated green, yet partial churn is projected: green is expected to stay or to grow (C13)",
        "disagreement": "TA says flat, AE says partial churn",
    }
    assert [row[0] for row in rest] == ["'=HYPERLINK(1)", "'+1", "'@x", "'-", NASTY]
    assert {row[head.index("expected")] for row in rest} == {""}
