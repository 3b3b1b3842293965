"""Overseeing: what was proven of the peers, and the operator's hand on cycles that run.

`coverage` reads the ledger of windows; `steering` pauses, resumes and cancels cycles, whichever
process they run in. `node.ops.cycles` is the other end of that.
"""
