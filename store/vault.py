"""Secrets at rest: reset links and licence keys. History, logs and receipts hold only references to them.

A share link lets its one recipient open something in the browser at ``{web_url}/s/{token}``, once, until it expires. Expiry is by the real
clock, since a person clicks in real time, whatever time a workflow believes it is. Its token stands nowhere: it is derived from the link's
name with our key whenever a mail is written, and the table has its hash.
"""

import base64
import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import ScalarSelect, delete, func, insert, select, update

from domain.base import Value
from store.access import hashed
from store.database import add
from store.ledger import Ledger
from store.tables import share_links, vault

Kind = Literal["reset_link", "license_key"]


#: How the name of a trial's workflow begins: a share link that refers to one opens the reset link of its admin.
ADMIN_OF = "trial-"


class VaultError(Exception):
    """A value cannot be had: :class:`Unknown`, :class:`Expired`, :class:`Opened` or :class:`Unreadable`."""


class Unknown(VaultError):
    """There is no such reference or share link."""


class Expired(VaultError):
    """It was there, and its time is over."""


class Opened(VaultError):
    """The share link was opened before, and opens once."""


class Unreadable(VaultError):
    """It was encrypted with another key than ours."""


class Share(Value):
    """What a share link opens, for whom, and until when: ``ref`` is a value of the vault, or the trial whose admin's reset link is made then.

    ``kind`` is empty when what was behind it is gone. ``opened_at``: when it was opened; None while it was not.
    """

    ref: str
    kind: str
    to_email: str
    expires_at: datetime
    opened_at: datetime | None

    @property
    def works(self) -> bool:
        """Whether it opens."""
        return bool(self.kind) and self.opened_at is None and self.expires_at > _now()


class Vault:
    """The vault in the ledger's database; ``key`` is the Fernet key (``Settings.key()``)."""

    def __init__(self, ledger: Ledger, key: str) -> None:
        self._ledger = ledger
        self._fernet = Fernet(key)
        self._key = hmac.digest(key.encode(), b"tenure share link", hashlib.sha256)

    def put(self, kind: Kind, value: str, expires_at: datetime | None, note: str) -> str:
        """Keep a value until ``expires_at`` (None: for good) and return its reference. ``note`` says what it is, in words."""
        ref = f"{kind}-{secrets.token_hex(8)}"
        row = {"ref": ref, "kind": kind, "value": self._fernet.encrypt(value.encode()), "note": note}
        with self._ledger.writing() as db:
            db.execute(delete(vault).where(vault.c.kind == "reset_link", vault.c.expires_at <= _now()))  # those that nobody came for
            db.execute(insert(vault).values(**row, created_at=_now(), expires_at=expires_at))
        return ref

    def get(self, ref: str) -> str:
        """The value. Raises :class:`Unknown`, :class:`Expired`, or :class:`Unreadable` when the key was changed."""
        row = self._ledger.row(select(vault).where(vault.c.ref == ref))
        if row is None:
            raise Unknown(f"the vault has no {ref!r}")
        if row.expires_at is not None and row.expires_at <= _now():
            raise Expired(f"{ref!r} expired at {row.expires_at:%Y-%m-%d %H:%M} UTC")
        try:
            return self._fernet.decrypt(row.value).decode()
        except InvalidToken:
            raise Unreadable(f"{ref!r} was encrypted with another key; set TENURE_SECRET_KEY to the one of that time") from None

    def take(self, ref: str) -> str:
        """The value, which is gone from the vault from then on. Raises as :meth:`get` does."""
        value = self.get(ref)
        if not self._ledger.change(delete(vault).where(vault.c.ref == ref)):
            raise Unknown(f"{ref!r} was taken by somebody else")
        return value

    # --- Share links --------------------------------------------------------------------------------------------------------

    def share(self, name: str, ref: str, to_email: str, ttl_hours: int) -> str:
        """Make the share link of that name, unless it is there, and return its token: the same for the same name.

        ``name`` names one link, as an effect's name does; ``ref`` is what it opens (:class:`Share`).
        """
        token, now = self.token(name), _now()
        row = {"token_hash": hashed(token), "ref": ref, "to_email": to_email, "created_at": now}
        with self._ledger.writing() as db:
            if not ref.startswith(ADMIN_OF) and db.execute(select(vault.c.ref).where(vault.c.ref == ref)).one_or_none() is None:
                raise Unknown(f"the vault has no {ref!r} to share")
            add(db, share_links, {**row, "expires_at": now + timedelta(hours=ttl_hours)})
        return token

    def look(self, token: str) -> Share | None:
        """What the share link of this token is, without opening it, opened or expired ones too; None when there is none."""
        columns = (share_links.c[name] for name in ("ref", "to_email", "expires_at"))
        opened = func.coalesce(share_links.c.opened_at, _opened_since()).label("opened_at")
        query = select(*columns, opened, vault.c.kind).join_from(share_links, vault, share_links.c.ref == vault.c.ref, isouter=True)
        row = self._ledger.row(query.where(share_links.c.token_hash == hashed(token)))
        if row is None:
            return None
        kind = "reset_link" if row.ref.startswith(ADMIN_OF) else row.kind or ""
        return Share.model_validate({**row._mapping, "kind": kind})

    def open(self, token: str) -> Share:
        """Open a share link: of all who try, at one moment or later, one does. Raises :class:`Unknown`, :class:`Expired` or :class:`Opened`.

        An admin's links are one in this: whichever is opened, those that were made before are opened as well.
        """
        now, mine = _now(), share_links.c.token_hash == hashed(token)
        still = share_links.c.opened_at.is_(None), share_links.c.expires_at > now, _opened_since().is_(None)
        ref = select(share_links.c.ref).where(mine).scalar_subquery()
        with self._ledger.writing() as db:
            db.execute(select(share_links.c.token_hash).where(share_links.c.ref == ref).order_by("token_hash").with_for_update()).all()
            first = db.execute(update(share_links).where(mine, *still).values(opened_at=now)).rowcount == 1
        link = self.look(token)
        if link is None:
            raise Unknown("there is no such link")
        if not first:
            if link.expires_at <= now:
                raise Expired(f"the link expired at {link.expires_at:%Y-%m-%d %H:%M} UTC")
            raise Opened(f"the link was opened at {link.opened_at:%Y-%m-%d %H:%M} UTC, and opens once")
        if not link.kind:
            raise Unknown("what the link opened is gone")
        return link

    def close(self, token: str) -> None:
        """Take back that a share link was opened, since nothing came of it."""
        self._ledger.change(update(share_links).where(share_links.c.token_hash == hashed(token)).values(opened_at=None))

    def token(self, name: str) -> str:
        """The token of the share link of that name: the same at every asking, and nobody's to find without our key."""
        return base64.urlsafe_b64encode(hmac.digest(self._key, name.encode(), hashlib.sha256)[:24]).decode()


def _opened_since() -> ScalarSelect[datetime]:
    """When another of the same admin's links was opened, after this one was made; null when none was."""
    other = share_links.alias()
    theirs = other.c.ref == share_links.c.ref, other.c.to_email == share_links.c.to_email, other.c.ref.startswith(ADMIN_OF)
    since = other.c.opened_at >= share_links.c.created_at
    return select(func.max(other.c.opened_at)).where(*theirs, since).correlate(share_links).scalar_subquery()


def _now() -> datetime:
    return datetime.now(UTC)
