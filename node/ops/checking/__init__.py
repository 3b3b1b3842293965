"""Checking: what is on the disk against what is in the index, and what is in quarantine.

`verify` reads every indexed file again; `reconcile` compares both ways (`unindexed`, `strays`) and
`report` has what it finds; `quarantine` reads objects again, `export` copies them out.
"""
