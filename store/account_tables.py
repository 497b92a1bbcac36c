"""The tables of customers, their health and their renewals, in the ledger's database; see :mod:`store.tables`."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Date, Float, Index, Integer, String, Table, Text

from store.tables import Utc, metadata

# Customers, as the CRM has them, by registrable domain. People are CRM user ids; the roster says who they are.
customers = Table(
    "customers",
    metadata,
    Column("domain", String(253), primary_key=True),
    Column("id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("segment", String(32), nullable=False, default=""),
    Column("arr", Integer, nullable=False, default=0),
    Column("seats", Integer, nullable=False, default=0),
    Column("contract_start", Date),
    Column("contract_end", Date),
    Column("deployed_on", Date),
    Column("last_activity_on", Date),
    Column("subscription", String(255), nullable=False, default=""),
    Column("status", String(16), nullable=False, default="customer"),
    Column("merged_into", String(253), nullable=False, default=""),
    Column("ta", String(64)),
    Column("ae", String(64)),
    Column("ce", String(64)),
    Column("health", String(16)),
    Column("data_errors", JSON),
    Column("as_of", Utc, nullable=False),
    Index("customers_by_end", "contract_end"),
)

# The traits that people set in Vitally (D13), as of the last hourly run.
hand_traits = Table(
    "hand_traits",
    metadata,
    Column("domain", String(253), primary_key=True),
    Column("pulse", String(16)),
    Column("champion", Boolean),
    Column("buyer_access", Boolean),
    Column("red", Boolean),
    Column("as_of", Utc, nullable=False),
)

# The current health of every account: the last score, the traits that were seen since, and what the account's processes read of it.
health = Table(
    "health",
    metadata,
    Column("domain", String(253), primary_key=True),
    Column("at", Utc, nullable=False),
    Column("total", Float),
    Column("band", String(16), nullable=False),
    Column("traits", JSON, nullable=False),
    Column("score", JSON, nullable=False),
    Column("standing", JSON, nullable=False),
    Index("health_by_band", "band", "domain"),
)

# Every score that differs from the one before: why a band changed can be read for ever.
health_changes = Table(
    "health_changes",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("domain", String(253), nullable=False),
    Column("at", Utc, nullable=False),
    Column("total", Float),
    Column("band", String(16), nullable=False),
    Column("band_before", String(16), nullable=False),
    Column("score", JSON, nullable=False),
    Index("health_changes_once", "domain", "at", unique=True),
    sqlite_autoincrement=True,
)

# What the hourly run saw of an account the last time, as short texts that are others when anything in them is: its traits (seen), its total,
# band and colours (scored), what its processes act on (told). facts_at, score_at: since when a signal, or a write to Vitally, is outstanding.
health_news = Table(
    "health_news",
    metadata,
    Column("domain", String(253), primary_key=True),
    Column("seen", String(64), nullable=False, default=""),
    Column("scored", String(64), nullable=False, default=""),
    Column("told", String(64), nullable=False, default=""),
    Column("facts_at", Utc),
    Column("score_at", Utc),
    Column("met", Boolean),
    Index("health_news_facts", "facts_at", "domain"),
    Index("health_news_scores", "score_at", "domain"),
)

# The renewals as the forecast and the lists read them (domain.account.account.RenewalRow), by workflow id.
renewals = Table(
    "renewals",
    metadata,
    Column("workflow", String(300), primary_key=True),
    Column("domain", String(253), nullable=False),
    Column("name", String(255), nullable=False),
    Column("renewal_on", Date, nullable=False),
    Column("arr", Integer, nullable=False),
    Column("phase", String(32), nullable=False),
    Column("rating", String(8)),
    Column("outcome", String(16)),
    Column("ta_outcome", String(16)),
    Column("system_outcome", String(16)),
    Column("amount", Integer),
    Column("ae", String(254), nullable=False, default=""),
    Column("ta", String(254), nullable=False, default=""),
    Column("status", String(16), nullable=False),
    Column("actual_outcome", String(16)),
    Column("actual_arr", Integer),
    Column("forecast_at", Utc),
    Column("updated_at", Utc, nullable=False),
    Index("renewals_by_date", "status", "renewal_on"),
    Index("renewals_of", "domain", "renewal_on"),
)

# The weekly snapshots of the forecast: written once, never changed; digest is the SHA-256 of data.
forecasts = Table(
    "forecasts",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("subject", String(512), nullable=False),
    Column("taken_at", Utc, nullable=False),
    Column("quarter", String(16), nullable=False),
    Column("data", JSON, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("note", Text, nullable=False, default=""),
    Index("forecasts_once", "subject", "quarter", unique=True),
    Index("forecasts_in_order", "quarter", "taken_at"),
    sqlite_autoincrement=True,
)
