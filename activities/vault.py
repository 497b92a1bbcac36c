"""Secrets at rest: reset links and licence keys. History, logs and receipts hold only references to them.

A share link lets its one recipient see a value in the browser at ``{web_url}/s/{token}`` until it expires. Expiry is by the real clock,
since a person clicks in real time, whatever time a workflow believes it is.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import delete, insert, or_, select, update

from activities.ledger import Ledger
from activities.tables import share_links, vault
from domain.base import Value

Kind = Literal["reset_link", "license_key"]


class VaultError(Exception):
    """A value cannot be had: :class:`Unknown`, :class:`Expired` or :class:`Unreadable`."""


class Unknown(VaultError):
    """There is no such reference or share link."""


class Expired(VaultError):
    """It was there, and its time is over."""


class Unreadable(VaultError):
    """It was encrypted with another key than ours."""


class Share(Value):
    """What a share link opens: the secret value, for whom, until when, and when it was opened first."""

    value: str
    kind: str
    to_email: str
    expires_at: datetime
    opened_at: datetime


class Vault:
    """The vault in the ledger's database; ``key`` is the Fernet key (``Settings.key()``)."""

    def __init__(self, ledger: Ledger, key: str) -> None:
        self._ledger = ledger
        self._fernet = Fernet(key)

    def put(self, kind: Kind, value: str, expires_at: datetime | None, note: str) -> str:
        """Keep a value until ``expires_at`` (None: until it is purged by hand) and return its reference. ``note`` says what it is, in words."""
        ref = f"{kind}-{secrets.token_hex(8)}"
        row = {"ref": ref, "kind": kind, "value": self._fernet.encrypt(value.encode()), "note": note}
        with self._ledger.writing() as db:
            db.execute(insert(vault).values(**row, created_at=_now(), expires_at=expires_at))
        return ref

    def get(self, ref: str) -> str:
        """The value. Raises :class:`Unknown`, :class:`Expired`, or :class:`Unreadable` when the key was changed."""
        with self._ledger.reading() as db:
            row = db.execute(select(vault).where(vault.c.ref == ref)).one_or_none()
        if row is None:
            raise Unknown(f"the vault has no {ref!r}")
        if row.expires_at is not None and row.expires_at <= _now():
            raise Expired(f"{ref!r} expired at {row.expires_at:%Y-%m-%d %H:%M} UTC")
        try:
            return self._fernet.decrypt(row.value).decode()
        except InvalidToken:
            raise Unreadable(f"{ref!r} was encrypted with another key; set TENURE_SECRET_KEY to the one of that time") from None

    def share(self, ref: str, to_email: str, ttl_hours: int) -> str:
        """Make a share link to a value and return its token. The token is kept nowhere in this table; only its hash is."""
        token = secrets.token_urlsafe(24)
        now = _now()
        row = {"token_hash": _hash(token), "ref": ref, "to_email": to_email, "created_at": now}
        with self._ledger.writing() as db:
            if db.execute(select(vault.c.ref).where(vault.c.ref == ref)).one_or_none() is None:
                raise Unknown(f"the vault has no {ref!r} to share")
            db.execute(insert(share_links).values(**row, expires_at=now + timedelta(hours=ttl_hours)))
        return token

    def open_share(self, token: str) -> Share:
        """Open a share link, as often as its recipient likes until it expires. Raises :class:`Unknown` or :class:`Expired`."""
        now = _now()
        with self._ledger.writing() as db:
            link = db.execute(select(share_links).where(share_links.c.token_hash == _hash(token))).one_or_none()
            if link is None:
                raise Unknown("there is no such link")
            if link.expires_at <= now:
                raise Expired(f"the link expired at {link.expires_at:%Y-%m-%d %H:%M} UTC")
            if link.opened_at is None:
                db.execute(update(share_links).where(share_links.c.token_hash == link.token_hash).values(opened_at=now))
            kind = db.execute(select(vault.c.kind).where(vault.c.ref == link.ref)).scalar() or ""
        return Share(
            value=self.get(link.ref), kind=kind, to_email=link.to_email, expires_at=link.expires_at, opened_at=link.opened_at or now
        )

    def purge(self) -> int:
        """Delete what has expired, and the links to it; returns how many values went."""
        now = _now()
        with self._ledger.writing() as db:
            db.execute(
                delete(share_links).where(
                    or_(share_links.c.expires_at <= now, share_links.c.ref.in_(select(vault.c.ref).where(vault.c.expires_at <= now)))
                )
            )
            return db.execute(delete(vault).where(vault.c.expires_at <= now)).rowcount


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _now() -> datetime:
    return datetime.now(UTC)
