"""Killing a receiving node at every step, again and again, and looking at what it has lost."""
