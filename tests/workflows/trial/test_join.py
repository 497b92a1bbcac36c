"""A22, C15: somebody wants into an instance that their company has: one request per domain and person, whoever hears of it first."""

from __future__ import annotations

from datetime import timedelta

from domain import ids, ladder
from domain.messages import JoinNotice
from starter.service.forms import JoinForm, SignupForm
from tests.workflows.play import Play, eventually
from tests.workflows.trial.test_trial import ALL_YES, SDR, day_0, opened, unknown

TOLD = ["mail: mail.existing_instance", "slack: slack.alert", "slack: task.join-1"]


async def ticket(play: Play, email: str) -> str:
    """Support forwards somebody who is blocked."""
    return await play.tenure.join(JoinForm(email=email, first_name="Eve"))


async def test_from_a_second_signup_the_ae_follows_up(play: Play) -> None:
    """Admin and joiner hear by mail; the AE of the trial has the task, and says how it ended."""
    domain, host = await opened(play)
    await play.signup(f"eve@{domain}", first_name="Eve")
    join, trial = play.join_id(domain, f"eve@{domain}"), await play.status(domain)
    task = await play.task(join, "join")
    assert (task.role, task.assignee) == ("ae", trial.ae)
    assert await play.answer(join, "join", "refused", by=trial.ae, note="contractor") == "join-1: refused, taken"
    assert await play.ended(join) == "refused"
    assert play.effects(join) == {0: TOLD}
    assert play.effects(domain) == {0: day_0(host, opened=True)}
    await play.did(ids.join_digest(domain), "mail: mail.join_request-1")
    [to_joiner], to_admin = play.box(f"eve@{domain}"), play.box(f"bo@{domain}")[-1]
    assert host in to_joiner.text
    assert f"eve@{domain}" in to_admin.text
    assert "Eve" not in to_admin.text  # what somebody calls themselves is theirs to say to whom they know


async def test_from_a_ticket_support_follows_up(play: Play) -> None:
    """C15: the same goal by the other way in; support has the task, the AE backs it up."""
    domain, _ = await opened(play)
    assert await ticket(play, f"eve@{domain}") == "the admin is told, and the request is followed up"
    join, trial = play.join_id(domain, f"eve@{domain}"), await play.status(domain)
    task = await play.task(join, "join")
    assert (task.role, task.assignee) == ("support", "")
    assert task.asked_next_at
    await play.skip_to(join, task.asked_next_at)
    await play.did(join, "slack: task.join-1.reminder-1")
    assert (await play.task(join, "join")).asked_next == trial.ae
    await play.answer(join, "join", "sso", by="support-desk@tenure.example")
    assert await play.ended(join) == "sso"
    assert [key for day in play.effects(join).values() for key in day] == [*TOLD, "slack: task.join-1.reminder-1"]


async def test_the_trials_clock_moves_on_while_a_request_is_open(play: Play) -> None:
    """Nobody has followed the request up, and the trial goes through its days all the same; the request begins at the trial's time."""
    domain, _ = await opened(play)
    await play.skip(domain, days=3.1)
    await play.signup(f"eve@{domain}", first_name="Eve")
    join = play.join_id(domain, f"eve@{domain}")
    asked = (await play.task(join, "join")).opened_at
    started = (await play.status(domain)).started_at
    assert started is not None
    assert timedelta(days=3) < asked - started < timedelta(days=4)
    await play.skip(domain, days=12.1)
    await play.stage(domain, "teardown")
    assert [task.kind for task in await play.tasks(join)] == ["join"]


async def test_one_request_per_domain_and_person(play: Play) -> None:
    """C15: a second signup, the same again, and a ticket in another spelling are one request; another person has one of their own."""
    domain, _ = await opened(play)
    for email in (f"eve@{domain}", f"Eve@{domain}", f"eve@{domain}"):
        await play.signup(email, first_name="Eve")
    await ticket(play, f"EVE@{domain}")
    await ticket(play, f"max@{domain}")
    eve, other = play.join_id(domain, f"eve@{domain}"), play.join_id(domain, f"max@{domain}")
    for join in (eve, other):
        await play.task(join, "join")
        await play.did(join, *TOLD)
        await play.quiet(join)
        assert play.effects(join) == {0: TOLD}
    for join in (eve, other):
        await play.answer(join, "join", "invited")
        assert await play.ended(join) == "invited"
    await play.quiet(domain)
    assert await play.runs(eve) == 1


async def test_when_nobody_answers_it_climbs(play: Play) -> None:
    """The owner when it is due, then the CE as backup, then the manager, then the manager every week; the answer ends it."""
    domain, _ = await opened(play)
    await play.signup(f"eve@{domain}", first_name="Eve")
    join, owners = play.join_id(domain, f"eve@{domain}"), await play.owners_of(domain)
    assert owners.ae
    assert owners.ce
    assert owners.manager
    task = await play.task(join, "join")
    await play.did(join, *TOLD)
    asked = [owners.ae.email, owners.ce.email, owners.manager.email, owners.manager.email]
    due = ladder.due_in(play.policy, task.opened_at, play.policy.tasks.join_hours)
    rungs = [rung.at for rung in ladder.ordinary(play.policy, due, *asked[:3])]
    for number, email in enumerate(asked, 1):
        task = await play.task(join, "join")
        assert task.asked_next == email
        assert task.asked_next_at
        await play.skip_to(join, task.asked_next_at)
        await play.did(join, f"slack: task.join-1.reminder-{number}")
    await play.quiet(join)
    assert [key for day in play.effects(join).values() for key in day] == [
        *TOLD,
        *(f"slack: task.join-1.reminder-{number}" for number in (1, 2, 3, 4)),
    ]
    times = play.times(join, "task.join-1.reminder-")
    assert all(abs(at - rung) < timedelta(minutes=1) for at, rung in zip(times, rungs, strict=False))
    assert timedelta(days=6.9) < times[3] - times[2] < timedelta(days=7.1)
    await play.answer(join, "join", "invited", by=owners.manager.email)
    assert await play.ended(join) == "invited"


async def test_before_there_is_an_instance_the_joiner_waits_for_it(play: Play) -> None:
    """A second person of a company in triage: nobody is told of an instance that is not there; when it is handed over, they are."""
    domain = await unknown(play)
    second = await play.signup(f"eve@{domain}", first_name="Eve")
    assert (second.case, second.outcome) == ("1", "triage")
    await play.answer(domain, "triage", "qualify", by=SDR, checks=ALL_YES)
    status = await play.stage(domain, "provisioning")
    assert play.effects(play.join_id(domain, f"eve@{domain}")) == {}
    play.sandbox.world.services["instances"].create(status.host, kind="trial")
    await play.answer(domain, "provision", "ready", by="cloud-oncall@tenure.example")
    await play.answer(domain, "hand_over", "hand_over", by=status.ce)
    await play.opens(f"bo@{domain}")
    join = play.join_id(domain, f"eve@{domain}")
    assert (await play.task(join, "join")).assignee == status.ae
    await play.did(join, *TOLD)
    assert play.effects(join) == {0: TOLD}
    assert status.host in play.box(f"eve@{domain}")[0].text


async def test_where_no_instance_comes_nobody_can_join(play: Play) -> None:
    """The company did not qualify: its trial ends, though somebody waited to join it."""
    domain = await unknown(play)
    await play.signup(f"eve@{domain}", first_name="Eve")
    await play.answer(domain, "triage", "disqualify", by=SDR)
    assert (await play.ended(domain))["end"] == "disqualified"
    assert play.effects(play.join_id(domain, f"eve@{domain}")) == {}
    assert play.mails(f"eve@{domain}") == []


async def test_a_customers_colleague_is_followed_up_by_the_owners_of_the_trial(play: Play) -> None:
    """A4: the trial was converted long ago; whoever signs up is sent there, and the AE of then has the task."""
    domain, host = await opened(play)
    before = await play.status(domain)
    await play.update(domain, "convert", {"seats": 10, "by": before.ae})
    await play.made_production(domain)
    await play.ended(domain)
    earlier = play.effects(domain)
    answer = await play.signup(f"eve@{domain}", first_name="Eve")
    assert (answer.case, answer.outcome, answer.host) == ("1", "redirected", host)
    assert (await play.ended(domain))["end"] == "redirected"
    join = play.join_id(domain, f"eve@{domain}")
    assert (await play.task(join, "join")).assignee == before.ae
    await play.did(join, *TOLD)
    assert play.effects(join) == {0: TOLD}
    await play.did(ids.join_digest(domain), "mail: mail.join_request-1")
    assert f"eve@{domain}" in play.box(f"bo@{domain}")[-1].text
    assert play.effects(domain) == earlier


async def test_answers_that_cannot_be_taken(play: Play) -> None:
    """Refused with words as an update, noted as a signal; the first good one wins and a late one is told so."""
    domain, _ = await opened(play)
    await ticket(play, f"eve@{domain}")
    join = play.join_id(domain, f"eve@{domain}")
    await play.task(join, "join")
    assert "choose one of: invited, refused, sso" in await play.refused(join, "answer", {"task": "join", "choice": "maybe", "by": SDR})
    assert "say who answers" in await play.refused(join, "answer", {"task": "join", "choice": "sso"})
    for nonsense in ("invited", ["join"], 10**30, None):
        await play.signal(join, "answer", nonsense)

    async def notes() -> list[str] | None:
        status = await play.env.client.get_workflow_handle(join).query("status")
        return status["notes"] if len(status["notes"]) == 4 else None

    assert all("signal answer refused: cannot read the message" in note for note in await eventually(notes) or [])
    assert len(await play.tasks(join)) == 1
    await play.signal(join, "answer", {"task": "join", "choice": "invited", "by": SDR})
    assert await play.ended(join) == "invited"


async def test_one_event_id_of_two_requests_is_two_events(play: Play) -> None:
    """The server answers a known id as it did the first time, which would be no answer to this."""
    domain, _ = await opened(play)
    with play.env.with_time_skipping_disabled():
        await play.tenure.signup(SignupForm(email=f"eve@{domain}", event_id="click-1"))
        said = [await play.tenure.join(JoinForm(email=f"eve@{domain}", event_id="click-1")) for _ in range(2)]
    assert said == ["the admin is told, and the request is followed up"] * 2
    accepted = [
        event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name
        async for event in play.trial(domain).fetch_history_events()
        if event.HasField("workflow_execution_update_accepted_event_attributes")
    ]
    assert sorted(accepted) == ["join", "open_link", "signup", "signup"]  # each once, the second signup is Eve's


async def test_an_admin_gets_one_mail_a_day_whoever_asks(play: Play) -> None:
    """The first is told at once, the next nine a day later in one mail, by their addresses; then nobody asks, and no mail goes."""
    domain, _ = await opened(play)
    await ticket(play, f"first@{domain}")
    digest = ids.join_digest(domain)
    await play.did(digest, "mail: mail.join_request-1")
    for number in range(9):
        await ticket(play, f"eve{number}@{domain}")
        await play.did(play.join_id(domain, f"eve{number}@{domain}"), *TOLD)

    async def heard() -> bool:
        said = await play.env.client.get_workflow_handle(digest).query("status")
        return "9 since the last mail" in said["in_words"]

    await eventually(heard)
    asked = [mail for mail in play.box(f"bo@{domain}") if "would like to join" in mail.subject]
    assert [f"first@{domain}" in mail.text for mail in asked] == [True]
    await play.skip(digest, days=1.1)
    await play.did(digest, "mail: mail.join_request-2")
    [_, second] = [mail for mail in play.box(f"bo@{domain}") if "would like to join" in mail.subject]
    assert all(f"eve{number}@{domain}" in second.text for number in range(9))
    assert f"first@{domain}" not in second.text
    await play.skip(digest, days=1.1)
    assert await play.ended(digest) == 2
    assert play.effects(digest) == {0: ["mail: mail.join_request-1"], 1: ["mail: mail.join_request-2"]}
    await ticket(play, f"late@{domain}")
    await play.did(digest, "mail: mail.join_request-1")


async def test_however_many_ask_the_mail_lists_some_and_counts_the_rest(play: Play) -> None:
    """A flood of one day neither fills a history, which the server would close to further signals, nor makes the mail longer."""
    domain, host = await opened(play)
    await ticket(play, f"first@{domain}")
    digest, most = ids.join_digest(domain), play.policy.tasks.join_mail_people
    await play.did(digest, "mail: mail.join_request-1")
    for number in range(most + 170):
        await play.signal(digest, "asks", JoinNotice(email=f"eve{number}@{domain}", host=host, admin=f"bo@{domain}"))

    async def heard() -> bool:
        said = await play.env.client.get_workflow_handle(digest).query("status")
        return f"{most + 170} since the last mail" in said["in_words"]

    await eventually(heard)
    begun = await play.env.client.get_workflow_handle(digest).describe()
    assert begun.raw_description.workflow_execution_info.first_run_id != begun.run_id
    await play.skip(digest, days=1.1)
    await play.did(digest, "mail: mail.join_request-2")
    [_, second] = [mail for mail in play.box(f"bo@{domain}") if "would like to join" in mail.subject]
    assert second.text.count("- eve") == most
    assert "- and 170 more" in second.text


async def test_who_asks_has_no_words_in_the_mail_to_the_admin(play: Play) -> None:
    domain, _ = await opened(play)
    await play.tenure.join(JoinForm(email=f"eve@{domain}", first_name="Call", last_name="Me"))
    await play.did(ids.join_digest(domain), "mail: mail.join_request-1")
    [mail] = [mail for mail in play.box(f"bo@{domain}") if "would like to join" in mail.subject]
    assert "Call" not in mail.text + mail.html
    assert f"- eve@{domain}" in mail.text.splitlines()
