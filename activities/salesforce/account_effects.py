"""Salesforce after the sale: fields of a customer's account, and the opportunity of a renewal (D30).

A renewal's opportunity carries the renewal's subject in ``Tenure_Key__c``, so the other acts of that subject find it there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from activities.errors import Step, refused
from activities.salesforce.client import KEY, STAGE_1, SYSTEM, Crm, Record
from domain.effects.accounts import KeepRenewal, SetAccount
from domain.effects.models import Receipt
from domain.ids import fitted

RENEWAL = "Renewal"
LONGEST_NAME = 120
_FIELD = re.compile(r"[A-Za-z]\w*", re.ASCII)


class CustomerRecords:
    """The steps of the acts on a customer's records; :class:`activities.salesforce.effects.Salesforce` runs them with its own."""

    def __init__(self, crm: Crm) -> None:
        self._crm = crm

    def step(self, act: SetAccount | KeepRenewal, subject: str) -> Step:
        """How the act is done. Each looks first whether the records already show its result, so none needs a probe."""
        match act:
            case SetAccount():
                return Step("account.set", f"set the account's {', '.join(act.fields)}", lambda: self._set_account(act))
            case KeepRenewal():
                summary = f"renewal opportunity {act.name!r}, closing {act.close_on}"
                return Step("renewal.kept", summary, lambda: self._keep_renewal(act, subject))

    def _set_account(self, act: SetAccount) -> Receipt:
        names = ", ".join(dict.fromkeys(("Id", *field_names(act.fields))))
        account = self._crm.first(f"SELECT {names} FROM Account WHERE Id = {{id}}", id=act.account)  # noqa: S608
        if account is None:
            raise refused(SYSTEM, f"there is no account {act.account}; it was deleted or merged, so sync the accounts", kind="NotFound")
        self._crm.settle("Account", account, act.fields)
        return Receipt(ref=account["Id"])

    def _keep_renewal(self, act: KeepRenewal, subject: str) -> Receipt:
        """Take the opportunity that is ours already, else the account's open renewal, else a new one.

        What people wrote into an adopted one stays; only what is empty is filled in.
        """
        wanted = {"Amount": act.amount, "Seats__c": act.seats or None}
        fields = f"Id, Name, StageName, CloseDate, OwnerId, {KEY}, {', '.join(wanted)}"
        query = f"SELECT {fields} FROM Opportunity WHERE {KEY} = {{subject}}"  # noqa: S608
        found = self._crm.first(query, subject=subject) or self._open_renewal(act, subject, fields)
        if found is not None:
            empty = {name: value for name, value in wanted.items() if found[name] is None and value is not None}
            self._crm.settle("Opportunity", found, {KEY: subject, **empty})
            return Receipt(ref=found["Id"], data={"name": found["Name"], "stage": found["StageName"], "adopted": "yes"})
        name = fitted(act.name, LONGEST_NAME)
        made = {
            "Name": name,
            "AccountId": act.account,
            "Type": RENEWAL,
            "StageName": STAGE_1,
            "CloseDate": act.close_on.isoformat(),
            **({"OwnerId": act.owner} if act.owner else {}),
            **{field: value for field, value in wanted.items() if value is not None},
        }
        return Receipt(ref=self._crm.upsert("Opportunity", KEY, subject, made), data={"name": name, "stage": STAGE_1})

    def _open_renewal(self, act: KeepRenewal, subject: str, fields: str) -> Record | None:
        """The account's open renewal whose closing date is nearest; never one that belongs to another process of ours.

        One with the key of an earlier run of the same workflow counts as nobody's: a renewal that is started again goes on with it.
        """
        ours = subject.partition("/")[0]
        query = f"SELECT {fields} FROM Opportunity WHERE AccountId = {{account}} AND Type = {{type}} AND IsClosed = false"  # noqa: S608
        free = [
            record
            for record in self._crm.records(query, account=act.account, type=RENEWAL)
            if not record[KEY] or str(record[KEY]).partition("/")[0] == ours
        ]
        return min(free, key=lambda record: abs(date.fromisoformat(record["CloseDate"]) - act.close_on), default=None)


def field_names(names: Iterable[str]) -> tuple[str, ...]:
    """The names, when each can be one of the CRM's; they become part of a query."""
    found = tuple(names)
    if odd := [name for name in found if not _FIELD.fullmatch(name)]:
        raise refused(SYSTEM, f"no field can be called {', '.join(odd)}; use the CRM's API names")
    return found
