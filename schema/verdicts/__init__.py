"""Whether verdicts still hold: what was complete once, and is not here any more.

`broken` compares what verdicts rested on with what is here, `reopening` opens the studies of those
that do not hold for the next move.
"""
