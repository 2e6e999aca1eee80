"""What every role offers beside its own work: its logs, its settings, its health."""
