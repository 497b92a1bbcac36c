"""Salesforce: its client, the effects on it, what is there, and our copy of its customers."""
