"""The contracts: one frozen dataclass for each operation and each reply."""
