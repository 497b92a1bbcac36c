"""The copy of the CRM: our people, the accounts with a domain (A27), and by :mod:`activities.salesforce.customers` who is a customer (D8)."""

from datetime import UTC, date, datetime
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, select

from activities.errors import refused
from activities.salesforce import customers
from activities.salesforce.client import SYSTEM, Crm
from activities.salesforce.customers import DomainUnread
from domain.people import Role
from domain.policy.shared import Facts
from domain.policy.trial import Routing
from domain.upkeep import Absent, AccountSync
from domain.wording import beside
from store.ledger import Ledger
from store.tables import accounts, roster

#: Our columns, and the CRM's fields that fill them.
PEOPLE, ACCOUNTS = itemgetter("people", "accounts")(beside(__file__))


class Found(NamedTuple):
    """What the CRM shows; rows of our tables, and in words what is wrong."""

    people: list[dict[str, Any]]
    accounts: list[dict[str, Any]]
    unread: list[str]
    customers: list[dict[str, Any]]
    wrong: list[str]


def read(crm: Crm, routing: Routing) -> Found:
    """Everything that is copied. Raises ``NoPeople`` where nobody has a role: then the answer must be wrong."""
    ours = crm.records(f"SELECT {', '.join(PEOPLE.values())} FROM User WHERE Tenure_Role__c IN {{roles}}", roles=list(map(str, Role)))  # noqa: S608
    people = [{name: record[field] for name, field in PEOPLE.items()} for record in ours]
    known, unread = _accounts(crm, routing)
    found = Found(people, known, unread, *customers.read(crm, routing))
    if not people:
        raise refused(SYSTEM, "no user has a Tenure_Role__c; set it for those who work on trials", kind="NoPeople")
    return found


def _accounts(crm: Crm, routing: Routing) -> tuple[list[dict[str, Any]], list[str]]:
    """The accounts, and in words those whose domain names no company. Of two of one company, the one that is entitled to more counts."""
    known, unread = dict[str, dict[str, Any]](), list[str]()
    for record in crm.records(f"SELECT {', '.join(ACCOUNTS.values())}, Type, Domain__c FROM Account WHERE Domain__c != null"):  # noqa: S608
        try:
            domain = customers.key_of(record, routing)
        except DomainUnread as error:
            if record["Type"] not in customers.TYPES:  # a customer's is told with the customers
                unread.append(str(error))
            continue
        row = {"domain": domain, **{name: record[field] for name, field in ACCOUNTS.items()}}
        known[domain] = max(known.get(domain, row), row, key=lambda row: (row["named"], row["prequalified"], row["id"]))
    return list(known.values()), unread


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
        copied = customers.replace(db, found.customers, as_of, figures, found.wrong)
    unentitled = [row for row in found.accounts if row["named"] and not row["prequalified"]]
    said = [f"{row['name']} ({row['domain']}) is a named account but not prequalified; every named account must be" for row in unentitled]
    return AccountSync(
        as_of=as_of,
        people=len(people),
        accounts=len(found.accounts),
        customers=copied.customers,
        left=copied.left,
        customer_errors=copied.errors,
        odd=copied.odd,
        absent=tuple(absent),
        data_errors=(*said, *found.unread),
    )


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
