"""Bytes that nobody means well: each parser of outside input, fed with whatever Hypothesis finds."""
