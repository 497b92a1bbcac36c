"""The tables that lists read of every process: where it stands, what it asks of whom, what it decided."""

from __future__ import annotations

from alembic import op
from sqlalchemy import JSON, Column, DateTime, Integer, String, Text

revision = "0002"
down_revision = "0001"

MOMENT = DateTime(timezone=True)


# fmt: off
def upgrade() -> None:
    """Make the three tables; `tenure rebuild` fills them from what is open."""
    op.create_table(
        "processes",
        Column("workflow", String(400), primary_key=True), Column("run", String(64), nullable=False),
        Column("version", Integer, nullable=False), Column("kind", String(64), nullable=False),
        Column("subject", String(400), nullable=False), Column("stage", String(64), nullable=False),
        Column("owner", String(254), nullable=False), Column("in_words", Text, nullable=False), Column("next_at", MOMENT),
        Column("next_what", Text, nullable=False), Column("due_at", MOMENT), Column("status", String(8), nullable=False),
        Column("updated_at", MOMENT, nullable=False),
    )
    op.create_index("processes_by_kind", "processes", ["kind", "status", "stage"])
    op.create_table(
        "tasks",
        Column("workflow", String(400), primary_key=True), Column("task", String(120), primary_key=True),
        Column("run", String(64), nullable=False), Column("version", Integer, nullable=False),
        Column("subject", String(400), nullable=False), Column("kind", String(80), nullable=False),
        Column("role", String(32), nullable=False), Column("assignee", String(254), nullable=False),
        Column("also", JSON, nullable=False), Column("spec", JSON, nullable=False), Column("opened_at", MOMENT, nullable=False),
        Column("rung", Integer, nullable=False), Column("next_at", MOMENT, nullable=False), Column("due_at", MOMENT, nullable=False),
        Column("status", String(12), nullable=False), Column("answer", JSON), Column("answered_by", String(254), nullable=False),
        Column("closed_at", MOMENT), Column("closed_because", Text, nullable=False),
    )
    op.create_index("tasks_by_due", "tasks", ["status", "due_at", "workflow", "task"])
    op.create_table(
        "decisions",
        Column("workflow", String(400), primary_key=True), Column("run", String(64), primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False), Column("subject", String(400), nullable=False),
        Column("what", String(80), nullable=False), Column("outcome", String(80), nullable=False), Column("rule", Text, nullable=False),
        Column("handbook", String(80), nullable=False), Column("nearest", Text, nullable=False),
        Column("by", String(254), nullable=False), Column("at", MOMENT, nullable=False), Column("policy", String(64), nullable=False),
        Column("facts", JSON, nullable=False), Column("flags", JSON, nullable=False),
    )
    op.create_index("decisions_by_what", "decisions", ["what", "outcome", "at"])
