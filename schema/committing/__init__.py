"""Storage commitment (PS3.4 Annex J) in the database: what was asked for, by whom, and what came.

As SCP, `taking` writes down what others ask of us, `claiming` gives it to one node that finds out
and reports, and takes down what has become of it; `outcomes` are those of the single objects.
`patience` says when a report that was not taken is tried again. As SCU, `asking` writes down what
we ask of others, and what they report. `listing` is for who looks.
"""
