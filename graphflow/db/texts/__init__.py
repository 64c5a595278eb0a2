"""The SQL of the store for each dialect, written by ``python -m graphflow.db.statements``."""
