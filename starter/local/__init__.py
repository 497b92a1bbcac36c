"""Tenure on a laptop: the local stack, its clock, and the demo."""
