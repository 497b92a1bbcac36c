"""Tokens for the API: made once, shown once, kept as their SHA-256. One is a machine's, with a column of the rights; or a person's own."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field
from sqlalchemy import Row, insert, select, update

from domain.base import Value
from domain.rights import Group
from store.access_tables import service_tokens as table
from store.ledger import Ledger

PREFIX = "tnr_"
#: How exactly the last use is known: not each request writes.
USED_EVERY = timedelta(minutes=10)


class ServiceToken(Value):
    """A token without its secret. ``role`` is a machine's column of the rights, ``person`` the address of whose own it is; one of the two."""

    name: str = Field(pattern=r"^[A-Za-z0-9][\w.@-]{0,79}$")
    role: Group | None = None
    person: str = ""
    created_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None


class Taken(ValueError):
    """There is a token of that name, or was: a name on the audit stays one token's."""


class ServiceTokens:
    """The tokens in a ledger's database. Methods block; call them off the loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def create(self, name: str, *, role: Group | None = None, person: str = "") -> str:
        """Make a token and return its secret, which is nowhere else. Raises :class:`Taken`, and ``ValueError`` for a name that is none."""
        made = ServiceToken(name=name, role=role, person=person.lower(), created_at=datetime.now(UTC))
        secret = PREFIX + secrets.token_urlsafe(32)
        values = {"name": made.name, "role": role.value if role else "", "person": made.person, "created_at": made.created_at}
        with self._ledger.writing(alone=True) as db:
            if db.execute(select(table.c.name).where(table.c.name == name)).one_or_none() is not None:
                raise Taken(f"there is a token {name!r} already, or was")
            db.execute(insert(table).values(**values, hash=_hash(secret)))
        return secret

    def find(self, secret: str) -> ServiceToken | None:
        """The token with that secret; None when there is none, or it was revoked."""
        with self._ledger.reading() as db:
            row = db.execute(select(table).where(table.c.hash == _hash(secret), table.c.revoked_at.is_(None))).one_or_none()
        if row is None:
            return None
        now = datetime.now(UTC)
        if row.used_at is None or now - row.used_at > USED_EVERY:
            with self._ledger.writing() as db:
                db.execute(update(table).where(table.c.name == row.name).values(used_at=now))
        return _token(row)

    def all(self) -> list[ServiceToken]:
        """Every token, revoked ones too, by name."""
        with self._ledger.reading() as db:
            return [_token(row) for row in db.execute(select(table).order_by(table.c.name))]

    def revoke(self, name: str) -> bool:
        """End a token, at once; False when there is none of that name that works."""
        with self._ledger.writing() as db:
            ended = update(table).where(table.c.name == name, table.c.revoked_at.is_(None)).values(revoked_at=datetime.now(UTC))
            return db.execute(ended).rowcount > 0


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _token(row: Row[Any]) -> ServiceToken:
    return ServiceToken.model_validate({**row._mapping, "role": row.role or None})
