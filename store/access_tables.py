"""The tables of who did what and who may: the audit, the tokens of machines, the deliveries that were heard. See :mod:`store.tables`."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text

from store.tables import Utc, metadata

# One row per decision of a person, and per attempt that was refused; each holds the hash of the row before. store/audit.py
# The database itself refuses to change what is on it (migrations/versions/v0001); whoever gets round that is found by the chain.
audit = Table(
    "audit",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Utc, nullable=False),
    Column("who", String(254), nullable=False),
    Column("role", String(32), nullable=False),
    Column("via", String(16), nullable=False),
    Column("through", String(120), nullable=False),
    Column("what", Text, nullable=False),
    Column("subject", String(512), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("rule", String(120), nullable=False),
    Column("rules", String(64), nullable=False),
    Column("event", String(200), nullable=False),
    Column("prev", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("audit_by_event", "event", "subject"),
    Index("audit_by_subject", "subject", "number"),
    info={"append_only": True},
)

# How many rows the audit has and the hash of the last, so that a tail that was cut off is missed. One row, id 1.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("length", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
    info={"append_only": True},
)

# Tokens of machines and of persons for the API. hash: SHA-256 of the token. role: a group of domain/rights.py, or empty with a person.
service_tokens = Table(
    "service_tokens",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("hash", String(64), nullable=False),
    Column("role", String(32), nullable=False, default=""),
    Column("person", String(254), nullable=False, default=""),
    Column("created_at", Utc, nullable=False),
    Column("used_at", Utc),
    Column("revoked_at", Utc),
    Index("service_tokens_by_hash", "hash", unique=True),
)

# Sessions of the console that were signed out before their cookie ended. id: SHA-256 of the session's own id.
ended_sessions = Table(
    "ended_sessions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("until", Utc, nullable=False, index=True),
)

# Webhook deliveries that had their effect, by GitHub's id of them or the digest of their bytes.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(120), primary_key=True),
    Column("at", Utc, nullable=False, index=True),
)
