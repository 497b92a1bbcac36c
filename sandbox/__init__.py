"""Stand-ins for the outside systems, for a laptop and for tests: they speak the real HTTP APIs and import nothing of Tenure's."""
