"""Checking: what is on the disk against what is in the index, and what is in quarantine.

- `verify` reads every indexed file again and compares it with its row; it changes nothing.
- `reconcile` compares both ways: files without a row (`unindexed`), the quarantine's files and rows
  (`strays`), rows without a file. `report` has the values: what is found, and the ledger of a run.
- `home` says whose the file of a row is: a node judges, and clears, its own only.
- `quarantine` lists objects and reads them again, as the indexer would; `export` copies them out.

What an object is whose UID is known, `schema.judgement` decides for all of them. Commands import
`Verification`, `Reconciliation`, `Retry`, `objects` and `export`, and the values that these return;
the other names are for this folder.
"""
