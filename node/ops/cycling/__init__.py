"""A cycle while it runs: its record, what an operator wants of it, and attempts that are to end."""
