"""What the ledger has to do with a find: what is left to ask before it, and to know after it."""
