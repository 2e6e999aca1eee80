"""The roles. Each has role.py (OPERATIONS, run), loops, and a file for each noun."""
