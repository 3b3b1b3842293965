"""Moving studies, as the database sees it: what is expected of each source, and what came of it.

Pure: `listing` (what a PACS lists), `evidence` (whether a study is whole, and what that rests on)
and `patience` (when it is asked for again). In SQL: `attempts` (each a row), `arrivals` (which
attempt has brought an image), `interrupted` (attempts without a verdict) and `judging` (an attempt
is held against what is so when it is recorded).
"""
