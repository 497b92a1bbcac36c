"""The tables that lists read of every process; `tenure rebuild` fills them from what is open."""

from store.migrations.completion import complete

revision = "0002"
down_revision = "0001"
upgrade = complete
