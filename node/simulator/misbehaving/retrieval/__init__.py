"""What PACSs do to those who retrieve from them.

`settings` has every behaviour as a value, `understanding` says what a retrieval is taken for.
`playing` conducts one from the first response to the last, with the C-STOREs that `sending` makes
and `responses` that are true or not; `occasions` knows when something is due, and counts.
"""
