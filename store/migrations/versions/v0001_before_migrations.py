"""What completes a database from before there were migrations, and makes a new one.

Until then each process that started made the tables and nullable columns that its database lacked; so whatever such a database has is part
of what the code describes, and what it lacks is made: a new database and one of any day before end up the same.
"""

from alembic import op

from store.migrations.completion import complete

revision = "0001"
down_revision = None

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
    complete()
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)
