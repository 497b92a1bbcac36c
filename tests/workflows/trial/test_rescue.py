"""A21: the form failed somebody; support hears of it, asks them, and signs them up by the same way in, once."""

from __future__ import annotations

import asyncio

from temporalio.client import WorkflowUpdateFailedError

from domain import ids
from starter.service.forms import SignupForm
from tests.workflows.play import Play
from tests.workflows.trial.test_trial import day_0

SUPPORT = "support-desk@tenure.example"
HEARD = ["mail: mail.signup_failed", "slack: slack.growth", "slack: task.rescue-1"]


async def failed(play: Play, email: str, error: str = "the CRM timed out") -> str:
    """The form could not take a signup; the id of its rescue."""
    form = SignupForm(email=email, company="Acme", first_name="Bo", last_name="Li")
    with play.env.with_time_skipping_disabled():
        await play.tenure.failed_signup(form, error)
    rescue = ids.rescue(email)
    await play.task(rescue, "rescue")
    return rescue


def known(play: Play) -> tuple[str, str]:
    """A prequalified company with a warm instance waiting for it."""
    domain = play.company()
    play.crm({"Name": "Acme", "Domain__c": domain, "Trial_Prequalified__c": True})
    play.cohort()
    [host] = play.warm("src-rescue")
    return domain, host


async def test_support_signs_them_up_once(play: Play) -> None:
    """A mail to support, a word to growth, a task; "provision" goes the form's way and its trial starts as any other."""
    domain, host = known(play)
    rescue = await failed(play, f"bo@{domain}")
    task = await play.task(rescue, "rescue")
    assert (task.role, "the CRM timed out" in task.asks) == ("support", True)
    await play.did(rescue, *HEARD)
    [mail] = play.box(play.settings.support_email)
    assert "the CRM timed out" in mail.text
    await play.answer(rescue, "rescue", "provision", by=SUPPORT)
    assert await play.ended(rescue) == "instant"
    assert play.effects(rescue) == {0: HEARD}
    await play.stage(domain, "onboarding")
    await play.did(domain, *day_0(host))
    await play.quiet(domain)
    assert play.effects(domain) == {0: day_0(host)}


async def test_what_came_through_after_all_is_not_done_again(play: Play) -> None:
    """The form was told to wait while the ledger was locked, and the trial took the signup all the same: support hears of it, and nothing is done twice."""
    domain, host = known(play)
    assert (await play.signup(f"bo@{domain}")).outcome == "instant"
    await play.did(domain, *day_0(host))
    rescue = await failed(play, f"bo@{domain}")
    assert "may have come through after all" in (await play.task(rescue, "rescue")).asks
    await play.answer(rescue, "rescue", "provision", by=SUPPORT)
    assert await play.ended(rescue) == "instant"
    await play.quiet(domain)
    assert play.effects(domain) == {0: day_0(host)}
    assert play.live() == 1


async def test_answered_twice_at_once_is_one_signup(play: Play) -> None:
    """Two people of support click at the same moment: one answer wins, the other is told who was first, and one trial starts."""
    domain, host = known(play)
    rescue = await failed(play, f"bo@{domain}")

    async def click(by: str) -> str:
        try:
            return await play.update(rescue, "answer", {"task": "rescue", "choice": "provision", "by": by})
        except WorkflowUpdateFailedError as error:
            return str(error.cause)

    late, first = sorted(await asyncio.gather(click("one@tenure.example"), click("two@tenure.example")))
    assert first == "rescue-1: provision, taken"
    assert late.startswith("Refused: rescue-1 was answered by ")
    assert await play.ended(rescue) == "instant"
    await play.did(domain, *day_0(host))
    await play.quiet(domain)
    assert play.effects(domain) == {0: day_0(host)}
    assert play.live() == 1


async def test_the_activity_that_signs_up_is_tried_again_and_stays_one_signup(play: Play) -> None:
    """The answer of the first attempt is lost; the second is the same event and finds the signup done."""
    domain, host = known(play)
    rescue, again, tries = await failed(play, f"bo@{domain}"), play.sign_up_again, 0

    async def lost(asked: object) -> object:
        nonlocal tries
        tries += 1
        answer = await again(asked)  # type: ignore[arg-type]
        if tries == 1:
            raise ConnectionResetError("the answer was lost")
        return answer

    play.sign_up = lost  # type: ignore[assignment]
    await play.answer(rescue, "rescue", "provision", by=SUPPORT)
    assert await play.ended(rescue) == "instant"
    assert tries == 2
    await play.did(domain, *day_0(host))
    await play.quiet(domain)
    assert play.effects(domain) == {0: day_0(host)}


async def test_the_same_failure_again_is_the_same_rescue(play: Play) -> None:
    """Whoever clicks five times in despair is called once."""
    domain, _ = known(play)
    for _ in range(3):
        rescue = await failed(play, f"bo@{domain}")
    await play.did(rescue, *HEARD)
    await play.quiet(rescue)
    assert play.effects(rescue) == {0: HEARD}
    assert await play.runs(rescue) == 1


async def test_they_do_not_want_it_any_more(play: Play) -> None:
    domain, _ = known(play)
    rescue = await failed(play, f"bo@{domain}")
    await play.answer(rescue, "rescue", "drop", by=SUPPORT, note="they bought something else")
    assert await play.ended(rescue) == "dropped"
    assert play.effects(rescue) == {0: HEARD}
    assert play.effects(domain) == {}
    assert play.live() == 0


async def test_the_form_had_the_address_wrong(play: Play) -> None:
    """The right one comes with the answer; one that the form would refuse as well is asked for again, with the reason."""
    domain, host = known(play)
    rescue = await failed(play, "bo@acme,com", error="the address is none")
    await play.answer(rescue, "rescue", "provision", by=SUPPORT)
    second = await play.task(rescue, "rescue-2")
    assert "is not valid" in second.asks
    assert "must be an e-mail address" in await play.refused(
        rescue, "answer", {"task": "rescue-2", "choice": "provision", "by": SUPPORT, "fields": {"email": "bo at acme"}}
    )
    await play.answer(rescue, "rescue-2", "provision", by=SUPPORT, fields={"email": f"bo@{domain}"})
    assert await play.ended(rescue) == "instant"
    assert play.effects(rescue) == {0: [*HEARD, "slack: task.rescue-2"]}
    await play.did(domain, *day_0(host))
    await play.quiet(domain)
    assert play.effects(domain) == {0: day_0(host)}


async def test_nobody_calls_them_back(play: Play) -> None:
    """The task is chased in the channel until somebody answers."""
    domain, _ = known(play)
    rescue = await failed(play, f"bo@{domain}")
    await play.did(rescue, *HEARD)
    for number in (1, 2, 3):
        task = await play.task(rescue, "rescue")
        assert task.asked_next_at
        await play.skip_to(rescue, task.asked_next_at)
        await play.did(rescue, f"slack: task.rescue-1.reminder-{number}")
    await play.answer(rescue, "rescue", "drop", by=SUPPORT)
    assert await play.ended(rescue) == "dropped"
    chased = [f"slack: task.rescue-1.reminder-{number}" for number in (1, 2, 3)]
    assert [key for day in play.effects(rescue).values() for key in day] == [*HEARD, *chased]
