"""The phases of a renewal, each in a file of its own (D25–D30)."""
