"""Who signed this? Signatures, keys, passwords, certificates: pure functions."""
