"""What of studies is to be brought here, and how much: `want` and `budget`, in all or of a peer."""
