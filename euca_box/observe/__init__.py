"""Logs and failpoints."""
