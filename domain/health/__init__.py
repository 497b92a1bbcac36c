"""The health score (D12, 4.3): for one account and for all of them at once, and what it says to people."""
