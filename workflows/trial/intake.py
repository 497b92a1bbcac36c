"""A7–A9, A22, A28: what a signup is answered, and how a person triages or approves what may not be instant."""

from __future__ import annotations

from temporalio import workflow

from domain import ids, mailbox
from domain.decision import Decision
from domain.effects.salesforce import KeepLead, SetLeadStatus
from domain.messages import Case, CeRequest, JoinAsk, JoinInput, SignupAgain, SignupAnswer
from domain.people import Role
from domain.task import Answer, Choice, FieldSpec, TaskKind
from domain.trial import claim, decisions
from domain.trial.qualification import CE_REQUEST_CHECKS, checks
from domain.trial.state import End, Stage
from workflows.frame import detached
from workflows.trial import owning
from workflows.trial.process import TrialProcess

#: The CRM's word for a lead that another one stands for (handbook 2.1).
DUPLICATE = "Domain Already in Trial"

#: The words a prospect reads, by what becomes of the signup.
MESSAGES = {
    "redirected": "Your company already has an instance: {host}. Sign in there; if you cannot, its administrator has been told.",
    "instant": "Your instance is ready: {host}. The link to set your password is in your mailbox.",
    "building": "Thank you. Your company's instance is being built; the link to set your password is mailed to you when it is ready.",
    "triage": "Thank you. A person looks at every request; you hear from us within one working day.",
    "waitlisted": "Thank you. Every instance is in use right now; you are on the list and we write as soon as one is free.",
    "unconfirmed": "Thank you. Somebody of your company asked for a trial before you, and has not confirmed their address yet. {then}",
    "after_teardown": "Your company's last trial is just being closed. We start a new one as soon as that is done, and write to you.",
}


def unconfirmed(t: TrialProcess) -> SignupAnswer:
    """The answer to whoever comes while nobody knows whose the instance is: neither the host nor its admin, but when to come again."""
    until = claim.holds_until(t.policy, t.state) if t.input.origin == "self_serve" and t.state.case is not Case.HAS_INSTANCE else None
    until = until if until and until > workflow.now() else None
    then = "Sign up again after {at}: if they have not by then, the instance is yours." if until else "We see to it, and write to you."
    at = f"{until:%H:%M} UTC on {until:%A, %d %B}" if until else ""
    said = answered(t, "unconfirmed", case=Case.HAS_INSTANCE)
    return said.model_copy(update={"host": "", "message": MESSAGES["unconfirmed"].format(then=then.format(at=at))})


def answered(t: TrialProcess, outcome: str, case: Case | None = None) -> SignupAnswer:
    """The answer to a signup."""
    return SignupAnswer.model_validate(
        {
            "domain": t.input.domain,
            "trial": workflow.info().workflow_id,
            "case": case or t.state.case or Case.HAS_INSTANCE,
            "outcome": outcome,
            "host": t.state.host,
            "message": MESSAGES[outcome].format(host=t.state.host, then=""),
        }
    )


async def join(t: TrialProcess, ask: JoinAsk) -> None:
    """Start the join request of a person whose company has an instance, as soon as somebody has confirmed that it is theirs (A5, A6).

    One per domain and person (C15).
    """
    s, who = t.state, ids.digest(ask.contact.email)
    if who in t.joining:
        return
    t.joining.add(who)
    vouched = t.input.origin != "self_serve"  # a CE knows the admin: the AE need not wait, though no mail about others goes there

    def ready() -> bool:
        return s.confirmed_at is not None or (vouched and s.started_at is not None) or s.case is Case.HAS_INSTANCE or s.end is not None

    await workflow.wait_condition(ready)
    t.joining.discard(who)
    if (s.started_at is None or s.end == "terminated") and s.case is not Case.HAS_INSTANCE:
        return  # it never came to an instance, or it is gone
    if mailbox.same(ask.contact.email, t.contact.email) and s.case is not Case.HAS_INSTANCE:
        return  # it became theirs
    wish = JoinInput(
        domain=t.input.domain,
        contact=ask.contact,
        host=s.host,
        admin=_admin(t),
        via=ask.via,
        ae=s.owners.ae,
        backup=t.email(Role.CE),
        manager=t.email(Role.CE_MANAGER),
        policy=t.policy,
        alerts_channel=t.alerts_channel,
    )
    id, summary = ids.join(t.input.domain, ask.contact.email), f"join request at {s.host or t.input.domain}"
    await detached.begin("JoinRequest", wish, id=id, summary=summary)


def _admin(t: TrialProcess) -> str:
    """The address of the instance's admin; empty when it is not ours to know or to write to: the registry had an instance that the signup had
    not seen, or nobody has confirmed that the address is theirs.
    """
    s = t.state
    if s.signup and s.signup.instance:
        return s.signup.instance.admin if s.signup.instance.confirmed else ""
    return "" if s.case is Case.HAS_INSTANCE or s.confirmed_at is None else t.contact.email


async def redirect(t: TrialProcess) -> End:
    """Case 1 (A4): the person is sent to the instance, and the AE makes sure that the admin knows."""
    await owning.owners(t)
    await join(t, JoinAsk(contact=t.contact, via="signup"))
    t.enter(Stage.REDIRECTED)
    return "redirected"


def lead(t: TrialProcess) -> KeepLead:
    """The signup's lead in the campaign."""
    c = t.contact
    return KeepLead(
        key="crm.lead",
        email=c.email,
        first_name=c.first_name,
        last_name=c.last_name or c.name,
        company=t.state.company,
        domain=t.input.domain.rpartition("@")[2],
        source="Cloud trial" if t.input.origin == "self_serve" else "CE request",
    )


async def triage(t: TrialProcess, why: str = "") -> Decision:
    """Case 3 (A7): an inbound SDR says yes or no to each criterion. A free-mail address needs the company's domain, too.

    ``why`` says what was wrong with the answer before.
    """
    t.enter(Stage.TRIAGE)
    s, free = t.state, t.state.case is Case.FREE_MAIL
    t.do(lead(t))
    company = (FieldSpec(name="domain", asks="the company's own domain, as acme.com", kind="domain"),) if free else ()
    choices = (
        Choice(name="qualify", label="Qualifies", fields=company, every_check=True),
        Choice(name="disqualify", label="Does not qualify: recommend self-hosting"),
    )
    asks = (
        f"{_who(t)} signed up for a cloud trial"
        + (" with a free-mail address: which company is it?" if free else " and is not prequalified.")
        + " Does the lead qualify?"
        + (f"\nIt was tried before: {why}" if why else "")
    )
    title, hours = f"Triage the lead of {s.company}", t.policy.triage.first_touch_minutes / 60
    spec = t.spec(TaskKind.TRIAGE, title, asks, Role.INBOUND_SDR, choices, hours, checks=checks(t.policy))
    t.spawn(owning.somebody_triages(t))
    answer = await t.ask_or_end(spec, alert=True)
    s.named_domain = str(answer.fields.get("domain") or "").strip().lower()
    t.desk.withdraw(TaskKind.OWNERS, "the lead was triaged")
    return t.record(decisions.qualify(t.policy, answer, workflow.now()))


async def approval(t: TrialProcess, request: CeRequest) -> Decision:
    """A28: the regional CE manager's three checks before anything is built."""
    t.enter(Stage.APPROVAL)
    s = t.state
    asks = (
        f"{request.ce} asks for a {request.size} instance with {request.seats} seats."
        + (f" Success criteria: {request.success_criteria}" if request.success_criteria else " No success criteria were given.")
        + ("" if request.standard else " The set-up is not standard: a tech review must have passed.")
    )
    choices = (
        Choice(name="approve", label="Approve", every_check=True),
        Choice(name="deny", label="Deny (it can be appealed through CE and AE leadership)"),
    )
    title, hours = f"Approve a cloud trial for {s.company}", t.policy.office.closes - t.policy.office.opens
    spec = t.spec(TaskKind.APPROVAL, title, asks, Role.CE_MANAGER, choices, hours, checks=CE_REQUEST_CHECKS)
    return t.record(decisions.approve(t.policy, request, await t.ask_or_end(spec, alert=True), workflow.now()))


def refuse_request(t: TrialProcess) -> str | None:
    """Why a CE's request cannot be taken now: a company has one trial, and what is asked of a second would be forgotten."""
    s = t.state
    if s.stage is Stage.TEARDOWN or s.end == "terminated":
        return "the company's last instance is being torn down: ask again when it is gone"
    if s.signup is not None or s.request is not None:
        return f"a trial of {t.input.domain} is under way already, in stage {s.stage.value}: decide about that one, or end it and ask again"
    return None


def request(t: TrialProcess, asked: CeRequest) -> SignupAnswer:
    """A CE's request for a trial (A28) opens it, unless the company has one."""
    s = t.state
    if s.signup is not None or s.request is not None:
        return answered(t, "redirected" if s.instance_live else "triage", case=Case.HAS_INSTANCE)
    s.request, s.contact, s.signed_up_at, s.company = asked, asked.contact, asked.at, asked.company
    s.case = Case.CE_REQUESTED
    return answered(t, "triage")


async def disqualify(t: TrialProcess, reason: str, sub_status: str = "Does not meet trial criteria") -> End:
    """Case 3.1 (A8): the lead is closed with its reason, and the person is told kindly how to host it themselves."""
    s = t.state
    closed = SetLeadStatus(key="crm.disqualified", status="Disqualified", sub_status=sub_status, reason=reason)
    t.do(lead(t), closed)  # whoever only waited for room has no lead yet
    t.do(t.mail("disqualified"))
    t.post(t.said("slack.disqualified", f"{s.company} did not qualify: {reason} They were told how to self-host."))
    t.enter(Stage.DISQUALIFIED)
    return "disqualified"


async def deny(t: TrialProcess, reason: str) -> End:
    """A CE's request was denied (A28)."""
    t.post(t.said("slack.denied", f"The trial of {t.state.company} was denied: {reason}", Role.CE))
    t.enter(Stage.DENIED)
    return "denied"


async def move(t: TrialProcess) -> End:
    """A free-mail signup whose company is known now: it signs up again under the company's own domain (A3)."""
    s = t.state
    while True:
        domain = s.named_domain
        again = SignupAgain(domain=domain, contact=t.contact, company=s.company, event=t.effects.subject, via="free_mail")
        signed, why = await t.effects.sign_up(again)
        if signed is not None:
            break
        if (asked := await triage(t, why)).outcome == "disqualified":
            return await disqualify(t, asked.rule)
    closed = "Goes on as the lead of the company's own trial."
    t.do(SetLeadStatus(key="crm.moved", status="Disqualified", sub_status=DUPLICATE, reason=closed))
    t.post(t.said("slack.moved", f"{t.contact.name} is of {domain}: the signup goes on there."))
    t.enter(Stage.MOVED)
    return "moved"


def refuse_company(t: TrialProcess, answer: Answer) -> str | None:
    """Why the company that an SDR names for a free-mail signup cannot be one."""
    if t.state.case is not Case.FREE_MAIL or answer.choice != "qualify":
        return None
    domain = str(answer.fields.get("domain", "")).strip().lower()
    if any(domain == provider or domain.endswith(f".{provider}") for provider in t.policy.routing.free_mail):
        return f"{domain!r} is a free-mail provider, no company's own domain: find that out, or disqualify"
    return None


def _who(t: TrialProcess) -> str:
    domain = t.input.domain.rpartition("@")[2]
    return f"{t.contact.name} of {t.state.company} ({domain})"
