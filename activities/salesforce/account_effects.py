"""Salesforce after the sale: fields of a customer's account, and the opportunity of a renewal (D30).

A renewal's opportunity carries the renewal's subject in ``Tenure_Key__c``, so the other acts of that subject find it there.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from activities.effects.outside_system import carries_out
from activities.errors import refused
from activities.salesforce.client import KEY, STAGE_1, SYSTEM, Crm, Record
from domain.effects.effect import Receipt
from domain.effects.salesforce import KeepRenewal, SetAccount
from domain.ids import fitted
from store.effect_kinds import of, subject_of
from store.ledger import EffectId

RENEWAL = "Renewal"
LONGEST_NAME = 120
_FIELD = re.compile(r"[A-Za-z]\w*", re.ASCII)


class CustomerRecords:
    """The effects on a customer's records, of :class:`activities.salesforce.effects.Salesforce`. Each looks first whether the records show it."""

    _client: Crm

    @carries_out(SetAccount, act="account.set", claims=of("account"))
    def _set_account(self, effect: SetAccount, _effect_id: EffectId) -> Receipt:
        missing = f"there is no account {effect.account}; it was deleted or merged, so sync the accounts"
        return self._set("Account", effect.fields, missing, Id=effect.account)

    def _set(self, kind: str, fields: Mapping[str, Any], missing: str, **which: str) -> Receipt:
        """Set what the record does not show. The names become part of a query, so each must be one of the CRM's."""
        if odd := [name for name in fields if not _FIELD.fullmatch(name)]:
            raise refused(SYSTEM, f"no field can be called {', '.join(odd)}; use the CRM's API names")
        if (record := self._client.find(kind, *fields, **which)) is None:
            raise refused(SYSTEM, missing, kind="NotFound")
        self._client.settle(kind, record, fields)
        return Receipt(ref=record["Id"])

    @carries_out(KeepRenewal, act="renewal.kept", makes="opportunity", mark=subject_of)
    def _keep_renewal(self, effect: KeepRenewal, effect_id: EffectId) -> Receipt:
        """Take the opportunity that is ours already, else the account's open renewal, else a new one.

        What people wrote into an adopted one stays; only what is empty is filled in.
        """
        subject = effect_id.subject
        wanted = {"Amount": effect.amount, "Seats__c": effect.seats or None}
        fields = ("Name", "StageName", "CloseDate", "OwnerId", KEY, *wanted)
        found = self._client.find("Opportunity", *fields, **{KEY: subject}) or self._open_renewal(effect, subject, fields)
        given = {name: value for name, value in wanted.items() if value is not None}
        if found is not None:
            empty = {name: value for name, value in given.items() if found[name] is None}
            self._client.settle("Opportunity", found, {KEY: subject, **empty})
            return Receipt(ref=found["Id"], data={"name": found["Name"], "stage": found["StageName"], "adopted": "yes"})
        name = fitted(effect.name, LONGEST_NAME)
        made = {
            "Name": name,
            "AccountId": effect.account,
            "Type": RENEWAL,
            "StageName": STAGE_1,
            "CloseDate": effect.close_on.isoformat(),
            **({"OwnerId": effect.owner} if effect.owner else {}),
            **given,
        }
        return Receipt(ref=self._client.upsert("Opportunity", KEY, subject, made), data={"name": name, "stage": STAGE_1})

    def _open_renewal(self, effect: KeepRenewal, subject: str, fields: tuple[str, ...]) -> Record | None:
        """The account's open renewal whose closing date is nearest; never one that belongs to another process of ours.

        One with the key of an earlier run of the same workflow counts as nobody's: a renewal that is started again goes on with it.
        """
        ours = subject.partition("/")[0]
        open_ones = self._client.all("Opportunity", *fields, AccountId=effect.account, Type=RENEWAL, IsClosed=False)
        free = [record for record in open_ones if not record[KEY] or str(record[KEY]).partition("/")[0] == ours]
        return min(free, key=lambda record: abs(date.fromisoformat(record["CloseDate"]) - effect.close_on), default=None)
