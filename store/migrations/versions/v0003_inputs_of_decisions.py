"""What every decision was made from, so that it can be made again: its function, its inputs, and the policies; none of those from before."""

from store.migrations.completion import complete

revision = "0003"
down_revision = "0002"
upgrade = complete
