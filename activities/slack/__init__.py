"""Slack: the effects on it, and what is there."""
