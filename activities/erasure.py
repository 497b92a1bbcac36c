"""Erasing one person from the ledger's own database: their key, and every text of theirs in its tables. Rows and their keys stay.

What is searched is every text and JSON column of every table, so that a table that is added later is searched, too. An address becomes
the one that stands for an erased person, in every spelling of the mailbox and as a URL has it, a name the word for it, and so what is made
of the address, as a user's name; what only this person can have written is emptied as a whole. A table whose ``info`` says ``append_only`` is left as it is: it names people by references only.
"""

import json
import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy import JSON, Column, ColumnElement, Connection, String, Table, Text, cast, delete, func, or_, select, update

from activities.instance import note_of, usernames
from domain import ids, mailbox
from domain.base import Value
from store.crypto.person_keys import PersonKeys
from store.crypto.tokenize import ERASED_NAME, is_name, own_name, replaced
from store.ledger import Ledger
from store.tables import failed_signups, feedback, instances, metadata, share_links, vault

#: Tables that hold nobody of a customer's: our own staff, and the keys themselves.
_LEFT_ALONE = frozenset({"people", "roster"})


class Forgotten(Value):
    """What an erasure did. ``first``: the person's key was there until now. ``rows``: rows that were overwritten, by table."""

    first: bool
    rows: dict[str, int]

    @property
    def anything(self) -> bool:
        """Whether something was left to erase."""
        return self.first or bool(self.rows)


def forget(ledger: Ledger, everybody: PersonKeys, email: str, *, key: str, contact: bool | None) -> Forgotten:
    """Erase the person of this address.

    ``key`` is the company's (its domain, or the address at a free-mail provider): names are looked for in its rows only. ``contact``
    is whether they are the contact of its trial, whose feedback is theirs; None: not known, and it is taken to be theirs.
    """
    known = everybody.find(email)
    before = () if known is None else known.names
    erased = everybody.erase(email) if known is None or known.key is not None else None
    with ledger.writing(alone=True) as db:
        if db.dialect.name == "sqlite":
            db.exec_driver_sql("PRAGMA secure_delete = ON")  # what is overwritten is zeroed in the file
        names = {*before, *_typed(db, email), *own_name(email), *_made_of(email)}
        rows = {"failed_signups": _forms(db, email), "feedback": _feedback(db, email, key, contact), "vault": _links(db, email)}
        for table in metadata.sorted_tables:
            if table.name not in _LEFT_ALONE and not table.info.get("append_only"):
                rows[table.name] = rows.get(table.name, 0) + _sweep(db, table, email, names, key)
    if ledger.engine.dialect.name == "sqlite":
        with ledger.engine.connect() as db:
            driver = db.connection.driver_connection
            assert driver is not None  # it is open
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    return Forgotten(first=known is not None and erased is not None, rows={name: number for name, number in rows.items() if number})


def _made_of(email: str) -> list[str]:
    """The names of users that are made of an address."""
    first = next(usernames(email))
    return [first, *(f"{first}-{number}" for number in range(2, 10))] if len(first) >= 3 and own_name(email) else []


def _typed(db: Connection, email: str) -> list[str]:
    """The names that they typed into a form that failed."""
    found = db.execute(select(failed_signups.c.data).where(_is(failed_signups.c.email, email))).scalars()
    parts = [[str(data.get(part) or "").strip() for part in ("first_name", "last_name")] for data in found]
    return [name for each in parts for name in (" ".join(each).strip(), *each) if is_name(name)]


def _forms(db: Connection, email: str) -> int:
    """Forms that failed: nothing in them is anybody else's."""
    rows = db.execute(select(failed_signups).where(_is(failed_signups.c.email, email))).all()
    for row in rows:
        new: dict[str, Any] = {"email": ids.erased(email), "problem": ERASED_NAME, "data": dict.fromkeys(row.data, "")}
        new["rescued_at"] = row.rescued_at or datetime.now(UTC)  # nobody is to be called back about it any more
        db.execute(update(failed_signups).where(failed_signups.c.id == row.id).values(new))
    return len(rows)


def _feedback(db: Connection, email: str, key: str, contact: bool | None) -> int:
    """What the contact of the trial answered to the feedback mail: their words, whatever is in them."""
    admin = db.execute(select(instances.c.admin).where(instances.c.domain == key)).scalar()
    if contact is False or (contact is None and admin and admin.lower() not in (email.lower(), ids.erased(email))):
        return 0
    mine = or_(feedback.c.subject == ids.trial(key), feedback.c.subject.startswith(f"{ids.trial(key)}/", autoescape=True))
    rows = [row for row in db.execute(select(feedback).where(mine)) if row.data.get("text") not in ("", None, ERASED_NAME)]
    for row in rows:
        db.execute(update(feedback).where(feedback.c.id == row.id).values(data={**row.data, "text": ERASED_NAME}))
    return len(rows)


def _links(db: Connection, email: str) -> int:
    """Links to set their password: what nobody came for goes, and the links in their mails stop opening."""
    hosts = db.execute(select(instances.c.host).where(_is(instances.c.admin, email))).scalars()
    theirs = or_(vault.c.note.in_([note_of(host) for host in hosts]), _holds(vault.c.note, email))
    db.execute(update(share_links).where(_is(share_links.c.to_email, email)).values(expires_at=datetime.now(UTC)))
    return db.execute(delete(vault).where(vault.c.kind == "reset_link", theirs)).rowcount


def _sweep(db: Connection, table: Table, email: str, names: Collection[str], key: str) -> int:
    """Overwrite address and names wherever they stand in a table; returns the number of rows.

    Names are theirs in rows that hold their address, and in those of their company's processes and their own, whose ids have its hash.
    """
    columns = [column for column in table.columns if isinstance(column.type, String | Text | JSON)]
    texts = {column.name: cast(column, Text) for column in columns}
    hosts = {address.rpartition("@")[2] for address in (email, mailbox.canonical(email))}
    about = [_holds(each, f"{at}{host}") for each in texts.values() for host in hosts for at in ("@", "%40")]
    of = [name for name in ("subject", "workflow") if name in texts]
    processes = {ids.digest(email), ids.digest(key) if "@" in key else key} if of and names else set()
    about += [_holds(texts[name], part) for part in processes for name in of]
    if not about:
        return 0
    address_only, all_of_it = _replacing(email, ()), _replacing(email, names)

    def replacing(row: Any) -> Callable[[str], str]:
        text = json.dumps([row[column.name] for column in columns], ensure_ascii=False)
        theirs = address_only(text) != text or any(part in row[name] for part in processes for name in of)
        return all_of_it if theirs else address_only

    rows = [row._mapping for row in db.execute(select(table).where(or_(*about)))]
    return sum(_overwrite(db, table, columns, row, replacing(row)) for row in rows)


def _overwrite(db: Connection, table: Table, columns: Collection[Column[Any]], row: Any, replace: Callable[[str], str]) -> bool:
    changed = {column.name: new for column in columns if (new := _with(row[column.name], replace, column)) != row[column.name]}
    if changed:
        db.execute(update(table).where(*(column == row[column.name] for column in table.primary_key.columns)).values(**changed))
    return bool(changed)


def _with(value: Any, replace: Callable[[str], str], column: Column[Any]) -> Any:
    """The value with every text in it replaced; a text is read as the JSON that it would be, beside its column's name."""
    if isinstance(value, str):
        text: str = json.loads(replace(json.dumps({column.name: value}, ensure_ascii=False)))[column.name]
        return text[: getattr(column.type, "length", None)]  # what stands for somebody may be longer than they were
    return json.loads(replace(json.dumps(value, ensure_ascii=False))) if isinstance(value, dict | list) else value


def _replacing(email: str, names: Collection[str]) -> Callable[[str], str]:
    stands_for, (local, _, host) = ids.erased(email), email.rpartition("@")
    address = re.compile(rf"(?<![\w.+%-]){re.escape(email)}(?![\w-])", re.IGNORECASE)
    quoted = "|".join(re.escape(each) for each in {local, quote(local, safe=""), quote(local)})
    in_url = re.compile(rf"(?:{quoted})%40{re.escape(host)}(?![\w-])", re.IGNORECASE)

    def mail(found: str, _whole: bool) -> str:
        return stands_for if mailbox.same(found, email) else found

    def replace(given: str) -> str:
        plain = in_url.sub(stands_for.replace("@", "%40"), address.sub(stands_for, given))
        return replaced(plain, names, mail, lambda _found, _whole: ERASED_NAME, any_case=True)

    return replace


def _is(column: Column[str], email: str) -> ColumnElement[bool]:
    return func.lower(column) == email.lower()


def _holds(column: ColumnElement[str], part: str) -> ColumnElement[bool]:
    return column.icontains(part, autoescape=True)
