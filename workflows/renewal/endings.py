"""D30 and gap 9: how a renewal ends: renewed with a key on the existing subscription, lost, or cancelled because nothing is left to renew."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from temporalio import workflow

from domain import ids, licence_keys
from domain.account.account import RenewalEnded
from domain.amounts import dollars
from domain.calendar import months_after
from domain.effects.licensing import ReissueKey
from domain.effects.salesforce import SetAccount
from domain.effects.vitally import SetTraits
from domain.people import Role
from domain.renewal import decisions
from domain.renewal.commands import CancelRenewal
from domain.renewal.state import End, Phase
from domain.task import Answer, Choice, FieldSpec, TaskKind
from workflows.renewal.process import RenewalProcess

#: The trait that Vitally knows a lost customer by.
CHURNED_TRAIT = "churnedAt"


async def renew(r: RenewalProcess, answer: Answer) -> End:
    """Closed won, the account's new term, and a further key on the subscription that the customer has."""
    s, before, seats = r.state, r.customer.arr, int(str(answer.fields["seats"]))
    arr = dollars(answer.fields["arr"]) or 0
    given = answer.fields.get("contract_end")
    end = date.fromisoformat(str(given)) if given else months_after(s.renewal_on, r.policy.renewal.term_months)
    decision = r.record(decisions.came(r.policy, before, arr, answer, workflow.now()))
    s.actual_outcome, s.actual_arr, s.contract_end = decision.outcome, arr, end  # type: ignore[assignment]  # an outcome of the enum
    term: dict[str, str | int] = {"Contract_End__c": end.isoformat(), "Seats__c": seats}
    account = SetAccount(key="crm.account", account=r.customer.id, fields={**term, "ARR__c": arr})
    r.crm("closed", {"StageName": "Closed Won", "Amount": arr, "Renewal_Outcome__c": decision.outcome, **term}, account)
    r.say("renewed", f"🎉 Renewed until {end} with {seats:,} seats: {decision.rule} Its key is re-issued.", Role.AE, Role.TA)
    subscription = r.customer.subscription or await _subscription(r)
    r.do(key(r, "key.renewed", subscription, seats, end))
    await r.delivered()
    r.enter(Phase.RENEWED)
    return "renewed"


def churn(r: RenewalProcess, answer: Answer) -> End:
    """Closed lost; the churn is on record, and finance hears of it."""
    s, reason = r.state, str(answer.fields["reason"]).strip()
    note = answer.model_copy(update={"note": reason})
    r.record(decisions.came(r.policy, r.customer.arr, 0, note, workflow.now()))
    s.actual_outcome, s.actual_arr = "full_churn", 0
    r.crm("closed", {"StageName": "Closed Lost", "Renewal_Outcome__c": "full_churn", "Description": f"Churned: {reason}"})
    r.do(SetTraits(key="trait.churned", account=r.customer.domain, traits={CHURNED_TRAIT: _midnight(s.due_on).isoformat()}))
    lost = f"${r.customer.arr:,} a year from {s.due_on} on"
    r.say("churned", f"Lost: {reason}. Finance: {r.customer.name} churns with {lost}.", Role.AE, Role.TA, Role.AE_MANAGER)
    r.enter(Phase.CHURNED)
    return "churned"


def take(r: RenewalProcess, message: CancelRenewal) -> str:
    """Nothing is left to renew: from this moment on nothing is asked any more."""
    decision = r.record(decisions.cancelled(r.policy, message, workflow.now()))
    r.state.cancel, r.state.why_cancelled = message, decision.rule
    r.nothing_more(decision.rule)
    return f"cancelled: {message.why}"


def cancel(r: RenewalProcess) -> End:
    """A churn before the term's end closes the opportunity as lost; of a merger it keeps a note, since the other account goes on with it."""
    s = r.state
    lost = s.cancel is not None and s.cancel.why == "churned_early"
    if lost:
        s.actual_outcome, s.actual_arr = "full_churn", 0
    closed = {"StageName": "Closed Lost", "Renewal_Outcome__c": "full_churn"} if lost else {}
    r.crm("cancelled", {**closed, "Description": s.why_cancelled})
    r.say("cancelled", f"Cancelled. {s.why_cancelled}", Role.AE, Role.TA)
    if done := r.project_done("the renewal is cancelled"):
        r.do(*done)
    r.enter(Phase.CANCELLED)
    return "cancelled"


async def tell(r: RenewalProcess) -> None:
    """The account goes on with what came of it; the get-well plan loses this reason."""
    s = r.state
    if s.in_lighthouse:
        s.in_lighthouse = False
        await r.reason(False, f"the renewal is {s.end}")
    ended = RenewalEnded(
        workflow=workflow.info().workflow_id,
        outcome=s.actual_outcome,
        cancelled=s.cancel.why if s.cancel else "",
        contract_end=s.contract_end,
        arr=s.actual_arr,
    )
    await r.effects.tell(ids.account(r.customer.domain), "renewal_ended", ended)


def key(r: RenewalProcess, name: str, subscription: str, seats: int, until: date) -> ReissueKey:
    """A production key on the subscription that the customer has, never on a new one (handbook 3.1)."""
    terms, customer = r.policy.license.production, ids.company(r.customer.domain)
    return ReissueKey(
        key=name,
        subscription=subscription,
        account=customer,
        tags=(*terms.tags, f"customer:{customer}"),
        seats=seats + terms.seat_buffer,
        expires_at=licence_keys.through(r.policy.license, until),
    )


async def _subscription(r: RenewalProcess) -> str:
    """The CRM does not know the subscription: the TA does, and without it there is no key."""
    choice = Choice(name="known", label="This one", fields=(FieldSpec(name="subscription", asks="the subscription's id"),))
    asks = "The renewal is won, but the account has no subscription on record. On which one shall the key be re-issued?"
    spec = r.spec(TaskKind.SUBSCRIPTION, "name the subscription", asks, Role.TA, (choice,), r.policy.renewal.processing_hours)
    answer = await r.ask(spec)
    return str(answer.fields["subscription"]).strip() if answer else ""


def _midnight(day: date) -> datetime:
    """A day as the moment that Vitally wants."""
    return datetime.combine(day, time(), UTC)
