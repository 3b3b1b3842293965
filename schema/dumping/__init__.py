"""Dumping: tables as files. `dump` writes them, `csvfile` and `parquetfile` are the formats."""
