"""A campaign of several nodes at a bad PACS: they are killed, and so is the database."""
