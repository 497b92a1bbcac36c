"""What the columns of our tables are made of: each function gives columns of one type, by name. None may be empty but the :func:`optional`."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

Columns = list[sa.Column[Any]]


class Utc(sa.TypeDecorator[datetime]):
    """A moment. SQLite keeps no time zone, so it is kept as UTC there and comes back as UTC everywhere; a naive time is refused."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """To the database: UTC, and never a naive time."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """From the database: UTC, with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def table(metadata: sa.MetaData, name: str, *parts: Columns | SchemaItem, info: dict[str, Any] | None = None) -> sa.Table:
    """A table of these columns and indexes. Numbers that count its rows are never given twice."""
    items = [item for part in parts for item in (part if isinstance(part, list) else [part])]
    counts = any(isinstance(item, sa.Column) and item.autoincrement is True for item in items)
    return sa.Table(name, metadata, *items, info=info, sqlite_autoincrement=counts)


def key(**lengths: int) -> Columns:
    """Texts, each at most so long, that name a row together."""
    return [sa.Column(name, sa.String(length), primary_key=True) for name, length in lengths.items()]


def counted(name: str) -> Columns:
    """The number of a row, which the database gives."""
    return [sa.Column(name, sa.Integer, primary_key=True, autoincrement=True)]


def numbered(name: str) -> Columns:
    """The number of a row, which is given with it."""
    return [sa.Column(name, sa.Integer, primary_key=True, autoincrement=False)]


def texts(**lengths: int) -> Columns:
    """Texts, each at most so long; 0: of any length."""
    return [sa.Column(name, sa.String(length) if length else sa.Text, nullable=False) for name, length in lengths.items()]


def _of(kind: type[TypeEngine[Any]], *names: str) -> Columns:
    return [sa.Column(name, kind, nullable=False) for name in names]


numbers = partial(_of, sa.Integer)
fractions = partial(_of, sa.Float)
flags = partial(_of, sa.Boolean)
days = partial(_of, sa.Date)
moments = partial(_of, Utc)
documents = partial(_of, sa.JSON)
#: Bytes, which are encrypted.
sealed = partial(_of, sa.LargeBinary)


def optional(*groups: Columns) -> Columns:
    """Columns that may be empty."""
    columns = [column for group in groups for column in group]
    for column in columns:
        column.nullable = True
    return columns


def default(value: object, *groups: Columns) -> Columns:
    """Columns that have this value when a new row names none."""
    return [sa.Column(column.name, column.type, nullable=False, default=value) for group in groups for column in group]
