"""How much a peer is asked for at once, so that others who ask it hardly notice.

`throttle` decides, from what it is told alone: how long the peer takes to answer, held against what
is usual there (`usual`), and where it says that it is busy. `pacing` holds the lines of a move to
that, `watching` measures, and `keeping` tells and records where it stands. For others:
`pacing.Pacer`, and `watching.watched`.
"""
