"""Walrus among the roles."""
