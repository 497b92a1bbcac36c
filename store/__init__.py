"""The database: its tables, the ledger of effects, the registry, the read models, the audit, the vault, the keys, and the settings."""
