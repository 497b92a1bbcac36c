"""What most migrations do: make what a database lacks of the tables that the code describes."""

from alembic import op
from sqlalchemy import Column, inspect

from store.tables import metadata


def complete() -> None:
    """Make the tables, columns and indexes that are missing; a column that is added to a table may be empty."""
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
