"""The copy of the CRM: our people, the accounts with a domain (A27), and the customers (D8): who has a contract, how large, until when, and
who looks after them.

An account that is a customer's no longer stays in the copy, as churned or merged: its processes must hear of it. One that is not in the
CRM's answer any more counts as churned too, unless so many are missing at once that the answer itself must be wrong.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from activities.errors import refused
from activities.salesforce.client import SYSTEM, Crm, Record
from domain import plausibility
from domain.addresses import BadAddress, read_company
from domain.people import Role
from domain.policy.shared import Facts
from domain.policy.trial import Routing
from domain.upkeep import Absent, AccountSync
from domain.wording import beside
from store.database import put
from store.ledger import Ledger
from store.tables import accounts, customers, roster

#: Our columns, and the CRM's fields that fill them. A text that the CRM has not is empty (:func:`_row`).
PEOPLE, ACCOUNTS, CUSTOMERS = itemgetter("people", "accounts", "customers")(beside(__file__))
#: More than so many, and more than this share of all, do not leave a CRM between two copies: a permission or a filter hides them.
FEW, SHARE = 5, 0.1
#: What kinds of account have a contract, or had one.
TYPES = ("Customer", "Former Customer")
_CUSTOMERS = f"""\
SELECT {", ".join(CUSTOMERS.values())}, Type, Domain__c, Merged_Into__c
FROM Account WHERE Type IN ('Customer', 'Former Customer') AND Domain__c != null"""  # noqa: S608


class Found(NamedTuple):
    """What the CRM shows; rows of our tables, and in words what is wrong."""

    people: list[dict[str, Any]]
    accounts: list[dict[str, Any]]
    unread: list[str]
    customers: list[dict[str, Any]]
    wrong: list[str]


class CustomerCopy(NamedTuple):
    """The customers' part of an account sync: how many customers there are, who is none any more since the last copy, and what is wrong, in words.

    ``odd`` are the facts that cannot be so, in words, by domain and field.
    """

    customers: int
    left: tuple[str, ...]
    customer_errors: tuple[str, ...]
    odd: dict[str, str]


def read(crm: Crm, routing: Routing) -> Found:
    """Everything that is copied. Raises ``NoPeople`` where nobody has a role: then the answer must be wrong."""
    ours = crm.records(f"SELECT {', '.join(PEOPLE.values())} FROM User WHERE Tenure_Role__c IN {{roles}}", roles=list(map(str, Role)))  # noqa: S608
    people = [{name: record[field] for name, field in PEOPLE.items()} for record in ours]
    known, unread = _accounts(crm, routing)
    found = Found(people, known, unread, *_customers(crm, routing))
    if not people:
        raise refused(SYSTEM, "no user has a Tenure_Role__c; set it for those who work on trials", kind="NoPeople")
    return found


def _accounts(crm: Crm, routing: Routing) -> tuple[list[dict[str, Any]], list[str]]:
    """The accounts, and in words those whose domain names no company. Of two of one company, the one that is entitled to more counts."""
    known, unread = dict[str, dict[str, Any]](), list[str]()
    for record in crm.records(f"SELECT {', '.join(ACCOUNTS.values())}, Type, Domain__c FROM Account WHERE Domain__c != null"):  # noqa: S608
        try:
            domain = key_of(record, routing)
        except DomainUnread as error:
            if record["Type"] not in TYPES:  # a customer's is told with the customers
                unread.append(str(error))
            continue
        row = {"domain": domain, **{name: record[field] for name, field in ACCOUNTS.items()}}
        known[domain] = max(known.get(domain, row), row, key=lambda row: (row["named"], row["prequalified"], row["id"]))
    return list(known.values()), unread


def _customers(crm: Crm, routing: Routing) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of all customers and former customers, one for each domain, and what is wrong with them.

    A row whose domain cannot be read has None there: :func:`_replace_customers` knows it by the account's id from before, or leaves it out.
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


def key_of(record: Record, routing: Routing) -> str:
    """The key of an account's company, of what people typed as its domain. Raises :class:`DomainUnread` with the data error in words."""
    typed = str(record["Domain__c"]).strip()
    try:
        return read_company(typed, routing)
    except BadAddress as error:
        raise DomainUnread(f"{record['Name']} has no domain that can be used: {error.detail}; correct it in the CRM") from None


class DomainUnread(ValueError):
    """What stands as an account's domain names no company."""


def replace(ledger: Ledger, found: Found, figures: Facts) -> AccountSync:
    """Put what was found in the place of the copy, all or nothing; the round robin's memory is kept.

    Who was active at the last sync and is not now is ``absent``, once.
    """
    as_of = datetime.now(UTC)
    today = as_of.date()
    people = [{**person, "out_of_office_until": _day(person["out_of_office_until"])} for person in found.people]
    now = {person["id"]: person for person in people}
    with ledger.writing() as db:
        before = {row.id: row for row in db.execute(select(roster))}
        absent = [
            Absent(id=id_, email=row.email, why=why)
            for id_, row in before.items()
            if (why := _why_absent(now.get(id_), today)) and not _why_absent(row._asdict(), today)
        ]
        db.execute(delete(roster))
        last = {id_: row.last_assigned_at for id_, row in before.items()}
        db.execute(insert(roster), [{**person, "last_assigned_at": last.get(person["id"])} for person in people])
        db.execute(delete(accounts))
        if found.accounts:
            db.execute(insert(accounts), [{**row, "as_of": as_of} for row in found.accounts])
        copied = _replace_customers(db, found.customers, as_of, figures, found.wrong)
    unentitled = [row for row in found.accounts if row["named"] and not row["prequalified"]]
    said = [f"{row['name']} ({row['domain']}) is a named account but not prequalified; every named account must be" for row in unentitled]
    return AccountSync(
        as_of=as_of,
        people=len(people),
        accounts=len(found.accounts),
        **copied._asdict(),
        absent=tuple(absent),
        data_errors=(*said, *found.unread),
    )


def _replace_customers(
    db: Connection, rows: Collection[Mapping[str, Any]], as_of: datetime, figures: Facts, wrong: Iterable[str] = ()
) -> CustomerCopy:
    """Bring the copy up to date in the transaction ``db``. Safe to repeat: the same rows change nothing but ``as_of``.

    An account whose domain cannot be read any more keeps the one that it had. ``wrong`` is what :func:`_customers` found. What cannot be so is
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
    row, merged = {name: record[field] for name, field in CUSTOMERS.items()}, record["Merged_Into__c"]
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


def _day(text: Any) -> date | None:
    """A day; None for what is none. That one far ahead is meant, nobody doubts: somebody is away for good."""
    try:
        return date.fromisoformat(str(text)[:10]) if text else None
    except ValueError:
        return None


def _why_absent(person: dict[str, Any] | None, today: date) -> str:
    """Why that person cannot be given work on that day; empty when they can."""
    if person is None or not person["active"]:
        return "left"
    away = person["out_of_office_until"]
    return f"out of office until {away}" if away is not None and away > today else ""
