"""Storage Controller. Empty until volumes come; `run` says that it does not start."""
