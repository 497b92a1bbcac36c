"""D30: the AE processes the renewal: renewed with a key on the existing subscription, lost, or extended by the deal desk.

Silence never ends it: it stays open, with its reminders, beyond the end of the term.
"""

from datetime import UTC, date, datetime, time

from temporalio import workflow

from domain import ids, licence_keys
from domain.account.account import RenewalEnded
from domain.amounts import dollars
from domain.calendar import months_after
from domain.effects.licensing import ReissueKey
from domain.effects.salesforce import SetAccount
from domain.effects.vitally import SetTraits
from domain.forecast.rollup import words
from domain.people import Role
from domain.renewal import decisions
from domain.renewal.state import End, Phase, falls_due
from domain.task import Answer, Task, TaskKind, TaskSpec
from workflows.renewal.process import RenewalProcess

#: The trait that Vitally knows a lost customer by.
CHURNED_TRAIT = "churnedAt"


async def process(renewal: RenewalProcess) -> End | None:
    """Until it is renewed or lost; None when its date moved away meanwhile."""
    state = renewal.state
    renewal.enter(Phase.PROCESSING)
    renewal.over_with("processing")
    await renewal.look()
    while True:
        [task] = renewal.open(_spec(renewal))
        answer = await _answer(renewal, task, state.renewal_on)
        if answer is None:
            renewal.tasks.withdraw(TaskKind.PROCESS, f"the renewal has moved to {state.renewal_on}")
            if workflow.now() < falls_due(renewal.policy, state, "processing").at:
                return None
        elif answer.choice == "renewed":
            return await _renewed(renewal, answer)
        elif answer.choice == "churned":
            return _churned(renewal, answer)


def take(renewal: RenewalProcess, answer: Answer) -> None:
    """The task was answered: from this moment on nothing else may change the renewal, or its term is longer by an extension."""
    if answer.choice == "extend":
        _extend(renewal, int(str(answer.fields["days"])), str(answer.fields["approved_by"]), answer.by)
    else:
        renewal.enter(Phase.CLOSING)
        renewal.nothing_more(f"the renewal is {answer.choice}")


async def _answer(renewal: RenewalProcess, task: Task, on: date) -> Answer | None:
    """The AE's answer, whenever it comes; None when the date moved. At the end of the term their manager hears that it is late."""
    state = renewal.state
    while not await renewal.wait_for(lambda: not task.is_open or state.renewal_on != on, until="term_end", summary="the end of the term"):
        renewal.over_with("term_end")
        late = f"The term of {renewal.customer.name} ends today, and the renewal is not processed."
        renewal.say("term_end", late, Role.AE, Role.AE_MANAGER)
    return task.answer


def _extend(renewal: RenewalProcess, days: int, approved_by: str, by: str) -> None:
    """The customer goes on under a key for those days; the term's end, from which the next one counts, stays."""
    state = renewal.state
    decision = renewal.record(decisions.extended(renewal.policy, state, days, approved_by, by, workflow.now()))
    state.extension_days += days
    state.done = [key for key in state.done if key != "term_end"]
    renewal.crm("extended", {"CloseDate": state.due_on.isoformat()})
    renewal.say("extended", f"Extended: {decision.rule}", Role.AE)
    if renewal.customer.subscription:
        renewal.do(_key(renewal, state.next("key.extended"), renewal.customer.subscription, renewal.customer.seats, state.due_on))
    else:
        by_hand = f"{renewal.customer.name} has no subscription on record: issue the key until {state.due_on} by hand."
        renewal.say("no_key", by_hand, Role.TA)


def _spec(renewal: RenewalProcess) -> TaskSpec:
    said = f" You projected {words(renewal.state.projection.outcome)}." if renewal.state.projection else ""
    return renewal.spec(TaskKind.PROCESS, said=said)


# --- how it ends ---------------------------------------------------------------------------------------------------------------------


async def _renewed(renewal: RenewalProcess, answer: Answer) -> End:
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
    if not (subscription := renewal.customer.subscription):  # the TA knows it, and without it there is no key
        known = await renewal.ask(renewal.spec(TaskKind.SUBSCRIPTION))
        subscription = str(known.fields["subscription"]).strip() if known else ""
    renewal.do(_key(renewal, "key.renewed", subscription, seats, end))
    await renewal.wait(lambda: not renewal.busy, summary="what is under way")
    renewal.enter(Phase.RENEWED)
    return "renewed"


def _churned(renewal: RenewalProcess, answer: Answer) -> End:
    """Closed lost; the churn is on record, and finance hears of it."""
    state, reason = renewal.state, str(answer.fields["reason"]).strip()
    note = answer.model_copy(update={"note": reason})
    renewal.record(decisions.came(renewal.policy, renewal.customer.arr, 0, note, workflow.now()))
    state.actual_outcome, state.actual_arr = "full_churn", 0
    renewal.crm("closed", {"StageName": "Closed Lost", "Renewal_Outcome__c": "full_churn", "Description": f"Churned: {reason}"})
    renewal.do(
        SetTraits(
            key="trait.churned",
            account=renewal.customer.domain,
            traits={CHURNED_TRAIT: datetime.combine(state.due_on, time(), UTC).isoformat()},
        )
    )
    lost = f"${renewal.customer.arr:,} a year from {state.due_on} on"
    renewal.say("churned", f"Lost: {reason}. Finance: {renewal.customer.name} churns with {lost}.", Role.AE, Role.TA, Role.AE_MANAGER)
    renewal.enter(Phase.CHURNED)
    return "churned"


async def report(renewal: RenewalProcess) -> None:
    """The account goes on with what came of it; the get-well plan loses this reason."""
    state = renewal.state
    if state.in_lighthouse:
        state.in_lighthouse = False
        await renewal.is_reason(False, f"the renewal is {state.end}")
    ended = RenewalEnded(
        workflow=workflow.info().workflow_id,
        outcome=state.actual_outcome,
        cancelled=state.cancel.why if state.cancel else "",
        contract_end=state.contract_end,
        arr=state.actual_arr,
    )
    await renewal.effects.signal(ids.account(renewal.customer.domain), "renewal_ended", ended)


def _key(renewal: RenewalProcess, name: str, subscription: str, seats: int, until: date) -> ReissueKey:
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
