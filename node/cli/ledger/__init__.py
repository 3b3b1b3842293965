"""The commands that look into the ledger, and those that steer what it is written by."""
