"""The image tree: the only code that creates, reads and removes image files."""
