"""Finds at a simulated PACS, for the pictures: what they leave in the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from sqlalchemy import select

from node.config import Config
from node.dicom.query import StudyQuery, Window
from node.ops.finding.find import find
from node.ops.finding.peers import find_at_peers
from node.ops.stalls import TimeLimits
from schema import Cycle, Database, FindWindow
from schema.coverage.ledger import Coverage, get_coverage
from schema.tables.sources import StudySource
from tests.support.misbehaving import misbehaving_pacs

CAP = 150
PATIENCE = TimeLimits(quiet=20, total=60)

CUT_OFF = {
    "archive": {
        "studies": 2700,
        "seed": 4,
        "start_date": "2022-01-01",
        "end_date": "2023-12-31",
        "bursts": {"days": 1, "studies": 400, "minutes": 200},
        "migrations": [{"date": "2023-09-17", "studies": 300, "time": "000000"}],
    },
    "cap": {"studies": CAP, "kind": "cut"},
}
"""Two years, one day on which 400 came, and 300 that a migration left in one minute."""

GROWING = {
    "archive": {
        "studies": 4000,
        "seed": 5,
        "start_date": "2021-01-01",
        "end_date": "2024-06-30",
        "migrations": [{"date": "2022-09-17", "studies": 300, "time": "000000"}],
    },
    "cap": {"studies": CAP, "kind": "cut"},
}
"""Three and a half years, of which some studies are imported late."""

LATE = {"share": 0.0015}
NIGHTS = tuple(
    datetime.combine(day, time(2), UTC)
    for day in (date(2024, 3, 1), date(2024, 5, 5), date(2024, 6, 20), date(2024, 6, 30))
)
"""When the growing archive is asked for what is due; before the third, some studies come late."""


async def windows_of_a_find(folder: Path) -> list[FindWindow]:
    """Return the windows of a find of two years at a PACS that cuts its answers off."""
    window = Window(start=date(2022, 1, 1), end=date(2023, 12, 31))
    async with _database(folder) as database, misbehaving_pacs(**CUT_OFF) as pacs:
        queries = [StudyQuery(window=window)]
        await find(database, pacs.peer(), queries, node="NODE", limits=PATIENCE, axes=())
        async with database.session() as session:
            return list(await session.scalars(select(FindWindow).order_by(FindWindow.id)))


async def coverage_of_nights(folder: Path) -> Coverage:
    """Return what is known after a few nights of asking for what is due, as of the last one."""
    async with _database(folder) as database, misbehaving_pacs(**GROWING) as pacs:
        peer = pacs.peer()
        settings = {"aetitle": peer.aetitle, "host": peer.host, "port": peer.port}
        config = Config(
            peers={"pacs": settings},  # type: ignore[dict-item]
            find={"start_date": date(2021, 1, 1)},  # type: ignore[arg-type]
        )
        for number, night in enumerate(NIGHTS):
            after = 0 if number > 1 else 1_000_000
            pacs.behave(**GROWING, late={**LATE, "after_questions": after})
            tour = await find_at_peers(config, database, ["pacs"], (), due=night)
            assert not tour.troubles, tour.troubles
            await _let_it_have_been(database, night)
        async with database.session() as session:
            (coverage,) = await get_coverage(session, peer="pacs")
        return coverage


@asynccontextmanager
async def _database(folder: Path) -> AsyncIterator[Database]:
    async with Database(f"sqlite:///{folder / 'node.db'}") as database:
        await database.initialize()
        yield database


async def _let_it_have_been(database: Database, night: datetime) -> None:
    """Let what the last find left have happened in a night: no clock but this one is turned."""
    async with database.begin() as session:
        *_, last = await session.scalars(select(Cycle).order_by(Cycle.id))
        began = last.started_on
        back = began - night.replace(tzinfo=None)
        for table, names in _MOMENTS:
            for row in await session.scalars(select(table)):
                for name in names:
                    moment = getattr(row, name)
                    if moment is not None and moment >= began:
                        setattr(row, name, moment - back)


_MOMENTS: tuple[tuple[type[Any], tuple[str, ...]], ...] = (
    (FindWindow, ("asked_on", "covered_on")),
    (Cycle, ("started_on", "finished_on", "heard_on")),
    (StudySource, ("found_on", "last_seen_on")),
)
"""Where a find leaves the time."""
