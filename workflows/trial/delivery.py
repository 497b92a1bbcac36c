"""A5, A6, A9, A10, A28: owners, CRM, Slack, the instance (warm or built), the reset link, and the hand-over."""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import workflow

from domain import licence_keys
from domain.effects.instance import CreateAdmin, InstanceEffect, SetKey
from domain.effects.salesforce import AssignOwner, ConvertLead, SalesforceEffect, SetLeadStatus
from domain.effects.slack import OpenChannel, Post, SlackEffect
from domain.markup import bold
from domain.messages import INSTANT, TRIAGED, Case
from domain.people import Role
from domain.task import Choice, TaskKind
from domain.trial.state import Stage
from workflows.trial import building, changes, intake, owning
from workflows.trial.process import TrialProcess


async def instant(t: TrialProcess) -> None:
    """Case 2 (A5, A6): the warm instance is theirs; everything else follows at once, each system on its own."""
    if t.state.owners.sdr is None:
        await owning.owners(t)  # a company that waited for room has none yet
    owning.find_owners(t)
    t.do(*_crm(t, intake.lead(t)))
    t.do(*_alert(t), *_channel(t), _introduction(t))
    if t.policy.handoff.prequalified == "ce":
        await _hand_over(t, 0)
        return
    start(t, workflow.now())
    await open_instance(t, "instant_access")


async def build(t: TrialProcess) -> None:
    """Case 3.2 and CE requests (A9, A28): room is reserved already, the Cloud team builds, the CE hands over."""
    await owning.owners(t, t.state.request.ce if t.state.request else "")
    owning.find_owners(t)
    t.enter(Stage.PROVISIONING)
    first: tuple[SalesforceEffect, ...] = (
        (SetLeadStatus(key="crm.qualified", status="Working", sub_status="Approved trial"),)
        if t.state.case in TRIAGED
        else (intake.lead(t),)
    )
    t.do(*_crm(t, *first))
    request = building.request(t)
    number = await t.requests.raised(request)
    t.do(*_alert(t), *_channel(t), _introduction(t, number))
    if t.input.origin == "self_serve":
        t.do(t.mail("sdr_welcome", sender=Role.INBOUND_SDR))
    await building.provisioned(t, request, number)
    await _hand_over(t, number)


def start(t: TrialProcess, at: datetime) -> None:
    """The trial starts: the admin can use the instance now (handbook 2.4). Every deadline counts from here."""
    s, lengths = t.state, t.policy.trial
    s.total_days = (lengths.self_serve if t.input.origin == "self_serve" else lengths.ce_requested).base_days
    s.started_at, s.ends_at = at, at + timedelta(days=s.total_days)
    s.claimed_at = at
    t.enter(Stage.ONBOARDING)


def _crm(t: TrialProcess, *first: SalesforceEffect) -> tuple[SalesforceEffect, ...]:
    """Assignment and conversion in the policy's order (C14); the opportunity stays in stage 1 (A19)."""
    s = t.state
    o, named = s.owners, s.case is Case.NAMED
    account = s.signup.account if s.signup else s.request.account if s.request else None
    assign = AssignOwner(key="crm.assign", owner=o.ae.id, owner_name=o.ae.name, ce=o.ce.id if o.ce else "") if o.ae else None
    convert = ConvertLead(key="crm.convert", account=account.id if account else "", opportunity=f"{s.company} - cloud trial")
    route = AssignOwner(key="crm.route", owner=o.sdr.id, owner_name=o.sdr.name) if named and o.sdr else None
    ordered = (assign, convert) if t.policy.assignment.order == "assign_then_convert" else (convert, assign)
    return (*first, *(act for act in (route, *ordered) if act))


def _alert(t: TrialProcess) -> tuple[Post, ...]:
    """What `#cloud-trial-alerts` reads of a signup that no card or waiting note has told it of."""
    s = t.state
    if s.alert != "slack.alert":
        return ()
    said = f"{bold(s.company)} ({t.input.domain.rpartition('@')[2]}) starts a cloud trial: case {s.case}, {s.host}."
    return (Post(key="slack.alert", channel=t.alerts_channel, text=said + "".join(f"\n⚠️ {flag}" for flag in s.flags)),)


def _channel(t: TrialProcess) -> tuple[SlackEffect, ...]:
    """The trial's channel with CE and AE (C11: or only the thread under the alert)."""
    if t.policy.trial.slack_mode == "thread":
        return ()
    o = t.state.owners
    t.state.channel = f"cloud-trial-{t.name}"
    people = tuple(person.email for person in (o.ce, o.ae) if person)
    return (OpenChannel(key="slack.channel", name=t.state.channel, topic=f"Cloud trial of {t.state.company}", invite=people),)


def _introduction(t: TrialProcess, issue: int = 0) -> Post:
    o = t.state.owners
    lines = [
        f"{bold(t.state.company)} is yours: CE {o.ce.name if o.ce else 'to be assigned'}, AE {o.ae.name if o.ae else 'to be assigned'}."
    ]
    lines += [f"Instance request: #{issue}"] if issue else [f"Instance: {t.state.host}"]
    lines += [f"_{note}_" for note in o.notes]
    return t.said("slack.introduction", "\n".join(lines), Role.CE, Role.AE)


async def open_instance(t: TrialProcess, template: str, *before: InstanceEffect) -> None:
    """Admin user and licence key; then the mail with the link to set a password, and the CE's welcome. ``before``: what is done first."""
    s = t.state
    admin = CreateAdmin(key=t.keyed("instance.admin"), host=s.host, email=t.contact.email, name=t.contact.name)
    key = (SetKey(key=t.keyed("instance.key"), host=s.host),) if t.input.origin == "self_serve" else ()
    # Worded before anything is awaited: meanwhile the claim may pass on, and what follows is the next one's own.
    if template == "instant_access":
        access = t.mail("instant_access", link=True)
    else:
        access = t.mail("access", sender=Role.CE, link=True, thread="mail.sdr_welcome" if t.input.origin == "self_serve" else "")
    copies = t.copy(access, s.owners.ae) if access.sender else ()
    welcome = t.mail("ce_welcome", sender=Role.CE)
    made = await t.do(*before, admin, *key)
    s.admin = admin.email
    if key and (until := made.of(key[0].key).data.get("expires_at")):
        s.key_until = datetime.fromisoformat(until)
    t.do(access, *copies, welcome)


async def _hand_over(t: TrialProcess, number: int) -> None:
    """A9 (9)-(12): the CE makes the link and answers the welcome mail; or it goes by itself (C16). The trial starts with that mail."""
    s = t.state
    t.enter(Stage.HAND_OFF)
    text = f"{s.host} is ready" + (f" (#{number})." if number else ".")
    t.post(Post(key="slack.ready", channel=t.alerts_channel, under=s.alert, text=text))
    prequalified = s.case in INSTANT
    if (t.policy.handoff.prequalified if prequalified else t.policy.handoff.qualified) == "ce":
        asks = "Check the instance, then hand over: your answer to the welcome mail is sent, with the link to get in to the admin alone."
        title, choice = f"Hand {s.host} over to {s.company}", Choice(name="hand_over", label="Hand over")
        await t.ask_or_end(t.spec(TaskKind.HAND_OVER, title, asks, Role.CE, (choice,), t.policy.tasks.ce_hand_off_hours))
    if t.input.origin == "ce_requested":
        ends_at = workflow.now() + timedelta(days=t.policy.trial.ce_requested.base_days)
        await changes.own_key(t, "key.trial", licence_keys.of_trial(t.policy, ends_at))
    start(t, workflow.now())
    await open_instance(t, "access")
