"""Google Sheets: the tracker of red accounts (B17), a table that people edit beside us, one row an account.

A row is found by its ``Key`` column, wherever people have moved it, and only the cells of an act are written. People touch keys and titles
too: they are compared without blanks around them, in any case, and as text looks rather than as it is encoded. A new row is written at the
first free row's place rather than appended: appending again after a lost answer makes a second row, writing the same place again does not.

Two workers that add rows at the same moment would both compute the same place, and the later one would overwrite the other's row. No
answer of the API would show it, and looking afterwards is no help: whoever writes last sees their own row. So reading the table and
writing to it is done in one :func:`store.lease.turn` of the ledger, which all workers share. People need no turn: they fill in cells
of rows that are there. If they move rows in the moment between our reading and our writing, the answer to the write shows another key;
that is logged, and the act is tried again.
"""

import threading
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import requests
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import AuthorizedSession
from google.oauth2.service_account import Credentials
from gspread.exceptions import APIError
from gspread.http_client import HTTPClient
from gspread.utils import rowcol_to_a1
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.asking import Ask, Scope
from activities.effects.outside_system import OutsideSystem, carries_out
from activities.errors import LONGEST_ANSWER, forbidden, from_status, limited, lost, refused, retry_after, unreachable, unsure
from domain.effects.effect import Receipt
from domain.effects.reconcile import Claim, Thing
from domain.effects.sheets import KeepRow
from store.effect_kinds import claim, ref_of
from store.lease import turn
from store.ledger import BUSY_RETRY, EffectId, EffectRow, Ledger, NotDone
from store.settings import Settings

SYSTEM = "Sheets"
KEY = "Key"
SCOPE = "https://www.googleapis.com/auth/spreadsheets"
TIMEOUT_SECONDS = (5.0, LONGEST_ANSWER)  # to connect, to answer
QUEUE_SECONDS = 15.0
LIMIT_RETRY = timedelta(minutes=1)  # the quotas are counted by the minute, and no answer says when more comes
_GOOGLE = "https://sheets.googleapis.com"


class _Http(HTTPClient):
    """gspread's client, sent to any address; it repeats nothing by itself."""

    def __init__(self, url: str, session: requests.Session) -> None:
        super().__init__(None, session)  # type: ignore[arg-type]
        self._url = url.rstrip("/")
        self.set_timeout(TIMEOUT_SECONDS)

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def request(self, method: str, endpoint: str, *args: Any, **options: Any) -> requests.Response:
        """Send one request. Raises ``APIError`` for an answer that is no success."""
        return super().request(method, self._url + endpoint.removeprefix(_GOOGLE), *args, **options)


def _row(row: EffectRow) -> tuple[Claim, ...]:
    return (claim(row, "row", ref_of(row), mark=ref_of(row)),)


class Sheets(OutsideSystem, name="sheets", title="Google Sheets"):
    """The tracker that the settings name. Receipts: the row's key, and ``row``, its place at that moment."""

    _client: _Http | None

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        super().__init__(settings, ledger)
        self._making = threading.Lock()
        self._queue = threading.Lock()

    def remote(self, ask: Ask, scope: Scope) -> Iterator[Thing]:
        """Every row that has a key, in one reading of the tracker."""
        header, *rows = ask(self._read) or [[]]
        column = self._columns(header)[KEY]
        ours = {as_key(ref): ref for ref in scope.refs("row")}
        for number, row in enumerate(rows, start=2):
            if key := as_key(cell := _cell(row, column)):
                shown = ours.get(key, cell.strip())
                yield Thing(kind="row", ref=shown, mark=shown, id=str(number), where=f"row {number}")

    @carries_out(KeepRow, act="row.kept", claims=_row, makes="row")
    def _keep(self, effect: KeepRow, _effect_id: EffectId) -> Receipt:
        with self._turn():
            header, *rows = self._read() or [[]]
            columns = self._columns(header, effect)
            place = _place(rows, columns[KEY], effect.row)
            wanted: dict[int, str] = {columns[as_key(name)]: value for name, value in effect.cells.items()}
            if place is None:
                place = len(rows) + 2
                self._write(place, {**wanted, columns[KEY]: effect.row}, columns[KEY], effect.row)
            elif any(_cell(rows[place - 2], column) != value for column, value in wanted.items()):
                # Not the key: if people move rows this moment, it must not become another row's.
                self._write(place, {**wanted, columns[KEY]: None}, columns[KEY], effect.row)
        return Receipt(ref=effect.row, data={"row": str(place)})

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """The turn at the tracker. Threads of one worker wait for each other a while, rather than fail for it at once."""
        if not self._queue.acquire(timeout=QUEUE_SECONDS):
            raise NotDone("others write to the tracker; this act is tried again", type="TurnTaken", next_retry_delay=BUSY_RETRY)
        try:
            with turn(self._ledger, f"sheets {self._settings.sheets_tracker}"):
                yield
        finally:
            self._queue.release()

    def _columns(self, header: list[str], effect: KeepRow | None = None) -> dict[str, int]:
        """The places of the columns by their names as :func:`as_key` has them, from 0; ``KEY`` names the keys' column."""
        columns = {as_key(name): place for place, name in reversed(list(enumerate(header)))}
        if missing := [name for name in (KEY, *(effect.cells if effect is not None else ())) if as_key(name) not in columns]:
            named = ", ".join(repr(name) for name in missing)
            where = f"the first row of worksheet {self._settings.sheets_worksheet!r} in {self._settings.sheets_tracker}"
            raise refused(SYSTEM, f"{where} names no column {named}; add it there", kind="NoColumn")
        return {**columns, KEY: columns[as_key(KEY)]}

    def _read(self) -> list[list[str]]:
        """All rows as they are seen, the header first."""
        answer = self._http().values_get(self._settings.sheets_tracker, self._worksheet())
        return [[str(cell) for cell in row] for row in answer.get("values", [])]

    def _write(self, place: int, wanted: Mapping[int, str | None], key_column: int, key: str) -> None:
        """Write cells of one row in one request; a cell that is None stays as it is."""
        first, last = min(wanted), max(wanted)
        cells = [wanted.get(column) for column in range(first, last + 1)]
        where = f"{self._worksheet()}!{rowcol_to_a1(place, first + 1)}:{rowcol_to_a1(place, last + 1)}"
        # RAW: a text that begins with = stays a text, and a date is not read by the rules of somebody's locale.
        how: dict[str, Any] = {"valueInputOption": "RAW", "includeValuesInResponse": "true"}
        answer = self._http().values_update(self._settings.sheets_tracker, where, params=how, body={"values": [cells]})
        written = answer.get("updatedData", {}).get("values", [[]])
        if as_key(found := _cell(written[0], key_column - first)) != as_key(key):
            activity.logger.warning("row %d of the tracker was moved while it was written: %r is there now", place, found)
            raise unsure(SYSTEM, f"row {place} is {found!r} now, not {key!r}: somebody moved rows meanwhile; look at that row's cells")

    def _worksheet(self) -> str:
        return "'" + self._settings.sheets_worksheet.replace("'", "''") + "'"

    def _http(self) -> _Http:
        """The client that all threads share, made at first use: a service account's file goes before a token."""
        with self._making:
            if self._client is None:
                self._client = _Http(self._settings.sheets_url, self._session())
            return self._client

    def _session(self) -> requests.Session:
        if (path := self._settings.sheets_credentials) is not None:
            try:
                account = Credentials.from_service_account_file(str(path), scopes=[SCOPE])  # type: ignore[no-untyped-call]
            except (OSError, ValueError) as error:
                raise forbidden(SYSTEM, f"TENURE_SHEETS_CREDENTIALS names {path}, which is no service account's key: {error}") from None
            authorized: requests.Session = AuthorizedSession(account)  # type: ignore[no-untyped-call]
            return authorized
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {self._settings.sheets_token.get_secret_value()}"
        return session

    def error(self, error: Exception) -> ApplicationError | None:
        """A Sheets client's exception in Temporal's terms."""
        tracker, worksheet = self._settings.sheets_tracker, self._settings.sheets_worksheet
        match error:
            case APIError():
                status, said = error.response.status_code, str(error.error.get("message", ""))[:300]
                if status == 429 or (status == 403 and "quota" in said.lower()):
                    return limited(SYSTEM, said, max(retry_after(error.response.headers) or LIMIT_RETRY, LIMIT_RETRY))
                if status == 403:
                    return forbidden(SYSTEM, f"{said} (share the spreadsheet {tracker} with it, to edit)")
                if status == 404:
                    return refused(SYSTEM, f"there is no spreadsheet {tracker}; set TENURE_SHEETS_TRACKER to its id", kind="NotFound")
                if status == 400 and "Unable to parse range" in said:
                    why = f"{tracker} has no worksheet {worksheet!r}; add it, or set TENURE_SHEETS_WORKSHEET"
                    return refused(SYSTEM, why, kind="NotFound")
                if status == 400 and "exceeds grid limits" in said:
                    return refused(SYSTEM, f"worksheet {worksheet!r} of {tracker} is full: {said}; add rows at its end", kind="Full")
                return from_status(SYSTEM, status, said, error.response.headers)
            case TransportError():  # while the token was fetched: nothing was asked of the sheet yet
                return unreachable(SYSTEM, str(error))
            case GoogleAuthError():
                return forbidden(SYSTEM, f"{type(error).__name__}: {error}")
            case requests.RequestException():
                return lost(SYSTEM, error)
        return None


def as_key(text: str) -> str:
    """A key or a title as people see it: without blanks around it or doubled in it, in one case and one encoding, nothing invisible."""
    seen = "".join(letter for letter in unicodedata.normalize("NFKC", text) if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFKC", " ".join(seen.split()).casefold())


def _place(rows: list[list[str]], column: int, key: str) -> int | None:
    """The row's place in the sheet; of several that look alike, the one that is spelt as ours. None when there is none."""
    alike = [number for number, row in enumerate(rows, start=2) if as_key(_cell(row, column)) == as_key(key)]
    return next((number for number in alike if _cell(rows[number - 2], column) == key), alike[0] if alike else None)


def _cell(row: list[str], column: int) -> str:
    return row[column] if column < len(row) else ""
