"""What answers for a host itself, whatever roles it has."""
