"""The schema as it was made before there were migrations, and what completes an older one of those.

Until then each process that started made the tables and nullable columns that its database lacked. So whatever such a database has is part
of what stands here, and what it lacks is made: a new database, one of the last day before, and one of any day earlier end up the same.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    inspect,
)

revision = "0001"
down_revision = None

MOMENT = DateTime(timezone=True)
metadata = MetaData()

# fmt: off
Table(
    "effects", metadata,
    Column("number", Integer, primary_key=True), Column("subject", String(512), nullable=False),
    Column("key", String(255), nullable=False), Column("system", String(64), nullable=False), Column("act", String(64), nullable=False),
    Column("summary", Text, nullable=False), Column("as_of", MOMENT, nullable=False), Column("begun_at", MOMENT, nullable=False),
    Column("done_at", MOMENT), Column("attempts", Integer, nullable=False), Column("receipt", JSON), Column("holder", String(255)),
    Column("held_until", MOMENT), Column("unknown", Integer), Index("effects_in_order", "as_of", "number"),
    Index("effects_once", "subject", "key", unique=True), sqlite_autoincrement=True,
)
Table(
    "instances", metadata,
    Column("host", String(253), primary_key=True), Column("internal", String(253)), Column("domain", String(254)),
    Column("subject", String(512), nullable=False), Column("kind", String(16), nullable=False),
    Column("admin", String(254), nullable=False), Column("created_at", MOMENT, nullable=False), Column("claimed_at", MOMENT),
    Column("confirmed_at", MOMENT), Index("instances_by_kind", "kind", "created_at"),
    Index("instances_one_per_domain", "domain", unique=True),
)
Table(
    "roster", metadata,
    Column("id", String(64), primary_key=True), Column("name", String(255), nullable=False),
    Column("email", String(254), nullable=False), Column("role", String(32), nullable=False), Column("active", Boolean, nullable=False),
    Column("out_of_office_until", Date), Column("paired_ce", String(64)), Column("manager", String(64)),
    Column("last_assigned_at", MOMENT), Index("ix_roster_email", "email"), Index("ix_roster_role", "role"),
)
Table(
    "accounts", metadata,
    Column("domain", String(253), primary_key=True), Column("id", String(64), nullable=False),
    Column("name", String(255), nullable=False), Column("named", Boolean, nullable=False),
    Column("prequalified", Boolean, nullable=False), Column("named_sdr", String(64)), Column("ae", String(64)),
    Column("ce", String(64)), Column("as_of", MOMENT, nullable=False),
)
Table(
    "vault", metadata,
    Column("ref", String(64), primary_key=True), Column("kind", String(32), nullable=False),
    Column("value", LargeBinary, nullable=False), Column("note", Text, nullable=False), Column("created_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT),
)
Table(
    "share_links", metadata,
    Column("token_hash", String(64), primary_key=True), Column("ref", String(64), nullable=False),
    Column("to_email", String(254), nullable=False), Column("created_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False), Column("opened_at", MOMENT),
)
Table(
    "suppressions", metadata,
    Column("subject", String(512), primary_key=True), Column("why", Text, nullable=False), Column("at", MOMENT, nullable=False),
)
Table(
    "waiting", metadata,
    Column("domain", String(254), primary_key=True), Column("subject", String(512), nullable=False),
    Column("since", MOMENT, nullable=False), Column("named_at", MOMENT),
)
Table(
    "assignments", metadata,
    Column("subject", String(512), primary_key=True), Column("owners", JSON, nullable=False), Column("as_of", MOMENT, nullable=False),
)
Table(
    "failed_signups", metadata,
    Column("id", String(64), primary_key=True), Column("email", String(254), nullable=False), Column("problem", Text, nullable=False),
    Column("data", JSON, nullable=False), Column("at", MOMENT, nullable=False), Column("rescued_at", MOMENT),
    Index("ix_failed_signups_email", "email"),
)
Table(
    "feedback", metadata,
    Column("id", String(64), primary_key=True), Column("subject", String(512), nullable=False),
    Column("domain", String(254), nullable=False), Column("data", JSON, nullable=False), Column("at", MOMENT, nullable=False),
    Index("ix_feedback_subject", "subject"),
)
Table(
    "cohorts", metadata,
    Column("number", Integer, primary_key=True), Column("subject", String(512), nullable=False),
    Column("key", String(255), nullable=False), Column("vault", String(64), nullable=False),
    Column("subscription", String(255), nullable=False), Column("seats", Integer, nullable=False), Column("tags", JSON, nullable=False),
    Column("rotated_at", MOMENT, nullable=False), Column("expires_at", MOMENT, nullable=False),
    Index("cohorts_once", "subject", "key", unique=True), sqlite_autoincrement=True,
)
Table(
    "people", metadata,
    Column("ref", String(32), primary_key=True), Column("who", String(64), nullable=False),
    Column("generation", Integer, nullable=False), Column("wrapped", LargeBinary), Column("ring_key", String(64)),
    Column("names", LargeBinary), Column("made_at", MOMENT, nullable=False), Column("erased_at", MOMENT),
    Index("people_once", "who", "generation", unique=True),
)
Table(
    "readiness", metadata,
    Column("id", Integer, primary_key=True), Column("at", MOMENT, nullable=False),
)
Table(
    "customers", metadata,
    Column("domain", String(253), primary_key=True), Column("id", String(64), nullable=False),
    Column("name", String(255), nullable=False), Column("segment", String(32), nullable=False), Column("arr", Integer, nullable=False),
    Column("seats", Integer, nullable=False), Column("contract_start", Date), Column("contract_end", Date), Column("deployed_on", Date),
    Column("last_activity_on", Date), Column("subscription", String(255), nullable=False), Column("status", String(16), nullable=False),
    Column("merged_into", String(253), nullable=False), Column("ta", String(64)), Column("ae", String(64)), Column("ce", String(64)),
    Column("health", String(16)), Column("data_errors", JSON), Column("as_of", MOMENT, nullable=False),
    Index("customers_by_end", "contract_end"),
)
Table(
    "hand_traits", metadata,
    Column("domain", String(253), primary_key=True), Column("pulse", String(16)), Column("champion", Boolean),
    Column("buyer_access", Boolean), Column("red", Boolean), Column("as_of", MOMENT, nullable=False),
)
Table(
    "health", metadata,
    Column("domain", String(253), primary_key=True), Column("at", MOMENT, nullable=False), Column("total", Float),
    Column("band", String(16), nullable=False), Column("traits", JSON, nullable=False), Column("score", JSON, nullable=False),
    Column("standing", JSON, nullable=False), Index("health_by_band", "band", "domain"),
)
Table(
    "health_changes", metadata,
    Column("number", Integer, primary_key=True), Column("domain", String(253), nullable=False), Column("at", MOMENT, nullable=False),
    Column("total", Float), Column("band", String(16), nullable=False), Column("band_before", String(16), nullable=False),
    Column("score", JSON, nullable=False), Index("health_changes_once", "domain", "at", unique=True), sqlite_autoincrement=True,
)
Table(
    "health_news", metadata,
    Column("domain", String(253), primary_key=True), Column("seen", String(64), nullable=False),
    Column("scored", String(64), nullable=False), Column("told", String(64), nullable=False), Column("facts_at", MOMENT),
    Column("score_at", MOMENT), Column("met", Boolean), Index("health_news_facts", "facts_at", "domain"),
    Index("health_news_scores", "score_at", "domain"),
)
Table(
    "renewals", metadata,
    Column("workflow", String(300), primary_key=True), Column("domain", String(253), nullable=False),
    Column("name", String(255), nullable=False), Column("renewal_on", Date, nullable=False), Column("arr", Integer, nullable=False),
    Column("phase", String(32), nullable=False), Column("rating", String(8)), Column("outcome", String(16)),
    Column("ta_outcome", String(16)), Column("system_outcome", String(16)), Column("amount", Integer),
    Column("ae", String(254), nullable=False), Column("ta", String(254), nullable=False), Column("status", String(16), nullable=False),
    Column("actual_outcome", String(16)), Column("actual_arr", Integer), Column("forecast_at", MOMENT),
    Column("updated_at", MOMENT, nullable=False), Index("renewals_by_date", "status", "renewal_on"),
    Index("renewals_of", "domain", "renewal_on"),
)
Table(
    "forecasts", metadata,
    Column("number", Integer, primary_key=True), Column("subject", String(512), nullable=False),
    Column("taken_at", MOMENT, nullable=False), Column("quarter", String(16), nullable=False), Column("data", JSON, nullable=False),
    Column("digest", String(64), nullable=False), Column("note", Text, nullable=False),
    Index("forecasts_in_order", "quarter", "taken_at"), Index("forecasts_once", "subject", "quarter", unique=True),
    sqlite_autoincrement=True,
)
Table(
    "audit", metadata,
    Column("number", Integer, primary_key=True, autoincrement=False), Column("at", MOMENT, nullable=False),
    Column("who", String(254), nullable=False), Column("role", String(32), nullable=False), Column("via", String(16), nullable=False),
    Column("through", String(120), nullable=False), Column("what", Text, nullable=False),
    Column("subject", String(512), nullable=False), Column("outcome", String(16), nullable=False),
    Column("reason", Text, nullable=False), Column("rule", String(120), nullable=False), Column("rules", String(64), nullable=False),
    Column("event", String(200), nullable=False), Column("prev", String(64), nullable=False),
    Column("hash", String(64), nullable=False), Index("audit_by_event", "event", "subject"),
    Index("audit_by_subject", "subject", "number"),
)
Table(
    "audit_head", metadata,
    Column("id", Integer, primary_key=True, autoincrement=False), Column("length", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
)
Table(
    "service_tokens", metadata,
    Column("name", String(80), primary_key=True), Column("hash", String(64), nullable=False),
    Column("role", String(32), nullable=False), Column("person", String(254), nullable=False),
    Column("created_at", MOMENT, nullable=False), Column("used_at", MOMENT), Column("revoked_at", MOMENT),
    Index("service_tokens_by_hash", "hash", unique=True),
)
Table(
    "ended_sessions", metadata,
    Column("id", String(64), primary_key=True), Column("until", MOMENT, nullable=False), Index("ix_ended_sessions_until", "until"),
)
Table(
    "deliveries", metadata,
    Column("id", String(120), primary_key=True), Column("at", MOMENT, nullable=False), Index("ix_deliveries_at", "at"),
)
Table(
    "holds", metadata,
    Column("system", String(320), primary_key=True), Column("kind", String(8), nullable=False), Column("until", MOMENT, nullable=False),
    Column("probed_at", MOMENT),
)
Table(
    "turns", metadata,
    Column("name", String(255), primary_key=True), Column("holder", String(64), nullable=False),
    Column("until", MOMENT, nullable=False),
)
# fmt: on

# The database itself refuses to change what is on the audit.
SQLITE = [
    f"CREATE TRIGGER IF NOT EXISTS audit_no_{act.lower()} BEFORE {act} ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
    for act in ("UPDATE", "DELETE")
]
POSTGRESQL = [
    "CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$ LANGUAGE plpgsql",
    "DROP TRIGGER IF EXISTS audit_append_only ON audit",
    "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit FOR EACH STATEMENT "
    "EXECUTE FUNCTION audit_is_append_only()",
]


def upgrade() -> None:
    """Make what is missing."""
    db = op.get_bind()
    metadata.create_all(db)
    there = inspect(db)
    for table in metadata.sorted_tables:
        columns = {column["name"] for column in there.get_columns(table.name)}
        indexes = {index["name"] for index in there.get_indexes(table.name)}
        for column in table.columns:
            if column.name not in columns:
                op.add_column(table.name, Column(column.name, column.type))
        for index in table.indexes:
            if index.name not in indexes:
                index.create(db)
    for statement in SQLITE if db.dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)
