"""A7–A9, A22, A28: what a signup is answered, and how a person triages or approves what may not be instant."""

from temporalio import workflow

from domain import ids, mailbox
from domain.decision import Decision
from domain.effects.salesforce import KeepLead, SetLeadStatus
from domain.messages import Case, CeRequest, JoinAsk, JoinInput, SignupAgain, SignupAnswer
from domain.people import Role
from domain.task import Answer, TaskKind
from domain.trial import claim, decisions
from domain.trial.qualification import CE_REQUEST_CHECKS, checks
from domain.trial.state import End, Stage
from domain.wording import Wording
from workflows.frame import detached
from workflows.trial import owning
from workflows.trial.process import TrialProcess

#: The CRM's word for a lead that another one stands for (handbook 2.1).
DUPLICATE = "Domain Already in Trial"

TEXTS = Wording(__file__)


def unconfirmed(trial: TrialProcess) -> SignupAnswer:
    """The answer to whoever comes while nobody knows whose the instance is: neither the host nor its admin, but when to come again."""
    until = (
        claim.holds_until(trial.policy, trial.state)
        if trial.input.origin == "self_serve" and trial.state.case is not Case.HAS_INSTANCE
        else None
    )
    until = until if until and until > workflow.now() else None
    then = "We see to it, and write to you."
    if until:
        then = f"Sign up again after {until:%H:%M} UTC on {until:%A, %d %B}: if they have not by then, the instance is yours."
    return answered(trial, "unconfirmed", case=Case.HAS_INSTANCE, then=then).model_copy(update={"host": ""})


def answered(trial: TrialProcess, outcome: str, *, case: Case | None = None, then: str = "") -> SignupAnswer:
    """The answer to a signup."""
    known = {"domain": trial.input.domain, "trial": workflow.info().workflow_id, "host": trial.state.host}
    message = TEXTS(f"answers.{outcome}", host=trial.state.host, then=then)
    return SignupAnswer.model_validate(
        {**known, "case": case or trial.state.case or Case.HAS_INSTANCE, "outcome": outcome, "message": message}
    )


async def join(trial: TrialProcess, ask: JoinAsk) -> None:
    """Start the join request of a person whose company has an instance, as soon as somebody has confirmed that it is theirs (A5, A6).

    One per domain and person (C15).
    """
    state, who = trial.state, ids.digest(ask.contact.email)
    if who in trial.joining:
        return
    trial.joining.add(who)
    vouched = trial.input.origin != "self_serve"  # a CE knows the admin: the AE need not wait, though no mail about others goes there

    def ready() -> bool:
        return (
            state.confirmed_at is not None
            or (vouched and state.started_at is not None)
            or state.case is Case.HAS_INSTANCE
            or state.end is not None
        )

    await workflow.wait_condition(ready)
    trial.joining.discard(who)
    if (state.started_at is None or state.end == "terminated") and state.case is not Case.HAS_INSTANCE:
        return  # it never came to an instance, or it is gone
    if mailbox.same(ask.contact.email, trial.contact.email) and state.case is not Case.HAS_INSTANCE:
        return  # it became theirs
    # The admin's address is not ours to know when the registry had an instance that the signup had not seen, nor to write to while nobody has
    # confirmed that it is theirs.
    admin = "" if state.case is Case.HAS_INSTANCE or state.confirmed_at is None else trial.contact.email
    if state.signup and state.signup.instance:
        admin = state.signup.instance.admin if state.signup.instance.confirmed else ""
    wish = JoinInput(
        domain=trial.input.domain,
        contact=ask.contact,
        host=state.host,
        admin=admin,
        via=ask.via,
        ae=state.owners.ae,
        backup=trial.email(Role.CE),
        manager=trial.email(Role.CE_MANAGER),
        policy=trial.policy,
        alerts_channel=trial.alerts_channel,
    )
    id, summary = ids.join(trial.input.domain, ask.contact.email), f"join request at {state.host or trial.input.domain}"
    await detached.begin("JoinRequest", wish, id=id, summary=summary)


def refuse_join(trial: TrialProcess) -> str | None:
    """Why nobody can join: not into an instance that is being torn down."""
    closing = trial.state.stage is Stage.TEARDOWN or trial.state.end is not None
    return "the instance is being torn down: sign up again, and a new trial starts after it" if closing else None


async def redirect(trial: TrialProcess) -> End:
    """Case 1 (A4): the person is sent to the instance, and the AE makes sure that the admin knows."""
    await owning.owners(trial)
    await join(trial, JoinAsk(contact=trial.contact, via="signup"))
    trial.enter(Stage.REDIRECTED)
    return "redirected"


def lead(trial: TrialProcess) -> KeepLead:
    """The signup's lead in the campaign."""
    contact = trial.contact
    return KeepLead(
        key="crm.lead",
        email=contact.email,
        first_name=contact.first_name,
        last_name=contact.last_name or contact.name,
        company=trial.state.company,
        domain=trial.input.domain.rpartition("@")[2],
        source="Cloud trial" if trial.input.origin == "self_serve" else "CE request",
    )


async def triage(trial: TrialProcess, why: str = "") -> Decision:
    """Case 3 (A7): an inbound SDR says yes or no to each criterion. A free-mail address needs the company's domain, too.

    ``why`` says what was wrong with the answer before.
    """
    trial.enter(Stage.TRIAGE)
    state, free = trial.state, trial.state.case is Case.FREE_MAIL
    trial.do(lead(trial))
    how = " with a free-mail address: which company is it?" if free else " and is not prequalified."
    before, name = f"\nIt was tried before: {why}" if why else "", "triage-of-free-mail" if free else TaskKind.TRIAGE
    hours = trial.policy.triage.first_touch_minutes / 60
    spec = trial.spec(name, who=_who(trial), how=how, before=before, hours=hours, checks=checks(trial.policy))
    trial.spawn(owning.somebody_triages(trial))
    answer = await trial.ask_or_end(spec, alert=True)
    state.named_domain = str(answer.fields.get("domain") or "").strip().lower()
    trial.tasks.withdraw(TaskKind.OWNERS, "the lead was triaged")
    return trial.record(decisions.qualify(trial.policy, answer, workflow.now()))


async def approval(trial: TrialProcess, request: CeRequest) -> Decision:
    """A28: the regional CE manager's three checks before anything is built."""
    trial.enter(Stage.APPROVAL)
    criteria = f" Success criteria: {request.success_criteria}" if request.success_criteria else " No success criteria were given."
    review = "" if request.standard else " The set-up is not standard: a tech review must have passed."
    hours = trial.policy.office.closes - trial.policy.office.opens
    spec = trial.spec(TaskKind.APPROVAL, request=request, criteria=criteria, review=review, hours=hours, checks=CE_REQUEST_CHECKS)
    return trial.record(decisions.approve(trial.policy, request, await trial.ask_or_end(spec, alert=True), workflow.now()))


def refuse_request(trial: TrialProcess, _asked: CeRequest) -> str | None:
    """Why a CE's request cannot be taken now: a company has one trial, and what is asked of a second would be forgotten."""
    state = trial.state
    if state.stage is Stage.TEARDOWN or state.end == "terminated":
        return "the company's last instance is being torn down: ask again when it is gone"
    if state.signup is not None or state.request is not None:
        return f"a trial of {trial.input.domain} is under way already, in stage {state.stage.value}: decide about that one, or end it and ask again"
    return None


def request(trial: TrialProcess, asked: CeRequest) -> SignupAnswer:
    """A CE's request for a trial (A28) opens it, unless the company has one."""
    state = trial.state
    if state.signup is not None or state.request is not None:
        return answered(trial, "redirected" if state.instance_live else "triage", case=Case.HAS_INSTANCE)
    state.request, state.contact, state.signed_up_at, state.company = asked, asked.contact, asked.at, asked.company
    state.case = Case.CE_REQUESTED
    return answered(trial, "triage")


async def disqualify(trial: TrialProcess, reason: str, sub_status: str = "Does not meet trial criteria") -> End:
    """Case 3.1 (A8): the lead is closed with its reason, and the person is told kindly how to host it themselves."""
    closed = SetLeadStatus(key="crm.disqualified", status="Disqualified", sub_status=sub_status, reason=reason)
    trial.do(lead(trial), closed)  # whoever only waited for room has no lead yet
    trial.do(trial.mail("disqualified"))
    trial.post(trial.said("slack.disqualified", f"{trial.state.company} did not qualify: {reason} They were told how to self-host."))
    trial.enter(Stage.DISQUALIFIED)
    return "disqualified"


async def deny(trial: TrialProcess, reason: str) -> End:
    """A CE's request was denied (A28)."""
    trial.post(trial.said("slack.denied", f"The trial of {trial.state.company} was denied: {reason}", Role.CE))
    trial.enter(Stage.DENIED)
    return "denied"


async def move(trial: TrialProcess) -> End:
    """A free-mail signup whose company is known now: it signs up again under the company's own domain (A3)."""
    while True:
        domain = trial.state.named_domain
        again = SignupAgain(domain=domain, contact=trial.contact, company=trial.state.company, event=trial.effects.subject, via="free_mail")
        signed, why = await trial.effects.sign_up(again)
        if signed is not None:
            break
        if (asked := await triage(trial, why)).outcome == decisions.Qualification.DISQUALIFIED:
            return await disqualify(trial, asked.rule)
    closed = "Goes on as the lead of the company's own trial."
    trial.do(SetLeadStatus(key="crm.moved", status="Disqualified", sub_status=DUPLICATE, reason=closed))
    trial.post(trial.said("slack.moved", f"{trial.contact.name} is of {domain}: the signup goes on there."))
    trial.enter(Stage.MOVED)
    return "moved"


def refuse_company(trial: TrialProcess, answer: Answer) -> str | None:
    """Why the company that an SDR names for a free-mail signup cannot be one."""
    if trial.state.case is not Case.FREE_MAIL or answer.choice != "qualify":
        return None
    domain = str(answer.fields.get("domain", "")).strip().lower()
    if any(domain == provider or domain.endswith(f".{provider}") for provider in trial.policy.routing.free_mail):
        return f"{domain!r} is a free-mail provider, no company's own domain: find that out, or disqualify"
    return None


def _who(trial: TrialProcess) -> str:
    domain = trial.input.domain.rpartition("@")[2]
    return f"{trial.contact.name} of {trial.state.company} ({domain})"
