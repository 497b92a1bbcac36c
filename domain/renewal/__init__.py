"""A renewal (D25–D30): its state, every decision about it, and what it writes down."""
