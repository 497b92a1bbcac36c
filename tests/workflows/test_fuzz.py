"""Whatever is sent to whichever handler: it is taken or refused with words, no workflow task fails, and nothing is stuck afterwards.

The names of the handlers are the workflows' own. Messages are arbitrary JSON, and objects of our own words with likely and unlikely
values, so that many come through the first check. The same examples in every run; ``FUZZ_EXAMPLES=200`` tries more, and others.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from temporalio import workflow
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from domain import ids
from domain.trial.state import OPEN_TO_TERMINATE, Stage
from tests.workflows.accounts import Life
from tests.workflows.play import Play
from tests.workflows.renewals import Course
from tests.workflows.trial.test_join import ticket
from tests.workflows.trial.test_rescue import failed
from tests.workflows.trial.test_trial import opened, prequalified, unknown
from workflows.all import ALL

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
MESSAGES = 25
CE = "ce-ada@tenure.example"

#: Generation only: a failing example is printed as it is, for shrinking it would start a workflow for each try.
fuzzed = settings(
    max_examples=EXAMPLES or 1,
    deadline=None,
    database=None,
    derandomize=not EXAMPLES,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

FIELDS = [
    "account",
    "actions",
    "amount",
    "approved_by",
    "arr",
    "as",
    "by",
    "checks",
    "choice",
    "company",
    "contact",
    "contract_end",
    "customer",
    "days",
    "docs",
    "domain",
    "email",
    "event",
    "feedback",
    "fields",
    "host",
    "issue",
    "labels",
    "name",
    "needs",
    "new_host",
    "note",
    "number",
    "on",
    "origin",
    "outcome",
    "plan",
    "policy",
    "rating",
    "reason",
    "renewal_on",
    "risk",
    "seats",
    "source",
    "standing",
    "state",
    "status",
    "task",
    "team",
    "to_domain",
    "utilization",
    "value",
    "why",
    "workflow",
]
WORDS = (
    "extend convert terminate agree qualify disqualify done ready failed skip retry planned update review on_track off_track renewed churned "
    "red yellow green flat full_churn merged low_utilization renewal triage deadline triage-1 deadline-1 teardown consent join rescue plan "
    f"automatic judgement acme.example 2030-01-01 2026-13-45 2026-11-26T10:00:00Z {CE} nobody@ @ a@b.example"
).split()
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 200),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(WORDS),
    st.text(max_size=40),
    st.sampled_from(["x" * 2_001, "x" * 100_000, "\x00", "‮", "🪓" * 50, "../..", "'; --"]),
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=8
)
ours = st.dictionaries(
    st.sampled_from(FIELDS), scalars | st.dictionaries(st.sampled_from(FIELDS), scalars, max_size=3) | anything, max_size=6
)
messages = st.one_of(ours, ours.map(lambda made: {"by": CE, **made}), anything)


def handlers(name: str) -> list[tuple[str, str]]:
    """(signal or update, name) of every handler of a workflow, and a signal that nobody knows."""
    known = workflow._Definition.must_from_class(next(each for each in ALL if each.__name__ == name))
    named = [("signal", each) for each in known.signals if each] + [("update", each) for each in known.updates if each]
    return [*sorted(named), ("signal", "nobody_knows_it")]


def sent_to(name: str) -> Any:
    """Messages for the handlers of a workflow: each (signal or update, handler, message), every handler at least once."""
    known = handlers(name)
    each = st.tuples(st.sampled_from(known), messages).map(lambda drawn: (*drawn[0], drawn[1]))
    once = st.tuples(*(messages.map(lambda message, handler=handler: (*handler, message)) for handler in known))  # type: ignore[misc]
    return st.tuples(once, st.lists(each, min_size=MESSAGES, max_size=MESSAGES)).map(lambda drawn: [*drawn[0], *drawn[1]])


async def send(play: Play, workflow_id: str, sent: list[tuple[str, str, Any]]) -> None:
    """Send them one by one, until the workflow has ended; what is refused is refused as such."""
    handle = play.straight.get_workflow_handle(workflow_id)
    for kind, name, message in sent:
        try:
            if kind == "signal":
                await handle.signal(name, message)
            else:
                await handle.execute_update(name, message)
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            assert isinstance(cause, ApplicationError), (name, message, cause)
            assert cause.type in ("Refused", "AcceptedUpdateCompletedWorkflow"), (name, message, cause)
            assert cause.message
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return  # it has ended, by something that could be taken


async def well(play: Play, workflow_id: str) -> bool:
    """Whether it still runs; it has not failed, and says where it stands."""
    handle = play.straight.get_workflow_handle(workflow_id)
    status = (await handle.describe()).status
    assert status in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.COMPLETED), (workflow_id, status)
    assert await handle.query("status")
    if status is WorkflowExecutionStatus.RUNNING:
        await play.quiet(workflow_id)
        assert isinstance(await handle.query("open_tasks"), list)
    return status is WorkflowExecutionStatus.RUNNING


_number = itertools.count()


async def trial_in_triage(play: Play) -> str:
    return ids.trial(await unknown(play, f"fuzz{next(_number)}"))


async def open_trial(play: Play) -> str:
    domain, _ = await prequalified(play, f"fuzz{next(_number)}")
    return ids.trial(domain)


async def join_request(play: Play) -> str:
    domain, _ = await opened(play, f"fuzz{next(_number)}")
    await ticket(play, f"eve@{domain}")
    join = play.join_id(domain, f"eve@{domain}")
    await play.task(join, "join")
    return join


async def join_digest(play: Play) -> str:
    domain, _ = await opened(play, f"fuzz{next(_number)}")
    await ticket(play, f"eve@{domain}")
    digest = ids.join_digest(domain)
    await play.did(digest, "mail: mail.join_request-1")
    return digest


async def rescue(play: Play) -> str:
    return await failed(play, f"bo@{play.company(f'fuzz{next(_number)}')}")


async def domain_change(play: Play) -> str:
    domain, _ = await prequalified(play, f"fuzz{next(_number)}")
    await play.update(domain, "change_domain", {"new_host": f"code.{domain}", "by": CE})
    change = ids.domain_change(domain)
    await play.task(change, "consent")
    return change


async def account(play: Play) -> str:
    return (await Life.begin(play, f"Fuzz{next(_number)}")).id


async def get_well(play: Play) -> str:
    return (await Life.planned(play, "renewal", name=f"Fuzz{next(_number)}")).plan


async def red_account(play: Play) -> str:
    return (await Life.marked(play, name=f"Fuzz{next(_number)}")).red


async def renewal(play: Play) -> str:
    course = await Course.begin(play, days=121)
    await course.ahead(120)
    return course.id


Beginning = Callable[[Play], Awaitable[str]]
BEGINNINGS: list[tuple[str, Beginning]] = [
    ("Trial", trial_in_triage),
    ("Trial", open_trial),
    ("JoinRequest", join_request),
    ("JoinDigest", join_digest),
    ("SignupRescue", rescue),
    ("DomainChange", domain_change),
    ("Account", account),
    ("Renewal", renewal),
    ("GetWell", get_well),
    ("RedAccount", red_account),
]


def test_every_workflow_that_people_talk_to_is_among_them() -> None:
    """The rest runs by a schedule, and takes an answer as these do."""
    only_answers = {each.__name__ for each in ALL if {name for _, name in handlers(each.__name__)} <= {"answer", "nobody_knows_it"}}
    assert {name for name, _ in BEGINNINGS} | only_answers == {each.__name__ for each in ALL}


#: What every day's run tries; `make long` tries them all.
DAILY = (open_trial, renewal)


@pytest.mark.parametrize(
    ("name", "begin"),
    [pytest.param(name, begin, id=begin.__name__, marks=[] if begin in DAILY else pytest.mark.long) for name, begin in BEGINNINGS],
)
async def test_nothing_that_is_sent_fails_or_stalls_a_workflow(play: Play, name: str, begin: Beginning) -> None:
    """That no workflow task failed is asserted for every test."""
    drawn: list[list[tuple[str, str, Any]]] = []

    @fuzzed
    @given(sent_to(name))
    def draw(sent: list[tuple[str, str, Any]]) -> None:
        drawn.append(sent)

    draw()
    for sent in drawn[-1:] if not EXAMPLES else drawn:
        workflow_id = await begin(play)
        await send(play, workflow_id, sent)
        if await well(play, workflow_id) and name == "Trial":
            await brought_to_its_end(play, workflow_id)


async def brought_to_its_end(play: Play, trial: str) -> None:
    """However it was talked to, people can still end it."""
    for _ in range(60):
        if not await well(play, trial):
            return
        try:
            await _a_step(play, trial)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # it ended by itself meanwhile
                raise
    raise AssertionError(f"{trial} is stuck: {await play.status(trial.removeprefix('trial-'))}")


async def _a_step(play: Play, trial: str) -> None:
    stage = (await play.status(trial.removeprefix("trial-"))).stage
    kinds = {task.kind for task in await play.tasks(trial)}
    if mends := [kind for kind in kinds if kind.startswith("fix-")]:
        await play.answer(trial, mends[0], "skip", by=CE)
    elif "teardown" in kinds:
        await play.answer(trial, "teardown", "done", by=CE)
    elif Stage(stage) in OPEN_TO_TERMINATE:
        await play.update(trial, "terminate", {"by": CE})
    else:
        await play.skip(trial, days=1)
