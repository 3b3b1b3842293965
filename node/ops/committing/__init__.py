"""Storage Commitment, as SCU (PS3.4 Annex J): others are asked to keep what we have sent them.

`asking` is the way in: it asks and waits. `reports` takes what others report, in the running node
or beside a command.
"""
