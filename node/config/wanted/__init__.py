"""What of studies is to be brought here: `move.want`, and `want` of a peer."""
