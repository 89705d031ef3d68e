"""Maintenance: deletes old rows, and repairs wrong times."""
