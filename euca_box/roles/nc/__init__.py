"""Node Controller."""
