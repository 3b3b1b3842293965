"""What was proven of a PACS, and what was not: the reading side of the ledger of windows.

`proof` is pure: from questions to stretches of dates, months and gaps. `ledger` selects the
questions from `find_windows`, and is the way in.
"""
