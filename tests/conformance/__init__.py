"""The tables of docs/conformance.md that are made from the code.

`tables` makes them, `statuses` says which services have which status values, and `statement` puts
them between their marks: `python -m tests.conformance` writes the document anew.
"""
