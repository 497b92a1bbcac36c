"""The command line: what it takes, what it prints, how it ends, and how little it loads."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from domain import policy
from domain.decision import Decision, Fact
from domain.effects.effect import Receipt
from domain.messages import SignupAnswer
from domain.task import Answer, Check, Choice, FieldSpec
from domain.views import NextStep, TaskView, TrialStatus
from starter.cli import app
from starter.cli.lazy import Deferred
from starter.errors import BadInput, NotFound, Refused, TenureError, Unavailable
from starter.local import stackfile
from starter.local.stackfile import StackFile
from starter.service.forms import SignupForm, TrialRequestForm
from starter.service.views import TrialPage, TrialRow, TrialView
from store.ledger import EffectRow
from store.settings import Settings
from tests.starter.conftest import Run, Service, opens

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NASTY = "[bold red]Acme[/bold red] & [/] Söhne"


def a_task() -> TaskView:
    return TaskView(
        id="trial-acme.com:triage-1",
        workflow="trial-acme.com",
        task="triage-1",
        kind="triage",
        title=f"Triage {NASTY}",
        asks="Does it qualify?",
        role="inbound_sdr",
        choices=(Choice(name="qualify", label="Yes", fields=(FieldSpec(name="ce_email", asks="the CE", kind="email"),)),),
        checks=(Check(name="fits_size", question="Does the size fit?"),),
        opened_at=NOON,
        due_at=NOON + timedelta(hours=24),
        asked_next="sdr.backup@tenure.example",
    )


def a_view() -> TrialView:
    facts = (
        Fact(name="joiners", value=True, source="instance", as_of=NOON),
        Fact(name="instance", value=None, source="registry", as_of=NOON),
    )
    decision = Decision(
        what="day 15",
        outcome="extend",
        rule="somebody joined",
        handbook="C02",
        at=NOON,
        policy="p",
        facts=facts,
        nearest="no joiner",
        by="x",
    )
    status = TrialStatus(
        domain="acme.com", company=NASTY, stage="hand_off", in_words="**Acme**: waits\n- more", ends_at=NOON, total_days=15, notes=(NASTY,)
    )
    return TrialView(
        workflow="trial-acme.com",
        run="r",
        open=True,
        at=NOON,
        status=status,
        next_steps=(NextStep(at=NOON + timedelta(days=3), what=NASTY), NextStep(at=NOON + timedelta(minutes=61), what="first")),
        dossier=(decision,),
        tasks=(a_task(),),
    )


def an_effect(number: int, *, done: bool = True) -> EffectRow:
    return EffectRow(
        number=number,
        subject="trial-acme.com/0.1",
        key=f"k{number}",
        system="slack",
        act="message.posted",
        summary=f"{NASTY} {number}",
        as_of=NOON,
        begun_at=NOON,
        done_at=NOON if done else None,
        attempts=1,
        receipt=Receipt(ref="1") if done else None,
    )


@pytest.fixture
def tenure(monkeypatch: pytest.MonkeyPatch) -> Service:
    signed_up = SignupAnswer(domain="acme.com", trial="trial-acme.com", case="3", outcome="triage", message=f"{NASTY}: a person looks.")
    requested = signed_up.model_copy(update={"case": "ce_requested", "message": "The manager is asked."})
    service = Service(
        {
            "signup": signed_up,
            "request_trial": requested,
            "act": f"extended {NASTY}",
            "answer": "triage-1: qualify, taken",
            "trials": TrialPage(rows=(), counts={}),
            "trial": a_view(),
            "tasks": [a_task()],
            "effects": [an_effect(1), an_effect(2, done=False), *(an_effect(number) for number in range(3, 20))],
        }
    )
    opens(monkeypatch, service)
    return service


# --- What is asked of the service -------------------------------------------------------------------------------------------


def test_signup(run: Run, tenure: Service) -> None:
    said = run("signup", "ada@acme.com", "--company", "Acme", "--name", "Ada King Byron", "--event-id", "e-1", "--json")
    form = SignupForm(email="ada@acme.com", first_name="Ada", last_name="King Byron", company="Acme", via="cli", event_id="e-1")
    assert (said.code, tenure.asked) == (0, [("signup", (form,), {})])
    assert said.json["outcome"] == "triage"
    assert NASTY in run("signup", "ada@acme.com").out


def test_a_ce_requests(run: Run, tenure: Service) -> None:
    arguments = ["--company", "Acme", "--ce", "ce@tenure.example", "--size", "large", "--seats", "400", "--non-standard", "--event-id", "e"]
    assert run("trial", "request", "ada@acme.com", *arguments, "--json").json["case"] == "ce_requested"
    form = TrialRequestForm(
        email="ada@acme.com", company="Acme", ce="ce@tenure.example", size="large", seats=400, standard=False, event_id="e"
    )
    assert tenure.asked == [("request_trial", (form,), {})]


@pytest.mark.parametrize(
    ("arguments", "name", "message"),
    [
        (
            ["extend", "acme.com", "--days", "7", "--by", "ce@x.y", "--reason", "why"],
            "extend",
            {"days": 7, "by": "ce@x.y", "reason": "why", "again": False},
        ),
        (["extend", "acme.com", "--again"], "extend", {"days": None, "by": "", "reason": "", "again": True}),
        (
            ["convert", "acme.com", "--seats", "50", "--contract-end", "2027-11-30", "--note", "n"],
            "convert",
            {"seats": 50, "contract_end": date(2027, 11, 30), "note": "n", "by": ""},
        ),
        (["convert", "acme.com"], "convert", {"seats": None, "contract_end": None, "note": "", "by": ""}),
        (["terminate", "acme.com", "--feedback"], "terminate", {"reason": "", "feedback": True, "by": ""}),
        (["feedback", "acme.com", "--by", "ce@x.y"], "request_feedback", {"by": "ce@x.y"}),
        (["change-domain", "acme.com", "code.acme.com"], "change_domain", {"new_host": "code.acme.com", "by": ""}),
        (["correct-admin", "acme.com", "dana@acme.com"], "correct_admin", {"email": "dana@acme.com", "by": ""}),
        (["new-link", "acme.com", "--event-id", "e-7"], "new_link", {"by": ""}),
    ],
)
def test_acts(run: Run, tenure: Service, arguments: list[str], name: str, message: dict[str, object]) -> None:
    said = run("trial", *arguments)
    assert (said.code, said.out.strip()) == (0, f"extended {NASTY}")
    event = "e-7" if "e-7" in arguments else ""
    assert tenure.asked == [("act", ("acme.com", name, message, event), {})]
    assert run("trial", *arguments, "--json").json == {"message": f"extended {NASTY}"}


def test_who_decides_may_stand_in_the_environment(run: Run, tenure: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENURE_BY", "ce@tenure.example")
    run("trial", "new-link", "acme.com")
    assert tenure.asked[0][1][2] == {"by": "ce@tenure.example"}


def test_an_answer_with_checks_and_fields(run: Run, tenure: Service) -> None:
    arguments = ["--by", "sdr@x.y", "--note", "n", "--check", "fits_size=yes", "--check", "right_contact=No", "--field", "ce_email=a@b.c=d"]
    assert run("answer", "trial-acme.com:triage-1", "qualify", *arguments).code == 0
    answer = Answer(
        task="trial-acme.com:triage-1",
        choice="qualify",
        by="sdr@x.y",
        note="n",
        checks={"fits_size": True, "right_contact": False},
        fields={"ce_email": "a@b.c=d"},
    )
    assert tenure.asked == [("answer", ("trial-acme.com:triage-1", answer, ""), {})]


@pytest.mark.parametrize("wrong", [["--check", "fits_size"], ["--check", "fits_size=perhaps"], ["--field", "=x"]])
def test_an_answer_that_is_misspelt(run: Run, tenure: Service, wrong: list[str]) -> None:
    said = run("answer", "trial-acme.com:triage-1", "qualify", *wrong)
    assert (said.code, tenure.asked) == (2, [])
    assert wrong[0] in said.err


def test_a_form_out_of_bounds(run: Run, tenure: Service) -> None:
    said = run("signup", "ada@acme.com", "--company", "x" * 201)
    assert (said.code, tenure.asked) == (2, [])
    assert "company: " in said.err


# --- The pages --------------------------------------------------------------------------------------------------------------


def test_the_page_of_a_trial(run: Run, tenure: Service) -> None:
    page = run("trial", "show", "acme.com").out
    assert page.count(NASTY) >= 4  # as text, never as markup
    assert "hand off" in page
    assert "Acme: waits" in page
    assert "- more" not in page  # the Web UI's list, which the page has in full below
    assert page.index("first") < page.index(f"in 3 days  {NASTY}")
    assert "in 1 hour" in page
    assert "joiners = yes  (instance, Mon 23 Nov 2026 12:00 UTC)" in page
    assert "would have changed it: no joiner" in page
    assert "tenure answer trial-acme.com:triage-1 CHOICE" in page
    assert "and 7 before → tenure effects acme.com" in page


def test_a_fact_that_there_is_none_is_no_unknown(run: Run, tenure: Service) -> None:
    shown = run("trial", "show", "acme.com").out
    assert "joiners = yes  (instance, " in shown
    assert "instance = none  (registry, " in shown
    assert "unknown" not in shown


def test_the_json_of_a_trial(run: Run, tenure: Service) -> None:
    answer = run("trial", "show", "acme.com", "--json").json
    assert TrialView.model_validate({name: value for name, value in answer.items() if name != "effects"}) == a_view()
    assert len(answer["effects"]) == 19


def test_the_list_of_trials(run: Run, tenure: Service) -> None:
    assert "tenure signup" in run("trial", "list").out
    row = TrialRow(
        domain="acme.com",
        workflow="trial-acme.com",
        run="r",
        stage="hand_off",
        owner="ce@x.y",
        due_at=NOON,
        open=True,
        status="running",
        started_at=NOON,
    )
    tenure.answers["trials"] = TrialPage(rows=(row,), counts={"running": 7}, next_page="abc.def")
    page = run("trial", "list", "--stage", "hand_off", "--limit", "1", "--page", "p", "--all").out
    assert tenure.asked[-1] == ("trials", (1, "p"), {"stage": "hand_off", "owner": "", "closed": True})
    assert all(part in page for part in ("acme.com", "hand off", "ce@x.y", "7 running", "--page abc.def"))
    assert TrialPage.model_validate(run("trial", "list", "--json").json) == tenure.answers["trials"]


def test_an_empty_list_says_of_what(run: Run, tenure: Service) -> None:
    """That no trial is in a stage does not mean that there is none."""
    tenure.answers["trials"] = TrialPage(rows=(), counts={"running": 7})
    assert run("trial", "list", "--stage", "hand_off").out == "No trial is in stage hand off.\n7 running\n"
    tenure.answers["trials"] = TrialPage(rows=(), counts={"completed": 2})
    assert run("trial", "list").out == "No trial is open. → tenure trial list --all\n2 completed\n"
    tenure.answers["tasks"] = []
    assert run("tasks").out == "No open tasks.\n"
    assert run("tasks", "--role", "ce_manager", "--for", NASTY).out == f"No open tasks of ce manager and {NASTY}.\n"


def test_the_list_of_tasks(run: Run, tenure: Service) -> None:
    page = run("tasks", "--role", "ce", "--for", "ce@x.y", "--limit", "3").out
    assert tenure.asked == [("tasks", (3,), {"after": "", "role": "ce", "assignee": "ce@x.y", "workflow": ""})]
    assert all(part in page for part in (NASTY, "Does the size fit?", "ce_email: the CE", "then of sdr.backup@tenure.example"))
    assert [TaskView.model_validate(task) for task in run("tasks", "--json").json] == [a_task()]


# --- How it ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [(Refused("no", "ask me"), 1), (NotFound("no", "ask me"), 1), (BadInput("no", "ask me"), 2), (Unavailable("no", "ask me"), 3)],
)
def test_errors(run: Run, tenure: Service, error: TenureError, code: int) -> None:
    tenure.error = error
    said = run("tasks")
    assert (said.code, said.out) == (code, "")
    assert said.err == f"{error.title}: no\n→ ask me\n"
    as_json = run("tasks", "--json")
    assert (as_json.code, as_json.out) == (code, "")
    assert json.loads(as_json.err) == {"error": error.code, "title": error.title, "detail": "no", "do": "ask me"}


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["trial", "show"], ["trial", "extend", "acme.com", "--days", "many"], ["signup", "a", "--x"]]
)
def test_misuse(run: Run, arguments: list[str]) -> None:
    said = run(*arguments)
    assert said.code == 2
    assert "Usage: tenure" in said.err


def test_no_server(run: Run, tmp_path: Path) -> None:
    said = run("trial", "list", "--port-offset", "23000")  # below the ports that the kernel gives to the servers of other tests
    assert said.code == 3
    assert "127.0.0.1:30233" in said.err
    assert "tenure up" in said.err
    assert not (tmp_path / "data").exists()  # looking leaves nothing behind


def test_time_is_skipped_on_a_local_stack_only(run: Run, tenure: Service) -> None:
    said = run("skip", "acme.com", "10d")
    assert (said.code, tenure.asked) == (1, [])
    assert "local stack only" in said.err


# --- The set-up -------------------------------------------------------------------------------------------------------------


def test_options_of_the_program_may_stand_anywhere() -> None:
    assert app.hoist(["trial", "list", "--data", "d", "--json"]) == ["--data", "d", "trial", "list", "--json"]
    assert app.hoist(["up", "--port-offset=7"]) == ["--port-offset=7", "up"]
    assert app.hoist(["answer", "--", "--data", "d"]) == ["answer", "--", "--data", "d"]
    assert app.hoist(["up", "--data"]) == ["--data", "up"]


def test_the_place_is_that_of_the_running_stack(run: Run, tmp_path: Path) -> None:
    found = StackFile(pid=1, port_offset=310, temporal="127.0.0.1:7543", temporal_ui="", web="", sandbox="", cluster="c")
    with stackfile.holding(tmp_path / "x"):
        stackfile.write(tmp_path / "x", found)
        rows = {row["name"]: row for row in run("config", "--data", str(tmp_path / "x"), "--json").json}
        assert rows["TEMPORAL_ADDRESS"]["value"] == "127.0.0.1:7543"
        assert rows["TENURE_SLACK_URL"]["value"] == "http://127.0.0.1:9210/slack/api/"
    rows = {row["name"]: row for row in run("config", "--data", str(tmp_path / "x"), "--json").json}
    assert rows["TEMPORAL_ADDRESS"] == {"name": "TEMPORAL_ADDRESS", "value": "127.0.0.1:7233", "source": "default"}


def test_the_environment_s_server_wins_over_a_stack(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.internal:7233")
    row = next(row for row in run("config", "--json").json if row["name"] == "TEMPORAL_ADDRESS")
    assert (row["value"], row["source"]) == ("temporal.internal:7233", "environment")


def test_config_masks_secrets_and_says_where_from(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENURE_SLACK_TOKEN", "xoxb-very-secret")
    said = run("config", "--json")
    rows = {row["name"]: row for row in said.json}
    assert rows["TENURE_SLACK_TOKEN"]["source"] == "environment TENURE_SLACK_TOKEN"
    assert set(rows) >= {f"TENURE_{name.upper()}" for name in Settings.model_fields}
    assert "very-secret" not in said.out + run("config").out


def test_a_wrong_setting_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENURE_INSTANCE_URL", "http://nowhere")
    said = run("config")
    assert said.code == 2
    assert "TENURE_INSTANCE_URL" in said.err


def test_policy_show(run: Run) -> None:
    shown = run("policy", "show", "--json").json
    assert (shown["hash"], len(shown["figures"])) == (policy.default().hash, len(policy.entries()))
    paths = [figure["path"] for figure in run("policy", "show", "trial.d15", "--json").json["figures"]]
    assert paths == ["trial.d15.mode"]
    page = run("policy", "show", "trial").out
    assert "trial.self_serve.base_days" in page
    assert "license" not in page
    assert run("policy", "show", "tria").code == 1


def test_policy_check(run: Run, tmp_path: Path) -> None:
    said = run("policy", "check")
    assert (said.code, policy.default().hash in said.out) == (0, True)
    wrong = tmp_path / "wrong.toml"
    text = policy.DEFAULT.read_text()
    wrong.write_text(text.replace('opens = { value = 7, unit = "hour of day"', 'opens = { value = 7, unit = "hours"'))
    said = run("policy", "check", str(wrong), "--json")
    line = next(number for number, row in enumerate(text.splitlines(), 1) if row.startswith("opens"))
    assert (said.code, said.json["ok"]) == (1, False)
    assert said.json["errors"] == [f"{wrong}:{line}: office.opens: unit is 'hours', must be 'hour of day'"]
    assert run("policy", "check", str(tmp_path / "absent.toml")).code == 1
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    assert f"{binary}: cannot be read as text" in " ".join(run("policy", "check", str(binary)).out.split())


def test_a_wrong_policy_in_force_stops_a_command(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrong.toml").write_text("nonsense = 1\n")
    monkeypatch.setenv("TENURE_POLICY_FILE", str(tmp_path / "wrong.toml"))
    said = run("trial", "list")
    assert said.code == 2
    assert "wrong.toml:1: nonsense" in said.err


# --- How little it loads ----------------------------------------------------------------------------------------------------


def loaded(program: str) -> set[str]:
    """What a fresh interpreter has loaded after a program."""
    code = f"import sys\n{program}\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_help_loads_nothing_heavy() -> None:
    heavy = {"temporalio", "pydantic", "sqlalchemy", "httpx", "fastapi", "tldextract"}
    assert not loaded("import starter.cli.app") & {*heavy, "rich.table"}
    asked = loaded("import contextlib\nfrom starter.cli import app\nwith contextlib.suppress(SystemExit): app.main(['--help'])")
    assert not asked & {*heavy, "starter.cli.base", "starter.service"}


def deferred(group: Any) -> Iterator[Deferred]:
    for command in group.commands.values():
        if isinstance(command, Deferred):
            yield command
        if hasattr(whole := command.load() if isinstance(command, Deferred) else command, "commands"):
            yield from deferred(whole)


@pytest.mark.parametrize("command", [*deferred(typer.main.get_command(app.app))], ids=lambda command: command.name)
def test_a_command_is_called_before_it_is_imported_what_it_calls_itself(command: Deferred) -> None:
    itself = command.load()
    assert (command.name, command.help) == (itself.name, " ".join(itself.help.partition("\n\n")[0].split()))
    assert command.rich_help_panel in (None, itself.rich_help_panel)


def test_no_command_loads_the_clients_of_the_activities() -> None:
    asked = (
        "import starter.cli.app, starter.cli.trials, starter.cli.accounts, starter.cli.effects, starter.cli.setup, starter.cli.access"
        ", store.registry, store.settings"
    )
    assert not loaded(asked) & {"slack_sdk", "github", "simple_salesforce", "pagerduty", "fastapi", "uvicorn"}
