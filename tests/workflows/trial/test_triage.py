"""A7: what may not be instant waits for an inbound SDR, who is asked within minutes of the office's hours, and reminded until somebody answers."""

from __future__ import annotations

from datetime import timedelta

from domain import ladder
from tests.workflows.play import Play
from tests.workflows.trial.test_trial import ALL_YES, SDR, unknown


async def test_the_first_touch_is_due_in_minutes_and_the_channel_is_reminded(play: Play) -> None:
    """Nobody in particular is asked, so each rung reminds the channel; the answer is taken however late it comes, and ends the reminders."""
    domain = await unknown(play)
    task = await play.task(domain, "triage")
    due = ladder.due_in(play.policy, task.opened_at, play.policy.triage.first_touch_minutes / 60)
    assert (task.role, task.assignee, task.due_at) == ("inbound_sdr", "", due)
    assert due - task.opened_at >= timedelta(minutes=play.policy.triage.first_touch_minutes)
    assert {check.name for check in task.checks} == set(play.policy.qualification.criteria)
    rungs = [rung.at for rung in ladder.ordinary(play.policy, due, "", "", "")]
    for number in range(1, len(rungs) + 1):
        task = await play.task(domain, "triage")
        assert task.asked_next_at is not None
        await play.skip_to(domain, task.asked_next_at)
        await play.did(domain, f"slack: task.triage-1.reminder-{number}")
    times = play.times(f"trial-{domain}", "task.triage-1.reminder-")
    assert all(abs(at - rung) < timedelta(minutes=1) for at, rung in zip(times, rungs, strict=True))
    await play.answer(domain, "triage", "qualify", by=SDR, checks=ALL_YES)
    await play.stage(domain, "provisioning")
    await play.quiet(domain)
    assert [key for day in play.effects(domain).values() for key in day if "triage" in key] == [
        "slack: task.triage-1",
        *(f"slack: task.triage-1.reminder-{number}" for number in range(1, len(rungs) + 1)),
    ]
