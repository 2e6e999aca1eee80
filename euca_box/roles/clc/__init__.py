"""Cloud Controller."""
