"""Moves over the network from PACSs that misbehave: is what is called retrieved really here?

`node` has one receiving node for many PACSs; `programme` moves from one of them in several rounds,
and `oracle` judges what the database says afterwards by what the PACS really has. `behaviours` has
what PACSs do, in random combinations. `make move-test` runs them.
"""
