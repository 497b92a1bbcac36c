"""The Google Sheets stand-in, through gspread and through plain HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import gspread
import httpx
import pytest
import requests
from gspread.exceptions import APIError, SpreadsheetNotFound, WorksheetNotFound
from gspread.utils import InsertDataOption, ValueInputOption, ValueRenderOption

from sandbox.core import Fault, World
from sandbox.server import SandboxServer
from sandbox.sheets import TOKEN
from sandbox.sheets_grid import Invalid, Worksheet, area, last_table, letters, tables
from sandbox.sheets_store import HEADER, TRACKED, TRACKER, Sheets
from tests.sandbox.contracts import contract, problems

Json = dict[str, Any]
ROW = ["red-acme", "Acme", "Champion left", "judgement", "2030-01-08"]


class Loopback(requests.adapters.HTTPAdapter):
    """Sends what is meant for https://sheets.googleapis.com to the sandbox."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = urlsplit(target)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        assert request.url is not None
        asked = urlsplit(request.url)
        request.url = urlunsplit((self._target.scheme, self._target.netloc, self._target.path + asked.path, asked.query, ""))
        return super().send(request, *args, **kwargs)


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as running:
        yield running


@pytest.fixture
def sandbox(server: SandboxServer) -> SandboxServer:
    server.world.reset()
    return server


@pytest.fixture
def service(sandbox: SandboxServer) -> Sheets:
    sheets: Sheets = sandbox.world.services["sheets"]
    return sheets


@pytest.fixture
def google(sandbox: SandboxServer) -> Iterator[gspread.Client]:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", Loopback(f"{sandbox.url}/sheets"))
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        nobody: Any = None  # the session carries the token
        yield gspread.Client(auth=nobody, session=session)


@pytest.fixture
def book(google: gspread.Client) -> gspread.Spreadsheet:
    return google.open_by_key(TRACKER)


@pytest.fixture
def tracker(book: gspread.Spreadsheet) -> gspread.Worksheet:
    return book.worksheet(TRACKED)


@pytest.fixture
def http(sandbox: SandboxServer) -> Iterator[httpx.Client]:
    url = f"{sandbox.url}/sheets/v4/spreadsheets"
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False) as client:
        yield client


def acts(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects]


def values(range: str, suffix: str = "") -> str:
    return f"/{TRACKER}/values/{quote(range, safe='')}{suffix}"


def refused(answer: httpx.Response, status: int, name: str) -> str:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (status, name)
    return str(error["message"])


class TestTracker:
    def test_it_is_there_with_its_header(self, book: gspread.Spreadsheet, tracker: gspread.Worksheet) -> None:
        assert (book.title, [one.title for one in book.worksheets()]) == ("Red accounts tracker", [TRACKED])
        assert tracker.get_all_values() == [list(HEADER)]
        assert tracker.get_all_records() == []
        assert (tracker.row_count, tracker.col_count) == (1000, 26)

    def test_a_row_is_appended_found_and_brought_up_to_date(
        self, sandbox: SandboxServer, tracker: gspread.Worksheet, service: Sheets
    ) -> None:
        answer = tracker.append_row(ROW, value_input_option=ValueInputOption.raw)
        assert answer["tableRange"] == "'Red accounts'!A1:K1"
        assert answer["updates"]["updatedRange"] == "'Red accounts'!A2:E2"
        found = tracker.find("red-acme", in_column=1)
        assert found is not None
        assert (found.row, found.col) == (2, 1)
        status = tracker.row_values(1).index("Status") + 1
        tracker.update_cell(found.row, status, "yellow")
        tracker.update([["Needs a sponsor"]], f"G{found.row}")
        assert tracker.get_all_records() == service.records()
        assert service.records() == [
            dict.fromkeys(HEADER, "")
            | dict(zip(("Key", "Account", "Reason", "Source", "Since"), ROW, strict=True))
            | {"Status": "yellow", "Needs": "Needs a sponsor"}
        ]
        assert acts(sandbox) == ["rows.appended", "values.updated", "values.updated"]
        assert sandbox.world.log.effects[0].data["values"] == [ROW]
        assert sandbox.world.log.effects[0].what == f"Red accounts tracker: 'Red accounts'!A2:E2: {' | '.join(ROW)}"

    def test_appending_twice_makes_two_rows(self, tracker: gspread.Worksheet, service: Sheets) -> None:
        for _ in range(2):
            tracker.append_row(ROW)
        assert [one["Key"] for one in service.records()] == ["red-acme", "red-acme"]

    def test_a_lost_answer_is_an_error_and_the_row_is_there(
        self, sandbox: SandboxServer, tracker: gspread.Worksheet, service: Sheets
    ) -> None:
        sandbox.world.faults.append(Fault("sheets", "cut_after", match=":append"))
        with pytest.raises(requests.ConnectionError):
            tracker.append_row(ROW)
        assert [one["Key"] for one in service.records()] == ["red-acme"]

    def test_writing_what_is_there_is_no_effect(self, sandbox: SandboxServer, tracker: gspread.Worksheet) -> None:
        tracker.update([list(HEADER)], "A1:K1")
        assert acts(sandbox) == []

    def test_cells_are_written_together(self, sandbox: SandboxServer, tracker: gspread.Worksheet, service: Sheets) -> None:
        tracker.append_rows([ROW, ["red-beta", "Beta"]])
        answer = tracker.batch_update([{"range": "J2", "values": [["green"]]}, {"range": "F3:G3", "values": [["s", "n"]]}])
        assert (answer["totalUpdatedCells"], answer["totalUpdatedSheets"]) == (3, 1)
        assert [(one["Status"], one["State"], one["Needs"]) for one in service.records()] == [("green", "", ""), ("", "s", "n")]
        # All or nothing.
        with pytest.raises(APIError, match="exceeds grid limits"):
            tracker.batch_update([{"range": "J2", "values": [["red"]]}, {"range": "A2000", "values": [["x"]]}])
        assert service.records()[0]["Status"] == "green"

    def test_rows_are_cleared_and_deleted(self, sandbox: SandboxServer, tracker: gspread.Worksheet, service: Sheets) -> None:
        tracker.append_rows([ROW, ["red-beta", "Beta"], ["red-gamma", "Gamma"]])
        tracker.batch_clear(["A2:K2", "A500:K500"])
        assert [one["Key"] for one in service.records()] == ["", "red-beta", "red-gamma"]
        tracker.delete_rows(2)
        assert [one["Key"] for one in service.records()] == ["red-beta", "red-gamma"]
        assert service.spreadsheets[TRACKER].worksheets[0].rows == 999
        tracker.clear()
        assert service.rows() == []
        assert acts(sandbox) == ["rows.appended", "values.cleared", "rows.deleted", "values.cleared"]

    def test_the_page_shows_it(self, sandbox: SandboxServer, tracker: gspread.Worksheet, service: Sheets) -> None:
        tracker.append_row(ROW)
        view = httpx.get(f"{sandbox.url}/_sandbox/services/sheets").json()["view"]
        assert view == {"Red accounts tracker · Red accounts": service.records()}


class TestValues:
    @pytest.mark.parametrize(
        ("given", "raw", "typed"),
        [
            ("12", "12", 12),
            ("-0.50", "-0.50", -0.5),
            ("true", "true", True),
            ("'007", "'007", "007"),
            ("2030-01-31", "2030-01-31", "2030-01-31"),
            (7, 7, 7),
            (False, False, False),
        ],
    )
    def test_how_they_go_in(self, tracker: gspread.Worksheet, given: Any, raw: Any, typed: Any) -> None:
        for option, kept in ((ValueInputOption.raw, raw), (ValueInputOption.user_entered, typed)):
            tracker.update([[given]], "B2", value_input_option=option)
            assert tracker.get("B2", value_render_option=ValueRenderOption.unformatted) == [[kept]]

    def test_they_come_back_as_they_are_seen(self, tracker: gspread.Worksheet) -> None:
        tracker.update([[1, 0.1, True, 1.0, 12345678]], "A2")
        assert tracker.row_values(2) == ["1", "0.1", "TRUE", "1", "12345678"]

    def test_what_is_empty_at_the_ends_is_cut(self, http: httpx.Client, tracker: gspread.Worksheet) -> None:
        tracker.update([["a", "", "c", ""], ["", "", "", ""], ["", "b", "", ""]], "A2:D4")
        assert http.get(values("'Red accounts'!A2:D9")).json() == {
            "range": "'Red accounts'!A2:D9",
            "majorDimension": "ROWS",
            "values": [["a", "", "c"], [], ["", "b"]],
        }
        by_column = http.get(values("'Red accounts'!A2:D9"), params={"majorDimension": "COLUMNS"}).json()
        assert by_column["values"] == [["a"], ["", "", "b"], ["c"]]
        assert http.get(values("'Red accounts'!A5:D9")).json() == {"range": "'Red accounts'!A5:D9", "majorDimension": "ROWS"}

    def test_null_leaves_a_cell_and_the_empty_text_empties_it(self, http: httpx.Client, service: Sheets) -> None:
        body = {"values": [[None, "", "x"]]}
        answer = http.put(values("'Red accounts'!A1:C1"), params={"valueInputOption": "RAW"}, json=body).json()
        assert service.rows()[0][:3] == ["Key", "", "x"]
        assert answer["updatedCells"] == 2

    def test_many_ranges_at_once(self, http: httpx.Client) -> None:
        answer = http.get(f"/{TRACKER}/values:batchGet", params={"ranges": ["'Red accounts'!A:B", "K1"]}).json()
        assert [(one["range"], one["values"]) for one in answer["valueRanges"]] == [
            ("'Red accounts'!A1:B1000", [["Key", "Account"]]),
            ("'Red accounts'!K1", [["Resolved"]]),
        ]

    def test_what_was_written_can_be_asked_back(self, http: httpx.Client) -> None:
        params = {"valueInputOption": "USER_ENTERED", "includeValuesInResponse": "true", "responseValueRenderOption": "UNFORMATTED_VALUE"}
        answer = http.put(values("A2"), params=params, json={"values": [["5", "x"]]}).json()
        assert answer["updatedData"] == {"range": "'Red accounts'!A2:B2", "majorDimension": "ROWS", "values": [[5, "x"]]}

    @pytest.mark.parametrize(
        ("range", "params", "body", "told"),
        [
            ("A2", {}, {"values": [["x"]]}, "'valueInputOption' is required but not specified"),
            ("A2", {"valueInputOption": "TYPED"}, {"values": [["x"]]}, "Invalid value at 'valueInputOption'"),
            ("A2", {"valueInputOption": "USER_ENTERED"}, {"values": [["=1+1"]]}, "works out no formulas"),
            ("A2", {"valueInputOption": "RAW"}, {"values": [[{"a": 1}]]}, "struct_value"),
            ("A2", {"valueInputOption": "RAW"}, {"values": "x"}, "must be a list of rows"),
            ("A2", {"valueInputOption": "RAW"}, {"cells": []}, 'Unknown name "cells"'),
            ("A2", {"valueInputOption": "RAW"}, {"values": [["x"]], "majorDimension": "DIAGONAL"}, "majorDimension"),
            ("A2:B2", {"valueInputOption": "RAW"}, {"values": [["x"], ["y"]]}, "tried writing to row [3]"),
            ("A2:B2", {"valueInputOption": "RAW"}, {"values": [["x", "y", "z"]]}, "tried writing to column [C]"),
            ("A2", {"valueInputOption": "RAW"}, {"values": [["x"]], "range": "B2"}, "but the body's range is B2"),
            ("Z1000", {"valueInputOption": "RAW"}, {"values": [["x", "y"]]}, "exceeds grid limits. Max rows: 1000, max columns: 26"),
            ("A2000", {"valueInputOption": "RAW"}, {"values": [["x"]]}, "exceeds grid limits"),
            ("Nowhere!A1", {"valueInputOption": "RAW"}, {"values": [["x"]]}, "Unable to parse range: Nowhere!A1"),
        ],
    )
    def test_a_write_that_will_not_do(
        self, sandbox: SandboxServer, http: httpx.Client, range: str, params: Json, body: Json, told: str
    ) -> None:
        assert told in refused(http.put(values(range), params=params, json=body), 400, "INVALID_ARGUMENT")
        assert acts(sandbox) == []

    def test_appending_needs_to_know_how_values_are_meant(self, sandbox: SandboxServer, http: httpx.Client) -> None:
        answer = http.post(values("A1", ":append"), json={"values": [["x"]]})
        assert refused(answer, 400, "INVALID_ARGUMENT") == "'valueInputOption' is required but not specified"
        answer = http.post(f"/{TRACKER}/values:batchUpdate", json={"data": []})
        assert refused(answer, 400, "INVALID_ARGUMENT") == "'valueInputOption' is required but not specified"
        assert "Unexpected token" in refused(http.post(values("A1", ":append?valueInputOption=RAW"), content=b"{"), 400, "INVALID_ARGUMENT")


class TestAppending:
    def test_rows_go_below_the_last_table_and_the_grid_grows(self, tracker: gspread.Worksheet, service: Sheets) -> None:
        sheet = service.spreadsheets[TRACKER].worksheets[0]
        sheet.rows, sheet.columns = 2, 11
        tracker.append_rows([["a"], ["b", *range(12)]])
        assert (sheet.rows, sheet.columns) == (3, 13)
        assert tracker.col_values(1) == ["Key", "a", "b"]

    def test_a_row_that_was_emptied_parts_the_table(self, tracker: gspread.Worksheet, service: Sheets) -> None:
        tracker.append_rows([["a"], ["b"], ["c"]])
        tracker.batch_clear(["A3:K3"])
        tracker.append_row(["d"])
        assert tracker.col_values(1) == ["Key", "a", "", "c", "d"]
        # The first table alone: what follows it is overwritten, unless rows are inserted.
        tracker.append_rows([["e"], ["f"]], table_range="A1")
        assert tracker.col_values(1) == ["Key", "a", "e", "f", "d"]

    def test_inserted_rows_push_the_others_down(self, tracker: gspread.Worksheet, service: Sheets) -> None:
        tracker.append_rows([["a"], ["b"], ["c"]])
        tracker.batch_clear(["A3:K3"])
        tracker.append_rows([["e"], ["f"]], table_range="A1", insert_data_option=InsertDataOption.insert_rows)
        assert tracker.col_values(1) == ["Key", "a", "e", "f", "", "c"]
        assert service.spreadsheets[TRACKER].worksheets[0].rows == 1002

    def test_in_an_empty_sheet_it_begins_where_the_range_does(self, http: httpx.Client, service: Sheets) -> None:
        service.seed({"spreadsheets": {"new": {"title": "New"}}})
        url = "/new/values/Sheet1!C3:append"
        answer = http.post(url, params={"valueInputOption": "RAW"}, json={"values": [["a", "", "b"]]}).json()
        assert "tableRange" not in answer
        assert answer["updates"]["updatedRange"] == "Sheet1!C3:E3"
        # A row with a gap is two tables: the next row begins under the last of them, as gspread's issue 537 tells.
        answer = http.post("/new/values/Sheet1:append", params={"valueInputOption": "RAW"}, json={"values": [["c"]]}).json()
        assert (answer["tableRange"], answer["updates"]["updatedRange"]) == ("Sheet1!E3", "Sheet1!E4")


class TestRanges:
    SHEETS = (Worksheet(0, "Red accounts"), Worksheet(1, "It's"), Worksheet(2, "Plain", rows=50, columns=3), Worksheet(3, "Q1"))

    @pytest.mark.parametrize(
        ("text", "read"),
        [
            ("'Red accounts'!A1:B2", "'Red accounts'!A1:B2"),
            ("Red accounts!B2:A1", "'Red accounts'!A1:B2"),
            ("'Red accounts'", "'Red accounts'!A1:Z1000"),
            ("'It''s'!$B$3", "'It''s'!B3"),
            ("Plain", "Plain!A1:C50"),
            ("Plain!A2:C", "Plain!A2:C50"),
            ("Plain!B:B", "Plain!B1:B50"),
            ("Plain!2:3", "Plain!A2:C3"),
            ("Plain!B2:ZZ999", "Plain!B2:C50"),
            ("c5:d9", "'Red accounts'!C5:D9"),
            ("A:A", "'Red accounts'!A1:A1000"),
            ("'Q1'!A1", "'Q1'!A1"),
            ("Q1", "'Red accounts'!Q1"),
        ],
    )
    def test_how_they_are_read(self, text: str, read: str) -> None:
        assert str(area(text, self.SHEETS)) == read

    @pytest.mark.parametrize(
        "text", ["", "!", "Plain!", "Plain!A", "Plain!1", "Plain!A0", "Plain!A1:", "Plain!A1:B2:C3", "'Plain!A1", "Other", "A1:Plain!B2"]
    )
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(Invalid, match="Unable to parse range"):
            area(text, self.SHEETS)

    @pytest.mark.parametrize("text", ["Plain!A51", "Plain!D1", "Plain!A51:B", "Plain!D:E"])
    def test_what_lies_beyond_the_grid(self, text: str) -> None:
        with pytest.raises(Invalid, match="Max rows: 50, max columns: 3"):
            area(text, self.SHEETS)

    def test_columns_have_names(self) -> None:
        assert [letters(column) for column in (0, 25, 26, 51, 52, 701, 702)] == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]

    def test_tables_are_what_touches(self) -> None:
        sheet = Worksheet(0, "Block", cells=[["a", "b", "", "x"], ["", "", "c"], [], ["d"]])
        assert [str(one) for one in tables(sheet)] == ["Block!A1:D2", "Block!A4"]
        assert str(last_table(area("Block", [sheet]))) == "Block!A4"
        assert str(last_table(area("Block!B2", [sheet]))) == "Block!A1:D2"
        assert last_table(area("Block!F9", [sheet])) is None


class TestAccess:
    def test_without_a_token(self, sandbox: SandboxServer) -> None:
        url = f"{sandbox.url}/sheets/v4/spreadsheets/{TRACKER}"
        assert "unregistered callers" in refused(httpx.get(url), 403, "PERMISSION_DENIED")
        wrong = httpx.get(url, headers={"Authorization": "Bearer other"})
        assert "invalid authentication credentials" in refused(wrong, 401, "UNAUTHENTICATED")

    def test_what_is_not_there(self, google: gspread.Client, book: gspread.Spreadsheet, http: httpx.Client) -> None:
        with pytest.raises(SpreadsheetNotFound):
            google.open_by_key("another")
        with pytest.raises(WorksheetNotFound):
            book.worksheet("Another")
        assert refused(http.put("/another/values/A1?valueInputOption=RAW", json={}), 404, "NOT_FOUND") == "Requested entity was not found."
        assert refused(http.get(f"/{TRACKER}/charts"), 404, "NOT_FOUND") == "Not Found"

    def test_writes_have_a_quota_and_reads_have_none(self, sandbox: SandboxServer, tracker: gspread.Worksheet, service: Sheets) -> None:
        service.seed({"writes_per_minute": 2})
        for _ in range(2):
            tracker.append_row(ROW)
        with pytest.raises(APIError) as error:
            tracker.append_row(ROW)
        assert (error.value.code, error.value.error["status"]) == (429, "RESOURCE_EXHAUSTED")
        assert error.value.error["details"][0]["reason"] == "RATE_LIMIT_EXCEEDED"
        assert "Write requests per minute per user" in error.value.error["message"]
        assert "Retry-After" not in error.value.response.headers
        assert len(tracker.get_all_records()) == 2
        assert len(acts(sandbox)) == 2

    def test_the_quota_is_sixty_a_minute_unless_set(self, service: Sheets) -> None:
        assert service.budget.limit == 60
        with pytest.raises(ValueError, match="writes_per_minute must be a whole number"):
            service.seed({"writes_per_minute": True})

    def test_a_planned_fault_has_googles_form(self, sandbox: SandboxServer, tracker: gspread.Worksheet) -> None:
        sandbox.world.faults += [
            Fault("sheets", "rate_limit"),
            Fault("sheets", "status", status=503),
            Fault("sheets", "status", status=500),
        ]
        found = []
        for _ in range(3):
            with pytest.raises(APIError) as error:
                tracker.append_row(ROW)
            assert "Retry-After" not in error.value.response.headers
            found.append((error.value.code, error.value.error["status"]))
        assert found == [(429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE"), (500, "INTERNAL")]


class TestWorksheets:
    def test_one_is_added(self, sandbox: SandboxServer, book: gspread.Spreadsheet, service: Sheets) -> None:
        made = book.add_worksheet("Archive", rows=10, cols=5)
        assert (made.id, made.row_count, made.col_count, made.index) == (1, 10, 5, 1)
        made.append_row(["x"])
        assert service.rows(TRACKER, "Archive") == [["x"]]
        with pytest.raises(APIError, match='A sheet with the name "Archive" already exists'):
            book.add_worksheet("Archive", rows=10, cols=5)
        assert acts(sandbox) == ["sheet.added", "rows.appended"]

    def test_its_size_title_and_frozen_rows_are_set(self, tracker: gspread.Worksheet, service: Sheets) -> None:
        tracker.append_rows([["a"], ["b"]])
        tracker.freeze(rows=1)
        tracker.resize(rows=2, cols=11)
        tracker.update_title("Accounts")
        sheet = service.spreadsheets[TRACKER].worksheets[0]
        assert (sheet.title, sheet.frozen, sheet.rows, sheet.columns) == ("Accounts", 1, 2, 11)
        assert [row[0] for row in service.rows(TRACKER, "Accounts")] == ["Key", "a"]

    def test_a_batch_is_carried_out_whole_or_not_at_all(self, sandbox: SandboxServer, http: httpx.Client, service: Sheets) -> None:
        batch = [{"addSheet": {"properties": {"title": "New"}}}, {"mergeCells": {}}]
        told = refused(http.post(f"/{TRACKER}:batchUpdate", json={"requests": batch}), 400, "INVALID_ARGUMENT")
        assert told == "Invalid requests[1].mergeCells: the sandbox knows addSheet, deleteDimension, updateSheetProperties"
        assert [one.title for one in service.spreadsheets[TRACKER].worksheets] == [TRACKED]
        assert acts(sandbox) == []

    @pytest.mark.parametrize(
        "request_",
        [
            {"deleteDimension": {"range": {"sheetId": 0, "dimension": "COLUMNS", "startIndex": 0, "endIndex": 1}}},
            {"deleteDimension": {"range": {"sheetId": 0, "dimension": "ROWS", "startIndex": 5, "endIndex": 5}}},
            {"deleteDimension": {"range": {"sheetId": 9, "dimension": "ROWS", "startIndex": 0, "endIndex": 1}}},
            {"updateSheetProperties": {"properties": {"sheetId": 0, "tabColor": {}}, "fields": "tabColor"}},
            {"addSheet": None},
            {"addSheet": {"properties": {"gridProperties": {"rowCount": "ten"}}}},
            "addSheet",
        ],
    )
    def test_a_change_that_will_not_do(self, sandbox: SandboxServer, http: httpx.Client, request_: Any) -> None:
        answer = http.post(f"/{TRACKER}:batchUpdate", json={"requests": [request_]})
        assert "requests[0]" in refused(answer, 400, "INVALID_ARGUMENT")

    def test_cells_come_with_the_metadata_when_asked_for(self, http: httpx.Client) -> None:
        assert "data" not in http.get(f"/{TRACKER}").json()["sheets"][0]
        found = http.get(f"/{TRACKER}", params={"includeGridData": "true"}).json()["sheets"][0]["data"][0]["rowData"]
        assert found[0]["values"][0]["formattedValue"] == "Key"
        answer = http.get(f"/{TRACKER}", params={"includeGridData": "true", "ranges": "A1"})
        assert "leave out ranges" in refused(answer, 400, "INVALID_ARGUMENT")


class TestSeed:
    def test_a_spreadsheet_of_ones_own(self, sandbox: SandboxServer, google: gspread.Client, service: Sheets) -> None:
        service.seed({"spreadsheets": {"plans": {"title": "Plans", "worksheets": {"Q1": [["Name", "ARR"], ["Acme", 5000]]}}}})
        assert google.open_by_key("plans").worksheet("Q1").get_all_records() == [{"Name": "Acme", "ARR": 5000}]
        assert service.records("plans", "Q1") == [{"Name": "Acme", "ARR": "5000"}]
        assert acts(sandbox) == []

    def test_one_that_makes_no_sense_says_why(self, sandbox: SandboxServer, service: Sheets) -> None:
        with pytest.raises(ValueError, match=re.escape("a seed of sheets has no ['rows']")):
            service.seed({"rows": []})
        with pytest.raises(KeyError, match="no worksheet 'Other'"):
            service.rows(TRACKER, "Other")

    def test_a_reset_brings_the_empty_tracker_back(self, tracker: gspread.Worksheet, service: Sheets) -> None:
        tracker.append_row(ROW)
        service.seed({"spreadsheets": {"other": {}}, "writes_per_minute": 1})
        service.reset()
        assert (list(service.spreadsheets), service.rows(), service.budget.limit) == ([TRACKER], [list(HEADER)], 60)

    def test_a_large_one_has_a_grid_that_holds_it(self, service: Sheets) -> None:
        service.seed({"spreadsheets": {"large": {"worksheets": {"S": [[f"k{number}", *range(10)] for number in range(2000)]}}}})
        assert (len(service.records("large", "S")), service.spreadsheets["large"].worksheets[0].rows) == (1999, 2000)


def test_answers_are_as_google_describes_them(http: httpx.Client) -> None:
    described = contract("sheets.v4")["schemas"]
    raw = {"valueInputOption": "RAW", "includeValuesInResponse": "true"}
    add = {"requests": [{"addSheet": {"properties": {"title": "New"}}}]}
    answers = {
        "Spreadsheet": http.get(f"/{TRACKER}", params={"includeGridData": "true"}),
        "ValueRange": http.get(values("A1:B2")),
        "UpdateValuesResponse": http.put(values("A2"), params=raw, json={"values": [["x", 1, True]]}),
        "AppendValuesResponse": http.post(values("A1", ":append"), params=raw, json={"values": [["x"]]}),
        "ClearValuesResponse": http.post(values("A2", ":clear")),
        "BatchClearValuesResponse": http.post(f"/{TRACKER}/values:batchClear", json={"ranges": ["A2"]}),
        "BatchGetValuesResponse": http.get(f"/{TRACKER}/values:batchGet", params={"ranges": "A1:B2"}),
        "BatchUpdateValuesResponse": http.post(
            f"/{TRACKER}/values:batchUpdate", json={"valueInputOption": "RAW", "data": [{"range": "A2", "values": [["x"]]}]}
        ),
        "BatchUpdateSpreadsheetResponse": http.post(f"/{TRACKER}:batchUpdate", json=add),
    }
    for name, answer in answers.items():
        assert answer.status_code == 200, answer.text
        assert problems({"$ref": name}, answer.json(), described, closed=True) == [], name


def test_a_world_may_have_a_budget_of_its_own() -> None:
    first, second = Sheets(World()), Sheets(World())
    first.seed({"writes_per_minute": 1})
    assert (first.budget.take(), first.budget.take(), second.budget.take()) == (True, False, True)
