"""Dumping: tables as files.

`dump` is the way in, and what everybody may import; `csvfile` and `parquetfile` are the formats.
"""
