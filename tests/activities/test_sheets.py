"""The red-accounts tracker against the sandbox's Sheets API: a row per key, whoever adds at once, whatever is lost on the way."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import sheets as module
from activities.asking import Scope, at_once
from activities.effects.batch import EffectBatches
from activities.sheets import Sheets
from domain.effects.effect import EffectBatch
from domain.effects.reconcile import Claim
from domain.effects.sheets import KeepRow
from sandbox.core import Fault
from sandbox.server import SandboxServer
from sandbox.sheets import TOKEN
from store import lease as turns_module
from store.lease import turn
from store.ledger import Ledger, NotDone
from store.settings import Settings
from tests.activities.holding import its_time_has_come

AS_OF = datetime(2026, 3, 2, 9, tzinfo=UTC)
RED = {"Account": "Acme", "Reason": "=lost champion", "Since": "2026-03-02", "Status": "red"}
READ, WRITE = "GET /sheets/v4/spreadsheets", "PUT /sheets/v4/spreadsheets"


@pytest.fixture
def sheets(settings: Settings, ledger: Ledger) -> Iterator[Sheets]:
    made = Sheets(settings, ledger)
    yield made
    made.close()


@pytest.fixture
def remote(sandbox: SandboxServer) -> Any:
    return sandbox.world.services["sheets"]


def row(key: str = "acme.com", act: str = "tracker", **cells: str) -> KeepRow:
    return KeepRow(key=act, row=key, cells=cells or RED)


def batch(*acts: KeepRow, of: str = "acme.com") -> EffectBatch:
    return EffectBatch(subject=f"red-{of}/ab12cd34.0", as_of=AS_OF, effects=acts)


def done(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects if effect.service == "sheets"]


def keys(remote: Any) -> list[str]:
    return [record["Key"] for record in remote.records()]


def seed(remote: Any, *rows: list[str], worksheet: str = "Red accounts") -> None:
    remote.seed({"spreadsheets": {"red-accounts-tracker": {"worksheets": {worksheet: list(rows)}}}})


# --- Rows -------------------------------------------------------------------------------------------------------------------


def test_a_row_is_written_once_at_the_first_free_place(sheets: Sheets, remote: Any, sandbox: SandboxServer, ledger: Ledger) -> None:
    first = sheets.carry_out(batch(row()))
    receipt = first.of("tracker")
    assert (receipt.ref, receipt.data) == ("acme.com", {"row": "2"})
    (record,) = remote.records()
    assert {name: value for name, value in record.items() if value} == {"Key": "acme.com", **RED}
    sandbox.world.faults.append(Fault("sheets", "status", times=1000))
    assert sheets.carry_out(batch(row())) == first
    sandbox.world.faults.clear()
    sheets.carry_out(batch(row("bolt.example"), of="bolt.example"))
    assert keys(remote) == ["acme.com", "bolt.example"]
    assert [effect.act for effect in ledger.effects()] == ["row.kept", "row.kept"]
    assert len(done(sandbox)) == 2


def test_only_the_named_cells_of_a_row_that_is_there_are_written_wherever_it_is(
    sheets: Sheets, remote: Any, sandbox: SandboxServer
) -> None:
    header = ["Owner", "Notes of people", "Key", "Status", "Needs"]
    seed(remote, header, ["ann", "call", "zeta.example", "red", ""], [], ["bob", "mail", "acme.com", "red", "a sponsor"])
    receipt = sheets.carry_out(batch(row(Status="yellow", Owner=""))).of("tracker")
    assert receipt.data == {"row": "4"}
    assert remote.rows()[1:] == [["ann", "call", "zeta.example", "red"], [], ["", "mail", "acme.com", "yellow", "a sponsor"]]
    sheets.carry_out(batch(row("new.example", Status="red"), of="new.example"))
    assert remote.rows()[4] == ["", "", "new.example", "red"]


TOUCHED = ["acme.com ", "  acme.com", "Acme.com", "ACME.COM\u00a0", "acme.com\n", "\u200bacme.com", "ａcme.com"]


@pytest.mark.parametrize("touched", TOUCHED)
def test_a_row_whose_key_people_touched_is_found_wherever_it_is(sheets: Sheets, remote: Any, sandbox: SandboxServer, touched: str) -> None:
    header = [" status", "KEY ", "Notes"]
    seed(remote, header, ["red", "zeta.example", "call"], [], ["red", touched, "a sponsor"], ["red", "acme.com.au", ""])
    assert sheets.carry_out(batch(row(Status="yellow"))).of("tracker").data == {"row": "4"}
    # Somebody sorts the table meanwhile.
    seed(remote, header, ["yellow", touched, "a sponsor"], ["red", "acme.com.au"], ["red", "zeta.example", "call"])
    assert sheets.carry_out(batch(row(act="resolved", Status="green"))).of("resolved").data == {"row": "2"}
    assert remote.rows()[1:] == [["green", touched, "a sponsor"], ["red", "acme.com.au"], ["red", "zeta.example", "call"]]
    assert len(done(sandbox)) == 2
    claim = Claim(number=1, effect="e", act="row.kept", kind="row", ref="acme.com", mark="acme.com")
    assert [thing.ref for thing in sheets.remote(at_once, Scope(claims=(claim,)))] == ["acme.com", "acme.com.au", "zeta.example"]


def test_of_two_rows_that_look_alike_the_one_that_is_spelt_as_ours_is_kept(sheets: Sheets, remote: Any) -> None:
    seed(remote, ["Key", "Status"], ["ACME.com", "red"], ["acme.com", "red"])
    assert sheets.carry_out(batch(row(Status="yellow"))).of("tracker").data == {"row": "3"}
    claim = Claim(number=1, effect="e", act="row.kept", kind="row", ref="acme.com", mark="acme.com")
    assert [thing.mark for thing in sheets.remote(at_once, Scope(claims=(claim,)))] == ["acme.com", "acme.com"]


def test_a_row_that_shows_it_already_is_not_written(sheets: Sheets, sandbox: SandboxServer) -> None:
    sheets.carry_out(batch(row()))
    sandbox.world.faults.append(Fault("sheets", "status", match=WRITE))
    sheets.carry_out(batch(row(act="tracker.2")))
    assert len(done(sandbox)) == 1


@pytest.mark.parametrize("kind", ["cut_after", "cut_before"])
@pytest.mark.parametrize("request_line", [READ, WRITE])
@pytest.mark.parametrize("there", [True, False], ids=["updated", "added"])
def test_a_lost_answer_makes_no_second_row(
    sheets: Sheets, remote: Any, sandbox: SandboxServer, kind: Any, request_line: str, there: bool
) -> None:
    if there:
        sheets.carry_out(batch(row(act="before", Status="red")))
    sandbox.world.faults.append(Fault("sheets", kind, match=request_line))
    with pytest.raises(ApplicationError, match="waiting: tracker") as caught:
        sheets.carry_out(batch(row()))
    assert (caught.value.type, caught.value.non_retryable) == ("SheetsUnsure", False)
    assert sandbox.world.faults == []
    sheets.carry_out(batch(row("bolt.example"), of="bolt.example"))
    sheets.carry_out(batch(row()))
    assert sorted(keys(remote)) == ["acme.com", "bolt.example"]
    assert len(done(sandbox)) == 2 + there


def test_workers_that_add_at_once_do_not_overwrite_each_other(settings: Settings, either_ledger: Ledger, remote: Any) -> None:
    """Two workers with three threads each, on one ledger; a worker that finds the turn taken tries again, as Temporal does."""
    workers = [Sheets(settings, either_ledger) for _ in range(2)]
    start = threading.Barrier(6)

    def add(number: int) -> None:
        start.wait(30)
        for _ in range(500):
            try:
                workers[number % 2].carry_out(batch(row(f"c{number}.example"), of=f"c{number}.example"))
                return
            except NotDone as error:
                if error.type != "TurnTaken":
                    raise
                threading.Event().wait(0.02)
        raise AssertionError("it never had its turn")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, range(6)))
    for worker in workers:
        worker.close()
    assert sorted(keys(remote)) == [f"c{number}.example" for number in range(6)]


def test_without_the_turn_they_would(sheets: Sheets, settings: Settings, ledger: Ledger, remote: Any) -> None:
    """What the turn is for: another worker adds a row between our reading and our writing."""
    other = Sheets(settings, ledger)
    reading = other._read

    def overtaken() -> list[list[str]]:
        found = reading()
        with pytest.raises(NotDone, match="another worker has the turn") as caught:
            sheets.carry_out(batch(row("bolt.example"), of="bolt.example"))
        assert caught.value.next_retry_delay == timedelta(seconds=5)
        return found

    other._read = overtaken  # type: ignore[method-assign]
    other.carry_out(batch(row()))
    other.close()
    sheets.carry_out(batch(row("bolt.example"), of="bolt.example"))
    assert keys(remote) == ["acme.com", "bolt.example"]


def test_rows_that_people_move_meanwhile_are_noticed(sheets: Sheets, remote: Any, sandbox: SandboxServer) -> None:
    header = ["Key", "Status"]
    seed(remote, header, ["acme.com", "red"])
    book = remote.spreadsheets["red-accounts-tracker"].worksheets[0]
    reading = sheets._read

    def moved() -> list[list[str]]:
        found = reading()
        book.cells[1:1] = [["bolt.example", "red"]]
        return found

    sheets._read = moved  # type: ignore[method-assign]
    act = KeepRow(key="tracker", row="acme.com", cells={"Status": "green"})
    with pytest.raises(ApplicationError, match=r"row 2 is 'bolt\.example' now, not 'acme\.com'"):
        sheets.carry_out(batch(act))
    sheets._read = reading  # type: ignore[method-assign]
    assert sheets.carry_out(batch(act)).of("tracker").data == {"row": "3"}
    assert [record["Status"] for record in remote.records() if record["Key"] == "acme.com"] == ["green"]
    assert keys(remote) == ["bolt.example", "acme.com"]


# --- Turns --------------------------------------------------------------------------------------------------------------------


def test_one_at_a_time_has_a_turn_and_a_dead_workers_turn_runs_out(either_ledger: Ledger) -> None:
    with turn(either_ledger, "a"):
        with pytest.raises(NotDone, match="turn of a; this one did nothing"), turn(either_ledger, "a"):
            raise AssertionError("two at once")
        with turn(either_ledger, "b"):
            pass
    with pytest.raises(KeyError), turn(either_ledger, "a"):
        raise KeyError("whatever happens in it, the turn ends")
    long_ago = timedelta(seconds=-1)
    with turn(either_ledger, "a", hold=long_ago), turn(either_ledger, "a"), pytest.raises(NotDone), turn(either_ledger, "a"):
        raise AssertionError("two at once")


def test_the_turn_of_a_process_that_died_on_this_machine_is_free_at_once(either_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dozens of rows would wait for two minutes otherwise, each time that a worker dies at one."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setattr(socket, "gethostname", lambda: "here")
    for name, process in (("dead", f"here:{gone.pid}:12345678"), ("elsewhere", f"there:{gone.pid}:12345678"), ("unknown", "nobody's")):
        with monkeypatch.context() as another:
            another.setattr(turns_module, "this_process", lambda process=process: process)
            left = turn(either_ledger, name)
            left.__enter__()
        if name == "dead":
            with turn(either_ledger, name):
                pass
        else:
            with pytest.raises(NotDone), turn(either_ledger, name):
                raise AssertionError("two at once")


def test_a_thread_that_waits_too_long_for_the_others_did_nothing(
    sheets: Sheets, sandbox: SandboxServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUEUE_SECONDS", 0.01)
    with sheets._queue, pytest.raises(NotDone, match="others write to the tracker") as caught:
        sheets.carry_out(batch(row()))
    assert (caught.value.type, caught.value.non_retryable) == ("TurnTaken", False)
    assert ledger.effects() == []
    sheets.carry_out(batch(row()))
    assert len(done(sandbox)) == 1


# --- What goes wrong ------------------------------------------------------------------------------------------------------------


def test_an_attempt_that_runs_out_of_time_while_it_waits_takes_no_turn_with_it(sheets: Sheets, remote: Any) -> None:
    """The worker cancels it then. An exception in its thread, between taking the turn and using it, would keep the turn for good."""
    env, waits = ActivityEnvironment(), threading.Event()
    batches = EffectBatches({sheets.name: sheets})
    _, alone = batches.activities()
    sheets._queue.acquire()

    def attempt() -> None:
        waits.set()
        env.run(alone, batch(row()))

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(attempt)
        waits.wait()
        time.sleep(0.2)  # it waits for its turn
        env.cancel()
        sheets._queue.release()
        running.result(timeout=30)
    batches.close()
    sheets.carry_out(batch(row("glade.com"), of="glade.com"))
    assert keys(remote) == ["acme.com", "glade.com"]


def test_a_column_that_is_missing_is_refused_with_what_to_do(sheets: Sheets, remote: Any, ledger: Ledger, sandbox: SandboxServer) -> None:
    with pytest.raises(NotDone, match="names no column 'Mood'; add it there") as caught:
        sheets.carry_out(batch(row(Mood="bad")))
    assert (caught.value.type, caught.value.non_retryable) == ("SheetsNoColumn", True)
    seed(remote)
    with pytest.raises(NotDone, match="no column 'Key', 'Status'"):
        sheets.carry_out(batch(row(Status="red")))
    assert ledger.effects() == []
    assert done(sandbox) == []


def test_a_tracker_that_is_not_there_or_full_is_refused_with_what_to_do(
    sheets: Sheets, settings: Settings, ledger: Ledger, remote: Any
) -> None:
    for name, said in (("sheets_tracker", "set TENURE_SHEETS_TRACKER"), ("sheets_worksheet", "set TENURE_SHEETS_WORKSHEET")):
        other = Sheets(settings.model_copy(update={name: "Somebody's"}), ledger)
        with pytest.raises(NotDone, match=said) as caught:
            other.carry_out(batch(row()))
        other.close()
        assert (caught.value.type, caught.value.non_retryable) == ("SheetsNotFound", True)
    remote.spreadsheets["red-accounts-tracker"].worksheets[0].rows = 1
    with pytest.raises(NotDone, match=r"is full.*add rows at its end") as full:
        sheets.carry_out(batch(row()))
    assert (full.value.type, full.value.non_retryable) == ("SheetsFull", True)


def test_a_quota_waits_a_minute(sheets: Sheets, remote: Any, sandbox: SandboxServer, ledger: Ledger) -> None:
    sandbox.world.faults.append(Fault("sheets", "rate_limit", match=READ))
    with pytest.raises(NotDone, match="Quota exceeded") as caught:
        sheets.carry_out(batch(row()))
    assert (caught.value.type, caught.value.next_retry_delay) == ("SheetsRateLimited", timedelta(minutes=1))
    assert ledger.effects() == []
    remote.seed({"writes_per_minute": 1})
    its_time_has_come(ledger, "sheets")
    sheets.carry_out(batch(row()))
    with pytest.raises(NotDone) as used_up:
        sheets.carry_out(batch(row("bolt.example"), of="bolt.example"))
    assert used_up.value.next_retry_delay == timedelta(minutes=1)
    assert keys(remote) == ["acme.com"]


@pytest.mark.parametrize(
    ("status", "type_", "retried"),
    [(400, "SheetsRefused", False), (401, "SheetsForbidden", True), (403, "SheetsForbidden", True), (503, "SheetsUnsure", True)],
)
def test_what_an_answer_means(sheets: Sheets, sandbox: SandboxServer, status: int, type_: str, retried: bool) -> None:
    sandbox.world.faults.append(Fault("sheets", "status", match=WRITE, status=status))
    with pytest.raises(ApplicationError) as caught:
        sheets.carry_out(batch(row()))
    assert (caught.value.type, caught.value.non_retryable) == (type_, not retried)
    assert ("share the spreadsheet red-accounts-tracker" in str(caught.value)) is (status == 403)
    sheets.carry_out(batch(row()))
    assert len(done(sandbox)) == 1


def test_an_answer_that_is_none_of_googles_is_unsure(sheets: Sheets, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("sheets", "status", status=502, body="<html>Bad Gateway</html>"))
    with pytest.raises(ApplicationError, match="HTTP 502: <html>") as caught:
        sheets.carry_out(batch(row()))
    assert caught.value.type == "SheetsUnsure"


def test_a_wrong_token_waits_for_a_person_and_does_not_show_it(settings: Settings, ledger: Ledger) -> None:
    wrong = Sheets(settings.model_copy(update={"sheets_token": SecretStr("hunter22")}), ledger)
    with pytest.raises(NotDone, match="does not accept our credential") as caught:
        wrong.carry_out(batch(row()))
    wrong.close()
    assert (caught.value.type, caught.value.next_retry_delay) == ("SheetsForbidden", timedelta(minutes=5))
    assert "hunter22" not in str(caught.value)


def test_where_nobody_listens_nothing_happened(settings: Settings, ledger: Ledger) -> None:
    gone = Sheets(settings.model_copy(update={"sheets_url": "http://127.0.0.1:9"}), ledger)
    with pytest.raises(NotDone) as caught:
        gone.carry_out(batch(row()))
    gone.close()
    assert caught.value.type == "SheetsUnreachable"
    assert ledger.effects() == []


# --- A service account ----------------------------------------------------------------------------------------------------------


@contextmanager
def google(token: str) -> Iterator[str]:
    """Google's token endpoint, which gives that token to any service account, or refuses when it is empty."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            said = {"access_token": token, "expires_in": 3600} if token else {"error": "invalid_grant", "error_description": "no account"}
            body = json.dumps(said).encode()
            self.send_response(200 if token else 400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/token"
        server.shutdown()
        serving.join()


def key_file(path: Path, token_uri: str) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    said = {"type": "service_account", "private_key": pem, "client_email": "tenure@project.example", "token_uri": token_uri}
    path.write_text(json.dumps(said))
    return path


def test_a_service_accounts_key_gives_the_token(settings: Settings, ledger: Ledger, tmp_path: Path, remote: Any) -> None:
    with google(TOKEN) as token_uri:
        path = key_file(tmp_path / "key.json", token_uri)
        mine = Sheets(settings.model_copy(update={"sheets_credentials": path, "sheets_token": SecretStr("unused")}), ledger)
        mine.carry_out(batch(row()))
        mine.close()
    assert keys(remote) == ["acme.com"]


def test_a_service_account_that_google_refuses_or_does_not_answer(settings: Settings, ledger: Ledger, tmp_path: Path) -> None:
    with google("") as token_uri:
        mine = Sheets(settings.model_copy(update={"sheets_credentials": key_file(tmp_path / "key.json", token_uri)}), ledger)
        with pytest.raises(NotDone, match="invalid_grant") as refused:
            mine.carry_out(batch(row()))
    assert refused.value.type == "SheetsForbidden"
    mine.close()


@pytest.mark.parametrize("content", [None, "not JSON", "{}"])
def test_a_file_that_is_no_key_says_which(settings: Settings, ledger: Ledger, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    mine = Sheets(settings.model_copy(update={"sheets_credentials": path}), ledger)
    with pytest.raises(NotDone, match=r"TENURE_SHEETS_CREDENTIALS names .*key\.json") as caught:
        mine.carry_out(batch(row()))
    assert (caught.value.type, caught.value.next_retry_delay) == ("SheetsForbidden", timedelta(minutes=5))
    mine.close()
