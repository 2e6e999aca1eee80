"""Volumes and snapshots as blocks. Empty until the storage controller comes."""
