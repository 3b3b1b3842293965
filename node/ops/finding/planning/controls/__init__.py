"""Questions that show whether what a peer answers can be believed."""
