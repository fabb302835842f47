"""Logs: SQLite for one machine, and what surrounds a log: spill."""
