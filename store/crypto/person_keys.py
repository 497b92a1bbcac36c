"""The keys of people outside our own staff, one each, in the ledger's table ``people``: whoever's key is gone cannot be read any more.

A person's key is made when something about them is encrypted for the first time; it is kept wrapped by the ring. :meth:`PersonKeys.erase`
deletes it, with the names that were learnt of them. Until they come to us again by themselves (:meth:`PersonKeys.admit`), whatever a running
workflow still remembers of them is written as erased.

A process keeps keys for :data:`FRESH` seconds, so that it asks the database seldom and still sees an erasure soon. Methods of this class
block, but for those named ``cached``.
"""

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Row, select, update

from domain import ids, mailbox
from store.crypto import tokenize
from store.crypto.key_ring import Key, KeyRing
from store.database import upserting
from store.ledger import Ledger
from store.tables import people

#: Seconds for which a process trusts a key that it has read: the longest time until it sees that a person was erased.
FRESH = 30.0
#: People that one process keeps in memory.
MOST_CACHED = 20_000


@dataclass(frozen=True)
class Someone:
    """A person as the codec needs them. ``key`` is None for one who was erased; ``names`` may still be known to this process then."""

    ref: str
    who: str
    key: Key | None
    names: tuple[str, ...]
    until: float


class PersonKeys:
    """The table of people, and what one process remembers of it. ``secret`` gives what keys the hash that stands for an address."""

    def __init__(self, ledger: Ledger, ring: KeyRing, secret: Callable[[], str], fresh: float = FRESH) -> None:
        self._ledger = ledger
        self._ring = ring
        self._given = secret
        self._fresh = fresh
        self._lock = threading.Lock()
        self._cache: OrderedDict[str, Someone] = OrderedDict()  #: Everybody twice: by who they are, and by reference.

    @cached_property
    def _secret(self) -> bytes:
        return hmac.digest(self._given().encode(), b"tenure people", hashlib.sha256)

    def who(self, email: str) -> str:
        """The keyed hash that stands for a person, in any spelling of their mailbox: whoever erases one has erased all."""
        return hmac.digest(self._secret, mailbox.canonical(email).encode(), hashlib.sha256).hex()[:40]

    # --- For the codec ------------------------------------------------------------------------------------------------------

    def cached(self, emails: Iterable[str]) -> dict[str, Someone] | None:
        """These people by address in lower case, from memory; None when one of them must be looked up."""
        return self._cached({email: self.who(email) for email in {email.lower() for email in emails}})

    def load(self, emails: Iterable[str], called: Mapping[str, Iterable[str]] | None = None) -> dict[str, Someone]:
        """These people by address in lower case; who is not known yet gets a key, in one write with what they are ``called``."""
        wanted = {email: self.who(email) for email in {email.lower() for email in emails}}
        found = {who: self._remembered(row) for who, row in self._newest(wanted.values()).items()}
        names = {who: tuple((called or {}).get(email, ())) for email, who in wanted.items() if who not in found}
        found |= self._add(names, generation=1)
        return {email: found[who] for email, who in wanted.items()}

    def cached_refs(self, refs: Collection[str]) -> dict[str, Someone] | None:
        """People by the reference that a payload carries, from memory; None when one of them must be looked up."""
        return self._cached({ref: ref for ref in refs})

    def load_refs(self, refs: Collection[str]) -> dict[str, Someone]:
        """People by reference; one that the ledger does not know is left out."""
        rows = self._ledger.rows(select(people).where(people.c.ref.in_(set(refs))))
        return {row.ref: self._remembered(row) for row in rows}

    def learn(self, learnt: Mapping[str, Iterable[str]]) -> dict[str, Someone]:
        """Keep what people are called, by address in lower case; returns those whose names changed."""
        changed = {}
        for email, names in learnt.items():
            with self._ledger.writing() as db:
                query = select(people).where(people.c.who == self.who(email)).order_by(people.c.generation.desc()).limit(1)
                row = db.execute(query.with_for_update()).one_or_none()
                if row is None or row.erased_at is not None:
                    continue
                person = self._read(row)
                person = replace(person, names=tokenize.merged(person.names, names))
                db.execute(update(people).where(people.c.ref == row.ref).values(names=_sealed(person)))
            changed[email] = self._keep(person)
        return changed

    # --- For those who erase ------------------------------------------------------------------------------------------------

    def find(self, email: str) -> Someone | None:
        """A person as the ledger has them now; None when nothing was ever encrypted for them. None gets a key by this."""
        row = self._newest([self.who(email)]).get(self.who(email))
        return None if row is None else self._read(row)

    def erase(self, email: str) -> tuple[str, ...] | None:
        """Delete a person's keys and names for good; returns the names, or None when they were erased before.

        A person of whom nothing was ever encrypted is on record as erased afterwards, so that no mail goes to them.
        """
        self.load([email])
        with self._ledger.writing() as db:
            query = select(people).where(people.c.who == self.who(email), people.c.erased_at.is_(None))
            rows = db.execute(query.with_for_update()).all()
            names = tuple(dict.fromkeys(name for row in rows for name in self._read(row).names))
            gone = {"wrapped": None, "ring_key": None, "names": None, "erased_at": datetime.now(UTC)}
            db.execute(update(people).where(people.c.ref.in_([row.ref for row in rows])).values(**gone))
        with self._lock:
            for name in (self.who(email), *(row.ref for row in rows)):
                self._cache.pop(name, None)
        return names if rows else None

    def admit(self, email: str) -> None:
        """A person comes to us by themselves, perhaps again: from now on they have a key. What was erased stays erased."""
        row = self._newest([self.who(email)]).get(self.who(email))
        if row is not None and row.erased_at is not None:
            self._add({row.who: ()}, generation=row.generation + 1)

    def erased(self, email: str) -> bool:
        """Whether a person was erased and has not come back, as the ledger says now; an address that stands for an erased one always is."""
        if ids.is_erased(email):
            return True
        person = self.find(email)
        return person is not None and person.key is None

    def rewrap(self) -> int:
        """Wrap every key with the newest of the ring; returns how many were wrapped by an older one."""
        newest = self._ring.newest
        with self._ledger.writing() as db:
            rows = db.execute(select(people).where(people.c.wrapped.is_not(None), people.c.ring_key != newest.id)).all()
            for row in rows:
                values = {"wrapped": newest.seal(self._key(row).secret, row.ref), "ring_key": newest.id}
                db.execute(update(people).where(people.c.ref == row.ref).values(**values))
        return len(rows)

    # --- How ----------------------------------------------------------------------------------------------------------------

    def _newest(self, whos: Iterable[str]) -> dict[str, Row[Any]]:
        query = select(people).where(people.c.who.in_(set(whos))).order_by(people.c.generation)
        return {row.who: row for row in self._ledger.rows(query)}

    def _add(self, called: Mapping[str, tuple[str, ...]], generation: int) -> dict[str, Someone]:
        """Give people a key, and keep what they are called with it. Another process may be quicker: then it is that one's key."""
        if not called:
            return {}
        newest, rows, made = self._ring.newest, [], dict[str, Someone]()
        for who, names in sorted(called.items()):
            ref, secret = secrets.token_hex(8), secrets.token_bytes(32)
            person = self._someone(ref, who, Key(f"person {ref}", secret), tokenize.merged((), names))
            key = {"wrapped": newest.seal(secret, ref), "ring_key": newest.id}
            rows.append({"ref": ref, "who": who, "generation": generation, "made_at": datetime.now(UTC), "names": _sealed(person), **key})
            made[who] = person
        with self._ledger.stating() as db:
            put = upserting(db, people).values(rows).on_conflict_do_nothing(index_elements=["who", "generation"])
            mine = set(db.execute(put.returning(people.c.who)).scalars())
        theirs = self._newest(called.keys() - mine) if len(mine) < len(made) else {}
        return {who: self._keep(made[who]) for who in mine} | {who: self._remembered(row) for who, row in theirs.items()}

    def _key(self, row: Row[Any]) -> Key:
        return Key(f"person {row.ref}", self._ring.find(row.ring_key).open(row.wrapped, row.ref))

    def _read(self, row: Row[Any]) -> Someone:
        if row.erased_at is not None or row.wrapped is None:
            before = self._cache.get(row.who)
            return self._someone(row.ref, row.who, None, before.names if before else ())
        key = self._key(row)
        names = tuple(json.loads(key.open(row.names, f"names {row.ref}"))) if row.names else ()
        return self._someone(row.ref, row.who, key, names)

    def _someone(self, ref: str, who: str, key: Key | None, names: tuple[str, ...]) -> Someone:
        return Someone(ref, who, key, names, time.monotonic() + self._fresh)

    def _remembered(self, row: Row[Any]) -> Someone:
        return self._keep(self._read(row))

    def _keep(self, person: Someone) -> Someone:
        with self._lock:
            for name in (person.who, person.ref):
                self._cache[name] = person
                self._cache.move_to_end(name)
            while len(self._cache) > 2 * MOST_CACHED:
                self._cache.popitem(last=False)
        return person

    def _cached(self, names: Mapping[str, str]) -> dict[str, Someone] | None:
        now = time.monotonic()
        known = {asked: person for asked, name in names.items() if (person := self._cache.get(name)) is not None and person.until > now}
        return known if len(known) == len(names) else None


def _sealed(person: Someone) -> bytes | None:
    assert person.key is not None
    return person.key.seal(json.dumps(person.names).encode(), f"names {person.ref}") if person.names else None
