"""The version of the database's schema: which one a database has, and how it gets to the newest (``tenure migrate``).

A process never changes the schema when it starts. A database of an older version is refused; one of a newer version serves, since a
migration only adds while older processes may still run. What it adds is described once, in ``store/tables.py``; :mod:`store.migrations.completion` makes it.
What else a migration does must change nothing in a database that is so already, as a new one is.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from store.ledger_file import Outdated

#: The version that this code needs: the newest file of ``versions``.
NEWEST = "0003"


def version(db: Connection) -> str:
    """The version that a database has; empty for an empty one, and for one from before there were migrations."""
    if not inspect(db).has_table("alembic_version"):
        return ""
    return str(db.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def check(db: Connection) -> None:
    """Raises :class:`~store.ledger_file.Outdated` for a database that was not brought up to date."""
    if (found := version(db)) < NEWEST:
        raise Outdated(
            f"the ledger's database is of version {found or 'none'}, and this program needs {NEWEST}",
            "Run `tenure migrate` once, then start again",
        )


def upgrade(db: Connection, to: str = NEWEST) -> None:
    """Run the migrations that are missing, in the transaction that is open."""
    from alembic.config import Config  # here: a process that only looks whether anything is missing does not wait for it
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(__file__).parent))
    missing = EnvironmentContext(Config(), scripts, fn=lambda revision, _: scripts._upgrade_revs(to, revision))
    with missing:
        missing.configure(connection=db, transactional_ddl=True)
        missing.run_migrations()
