"""Who and what is let in: tokens for the API, links in mails, sessions that were signed out, webhook deliveries that were heard.

Secrets are kept as SHA-256. Methods block; call them off the loop.
"""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated

from itsdangerous import BadData, URLSafeSerializer
from pydantic import BeforeValidator, Field
from sqlalchemy import delete, insert, select, update

from domain.base import Value
from domain.rights import Group
from store.database import add, as_model
from store.ledger import LedgerTables
from store.tables import deliveries, ended_sessions, service_tokens

PREFIX = "tnr_"
#: How exactly the last use is known: not each request writes.
USED_EVERY = timedelta(minutes=10)
#: GitHub lets a delivery be sent again for three days; longer than that nobody asks.
KEPT = timedelta(days=30)


class ServiceToken(Value):
    """A token without its secret. ``role`` is a machine's column of the rights, ``person`` the address of whose own it is; one of the two."""

    name: str = Field(pattern=r"^[A-Za-z0-9][\w.@-]{0,79}$")
    role: Annotated[Group | None, BeforeValidator(lambda value: value or None)] = None
    person: str = ""
    created_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None


class Taken(ValueError):
    """There is a token of that name, or was: a name on the audit stays one token's."""


class ServiceTokens(LedgerTables):
    """Tokens for the API: made once, shown once. One is a machine's, with a column of the rights; or a person's own."""

    def create(self, name: str, *, role: Group | None = None, person: str = "") -> str:
        """Make a token and return its secret, which is nowhere else. Raises :class:`Taken`, and ``ValueError`` for a name that is none."""
        made = ServiceToken(name=name, role=role, person=person.lower(), created_at=datetime.now(UTC))
        secret = PREFIX + secrets.token_urlsafe(32)
        values = {"name": made.name, "role": role.value if role else "", "person": made.person, "created_at": made.created_at}
        with self._ledger.writing(alone=True) as db:
            if db.execute(select(service_tokens.c.name).where(service_tokens.c.name == name)).one_or_none() is not None:
                raise Taken(f"there is a token {name!r} already, or was")
            db.execute(insert(service_tokens).values(**values, hash=hashed(secret)))
        return secret

    def find(self, secret: str) -> ServiceToken | None:
        """The token with that secret; None when there is none, or it was revoked."""
        works = (service_tokens.c.hash == hashed(secret), service_tokens.c.revoked_at.is_(None))
        row = self._ledger.row(select(service_tokens).where(*works))
        if row is None:
            return None
        now = datetime.now(UTC)
        if row.used_at is None or now - row.used_at > USED_EVERY:
            self._ledger.change(update(service_tokens).where(service_tokens.c.name == row.name).values(used_at=now))
        return as_model(ServiceToken, row)

    def all(self) -> list[ServiceToken]:
        """Every token, revoked ones too, by name."""
        return self._ledger.models(ServiceToken, select(service_tokens).order_by(service_tokens.c.name))

    def revoke(self, name: str) -> bool:
        """End a token, at once; False when there is none of that name that works."""
        works = (service_tokens.c.name == name, service_tokens.c.revoked_at.is_(None))
        return self._ledger.change(update(service_tokens).where(*works).values(revoked_at=datetime.now(UTC))) > 0


class Sessions(LedgerTables):
    """Sessions that were signed out, each until its cookie ends by itself: a copy of it is a signed cookie still, and lets nobody in."""

    def end(self, session: str, hours: int) -> None:
        """End a session, wherever its cookie was copied to; again changes nothing. ``hours`` is how long a session lasts."""
        now = datetime.now(UTC)
        with self._ledger.writing() as db:
            db.execute(delete(ended_sessions).where(ended_sessions.c.until < now))
            add(db, ended_sessions, {"id": hashed(session), "until": now + timedelta(hours=hours)})

    def has_ended(self, session: str) -> bool:
        """Whether it was signed out. One without an id cannot be ended, so it counts as ended."""
        return not session or self._ledger.row(select(ended_sessions).where(ended_sessions.c.id == hashed(session))) is not None


class Deliveries(LedgerTables):
    """Webhook deliveries that had their effect, so that one that is sent again, by whomever, has none.

    The id is a header, which nobody signs; the bytes are signed, so a copy under another id is known by them.
    """

    def known(self, delivery: str, body: bytes) -> bool:
        """Whether a delivery with that id, or with these very bytes, had its effect."""
        return bool(self._ledger.rows(select(deliveries.c.id).where(deliveries.c.id.in_(_names(delivery, body)))))

    def keep(self, delivery: str, body: bytes) -> None:
        """It had its effect. What is too old to come again is let go of."""
        now = datetime.now(UTC)
        with self._ledger.writing() as db:
            add(db, deliveries, *({"id": name, "at": now} for name in _names(delivery, body)))
            db.execute(delete(deliveries).where(deliveries.c.at < now - KEPT))


def _names(delivery: str, body: bytes) -> list[str]:
    return [f"body {hashlib.sha256(body).hexdigest()}", *([f"id {delivery[:100]}"] if delivery else [])]


def hashed(secret: str) -> str:
    """What is kept of a secret, so that reading the tables opens nothing."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


# --- Links in mails ----------------------------------------------------------------------------------------------------------


class BadToken(ValueError):
    """The token was cut off, mistyped or forged."""


def sign(key: str, purpose: str, value: str) -> str:
    """A token that says whose link it is, and cannot be made by anyone without our key; one made for another ``purpose`` is refused.

    ``VALUE.SIGNATURE``, both URL-safe base64. The value is signed, not encrypted: put no secret and no personal data in it. A token has no
    expiry, since the opt-out link of an old mail must go on working.
    """
    return _serializer(key, purpose).dumps(value)


def verify(key: str, purpose: str, token: str) -> str:
    """The value of a token of ours. Raises :class:`BadToken` for any other text."""
    try:
        return str(_serializer(key, purpose).loads(token.encode("utf-8", "replace")))
    except BadData as error:
        raise BadToken("this link is incomplete or was not made by us; copy the whole link from the mail") from error


def _serializer(key: str, purpose: str) -> URLSafeSerializer:
    # The key also encrypts the vault; a key of its own for each purpose keeps the two uses apart.
    how = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    return URLSafeSerializer(key, salt=f"tenure token {purpose}", signer_kwargs=how)
