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


async def renew(renewal: RenewalProcess, answer: Answer) -> End:
    """Closed won, the account's new term, and a further key on the subscription that the customer has."""
    state, before, seats = renewal.state, renewal.customer.arr, int(str(answer.fields["seats"]))
    arr = dollars(answer.fields["arr"]) or 0
    given = answer.fields.get("contract_end")
    end = date.fromisoformat(str(given)) if given else months_after(state.renewal_on, renewal.policy.renewal.term_months)
    decision = renewal.record(decisions.came(renewal.policy, before, arr, answer, workflow.now()))
    state.actual_outcome, state.actual_arr, state.contract_end = decision.outcome, arr, end  # type: ignore[assignment]  # an outcome of the enum
    term: dict[str, str | int] = {"Contract_End__c": end.isoformat(), "Seats__c": seats}
    account = SetAccount(key="crm.account", account=renewal.customer.id, fields={**term, "ARR__c": arr})
    renewal.crm("closed", {"StageName": "Closed Won", "Amount": arr, "Renewal_Outcome__c": decision.outcome, **term}, account)
    renewal.say("renewed", f"🎉 Renewed until {end} with {seats:,} seats: {decision.rule} Its key is re-issued.", Role.AE, Role.TA)
    subscription = renewal.customer.subscription or await _subscription(renewal)
    renewal.do(key(renewal, "key.renewed", subscription, seats, end))
    await renewal.delivered()
    renewal.enter(Phase.RENEWED)
    return "renewed"


def churn(renewal: RenewalProcess, answer: Answer) -> End:
    """Closed lost; the churn is on record, and finance hears of it."""
    state, reason = renewal.state, str(answer.fields["reason"]).strip()
    note = answer.model_copy(update={"note": reason})
    renewal.record(decisions.came(renewal.policy, renewal.customer.arr, 0, note, workflow.now()))
    state.actual_outcome, state.actual_arr = "full_churn", 0
    renewal.crm("closed", {"StageName": "Closed Lost", "Renewal_Outcome__c": "full_churn", "Description": f"Churned: {reason}"})
    renewal.do(SetTraits(key="trait.churned", account=renewal.customer.domain, traits={CHURNED_TRAIT: _midnight(state.due_on).isoformat()}))
    lost = f"${renewal.customer.arr:,} a year from {state.due_on} on"
    renewal.say("churned", f"Lost: {reason}. Finance: {renewal.customer.name} churns with {lost}.", Role.AE, Role.TA, Role.AE_MANAGER)
    renewal.enter(Phase.CHURNED)
    return "churned"


def take(renewal: RenewalProcess, message: CancelRenewal) -> str:
    """Nothing is left to renew: from this moment on nothing is asked any more."""
    decision = renewal.record(decisions.cancelled(renewal.policy, message, workflow.now()))
    renewal.state.cancel, renewal.state.why_cancelled = message, decision.rule
    renewal.nothing_more(decision.rule)
    return f"cancelled: {message.why}"


def cancel(renewal: RenewalProcess) -> End:
    """A churn before the term's end closes the opportunity as lost; of a merger it keeps a note, since the other account goes on with it."""
    state = renewal.state
    lost = state.cancel is not None and state.cancel.why == "churned_early"
    if lost:
        state.actual_outcome, state.actual_arr = "full_churn", 0
    closed = {"StageName": "Closed Lost", "Renewal_Outcome__c": "full_churn"} if lost else {}
    renewal.crm("cancelled", {**closed, "Description": state.why_cancelled})
    renewal.say("cancelled", f"Cancelled. {state.why_cancelled}", Role.AE, Role.TA)
    if done := renewal.project_done("the renewal is cancelled"):
        renewal.do(*done)
    renewal.enter(Phase.CANCELLED)
    return "cancelled"


async def report(renewal: RenewalProcess) -> None:
    """The account goes on with what came of it; the get-well plan loses this reason."""
    state = renewal.state
    if state.in_lighthouse:
        state.in_lighthouse = False
        await renewal.reason(False, f"the renewal is {state.end}")
    ended = RenewalEnded(
        workflow=workflow.info().workflow_id,
        outcome=state.actual_outcome,
        cancelled=state.cancel.why if state.cancel else "",
        contract_end=state.contract_end,
        arr=state.actual_arr,
    )
    await renewal.effects.signal(ids.account(renewal.customer.domain), "renewal_ended", ended)


def key(renewal: RenewalProcess, name: str, subscription: str, seats: int, until: date) -> ReissueKey:
    """A production key on the subscription that the customer has, never on a new one (handbook 3.1)."""
    terms, customer = renewal.policy.license.production, ids.company(renewal.customer.domain)
    return ReissueKey(
        key=name,
        subscription=subscription,
        account=customer,
        tags=(*terms.tags, f"customer:{customer}"),
        seats=seats + terms.seat_buffer,
        expires_at=licence_keys.through(renewal.policy.license, until),
    )


async def _subscription(renewal: RenewalProcess) -> str:
    """The CRM does not know the subscription: the TA does, and without it there is no key."""
    choice = Choice(name="known", label="This one", fields=(FieldSpec(name="subscription", asks="the subscription's id"),))
    asks = "The renewal is won, but the account has no subscription on record. On which one shall the key be re-issued?"
    spec = renewal.spec(TaskKind.SUBSCRIPTION, "name the subscription", asks, Role.TA, (choice,), renewal.policy.renewal.processing_hours)
    answer = await renewal.ask(spec)
    return str(answer.fields["subscription"]).strip() if answer else ""


def _midnight(day: date) -> datetime:
    """A day as the moment that Vitally wants."""
    return datetime.combine(day, time(), UTC)
