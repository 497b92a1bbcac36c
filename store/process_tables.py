"""The tables that lists read of every process (:mod:`domain.read_model`), in the ledger's database; see :mod:`store.tables`.

``run`` and ``version`` order what is written of one workflow: a run's text begins with its start, a version with the length of its history.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, Index, Integer, String, Table, Text

from store.tables import Utc, metadata

# Where each process stands; one row for each workflow id. status: open or closed.
processes = Table(
    "processes",
    metadata,
    Column("workflow", String(400), primary_key=True),
    Column("run", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("subject", String(400), nullable=False),
    Column("stage", String(64), nullable=False),
    Column("owner", String(254), nullable=False),
    Column("in_words", Text, nullable=False),
    Column("next_at", Utc),
    Column("next_what", Text, nullable=False),
    Column("due_at", Utc),
    Column("status", String(8), nullable=False),
    Column("updated_at", Utc, nullable=False),
    Index("processes_by_kind", "kind", "status", "stage"),
)

# What was asked of whom, and what became of it. also: whom the ladder asks beside the assignee. status: open, answered or withdrawn.
tasks = Table(
    "tasks",
    metadata,
    Column("workflow", String(400), primary_key=True),
    Column("task", String(120), primary_key=True),
    Column("run", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("subject", String(400), nullable=False),
    Column("kind", String(80), nullable=False),
    Column("role", String(32), nullable=False),
    Column("assignee", String(254), nullable=False),
    Column("also", JSON, nullable=False),
    Column("spec", JSON, nullable=False),
    Column("opened_at", Utc, nullable=False),
    Column("rung", Integer, nullable=False),
    Column("next_at", Utc, nullable=False),
    Column("due_at", Utc, nullable=False),
    Column("status", String(12), nullable=False),
    Column("answer", JSON),
    Column("answered_by", String(254), nullable=False),
    Column("closed_at", Utc),
    Column("closed_because", Text, nullable=False),
    Index("tasks_by_due", "status", "due_at", "workflow", "task"),
)

# Every decision, once and for ever; number counts those of one run. policy: the hash of the policy that decided.
decisions = Table(
    "decisions",
    metadata,
    Column("workflow", String(400), primary_key=True),
    Column("run", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("subject", String(400), nullable=False),
    Column("what", String(80), nullable=False),
    Column("outcome", String(80), nullable=False),
    Column("rule", Text, nullable=False),
    Column("handbook", String(80), nullable=False),
    Column("nearest", Text, nullable=False),
    Column("by", String(254), nullable=False),
    Column("at", Utc, nullable=False),
    Column("policy", String(64), nullable=False),
    Column("facts", JSON, nullable=False),
    Column("flags", JSON, nullable=False),
    Index("decisions_by_what", "what", "outcome", "at"),
)
