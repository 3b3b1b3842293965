"""What only SQLite needs, whose database is a file: whether it can be opened, and how."""
