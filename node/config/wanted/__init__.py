"""What of studies is to be brought here, and how much: `want` and `budget`, of all and of a peer."""
