"""Probing a peer: what it can do is found out with few questions, and kept.

1. `deciding` plans: it says what to ask next, and draws its conclusions from the answers. It is
   pure, as are the parts that it has: `searching` looks for studies to try things with, `matching`
   tries keys, `capacity` how much is answered at once. What they ask is in `questions`, what they
   have seen in `evidence`, and what they conclude in `facts`.
2. `asking` puts the questions, paced, over an association that is made again when it is lost.
3. `probe` is the use case: negotiate, ask, keep. `knowledge` says what is in force: the
   configuration over the newest probe.

Import `probe` and `knowledge` from outside; the rest is this wing's own.
"""
