"""Vitally: its client, and the effects on it."""
