"""A migrated database for each test of this folder, on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from schema import Database


@pytest.fixture
async def db(migrated_url: str) -> AsyncIterator[Database]:
    """Return an initialised database."""
    async with Database(migrated_url) as database:
        yield database
