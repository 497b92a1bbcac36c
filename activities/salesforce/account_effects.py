"""Salesforce after the sale: fields of a customer's account, and the opportunity of a renewal (D30).

A renewal's opportunity carries the renewal's subject in ``Tenure_Key__c``, so the other acts of that subject find it there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from activities.effects.outside_system import carries_out
from activities.errors import refused
from activities.salesforce.client import KEY, STAGE_1, SYSTEM, Crm, Record
from domain.effects.effect import Receipt
from domain.effects.salesforce import KeepRenewal, SetAccount
from domain.ids import fitted
from store.effect_kinds import marked, of, subject_of
from store.ledger import EffectId

CRM_TOLD = "The record is there. People and later effects change its fields, so they are not compared."
RENEWAL = "Renewal"
LONGEST_NAME = 120
_FIELD = re.compile(r"[A-Za-z]\w*", re.ASCII)


class CustomerRecords:
    """The effects on a customer's records, of :class:`activities.salesforce.effects.Salesforce`. Each looks first whether the records show it."""

    _crm: Crm

    @carries_out(
        SetAccount,
        act="account.set",
        asks="Reads the account; writes only what does not show its value.",
        means="The values themselves.",
        window="Somebody changes a field before the next try: ours is written over it.",
        told=CRM_TOLD,
        claims=of("account"),
    )
    def _set_account(self, effect: SetAccount, _effect_id: EffectId) -> Receipt:
        names = ", ".join(dict.fromkeys(("Id", *field_names(effect.fields))))
        account = self._crm.first(f"SELECT {names} FROM Account WHERE Id = {{id}}", id=effect.account)  # noqa: S608
        if account is None:
            raise refused(SYSTEM, f"there is no account {effect.account}; it was deleted or merged, so sync the accounts", kind="NotFound")
        self._crm.settle("Account", account, effect.fields)
        return Receipt(ref=account["Id"])

    @carries_out(
        KeepRenewal,
        act="renewal.kept",
        asks="Asks for the opportunity by `Tenure_Key__c`, then for the account's open renewal.",
        means="Upsert by the external id `Tenure_Key__c`, the subject.",
        window="Somebody deletes the opportunity before the next try: it is made again.",
        told="The opportunity is there with its `Tenure_Key__c`.",
        claims=of("opportunity", subject_of),
        marks=marked("opportunity", subject_of),
        kinds=("opportunity",),
    )
    def _keep_renewal(self, effect: KeepRenewal, effect_id: EffectId) -> Receipt:
        """Take the opportunity that is ours already, else the account's open renewal, else a new one.

        What people wrote into an adopted one stays; only what is empty is filled in.
        """
        subject = effect_id.subject
        wanted = {"Amount": effect.amount, "Seats__c": effect.seats or None}
        fields = f"Id, Name, StageName, CloseDate, OwnerId, {KEY}, {', '.join(wanted)}"
        query = f"SELECT {fields} FROM Opportunity WHERE {KEY} = {{subject}}"  # noqa: S608
        found = self._crm.first(query, subject=subject) or self._open_renewal(effect, subject, fields)
        if found is not None:
            empty = {name: value for name, value in wanted.items() if found[name] is None and value is not None}
            self._crm.settle("Opportunity", found, {KEY: subject, **empty})
            return Receipt(ref=found["Id"], data={"name": found["Name"], "stage": found["StageName"], "adopted": "yes"})
        name = fitted(effect.name, LONGEST_NAME)
        made = {
            "Name": name,
            "AccountId": effect.account,
            "Type": RENEWAL,
            "StageName": STAGE_1,
            "CloseDate": effect.close_on.isoformat(),
            **({"OwnerId": effect.owner} if effect.owner else {}),
            **{field: value for field, value in wanted.items() if value is not None},
        }
        return Receipt(ref=self._crm.upsert("Opportunity", KEY, subject, made), data={"name": name, "stage": STAGE_1})

    def _open_renewal(self, effect: KeepRenewal, subject: str, fields: str) -> Record | None:
        """The account's open renewal whose closing date is nearest; never one that belongs to another process of ours.

        One with the key of an earlier run of the same workflow counts as nobody's: a renewal that is started again goes on with it.
        """
        ours = subject.partition("/")[0]
        query = f"SELECT {fields} FROM Opportunity WHERE AccountId = {{account}} AND Type = {{type}} AND IsClosed = false"  # noqa: S608
        free = [
            record
            for record in self._crm.records(query, account=effect.account, type=RENEWAL)
            if not record[KEY] or str(record[KEY]).partition("/")[0] == ours
        ]
        return min(free, key=lambda record: abs(date.fromisoformat(record["CloseDate"]) - effect.close_on), default=None)


def field_names(names: Iterable[str]) -> tuple[str, ...]:
    """The names, when each can be one of the CRM's; they become part of a query."""
    found = tuple(names)
    if odd := [name for name in found if not _FIELD.fullmatch(name)]:
        raise refused(SYSTEM, f"no field can be called {', '.join(odd)}; use the CRM's API names")
    return found
