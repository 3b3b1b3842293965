"""How PACSs are spared: what stops the daemon at one, and how much was moved from it.

`breaking` decides, purely, when nothing is moved from a PACS for a while, and when it is tried
again. `breakers` keeps that, for all nodes, and tells it. `spending` adds up what was moved since
a moment.
"""
