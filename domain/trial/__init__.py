"""A cloud trial (A3–A20, A28): its state, its moments, and every decision about it."""
