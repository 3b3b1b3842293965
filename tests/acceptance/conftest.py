"""What several acceptance tests look at, made once for all of a module."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from schema import Database
from tests.support import hospital
from tests.support.forks import Forks
from tests.support.inside import Inside, build_once

build_once()


@pytest.fixture
def inside(tmp_path: Path, forks: Forks) -> Inside:
    """Run a command as `cli` does, in this process: where that it is one is not the point."""
    folder = tmp_path / "cli"
    folder.mkdir(exist_ok=True)
    return Inside(folder, forks)


@pytest.fixture(scope="module")
def hospital_url(shared_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of a made-up archive that is only read, once in each database."""

    async def fill() -> None:
        async with Database(shared_url) as db:
            await hospital.fill(db, tmp_path_factory.mktemp("archive") / "example")

    asyncio.run(fill())
    return shared_url
