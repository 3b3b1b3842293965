"""The pictures of docs/finding.md, drawn from ledgers: `python -m tests.pictures`.

`ledgers` has finds ask a simulated PACS, and returns what they left in the database; `windows` and
`calendar` draw that, each with nothing but its arguments; `svg` is the paper.
"""
