"""Cluster Controller."""
