"""Dumping: tables as files.

`dump` is the way in, and what everybody may import; `csvfile` and `parquetfile` are the formats.
`drafts` gives files their names when they are whole, here and for whoever writes files for people.
"""
