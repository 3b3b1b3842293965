"""Finds over the network at PACSs that misbehave: is what is missing always named?

`behaviours` has what PACSs do, each alone and in random combinations; `oracle` the fewest questions
that would do; `programme` runs one find and judges it by the database alone. `make find-test` runs
all of them.
"""
