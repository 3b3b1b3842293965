"""What several acceptance tests look at, made once for all of a module."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from schema import Database
from tests.support import hospital


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def hospital_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Return the URL of a made-up archive that is only read, once in each database."""
    folder = tmp_path_factory.mktemp("archive")
    if request.param == "sqlite":
        url = f"sqlite:///{folder}/example.db"
    else:
        server = request.getfixturevalue("postgresql")
        name = server.create_database()
        url = server.url(name)

    async def make() -> None:
        async with Database(url) as db:
            await db.initialize()
            await hospital.fill(db, folder / "example")

    asyncio.run(make())
    yield url
    if request.param == "postgresql":
        server.drop_database(name)
