"""Which studies a command is about, and what operators decide about them."""
