"""What only SQLite needs: whether its file can be opened, and how; and statements in one call."""
