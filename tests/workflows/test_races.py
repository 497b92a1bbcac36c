"""Two people decide the same: one wins, and the other reads who it was, what they decided and when; also when that ended the process."""

from __future__ import annotations

import asyncio
import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError

from activities.instance import Instance
from domain import ids
from domain.account.commands import RESOLVE
from domain.renewal.commands import ASSESS, FORECAST
from domain.task import Answer
from starter.errors import Refused
from starter.service.accounts import Accounts
from tests.workflows.accounts import TA, TA_MANAGER, Life
from tests.workflows.play import Play, eventually
from tests.workflows.renewals import AE, Course
from tests.workflows.trial.test_trial import gone, opened

ADA, BORIS = "ce-ada@tenure.example", "ce-boris@tenure.example"
AT = r"at \d{4}-\d\d-\d\d \d\d:\d\d UTC"


# --- Two extensions of one period are one -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["at once", "after the first"])
async def test_two_extensions_of_one_period_are_one(play: Play, how: str) -> None:
    domain, _ = await opened(play)
    before = await play.status(domain)
    asked = [play.tenure.act(domain, "extend", {"by": by}) for by in (ADA, BORIS)]
    if how == "at once":
        got = await asyncio.gather(*asked, return_exceptions=True)
    else:
        first = await asked[0]
        await play.did(domain, "github: extend.1", "slack: slack.extend.1")
        await play.quiet(domain)
        got = [first, *await asyncio.gather(asked[1], return_exceptions=True)]
    refused = [str(each) for each in got if isinstance(each, Refused)]
    assert sorted(str(each) for each in got if not isinstance(each, Exception)) == ["extend: taken, and carried out now"]
    assert len(refused) == 1
    assert re.search(rf"already (decided )?by ce-\w+@tenure\.example {AT}", refused[0])
    after = await play.stage(domain, "extended")
    if how != "at once":
        assert f"until {after.ends_at:%Y-%m-%d}" in refused[0]
        assert '{"again": true}' in refused[0]
    await play.did(domain, "github: extend.1", "slack: slack.extend.1", "salesforce: crm.ends.1")
    await play.quiet(domain)
    assert before.ends_at is not None
    assert after.ends_at == before.ends_at + timedelta(days=15)
    keys = [key for day in play.effects(domain).values() for key in day if "extend" in key or "ends" in key]
    assert sorted(keys) == ["github: extend.1", "salesforce: crm.ends.1", "slack: slack.extend.1"]
    assert [made.outcome for made in await play.dossier(domain) if made.outcome == "extend"] == ["extend"]


async def test_who_means_another_extension_says_so(play: Play) -> None:
    domain, _ = await opened(play)
    await play.update(domain, "extend", {"by": ADA})
    await play.did(domain, "slack: slack.extend.1")
    assert "extended already by ce-ada@tenure.example" in await play.refused(domain, "extend", {"by": BORIS})
    with pytest.raises(WorkflowUpdateFailedError):
        await play.straight.get_workflow_handle(ids.trial(domain)).execute_update("extend", {"by": BORIS})
    assert "taken" in await play.tenure.act(domain, "extend", {"by": BORIS, "again": True})
    await play.did(domain, "github: extend.1", "github: extend.2")
    assert (await play.status(domain)).total_days == 45


async def test_the_next_period_is_extended_without_ado(play: Play) -> None:
    domain, host = await opened(play)
    play.use(host, code_hosts=1, users=[{"username": "robin", "searches": 1}])
    await play.update(domain, "extend", {"by": ADA})
    await play.did(domain, "slack: slack.extend.1")
    await play.skip(domain, days=16)
    assert "taken" in await play.update(domain, "extend", {"by": BORIS})
    await play.did(domain, "github: extend.2")


async def test_a_mail_that_is_due_while_somebody_extends_is_sent(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """The instance takes its time to say whether it is used; meanwhile the trial is extended, and goes on with all of its mails."""
    answers = threading.Event()
    call = Instance._call

    def later(self: Instance, host: str, operation: str, **variables: Any) -> Any:
        assert operation != "Usage" or answers.wait(50)
        return call(self, host, operation, **variables)

    monkeypatch.setattr(Instance, "_call", later)
    play.set(onboarding__usage_check_day=7)
    domain, host = await opened(play)
    play.use(host, code_hosts=1, users=[{"username": "robin", "searches": 1}])
    started = (await play.status(domain)).started_at
    assert started is not None
    skipping = asyncio.create_task(play.skip_to(domain, started + timedelta(days=play.policy.onboarding.usage_check_day)))

    async def asked() -> bool:
        pending = (await play.trial(domain).describe()).raw_description.pending_activities
        return "instance_usage" in [each.activity_type.name for each in pending]

    await eventually(asked)
    assert "taken" in await play.update(domain, "extend", {"by": ADA})
    answers.set()
    await skipping
    await play.did(domain, "slack: slack.extend.1", "mail: mail.usage_check")


# --- Whoever comes too late -------------------------------------------------------------------------------------------------------


async def test_the_loser_reads_who_ended_the_trial(play: Play) -> None:
    domain, _ = await opened(play)
    await play.tenure.act(domain, "terminate", {"by": ADA, "reason": "no budget"})
    await play.stage(domain, "teardown")
    said = rf"already decided by {ADA} {AT}: terminate; nothing was changed"
    for late in ("extend", "convert", "terminate"):
        with pytest.raises(Refused, match=said):
            await play.tenure.act(domain, late, {"by": BORIS, "seats": 5} if late == "convert" else {"by": BORIS})
    await gone(play, domain)
    for late in ("extend", "convert", "terminate", "request_feedback", "new_link"):
        with pytest.raises(Refused, match=rf"trial-{domain} is over: decision: terminate, decided by {ADA} {AT}; nothing was changed"):
            await play.tenure.act(domain, late, {"by": BORIS, "seats": 5} if late == "convert" else {"by": BORIS})
    with pytest.raises(Refused, match=rf"teardown-1 was answered by cloud-1@tenure.example {AT} with 'done'"):
        await play.tenure.answer(f"trial-{domain}:teardown", Answer(task="", choice="done", by="cloud-oncall@tenure.example"))


async def test_the_loser_of_an_answer_that_ended_the_process_reads_who_won(play: Play) -> None:
    domain, _ = await opened(play)
    await play.signup(f"eve@{domain}", first_name="Eve")
    join, ae = play.join_id(domain, f"eve@{domain}"), (await play.status(domain)).ae
    await play.task(join, "join")
    said = [Answer(task="", choice=choice, by=ae) for choice in ("refused", "sso")]
    got = await asyncio.gather(*(play.tenure.answer(f"{join}:join-1", each) for each in said), return_exceptions=True)
    won = [each for each in got if isinstance(each, str)]
    assert len(won) == 1
    choice = won[0].removeprefix("join-1: ").removesuffix(", taken")
    [lost] = [str(each) for each in got if isinstance(each, Refused)]
    assert re.search(rf"join-1 was answered by {ae} {AT} with '{choice}'; nothing was changed", lost)
    await play.ended(join)
    with pytest.raises(Refused, match=rf"{join} is over: join-1 was answered by {ae} {AT} with '{choice}'; nothing was changed"):
        await play.tenure.answer(f"{join}:join-1", said[0])


async def test_the_loser_reads_who_promoted_a_red_account(play: Play) -> None:
    life = await Life.marked(play)
    accounts = Accounts(play.tenure, play.accounts)
    await accounts.decide(RESOLVE, life.domain, {"by": TA, "to": "yellow"})
    await play.ended(life.red)
    with pytest.raises(Refused, match=rf"{life.red} is over: .*decided by {TA} {AT}; nothing was changed"):
        await accounts.decide(RESOLVE, life.domain, {"by": TA_MANAGER, "to": "green"})


async def test_the_loser_reads_who_ended_a_renewal(play: Play) -> None:
    course = await Course.begin(play, days=100)
    with play.env.with_time_skipping_disabled():
        accounts = Accounts(play.tenure, play.accounts)
        await accounts.decide(ASSESS, course.domain, {"by": "ae-manager@tenure.example", "rating": "green", "why": "they renew every year"})
        await play.signal(course.id, "cancel", {"why": "churned_early", "by": AE})
        await play.ended(course.id)
        with pytest.raises(Refused, match=rf"no open renewal: {course.id} is over: .*decided by .* {AT}; nothing was changed"):
            await accounts.decide(FORECAST, course.domain, {"by": AE, "outcome": "flat"})
