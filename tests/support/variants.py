"""On which databases a test runs that would by itself run on both.

What differs between the variants of a test is often the network or the disk: then each of them
runs on SQLite, and PostgreSQL is asked once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

on_sqlite = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
"""For a test whose statements another one tries on PostgreSQL."""


def variants(names: str, *values: Any, ids: Sequence[str] | None = None) -> pytest.MarkDecorator:
    """Parametrize with all values on SQLite, and with the first of them on PostgreSQL as well.

    `names` and `values` are those of `pytest.mark.parametrize`; a value of several names is a
    tuple. It is for tests that use `migrated_url`, or a fixture that does.
    """
    several = "," in names
    rows = [(*value,) if several else (value,) for value in values]
    given = [("sqlite", *row) for row in rows] + [("postgresql", *rows[0])]
    called = None if ids is None else [f"sqlite-{one}" for one in ids] + [f"postgresql-{ids[0]}"]
    asked = ["migrated_url", *(name.strip() for name in names.split(","))]
    return pytest.mark.parametrize(asked, given, ids=called, indirect=["migrated_url"])
