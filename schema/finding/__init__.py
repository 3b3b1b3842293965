"""What PACSs say of studies, as values, and what follows from it; pure.

`answer` reads an identifier; `drawing` draws the one row of a study from all that its sources say,
and tells what has changed and what has grown.

`schema.found` and `schema.hierarchy` write by it.
"""
