"""The versions of the database's schema, for Alembic. ``versions/`` has one file for each, ``NNNN_what.py``; :mod:`store.schema` runs them."""
