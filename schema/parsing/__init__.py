"""The parts of `schema.parser`: walking a folder, reading its files, keeping what was read."""
