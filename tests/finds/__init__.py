"""A find that is killed again and again: `python -m tests.finds`."""
