"""The copy of the CRM's customers (D8): who has a contract, how large, until when, and who looks after them.

An account that is a customer's no longer stays in the copy, as churned or merged: its processes must hear of it. One that is not in the
CRM's answer any more counts as churned too, unless so many are missing at once that the answer itself must be wrong.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, update

from activities.salesforce.client import Crm, Record
from domain import plausibility
from domain.addresses import BadAddress, read_company
from domain.policy.shared import Facts
from domain.policy.trial import Routing
from domain.wording import beside
from store.database import put
from store.tables import customers

#: More than so many, and more than this share of all, do not leave a CRM between two copies: a permission or a filter hides them.
FEW, SHARE = 5, 0.1

#: What kinds of account have a contract, or had one.
TYPES = ("Customer", "Former Customer")
#: Our columns, and the CRM's fields that fill them.
FIELDS = beside(__file__)
_CUSTOMERS = f"""\
SELECT {", ".join(FIELDS.values())}, Type, Domain__c, Merged_Into__c
FROM Account WHERE Type IN ('Customer', 'Former Customer') AND Domain__c != null"""  # noqa: S608


class CustomerCopy(NamedTuple):
    """What a copy found: how many customers there are, who is none any more since the last copy, and what is wrong, in words.

    ``odd`` are the facts that cannot be so, in words, by domain and field.
    """

    customers: int
    left: tuple[str, ...]
    errors: tuple[str, ...]
    odd: dict[str, str]


def key_of(record: Record, routing: Routing) -> str:
    """The key of an account's company, of what people typed as its domain. Raises :class:`DomainUnread` with the data error in words."""
    typed = str(record["Domain__c"]).strip()
    try:
        return read_company(typed, routing)
    except BadAddress as error:
        raise DomainUnread(f"{record['Name']} has no domain that can be used: {error.detail}; correct it in the CRM") from None


class DomainUnread(ValueError):
    """What stands as an account's domain names no company."""


def read(crm: Crm, routing: Routing) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of all customers and former customers, one for each domain, and what is wrong with them.

    A row whose domain cannot be read has None there: :func:`replace` knows it by the account's id from before, or leaves it out.
    """
    records, errors = list(crm.records(_CUSTOMERS)), list[str]()
    domains: dict[str, str | None] = {}
    for record in records:
        try:
            domains[record["Id"]] = key_of(record, routing)
        except DomainUnread as error:
            domains[record["Id"]] = None
            errors.append(str(error))
    rows: dict[str, dict[str, Any]] = {}
    for record in records:
        row = _row(record, domains)
        name = row["domain"] or record["Id"]
        known = rows.get(name)
        # Two records of one company: the one that is a customer's counts, else the one whose contract runs longer.
        if known is None or _rank(row) > _rank(known):
            rows[name] = row
    return list(rows.values()), errors


def replace(
    db: Connection, rows: Collection[Mapping[str, Any]], as_of: datetime, figures: Facts, wrong: Iterable[str] = ()
) -> CustomerCopy:
    """Bring the copy up to date in the transaction ``db``. Safe to repeat: the same rows change nothing but ``as_of``.

    An account whose domain cannot be read any more keeps the one that it had. ``wrong`` is what :func:`read` found. What cannot be so is
    an error in words, and does not come into the copy: there the value of before stays (F15).
    """
    before = {row.domain: row for row in db.execute(select(customers))}
    by_id = {row.id: row.domain for row in before.values()}
    read_now = {str(row["domain"]): row for row in rows if row["domain"]}
    kept = {by_id[row["id"]]: row for row in rows if not row["domain"] and row["id"] in by_id}
    new: dict[str, dict[str, Any]] = {}
    odd = dict[str, str]()
    for domain, row in {**kept, **read_now}.items():
        known = before.get(domain)
        held = plausibility.read(figures, row, dict(known._mapping) if known is not None else None, as_of.date())
        new[domain] = {**row, **held, "domain": domain, "as_of": as_of}
        if row["status"] == "customer":
            for field, why in held["data_errors"].items():
                odd[f"{domain}/{field}"] = plausibility.in_words(row["name"], domain, field, why, held[field])
    ours = [domain for domain, row in before.items() if row.status == "customer"]
    missing = [domain for domain in ours if domain not in new]
    errors = list(wrong)
    if len(missing) > max(FEW, SHARE * len(ours)):
        errors.append(
            f"{len(missing)} of {len(ours)} customers are missing in the CRM's answer: they stay customers; see what hides them, or delete fewer"
        )
        missing = []
    if new:
        put(db, customers, *new.values())
    if missing:
        db.execute(update(customers).where(customers.c.domain.in_(missing)).values(status="churned", as_of=as_of))
    left = [f"{before[domain].name} ({domain}) {_why(new.get(domain))}" for domain in ours if domain in missing or _gone(new.get(domain))]
    return CustomerCopy(sum(row["status"] == "customer" for row in new.values()), tuple(left), tuple(errors), odd)


def _row(record: Record, domains: Mapping[str, str | None]) -> dict[str, Any]:
    row, merged = {name: record[field] for name, field in FIELDS.items()}, record["Merged_Into__c"]
    return {
        **row,
        **{name: row[name] or "" for name in ("segment", "subscription", "health")},
        "domain": domains[record["Id"]],
        "status": "merged" if merged else "customer" if record["Type"] == "Customer" else "churned",
        "merged_into": (domains.get(merged) or merged) if merged else "",
    }


def _rank(row: Mapping[str, Any]) -> tuple[bool, str, str]:
    return row["status"] == "customer", str(row["contract_end"] or ""), row["id"]


def _gone(row: Mapping[str, Any] | None) -> bool:
    return row is not None and row["status"] != "customer"


def _why(row: Mapping[str, Any] | None) -> str:
    """Why an account is a customer's no longer."""
    if row is None:
        return "is no customer in the CRM any more, nor a former one: it counts as churned"
    return f"was merged into {row['merged_into']}" if row["status"] == "merged" else "has churned"
