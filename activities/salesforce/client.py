"""The connection to Salesforce: simple-salesforce, pointed at any base address, with a time limit and one login for all threads.

simple-salesforce speaks to ``https://…salesforce.com`` hosts only; the transport sends the same requests to the configured address.
It also lacks ``convertLead``, which exists in the SOAP API alone (:mod:`activities.salesforce.soap`). And it logs in again by itself, without end, when it was built with a
password and its session is refused; so the login is made here, and its client gets the session alone.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceAuthenticationFailed, SalesforceExpiredSession
from simple_salesforce.format import format_external_id, format_soql
from simple_salesforce.login import SalesforceLogin

from activities.asking import Ask, at_once
from activities.errors import LONGEST_ANSWER
from activities.salesforce import soap
from store.settings import Settings

SYSTEM = "Salesforce"
KEY = "Tenure_Key__c"
"""The custom field that holds the subject on what is ours: a lead, an opportunity."""

STAGE_1 = "Interest"
"""The stage of a new opportunity: it stays in stage 1 until the criteria of stage 2 are met (A19)."""

API_VERSION = "59.0"
TIMEOUT_SECONDS = (5.0, LONGEST_ANSWER)  # to connect, to answer
LOGIN_PAUSE = 60.0
"""Seconds without a login after one whose session was refused: to log in again and again locks the user out."""

Result = TypeVar("Result")
Record = Mapping[str, Any]


class Transport(HTTPAdapter):
    """Sends requests, whatever host they name, to ``base`` (its path is put in front); with a time limit, without retries."""

    def __init__(self, base: str = "") -> None:
        super().__init__(max_retries=0)
        self._base = urlsplit(base.rstrip("/"))

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send one request."""
        if self._base.netloc:
            asked = urlsplit(str(request.url))
            request.url = urlunsplit((self._base.scheme, self._base.netloc, self._base.path + asked.path, asked.query, ""))
        options["timeout"] = options.get("timeout") or TIMEOUT_SECONDS
        return super().send(request, *args, **options)


class Crm:
    """A Salesforce org, for all threads. Logs in at first use; with a user name and password again, once, when the session has expired.

    A session that is refused right after its login is an error, not a reason for another login.
    """

    def __init__(self, *, url: str = "", session_id: str = "", username: str = "", password: str = "", security_token: str = "") -> None:
        if session_id and not url:
            raise ValueError("a session id belongs to one org: set TENURE_SALESFORCE_URL to that org's own address too")
        self._session = requests.Session()
        self._session.mount("https://", Transport(url))
        self._host = urlsplit(url).hostname or ""
        self._session_id = session_id
        self._login = {"username": username, "password": password, "security_token": security_token}
        self._client: Salesforce | None = None
        self._accepted = False  # whether the client's session was ever taken
        self._logged_in = -LOGIN_PAUSE
        self._refused: tuple[float, Exception] | None = None  # the last login that failed, and when
        self._lock = threading.Lock()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The org that the settings name; a session id goes before a user name."""
        return cls(
            url=settings.salesforce_url,
            session_id=settings.salesforce_session_id.get_secret_value(),
            username=settings.salesforce_username,
            password=settings.salesforce_password.get_secret_value(),
            security_token=settings.salesforce_security_token.get_secret_value(),
        )

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def records(self, soql: str, /, *, ask: Ask = at_once, **values: Any) -> Iterator[Record]:
        """Every record of a query, page by page, each of which ``ask`` asks for. ``{name}`` in it becomes the quoted value."""
        query = format_soql(soql, **values)
        page: dict[str, Any] = ask(lambda: self._call(lambda client: client.query(query)))
        while True:
            yield from page["records"]
            if page["done"]:
                return
            following = page["nextRecordsUrl"]
            page = ask(partial(self._call, partial(_following, url=following)))

    def all(self, kind: str, *fields: str, **values: Any) -> Iterator[Record]:
        """Every record of that kind that shows these values: its id, and these of its fields."""
        where = " AND ".join(f"{name} = {{{name}}}" for name in values)
        return self.records(f"SELECT {', '.join(dict.fromkeys(('Id', *fields)))} FROM {kind} WHERE {where}", **values)  # noqa: S608

    def find(self, kind: str, *fields: str, **values: Any) -> Record | None:
        """The first of them, or None."""
        return next(self.all(kind, *fields, **values), None)

    def create(self, kind: str, fields: Record) -> str:
        """Make a record; returns its id."""
        answer = self._call(lambda client: getattr(client, kind).create(dict(fields)))
        return str(answer["id"])

    def update(self, kind: str, id_: str, fields: Record) -> None:
        """Set fields of a record."""
        self._call(lambda client: getattr(client, kind).update(id_, dict(fields)))

    def settle(self, kind: str, record: Record, wanted: Record) -> None:
        """Set what the record does not show already; so a repetition after a lost answer writes nothing."""
        if changed := {name: value for name, value in wanted.items() if not same(record[name], value)}:
            self.update(kind, record["Id"], changed)

    def upsert(self, kind: str, field: str, value: str, fields: Record) -> str:
        """Make a record, or set the fields of the one whose external id is ``value``; returns its id."""
        name = format_external_id(field, value)
        answer = self._call(lambda client: getattr(client, kind).upsert(name, dict(fields), raw_response=True))
        return str(answer.json()["id"])

    def convert_lead(self, lead: str, *, status: str, account: str, opportunity: str) -> soap.Converted:
        """Convert a lead to an opportunity in ``account``, or in a new account when it is empty. Raises :class:`soap.SoapFault`."""
        wanted = {"accountId": account, "convertedStatus": status, "leadId": lead, "opportunityName": opportunity}

        def convert(client: Salesforce) -> requests.Response:
            answer = self._session.post(
                f"https://{client.sf_instance}/services/Soap/u/{API_VERSION}",
                data=soap.envelope(client.session_id, wanted),
                headers={"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'},
            )
            if b"INVALID_SESSION_ID" in answer.content:
                raise SalesforceExpiredSession(answer.url, 401, "convertLead", answer.content)
            return answer

        return soap.converted(self._call(convert))

    def _call(self, call: Callable[[Salesforce], Result]) -> Result:
        client = self._connect()
        try:
            result = call(client)
        except SalesforceExpiredSession as error:
            # An expired session was refused before anything was done, so the same call may be made again.
            client = self._connect(instead_of=client, refused=error)
            result = call(client)
        if client is self._client:
            self._accepted = True
        return result

    def _connect(self, instead_of: Salesforce | None = None, refused: Exception | None = None) -> Salesforce:
        """The client that all threads share, logged in. One whose session was ``refused`` gives way to a new login.

        Raises ``refused`` where no login is due: there is no password, or the last login brought a session that was never taken. Who
        waited while a login failed gets its error, rather than to log in too; a name or password that is refused is not sent again for as
        long as a refused session: Salesforce locks a user out who is tried often.
        """
        asked = time.monotonic()
        with self._lock:
            if self._client is not None and self._client is not instead_of:
                return self._client
            if self._client is None and self._session_id:
                self._client = self._with_session(self._session_id, self._host)
                return self._client
            if refused is not None:
                pausing = not self._accepted and time.monotonic() - self._logged_in < LOGIN_PAUSE
                if pausing or not all(self._login.values()):
                    raise refused
            if self._refused is not None:
                failed_at, error = self._refused
                if failed_at + (LOGIN_PAUSE if _not_ours(error) else 0.0) >= asked:
                    raise error
            try:
                session_id, host = SalesforceLogin(**self._login, sf_version=API_VERSION, session=self._session)  # type: ignore[arg-type]
            except Exception as error:
                self._refused = time.monotonic(), error
                raise
            self._client, self._accepted, self._logged_in = self._with_session(session_id, host), False, time.monotonic()
            return self._client

    def _with_session(self, session_id: str, host: str) -> Salesforce:
        return Salesforce(session_id=session_id, instance=host, version=API_VERSION, session=self._session)


def _not_ours(error: Exception) -> bool:
    """Whether a login failed by its name, password or token; not one that was put off, by an org that is down or asked too often."""
    code = str(error.code) if isinstance(error, SalesforceAuthenticationFailed) else ""
    return "LOGIN" in code and "RATE" not in code


def _following(client: Salesforce, url: str) -> dict[str, Any]:
    page: dict[str, Any] = client.query_more(url, identifier_is_url=True)
    return page


def same(shown: object, wanted: object) -> bool:
    """Whether a field already shows a value: Salesforce keeps empty text as null, and writes moments as ``…000+0000``."""
    if shown in (None, "") and wanted in (None, ""):
        return True
    if isinstance(shown, str) and isinstance(wanted, str) and "T" in shown and "T" in wanted:
        try:
            return datetime.fromisoformat(shown) == datetime.fromisoformat(wanted)
        except (ValueError, TypeError):
            return shown == wanted
    return shown == wanted and isinstance(shown, bool) == isinstance(wanted, bool)
