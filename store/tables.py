"""The tables of the ledger's database. Times are UTC; a secret stands only in ``vault``, encrypted.

A changed table needs a new file in ``store/migrations/versions``; ``tests/store/test_schema.py`` compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

metadata = MetaData()


class Utc(TypeDecorator[datetime]):
    """A moment. SQLite keeps no time zone, so it is kept as UTC there and comes back as UTC everywhere; a naive time is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database: UTC, and never a naive time."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database: UTC, with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# One row per effect on the world. done_at empty: begun, and perhaps it happened. holder and held_until: who is at it now. unknown: how often
# the outside system answered with an error that we do not know.
effects = Table(
    "effects",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("subject", String(512), nullable=False),
    Column("key", String(255), nullable=False),
    Column("system", String(64), nullable=False),
    Column("act", String(64), nullable=False),
    Column("summary", Text, nullable=False),
    Column("as_of", Utc, nullable=False),
    Column("begun_at", Utc, nullable=False),
    Column("done_at", Utc),
    Column("attempts", Integer, nullable=False),
    Column("receipt", JSON),
    Column("holder", String(255)),
    Column("held_until", Utc),
    Column("unknown", Integer),
    Index("effects_once", "subject", "key", unique=True),
    Index("effects_in_order", "as_of", "number"),
    sqlite_autoincrement=True,
)

# Which host is whose. domain is empty for an instance that is nobody's yet; kind: pending, warm, reserved, trial or production.
# internal: the name below our own domain that an instance keeps when it moves to a customer's host; our programs call it there only.
# confirmed_at: when the admin first opened the link in their mail.
instances = Table(
    "instances",
    metadata,
    Column("host", String(253), primary_key=True),
    Column("internal", String(253)),
    Column("domain", String(254)),
    Column("subject", String(512), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("admin", String(254), nullable=False, default=""),
    Column("created_at", Utc, nullable=False),
    Column("claimed_at", Utc),
    Column("confirmed_at", Utc),
    Index("instances_one_per_domain", "domain", unique=True),  # an empty domain is no duplicate of another
    Index("instances_by_kind", "kind", "created_at"),
)

# Our own people, as the CRM has them. last_assigned_at is ours: the round robin's memory, by the real clock.
roster = Table(
    "roster",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("email", String(254), nullable=False, index=True),
    Column("role", String(32), nullable=False, index=True),
    Column("active", Boolean, nullable=False),
    Column("out_of_office_until", Date),
    Column("paired_ce", String(64)),
    Column("manager", String(64)),
    Column("last_assigned_at", Utc),
)

# Companies, as the CRM has them, by registrable domain.
accounts = Table(
    "accounts",
    metadata,
    Column("domain", String(253), primary_key=True),
    Column("id", String(64), nullable=False, default=""),
    Column("name", String(255), nullable=False),
    Column("named", Boolean, nullable=False),
    Column("prequalified", Boolean, nullable=False),
    Column("named_sdr", String(64)),
    Column("ae", String(64)),
    Column("ce", String(64)),
    Column("as_of", Utc, nullable=False),
)

vault = Table(
    "vault",
    metadata,
    Column("ref", String(64), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc),
)

# token_hash: SHA-256 of the token, so that reading this table opens nothing. ref: a value of the vault, or the trial whose admin's reset link
# is made when it is opened.
share_links = Table(
    "share_links",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("ref", String(64), nullable=False),
    Column("to_email", String(254), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("opened_at", Utc),
)

# Whose campaign mail is held back, and why.
suppressions = Table(
    "suppressions",
    metadata,
    Column("subject", String(512), primary_key=True),
    Column("why", Text, nullable=False),
    Column("at", Utc, nullable=False),
)

# Domains that wait for capacity, longest first. named_at: when a release told it that there is room.
waiting = Table(
    "waiting",
    metadata,
    Column("domain", String(254), primary_key=True),
    Column("subject", String(512), nullable=False),
    Column("since", Utc, nullable=False),
    Column("named_at", Utc),
)

# Which owners a subject got, so that asking again gives the same.
assignments = Table(
    "assignments",
    metadata,
    Column("subject", String(512), primary_key=True),
    Column("owners", JSON, nullable=False),
    Column("as_of", Utc, nullable=False),
)

# Signups that the form could not take (A21), for the rescue.
failed_signups = Table(
    "failed_signups",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("email", String(254), nullable=False, index=True),
    Column("problem", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Column("at", Utc, nullable=False),
    Column("rescued_at", Utc),
)

# What a prospect answered to the feedback mail (A18).
feedback = Table(
    "feedback",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("subject", String(512), nullable=False, index=True),
    Column("domain", String(254), nullable=False),
    Column("data", JSON, nullable=False),
    Column("at", Utc, nullable=False),
)

# The generic trial keys (A24); the newest number is the current one.
cohorts = Table(
    "cohorts",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("subject", String(512), nullable=False),
    Column("key", String(255), nullable=False),
    Column("vault", String(64), nullable=False),
    Column("subscription", String(255), nullable=False),
    Column("seats", Integer, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("rotated_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Index("cohorts_once", "subject", "key", unique=True),
    sqlite_autoincrement=True,
)

# One row per person outside of our own staff and key of theirs (docs/personal-data.md). who: a keyed hash of the address. wrapped: the
# person's key, encrypted with ring_key of the ring; names: what they are called, encrypted with their key. Erased: both are gone for good.
people = Table(
    "people",
    metadata,
    Column("ref", String(32), primary_key=True),
    Column("who", String(64), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("wrapped", LargeBinary),
    Column("ring_key", String(64)),
    Column("names", LargeBinary),
    Column("made_at", Utc, nullable=False),
    Column("erased_at", Utc),
    Index("people_once", "who", "generation", unique=True),
)

# One row, which readiness writes: a database that only reads, or has no room, is not ready.
readiness = Table("readiness", metadata, Column("id", Integer, primary_key=True), Column("at", Utc, nullable=False))
