"""The door to a role's rows."""
