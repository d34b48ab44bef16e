"""Formats that results are converted to."""
