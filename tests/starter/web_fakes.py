"""A Tenure that answers from memory, for tests of what stands in front of the real one."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
from fastapi import FastAPI
from itsdangerous import TimestampSigner
from sqlalchemy import insert
from temporalio.client import Client

from domain import policy
from domain.account.account import RenewalRow
from domain.addresses import Address
from domain.base import Message
from domain.decision import Decision, Fact
from domain.messages import IssueEvent, OpenLink, SignupAnswer
from domain.people import Role
from domain.rights import Asked, Group
from domain.task import Answer, Check, Choice, FieldSpec
from domain.views import NextStep, TaskView, TrialStatus
from starter.errors import TenureError, Unavailable
from starter.service.commands import Start
from starter.service.forms import JoinForm, SignupForm, TrialRequestForm
from starter.service.tenure import Tenure
from starter.service.views import TrialPage, TrialRow, TrialView
from starter.web.app import create_app, session_key
from store.access import ServiceTokens
from store.audit import Audit, AuditRow
from store.ledger import EffectRow, Ledger
from store.settings import Settings
from store.tables import customers, roster
from store.vault import Vault
from tests.fresh import ledger_in
from tests.rows import keep_renewal

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
RESET = "https://acme.cloud.tenure.example/password-reset?code=s3cret"
HTML = {"Accept": "text/html,application/xhtml+xml"}


#: Handle, role and manager of those whom the CRM of the tests knows.
PEOPLE = (
    ("ce", "ce", "boss"),
    ("ce.one", "ce", "boss"),
    ("sdr", "inbound_sdr", "growth"),
    ("sdr.one", "inbound_sdr", "growth"),
    ("boss", "ce_manager", None),
    ("ta", "ta", None),
    ("growth", "growth", None),
    ("ta.one", "ta", "ta.manager"),
    ("ta.manager", "ta_manager", None),
    ("ae.one", "ae", "ae.manager"),
    ("ae.manager", "ae_manager", None),
)
CSRF = "of-this-session"
#: Two customers; of the second the renewal runs.
CUSTOMER, RENEWING = "globex.com", "acme.com"
RUNNING: dict[str, Any] = {
    "workflow": "renewal-acme.com-2027-06-30",
    "domain": RENEWING,
    "name": "Acme",
    "renewal_on": date(2027, 6, 30),
    "arr": 120_000,
    "phase": "forecast",
}


def at(path: str) -> str:
    """A path of the API's document with what there is in this site in it."""
    account = CUSTOMER if path.endswith("/start") else RENEWING
    return path.format(domain="acme.com", account=account, id="trial-acme.com:triage-1", token="t")


def person(handle: str, role: str, manager: str | None = None) -> dict[str, Any]:
    """A row of the roster."""
    return {"id": handle, "name": handle.title(), "email": f"{handle}@tenure.example", "role": role, "active": True, "manager": manager}


def settings_in(folder: Path, **changes: Any) -> Settings:
    """Settings that read neither the environment's files nor another data directory."""
    return Settings(_env_file=None, **{"data_dir": folder, "web_url": "http://testserver", **changes})


def triage_task() -> TaskView:
    """A task with checks, and with a choice that needs a field."""
    return TaskView(
        id="trial-acme.com:triage-1",
        workflow="trial-acme.com",
        task="triage-1",
        kind="triage",
        title="Triage Acme <& Sons>",
        asks="Does the company qualify for a cloud trial?",
        role=Role.INBOUND_SDR.value,
        assignee="sdr.one@tenure.example",
        choices=(
            Choice(
                name="qualified",
                label="Qualified",
                fields=(FieldSpec(name="ce_email", asks="The CE's e-mail", kind="email", required=False),),
            ),
            Choice(name="disqualified", label="Not qualified", fields=(FieldSpec(name="reason", asks="Why not"),)),
        ),
        checks=(Check(name="core_use_case", question="Is the core use case ours?"), Check(name="fits_size", question="Does the size fit?")),
        opened_at=NOON,
        due_at=NOON + timedelta(hours=24),
    )


@dataclass
class Call:
    """One call that reached the service."""

    name: str
    args: tuple[Any, ...]


@dataclass
class Script:
    """What the service answers: ``raises`` by method name, and the signup's answer."""

    raises: dict[str, Exception] = field(default_factory=dict)
    signup: SignupAnswer = field(
        default_factory=lambda: SignupAnswer(
            domain="acme.com", trial="trial-acme.com", case="3", outcome="triage", message="A person looks at your signup within 24 hours."
        )
    )
    heard: bool = True
    retried: int = 0


class NoServer:
    """A client whose server does not answer."""

    def __getattr__(self, name: str) -> Any:
        raise Unavailable("the server does not answer", "Ask again")


class FakeTenure(Tenure):
    """Keeps what it was asked in ``calls`` and answers by its ``script``. Its ledger is a real one."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        super().__init__(cast(Client, NoServer()), ledger, settings, policy.default())
        self.calls: list[Call] = []
        self.script = Script()

    def _called(self, name: str, *args: Any) -> None:
        self.calls.append(Call(name, args))
        if error := self.script.raises.get(name):
            raise error

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of the calls of that method."""
        return [call.args for call in self.calls if call.name == name]

    async def signup(self, form: SignupForm) -> SignupAnswer:
        self.outsider(form.email)  # the real check of the address
        self._called("signup", form)
        return self.script.signup

    async def _request_trial(self, form: TrialRequestForm, address: Address, ce: str) -> SignupAnswer:
        self._called("request_trial", form)
        return self.script.signup

    async def update(
        self, workflow_id: str, name: str, message: Message, event_id: str, missing: TenureError | None = None, start: Start | None = None
    ) -> str:
        if isinstance(message, OpenLink):
            self._called("open_link", workflow_id, message, event_id)
            return Vault(self.ledger, self.settings.key()).put("reset_link", RESET, datetime.now(UTC) + timedelta(hours=1), "a test's")
        if isinstance(message, Answer):
            self._called("answer", f"{workflow_id}:{message.task}", message, event_id)
            return f"{message.choice} taken"
        self._called("act_on", workflow_id, name, message, event_id)
        return f"{name} done"

    async def begin(self, kind: str, given: Message, workflow_id: str, summary: str, event_id: str, **options: Any) -> None:
        self._called("begin", kind, given, workflow_id, event_id)

    async def _asked(self, workflow_id: str, task: str) -> Asked | None:
        view = triage_task()
        found = (view.workflow, view.task) == (workflow_id, task)
        return Asked(id=view.id, role=Role(view.role), assignee=view.assignee, also=view.asked) if found else None

    async def join(self, form: JoinForm) -> str:
        self.outsider(form.email)
        self._called("join", form)
        return "the administrator is asked to invite you"

    async def late_word(self, workflow_id: str, issue: int) -> str:
        self._called("late_word", workflow_id, issue)
        return f"late-word-{issue}-{workflow_id}"

    async def issue_event(self, workflow_id: str, event: IssueEvent) -> bool:
        self._called("issue_event", workflow_id, event)
        return self.script.heard

    async def failed_signup(self, form: SignupForm, error: str) -> str:
        self._called("failed_signup", form, error)
        return "kept-1"

    async def retry_failed_signups(self) -> int:
        self._called("retry_failed_signups")
        return self.script.retried

    async def trials(self, limit: int = 20, page: str = "", *, stage: str = "", owner: str = "", closed: bool = False) -> TrialPage:
        self._called("trials", limit, page, stage, closed)
        rows = (
            TrialRow(
                domain="acme.com",
                workflow="trial-acme.com",
                run="r1",
                stage="triage",
                owner="ce.one@tenure.example",
                due_at=NOON + timedelta(hours=24),
                open=True,
                status="running",
                started_at=NOON,
            ),
            TrialRow(domain="initech.com", workflow="trial-initech.com", run="r2", open=True, status="running", started_at=NOON),
        )
        return TrialPage(rows=rows, counts={"running": 2, "completed": 5}, next_page="bmV4dA==")

    async def trial(self, domain: str) -> TrialView:
        self._called("trial", domain)
        decision = Decision(
            what="activity",
            outcome="extend",
            rule="The instance was used within the window, so the trial goes on.",
            handbook="A13",
            at=NOON,
            policy="abc",
            facts=(Fact(name="joiners", value=3, source="instance", as_of=NOON),),
            nearest="no joiner and no search",
        )
        status = TrialStatus(
            domain="acme.com",
            company="Acme",
            stage="extended",
            in_words="**Acme**: the trial goes on until day 30.\n- and more",
            host="acme.cloud.tenure.example",
            ce="ce.one@tenure.example",
        )
        step = NextStep(at=NOON + timedelta(days=12), what="the CE is asked to extend, convert or terminate")
        return TrialView(
            workflow="trial-acme.com",
            run="r1",
            open=True,
            at=NOON,
            status=status,
            next_steps=(step,),
            dossier=(decision,),
            tasks=(triage_task(),),
        )

    async def tasks(self, limit: int = 50, *, after: str = "", role: str = "", assignee: str = "", workflow: str = "") -> list[TaskView]:
        self._called("tasks", limit, role, assignee, workflow, *([after] if after else []))
        return [triage_task()]

    async def effects(self, domain: str) -> list[EffectRow]:
        self._called("effects", domain)
        return [
            EffectRow(
                number=1,
                subject="trial-acme.com/12345678.1",
                key="alert",
                system="slack",
                act="message.posted",
                summary="Alert in #cloud-trial-alerts",
                as_of=NOON,
                begun_at=NOON,
                done_at=NOON,
                attempts=1,
                receipt=None,
            )
        ]


@dataclass
class Site:
    """The application over a fake service, and clients of it that follow no redirects: ``http`` carries a token of ops, ``plain`` nothing."""

    tenure: FakeTenure
    settings: Settings
    app: FastAPI
    http: httpx.AsyncClient
    plain: httpx.AsyncClient

    def signed_in(self, email: str, **more: Any) -> httpx.AsyncClient:
        """Another browser, with the session that signing in as ``email`` leaves."""
        session = {"id": f"session of {email}", "email": email, "at": int(time.time()), "csrf": CSRF, **more}
        signer = TimestampSigner(session_key(self.settings))
        cookie = signer.sign(b64encode(json.dumps(session).encode())).decode()
        browser = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://testserver", headers=HTML)
        browser.cookies.set("tenure", cookie, domain="testserver.local")
        return browser

    def audited(self) -> list[AuditRow]:
        """What is on the audit."""
        return Audit(self.tenure.ledger, (self.settings.vendor_domain,)).rows()


@asynccontextmanager
async def site_in(folder: Path, **changes: Any) -> AsyncIterator[Site]:
    """A site whose ledger is a new database in ``folder``; it knows :data:`PEOPLE`. ``changes`` are other settings."""
    settings = settings_in(folder, **changes)
    ledger = ledger_in(settings.data_dir)
    assert ledger.url == settings.ledger_url
    tenure = FakeTenure(ledger, settings)
    with ledger.writing() as db:
        db.execute(insert(roster), [person(*each) for each in PEOPLE])
        team = {"ta": "ta.one", "ae": "ae.one", "as_of": NOON}
        db.execute(insert(customers), [{"domain": domain, "id": domain, "name": domain, **team} for domain in (CUSTOMER, RENEWING)])
    keep_renewal(ledger, RenewalRow(**RUNNING, updated_at=NOON))
    token = ServiceTokens(ledger).create("tests", role=Group.OPS)
    app = create_app(tenure, settings)
    ours = {"Authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver", headers=ours) as http,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as plain,
    ):
        yield Site(tenure, settings, app, http, plain)
    ledger.close()
