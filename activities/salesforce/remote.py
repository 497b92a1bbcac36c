"""What is there in Salesforce: our leads and opportunities, and the accounts on record, for the reconciliation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from activities.remote_listing import Ask, Scope
from activities.salesforce.client import KEY, Crm, Record
from domain.effects.reconcile import Thing

#: Ids in one query; a query may have 100,000 characters, and an address of it far fewer.
AT_ONCE = 200

_KINDS = (("lead", "Lead", f"Id, {KEY}"), ("opportunity", "Opportunity", f"Id, {KEY}"), ("account", "Account", "Id"))


def remote(crm: Crm, ask: Ask, scope: Scope) -> Iterator[Thing]:
    """Everything with our external id, when the scope is whole; then what is on record and was not among it, by its ids."""
    for kind, table, fields in _KINDS:
        left = scope.refs(kind)
        if scope.whole and KEY in fields:
            query = f"SELECT {fields} FROM {table} WHERE {KEY} != null"  # noqa: S608
            for record in crm.records(query, ask=ask):
                left.discard(str(record["Id"]))
                yield _thing(kind, record)
        for some in _pieces(sorted(left)):
            for record in crm.records(f"SELECT {fields} FROM {table} WHERE Id IN {{ids}}", ask=ask, ids=some):  # noqa: S608
                yield _thing(kind, record)


def _pieces(ids: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while some := list(islice(rest, AT_ONCE)):
        yield some


def _thing(kind: str, record: Record) -> Thing:
    return Thing(kind=kind, ref=str(record["Id"]), mark=str(record.get(KEY) or ""), where=f"{kind} {record['Id']}")
