"""Backup and restore of a host's part of the cloud: databases of one moment, keys, objects, volumes."""
