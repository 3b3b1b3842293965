"""What several acceptance tests look at, made once for all of a module."""

from __future__ import annotations

import asyncio

import pytest

from schema import Database
from tests.support import hospital


@pytest.fixture(scope="module")
def hospital_url(shared_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of a made-up archive that is only read, once in each database."""

    async def fill() -> None:
        async with Database(shared_url) as db:
            await hospital.fill(db, tmp_path_factory.mktemp("archive") / "example")

    asyncio.run(fill())
    return shared_url
