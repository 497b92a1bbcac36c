"""GitHub: its client and errors, what is written there, and the effects on it."""
