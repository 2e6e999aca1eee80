"""The index of objects on SQLite."""
