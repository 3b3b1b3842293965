"""How PACSs are spared: at how many associations, how much in a night, and when not at all.

`windows` says since when and until when hours are open, `budgets` what may be moved in that time
and what was, `entering` whether the daemon moves from a PACS now, tries one study, or waits, and
why. `guard` is what a move asks before each study; `canary` has the one study moved that is tried.
`slots` keeps associations to as many as a PACS may have of ours, of all processes that share the
database. Import `budgets`, `entering`, `guard`, `canary` and `slots`.
"""
