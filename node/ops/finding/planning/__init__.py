"""Planning: which windows a PACS is asked for, and which of them prove what it has.

Pure: answers in, questions out, without a clock, a socket or a database. `planner` decides what is
asked next, through `questions`; `rules` says what an answer is worth; `knowledge` is what the
answers so far have shown of the PACS, `expecting` and `known_days` what earlier finds have;
`cutting` cuts windows, `inside` looks into them by a few of their studies, `tree` keeps them.
docs/finding.md has the rules in words. Import `planner`, and `tree` for its values.
"""
