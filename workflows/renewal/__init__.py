"""A renewal, with its phases in files of their own (D25–D30)."""
