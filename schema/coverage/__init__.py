"""What was proven of a PACS, and what was not: the reading side of the ledger of windows.

`proof` is pure: from questions to stretches of dates; `months` and `gaps` are made of these. How
old proof may be, `ages` says, `due` which dates are to be asked for, and `drift` where studies came
late: pure as well. `ledger` selects the questions from `find_windows`, and is the way in; `daily`
counts the studies of each date.
"""
