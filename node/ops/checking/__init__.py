"""Checking: what is on the disk against what is in the index, and what is in quarantine.

- `selected` says which images a check is about.
- `verify` reads every indexed file again and compares it with its row; `recording` writes down
  what that has found of each study; `reopening`, when it is asked to, sets a damaged file aside and
  opens its study for the next move.
- `reconcile` compares both ways: files without a row (`unindexed`), the quarantine's files and rows
  (`strays`), rows without a file. `report` has the values: what is found, and the ledger of a run.
- `home` says whose the file of a row is: a node judges, and clears, its own only.
- `places` says which folders, files and programs of a configuration cannot be used.
- `quarantine` lists objects and reads them again, as the indexer would; `export` copies them out;
  `deciding` is for what a person decides: which of two is the image, and what may go.

What an object is whose UID is known, `schema.judgement` decides for all of them. Commands import
`Verification`, `Reopening`, `Reconciliation`, `Retry`, `Acceptance`, `objects`, `discard` and
`export`, and the values that these return; the other names are for this folder.
"""
