"""The service that every way in shares, against a real server and stand-in workflows under the real names."""

from __future__ import annotations

import asyncio
import stat
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio
from sqlalchemy import insert
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from domain import commands, ids, policy
from domain.effects.effect import Receipt
from domain.effects.registry import ClaimInstance, RegistryChange
from domain.messages import Account, Contact, IssueEvent, Signup, SignupAgain
from domain.people import Owners, Person, Role
from domain.read_model import ProcessRow, Rows
from domain.task import Answer, Choice, Task, TaskSpec
from domain.trial.commands import CONVERT, Extend
from starter.errors import BadInput, NotAllowed, NotFound, Refused, Unavailable
from starter.service import commands as service
from starter.service.connect import connect
from starter.service.forms import JoinForm, SignupForm, TrialRequestForm
from starter.service.kept_requests import FOLDER, Spool
from starter.service.temporal_errors import asking
from starter.service.tenure import Tenure
from starter.service.views import TrialView
from store.audit import Audit
from store.crypto.codec import ENCODING, data_converter
from store.ledger import EffectId, Ledger
from store.read_model import ReadModel
from store.registry import Registry
from store.settings import Settings
from store.tables import accounts, assignments, roster
from tests.starter import standins
from tests.starter.web_fakes import PEOPLE, person

T = TypeVar("T")
POLICY = policy.default()
CE = "ce@tenure.example"
AS_OF = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


async def eventually(look: Callable[[], Awaitable[T | None]], within: float = 60.0) -> T:
    """What ``look`` finds, once it finds something."""
    deadline = time.monotonic() + within
    while True:
        if found := await look():
            return found
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)


async def end(client: Client, workflow_id: str) -> None:
    """End what was listed as running. The list lags behind: what has ended by itself meanwhile is no error."""
    try:
        await client.get_workflow_handle(workflow_id).terminate()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


def asks(workflow: str, due: datetime, role: Role = Role.INBOUND_SDR) -> Rows:
    """What a process tells the lists that asks one thing."""
    choices = (Choice(name="yes", label="Yes"),)
    spec = TaskSpec(kind="triage", title="Triage", asks="?", role=role, assignee="SDR@tenure.example", choices=choices, due_at=due)
    task = Task(id="triage-1", spec=spec, opened_at=AS_OF, next_at=due)
    shown = ProcessRow(kind="Trial", subject="", stage="triage", due_at=due, at=AS_OF)
    return Rows(workflow=workflow, run="01a22e62", version=1, whole=True, process=shown, tasks=(task,))


@pytest.fixture(autouse=True)
def people(ledger: Ledger) -> None:
    """Those of ours whom the ledger's copy of the CRM knows."""
    with ledger.writing() as db:
        db.execute(insert(roster), [person(*each) for each in PEOPLE])


@pytest.fixture
def own_settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path)


@pytest.fixture
def domain() -> str:
    """A company that no other test has."""
    return f"co{uuid.uuid4().hex[:12]}.example"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def queue(engine: WorkflowEnvironment) -> AsyncIterator[str]:
    """A task queue that a worker serves until the last test: what is listed is asked for its tasks."""
    name = f"tenure-{uuid.uuid4().hex[:8]}"
    async with Worker(engine.client, task_queue=name, workflows=standins.ALL, workflow_failure_exception_types=[Exception]):
        yield name
        async for execution in engine.client.list_workflows(f"ExecutionStatus = 'Running' AND TaskQueue = '{name}'"):
            await end(engine.client, execution.id)


@pytest.fixture
def tenure(engine: WorkflowEnvironment, queue: str, ledger: Ledger, own_settings: Settings) -> Tenure:
    return Tenure(engine.client, ledger, own_settings, POLICY, task_queue=queue)


@pytest_asyncio.fixture(loop_scope="session")
async def cut_off(ledger: Ledger, own_settings: Settings) -> Tenure:
    """A service whose server is down."""
    return Tenure(await connect(pydantic_data_converter, address="127.0.0.1:1", lazy=True), ledger, own_settings, POLICY)


class TestSignup:
    async def test_starts_the_companys_trial_and_answers(self, tenure: Tenure, domain: str) -> None:
        said = await tenure.signup(SignupForm(email=f" ada@EU.{domain} ", first_name="Ada", last_name="Byron", company=" Acme "))
        assert (said.domain, said.trial, said.case) == (domain, f"trial-{domain}", "3")
        told = Signup.model_validate_json(said.message)
        assert told.contact == Contact(email=f"ada@eu.{domain}", first_name="Ada", last_name="Byron")
        assert (told.company, told.via, told.account) == ("Acme", "web", None)
        assert (await tenure.trial(domain)).status.policy == POLICY.hash

    async def test_carries_what_the_crm_knows_and_since_when(self, tenure: Tenure, domain: str) -> None:
        account = Account(id="001A", domain=domain, name="Acme", named=True, prequalified=True, named_sdr="005S")
        with tenure.ledger.writing() as db:
            db.execute(insert(accounts).values(**account.model_dump(), as_of=AS_OF))
        told = Signup.model_validate_json((await tenure.signup(SignupForm(email=f"ada@{domain}"))).message)
        assert (told.account, told.account_as_of) == (account, AS_OF)

    async def test_two_at_the_same_instant_are_one_trial_and_one_redirect(self, tenure: Tenure, domain: str) -> None:
        said = await asyncio.gather(*(tenure.signup(SignupForm(email=f"{who}@{domain}")) for who in ("ada", "bob")))
        assert sorted(answer.outcome for answer in said) == ["redirected", "triage"]
        assert {answer.trial for answer in said} == {f"trial-{domain}"}

    async def test_the_same_event_twice_is_one_signup(self, tenure: Tenure, domain: str) -> None:
        form = SignupForm(email=f"ada@{domain}", event_id="click-1")
        assert await tenure.signup(form) == await tenure.signup(form)

    async def test_free_mail_never_owns_a_company_and_stays_out_of_sight(self, tenure: Tenure) -> None:
        who = f"ada.{uuid.uuid4().hex[:8]}"
        said = await tenure.signup(SignupForm(email=f"{who}@Gmail.com"))
        assert said.domain == f"{who}@gmail.com"
        assert who not in said.trial
        description = await tenure.client.get_workflow_handle(said.trial).describe()
        assert who not in str(description.typed_search_attributes)
        assert who not in (await description.static_summary() or "")
        by_address, by_id = await tenure.trial(f"{who}@gmail.com"), await tenure.trial(said.trial)
        assert by_address.workflow == by_id.workflow == said.trial

    @pytest.mark.parametrize("email", ["ada", "ada@co.uk", "ada@" + "x" * 100_000 + ".com"])
    async def test_a_bad_address_starts_nothing(self, cut_off: Tenure, email: str) -> None:
        with pytest.raises(BadInput) as refused:  # a service without a server would say Unavailable, had it asked
            await cut_off.signup(SignupForm(email=email))
        assert refused.value.field == "email"

    async def test_on_behalf_of_a_person_whose_company_is_known_now(self, tenure: Tenure, domain: str) -> None:
        contact = Contact(email="ada@gmail.com", first_name="Ada")
        again = SignupAgain(domain=f"www.{domain}", contact=contact, company="Acme", event="trial-free-1/abc.1", via="free_mail")
        said = await tenure.sign_up_again(again)
        assert (said.domain, said.trial) == (domain, f"trial-{domain}")
        assert Signup.model_validate_json(said.message).contact == contact
        assert await tenure.sign_up_again(again) == said

    async def test_on_behalf_of_a_person_by_their_address(self, tenure: Tenure, domain: str) -> None:
        again = SignupAgain(domain="", contact=Contact(email=f"ada@{domain}"), event="rescue-1/abc.1", via="rescue")
        assert (await tenure.sign_up_again(again)).domain == domain

    async def test_after_the_end_a_new_trial_begins(self, tenure: Tenure, domain: str) -> None:
        await tenure.signup(SignupForm(email=f"ada@{domain}"))
        await tenure.answer(f"trial-{domain}:triage-1", Answer(task="", choice="qualify", by="sdr@tenure.example"))
        first = await closed(tenure, domain)
        assert (await tenure.signup(SignupForm(email=f"bob@{domain}"))).outcome == "triage"
        assert (await tenure.trial(domain)).run != first.run

    async def test_without_a_worker_it_says_so(self, tenure: Tenure, domain: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(service, "PATIENCE", 0.5)
        idle = Tenure(tenure.client, tenure.ledger, tenure.settings, POLICY, task_queue=f"idle-{uuid.uuid4().hex}")
        with pytest.raises(Unavailable, match="did not answer in time"):
            await idle.signup(SignupForm(email=f"ada@{domain}"))
        await tenure.client.get_workflow_handle(f"trial-{domain}").terminate()

    async def test_without_a_server_it_says_so(self, cut_off: Tenure, domain: str) -> None:
        with pytest.raises(Unavailable, match="connection refused"):
            await cut_off.signup(SignupForm(email=f"ada@{domain}"))


async def closed(tenure: Tenure, domain: str) -> TrialView:
    async def look() -> TrialView | None:
        view = await tenure.trial(domain)
        return None if view.open else view

    return await eventually(look)


async def test_a_ce_requests_a_trial(tenure: Tenure, domain: str) -> None:
    form = TrialRequestForm(email=f"ada@{domain}", company="Acme", ce=CE, size="large", seats=400)
    said = await tenure.request_trial(form)
    assert (said.case, said.message) == ("ce_requested", "ce_requested")
    with pytest.raises(BadInput):
        await tenure.request_trial(form.model_copy(update={"ce": "nobody"}))


class TestActs:
    async def test_done_in_words(self, tenure: Tenure, domain: str) -> None:
        await tenure.signup(SignupForm(email=f"ada@{domain}"))
        assert await tenure.act(domain, "extend", Extend(days=15, by=CE)) == "extended by 15 days"
        assert await tenure.act(f"https://eu.{domain}/x", "extend", {"days": 7, "by": CE}) == "extended by 7 days"

    async def test_the_same_event_twice_is_done_once(self, tenure: Tenure, domain: str) -> None:
        await tenure.signup(SignupForm(email=f"ada@{domain}"))
        assert await tenure.act(domain, "extend", {"days": 7, "by": CE}, "click-2") == await tenure.act(
            domain, "extend", {"days": 7, "by": CE}, "click-2"
        )
        assert (await tenure.trial(domain)).status.notes == ("extend",)

    async def test_a_refusal_says_why(self, tenure: Tenure, domain: str) -> None:
        await tenure.signup(SignupForm(email=f"ada@{domain}"))
        with pytest.raises(Refused, match="30 days are the most"):
            await tenure.act(domain, "extend", {"days": 31, "by": CE})

    @pytest.mark.parametrize(
        ("name", "message", "says"),
        [
            ("explode", {}, "explode"),
            ("extend", {"days": "many"}, "days: "),
            ("convert", {"contract_end": "soon"}, "contract_end: "),
            ("terminate", {"reason": "x" * 2_001}, "reason: "),
        ],
    )
    async def test_nonsense_is_refused_before_it_is_sent(self, cut_off: Tenure, name: str, message: dict[str, object], says: str) -> None:
        with pytest.raises(BadInput, match=says):
            await cut_off.act("acme.example", name, message)

    async def test_a_company_without_a_trial(self, tenure: Tenure, domain: str) -> None:
        with pytest.raises(NotFound, match="not running"):
            await tenure.act(domain, "extend", {"days": 7, "by": CE})
        with pytest.raises(NotFound, match="no trial"):
            await tenure.trial(domain)

    async def test_one_that_ends_while_it_is_asked(self, tenure: Tenure, domain: str) -> None:
        id_ = f"dies-{domain}"
        await tenure.client.start_workflow("Dies", id=id_, task_queue=tenure.task_queue)
        with pytest.raises(Refused, match="ended before it could answer"):
            await tenure.act_on(id_, "extend", {"days": 1, "by": CE})


class TestAnswers:
    async def test_a_task_is_answered_by_its_whole_id(self, tenure: Tenure, domain: str) -> None:
        await tenure.signup(SignupForm(email=f"ada@{domain}"))
        answer = Answer(task="whatever", choice="qualify", by="sdr@tenure.example")
        assert await tenure.answer(f"trial-{domain}:triage-1", answer) == "triage-1: qualify by sdr@tenure.example"

    @pytest.mark.parametrize("task", ["", "triage-1", "trial-x.example:", ":triage-1", "x" * 601 + ":y"])
    async def test_what_is_no_id_is_refused(self, cut_off: Tenure, task: str) -> None:
        with pytest.raises(BadInput):
            await cut_off.answer(task, Answer(task="", choice="qualify"))

    async def test_an_unknown_workflow(self, tenure: Tenure, domain: str) -> None:
        with pytest.raises(NotFound):
            await tenure.answer(f"trial-{domain}:triage-1", Answer(task="", choice="qualify", by="sdr@tenure.example"))


class TestRights:
    """Each way in is authorized alike; here the operator's, with a real workflow behind it."""

    async def test_whoever_may_not_is_refused_and_told_who_may(self, tenure: Tenure, domain: str) -> None:
        await tenure.signup(SignupForm(email=f"ada@{domain}"))
        for by, says in (
            ("ta@tenure.example", r"\(TA\) may not extend a trial. These may: CE \(team\)"),
            ("x@y.com", "not among our people"),
        ):
            with pytest.raises(NotAllowed, match=says):
                await tenure.act(domain, "extend", {"days": 7, "by": by})
        with pytest.raises(BadInput, match="nobody is named"):
            await tenure.act(domain, "extend", {"days": 7})
        with pytest.raises(NotAllowed, match=r"triage-1 is asked of Sdr@tenure\.example \(inbound sdr\)"):
            await tenure.answer(f"trial-{domain}:triage-1", Answer(task="", choice="qualify", by=CE))
        assert (await tenure.trial(domain)).status.notes == ()
        rows = Audit(tenure.ledger, ("tenure.example",)).rows()
        assert [row.outcome for row in rows] == ["refused"] * 4
        assert {row.through for row in rows} == {tenure.caller.through}
        assert all(row.through.startswith("operator ") for row in rows)

    async def test_a_colleague_may_where_the_trial_has_owners_and_a_stranger_may_not(self, tenure: Tenure, domain: str) -> None:
        await tenure.signup(SignupForm(email=f"ada@{domain}"))
        owner = Person(id="ce.one", name="One", email="ce.one@tenure.example", role=Role.CE, manager="boss")
        with tenure.ledger.writing() as db:
            db.execute(insert(roster), [person("ce.far", "ce", "elsewhere")])
            row = {"subject": f"trial-{domain}/12345678.1", "owners": Owners(ce=owner).model_dump(mode="json"), "as_of": AS_OF}
            db.execute(insert(assignments), [row])
        assert await tenure.act(domain, "extend", {"days": 7, "by": CE}) == "extended by 7 days"
        assert await tenure.act(domain, "extend", {"days": 7, "by": "boss@tenure.example"}) == "extended by 7 days"
        with pytest.raises(NotAllowed, match=r"not of its team.*looked after by ce\.one@tenure\.example \(CE\)"):
            await tenure.act(domain, "extend", {"days": 7, "by": "ce.far@tenure.example"})


class TestLooking:
    async def test_a_trial_open_and_closed(self, tenure: Tenure, domain: str) -> None:
        await tenure.signup(SignupForm(email=f"ada@{domain}"))
        view = await tenure.trial(domain)
        assert view.open
        assert [step.what for step in view.next_steps] == ["the SDR is reminded"]
        assert [decision.rule for decision in view.dossier] == ["nobody knows them"]
        assert [task.id for task in view.tasks] == [f"trial-{domain}:triage-1"]
        assert abs((view.at - datetime.now(UTC)).total_seconds()) < 60
        await tenure.answer(view.tasks[0].id, Answer(task="", choice="qualify", by="sdr@tenure.example"))
        ended = await closed(tenure, domain)
        assert (ended.run, ended.status.stage, ended.next_steps, ended.tasks) == (view.run, "ended", (), ())

    async def test_pages_of_trials(self, tenure: Tenure, domain: str) -> None:
        domains = [f"n{number}-{domain}" for number in range(3)]
        for one in domains:
            await tenure.signup(SignupForm(email=f"ada@{one}"))

        async def all_pages() -> list[str] | None:
            seen, page = list[str](), ""
            while True:
                found = await tenure.trials(2, page, stage="triage")
                assert len(found.rows) <= 2
                seen += [row.domain for row in found.rows]
                if not (page := found.next_page):
                    return seen if set(domains) <= set(seen) else None

        seen = await eventually(all_pages)
        assert len(seen) == len(set(seen))
        newest = [one for one in seen if one in domains]
        assert newest == list(reversed(domains))
        found = await tenure.trials(200)
        row = next(row for row in found.rows if row.domain == domains[0])
        assert (row.workflow, row.open, row.status, row.stage) == (f"trial-{domains[0]}", True, "running", "triage")
        assert row.due_at is not None
        assert found.counts["running"] >= 3

    async def test_closed_trials_are_listed_when_asked_for(self, tenure: Tenure, domain: str) -> None:
        await tenure.signup(SignupForm(email=f"ada@{domain}"))
        await tenure.answer(f"trial-{domain}:triage-1", Answer(task="", choice="qualify", by="sdr@tenure.example"))

        async def listed() -> bool:
            open_, all_ = await tenure.trials(200), await tenure.trials(200, closed=True)
            statuses = {row.domain: row.status for row in all_.rows}
            return domain not in {row.domain for row in open_.rows} and statuses.get(domain) == "completed"

        assert await eventually(listed)

    @pytest.mark.parametrize(
        ("asked", "field"),
        [({"limit": 0}, "limit"), ({"limit": 201}, "limit"), ({"page": "!"}, "page"), ({"stage": "x' OR Stage != '"}, "stage")],
    )
    async def test_a_question_out_of_bounds_is_refused(self, cut_off: Tenure, asked: dict[str, object], field: str) -> None:
        with pytest.raises(BadInput) as refused:
            await cut_off.trials(**asked)  # type: ignore[arg-type]
        assert refused.value.field == field

    async def test_a_role_that_nobody_has_is_refused(self, cut_off: Tenure) -> None:
        with pytest.raises(BadInput, match=r"'boss' is no role") as refused:
            await cut_off.tasks(role="boss")
        assert "ce_manager" in refused.value.do

    async def test_a_made_up_page_is_refused(self, cut_off: Tenure) -> None:
        for page in ("bm9uc2Vuc2U=", "0123456789ab", "0123456789ab.bm9uc2Vuc2U="):
            with pytest.raises(BadInput):
                await cut_off.trials(2, page)

    async def test_tasks_by_due_time_by_role_and_by_person(self, tenure: Tenure, domain: str, ledger: Ledger) -> None:
        later, sooner, asked = f"trial-later-{domain}", f"trial-so-{domain}", f"trial-ce-{domain}"
        for workflow, due, role in ((later, 9, Role.INBOUND_SDR), (sooner, 1, Role.INBOUND_SDR), (asked, 5, Role.CE)):
            ReadModel(ledger).keep(asks(workflow, AS_OF + timedelta(hours=due), role))
        assert [task.workflow for task in await tenure.tasks(100)] == [sooner, asked, later]
        assert [task.workflow for task in await tenure.tasks(100, role="ce")] == [asked]
        assert len(await tenure.tasks(100, assignee="sdr@TENURE.example")) == 3
        assert await tenure.tasks(100, assignee="nobody@tenure.example") == []
        assert [task.workflow for task in await tenure.tasks(1)] == [sooner]
        assert [task.workflow for task in await tenure.tasks(1, after=f"{sooner}:triage-1")] == [asked]
        assert [task.workflow for task in await tenure.tasks(100, workflow=asked)] == [asked]
        assert await tenure.tasks(100, workflow="trial-nobody.example") == []

    async def test_with_no_worker_at_all_every_task_is_listed(
        self, tenure: Tenure, engine: WorkflowEnvironment, domain: str, ledger: Ledger
    ) -> None:
        """No list waits for a workflow that cannot say, and none is left out for it."""
        workflow = f"trial-{domain}"
        mute = await engine.client.start_workflow("Trial", id=workflow, task_queue=f"idle-{domain}")
        ReadModel(ledger).keep(asks(workflow, AS_OF))
        assert [task.id for task in await tenure.tasks(1)] == [f"{workflow}:triage-1"]
        await mute.terminate()

    async def test_an_answer_to_a_process_that_was_terminated_takes_its_tasks_off_the_list(
        self, tenure: Tenure, engine: WorkflowEnvironment, domain: str, ledger: Ledger
    ) -> None:
        workflow = f"trial-{domain}"
        mute = await engine.client.start_workflow("Trial", id=workflow, task_queue=f"idle-{domain}")
        ReadModel(ledger).keep(asks(workflow, AS_OF))
        await mute.terminate()
        with pytest.raises(NotFound, match="is not running"):
            await tenure.answer(f"{workflow}:triage-1", Answer(task="triage-1", choice="yes", by="sdr@tenure.example"))
        assert await tenure.tasks(workflow=workflow) == []

    async def test_effects_of_one_company_only(self, tenure: Tenure, domain: str) -> None:
        def done(workflow: str) -> None:
            tenure.ledger.once(
                EffectId(f"{workflow}/0123abcd.1", "alert"),
                system="slack",
                act="message.posted",
                summary="told",
                as_of=AS_OF,
                do=lambda: Receipt(ref="1"),
                probe=lambda: None,
            )

        done(f"trial-{domain}")
        done(f"trial-x{domain}")
        assert [row.subject for row in await tenure.effects(f"www.{domain}")] == [f"trial-{domain}/0123abcd.1"]

    async def test_no_server_is_said_by_every_question(self, cut_off: Tenure) -> None:
        for ask in (cut_off.trials(), cut_off.trial("acme.example"), cut_off.act("acme.example", "new_link", {"by": CE})):
            with pytest.raises(Unavailable):
                await ask


class TestIssues:
    async def test_the_workflow_is_told(self, tenure: Tenure, domain: str) -> None:
        await tenure.signup(SignupForm(email=f"ada@{domain}"))
        assert await tenure.issue_event(f"trial-{domain}", IssueEvent(issue=7, action="labeled"))
        assert (await tenure.trial(domain)).status.notes == ("issue 7 labeled",)

    async def test_one_that_is_gone_is_no_error(self, tenure: Tenure, domain: str) -> None:
        assert not await tenure.issue_event(f"trial-{domain}", IssueEvent(issue=7))


class TestJoining:
    async def test_the_running_trial_takes_it(self, tenure: Tenure, domain: str) -> None:
        await tenure.signup(SignupForm(email=f"ada@{domain}"))
        assert await tenure.join(JoinForm(email=f"bob@{domain}")) == f"bob@{domain} via ticket"

    async def test_after_the_trial_the_instance_s_admin_is_asked_once(self, tenure: Tenure, domain: str) -> None:
        claim = ClaimInstance(
            subject="s", domain=domain, host=f"{domain[:6]}.cloud.example", warm=False, cap=10, admin="ada@x.example", as_of=AS_OF
        )
        registry = Registry(tenure.ledger)
        registry.claim(claim)
        registry.registry(RegistryChange(subject="s", domain=domain, as_of=AS_OF, change="confirm"))
        for _ in range(2):
            assert "admin" in await tenure.join(JoinForm(email=f"bob@{domain}"))
        handle = tenure.client.get_workflow_handle(ids.join(domain, f"bob@{domain}"))
        assert await handle.result() == f"bob@{domain} to ada@x.example of {domain[:6]}.cloud.example"

    async def test_nothing_to_join(self, tenure: Tenure, domain: str) -> None:
        with pytest.raises(NotFound, match="no instance"):
            await tenure.join(JoinForm(email=f"bob@{domain}"))
        with pytest.raises(Refused, match="no company address"):
            await tenure.join(JoinForm(email="bob@gmail.com"))


class TestFailedSignups:
    @pytest.fixture
    def form(self, domain: str) -> SignupForm:
        return SignupForm(email=f"ada@{domain}", first_name="Ada", company="Acme")

    async def test_a_rescue_starts_at_once(self, tenure: Tenure, form: SignupForm) -> None:
        reference = await tenure.failed_signup(form, "a bug")
        assert await tenure.failed_signup(form, "a bug") == reference
        handle = tenure.client.get_workflow_handle(ids.rescue(form.email))
        assert await handle.result() == "Ada of Acme: a bug"
        assert await tenure.retry_failed_signups() == 0

    async def test_an_outage_loses_nothing(self, cut_off: Tenure, tenure: Tenure, form: SignupForm) -> None:
        first, again = await cut_off.failed_signup(form, "no server"), await cut_off.failed_signup(form, "no server")
        assert first == again
        assert await cut_off.retry_failed_signups() == 0
        assert await tenure.retry_failed_signups() == 1
        assert await tenure.client.get_workflow_handle(ids.rescue(form.email)).result() == "Ada of Acme: no server"
        assert await tenure.retry_failed_signups() == 0

    async def test_without_the_ledger_the_rescue_starts_all_the_same(self, tenure: Tenure, form: SignupForm, tmp_path: Path) -> None:
        broken = Tenure(tenure.client, lost_ledger(tmp_path), tenure.settings, POLICY, task_queue=tenure.task_queue)
        await broken.failed_signup(form, "no ledger")
        assert await tenure.client.get_workflow_handle(ids.rescue(form.email)).result() == "Ada of Acme: no ledger"

    async def test_with_neither_it_says_whom_to_write_to(self, cut_off: Tenure, form: SignupForm, tmp_path: Path) -> None:
        broken = Tenure(cut_off.client, lost_ledger(tmp_path), cut_off.settings, POLICY)
        (tmp_path / FOLDER).write_text("no folder")  # nor the disk
        broken._spool = Spool(tmp_path)
        with pytest.raises(Unavailable, match=r"support@tenure\.example"):
            await broken.failed_signup(form, "everything")

    async def test_a_ledger_that_is_locked_loses_nothing(
        self, cut_off: Tenure, tenure: Tenure, form: SignupForm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another process holds the database, and Temporal is away: the signup is in a file at once, and the rescue starts when both are back."""
        monkeypatch.setattr("starter.service.kept_requests.LEDGER_PATIENCE", 0.5)
        with tenure.ledger.writing():
            begun = time.monotonic()
            reference = await cut_off.failed_signup(form, "the ledger is locked")
            assert time.monotonic() - begun < 5
            [file] = (tenure.settings.data_dir / FOLDER).iterdir()
            assert (file.name, stat.S_IMODE(file.stat().st_mode)) == (f"{reference}.json", 0o600)
            assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert await tenure.retry_failed_signups() == 1
        assert list((tenure.settings.data_dir / FOLDER).iterdir()) == []
        assert await tenure.client.get_workflow_handle(ids.rescue(form.email)).result() == "Ada of Acme: the ledger is locked"
        assert await tenure.retry_failed_signups() == 0

    async def test_what_was_typed_is_kept_even_when_it_is_no_address(self, cut_off: Tenure, tenure: Tenure) -> None:
        await cut_off.failed_signup(SignupForm(email="x" * 5_000), "e" * 5_000)
        assert await tenure.retry_failed_signups() == 1


def lost_ledger(folder: Path) -> Ledger:
    """A ledger whose tables were never made."""
    return Ledger(f"sqlite:///{folder / 'lost.db'}")


async def test_the_ledger_s_outage_is_said(tenure: Tenure, domain: str, tmp_path: Path) -> None:
    broken = Tenure(tenure.client, lost_ledger(tmp_path), tenure.settings, POLICY)
    with pytest.raises(Unavailable, match="ledger"):
        await broken.effects(domain)


def test_every_act_has_its_message() -> None:
    acts = commands.of(commands.TRIAL)
    assert len(acts) >= 8
    for command in acts:
        assert command.message(by=CE), command.name


def test_an_act_s_date_is_read_from_text() -> None:
    convert = CONVERT.message.model_validate({"contract_end": "2027-11-30", "seats": 50})
    assert convert.model_dump()["contract_end"] == date(2027, 11, 30)


async def test_connect_says_which_server_does_not_answer() -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 \(connection refused\)"):
        await connect(pydantic_data_converter, address="127.0.0.1:1", patience=0)


async def test_connect_takes_the_server_from_the_environment(engine: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", engine.client.service_client.config.target_host)
    client: Client = await connect(pydantic_data_converter, fallback="127.0.0.1:1", patience=0)
    assert await client.service_client.check_health()


async def test_what_the_codec_cannot_do_is_said(own_settings: Settings, tmp_path: Path) -> None:
    """Without the ledger nobody's key can be had, and nothing is sent; without the ring nothing can be read."""
    lost = lost_ledger(tmp_path)
    client = await connect(data_converter(own_settings, lost), address="127.0.0.1:1", lazy=True)
    with pytest.raises(Unavailable, match="keys of people"), asking("trial-acme.com"):
        await client.start_workflow("Trial", {"email": "dana@acme.com"}, id="trial-acme.com", task_queue="none")
    with pytest.raises(Unavailable, match="'other' is not on the ring"), asking("trial-acme.com"):
        await client.data_converter.decode([Payload(metadata={"encoding": ENCODING, "key-id": b"other"}, data=b"x" * 40)])
