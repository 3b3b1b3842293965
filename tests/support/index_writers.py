"""Writers of the index in a process of their own: `python -m tests.support.index_writers …`.

    index_writers <database URL> <port> <first writer> <writers> <rounds>

The process connects to the port, where `Meeting` lets all processes into each round at once;
within it, its writers begin together. Each writer puts the batch of its number and the round in,
in a transaction of its own that is not tried again.
"""

from __future__ import annotations

import asyncio
import sys
from types import TracebackType
from typing import Self

from schema import Database, ImageRecord, add_images
from tests.support.processes import LOOPBACK

STUDIES = 3
OWN = 5
"""Images of a batch that no other writer brings."""


def batch(writer: int, turn: int) -> list[ImageRecord]:
    """Return images of the same new patients, studies and series for every writer of a round.

    One image is common to all, the others are the writer's own; each writer brings them in
    another order, and says another name of the patients.
    """
    images = [
        ImageRecord(
            image_uid=f"{turn}.{writer if n else 'common'}.{n}",
            series_uid=f"{turn}.{n % STUDIES}.1",
            study_uid=f"{turn}.{n % STUDIES}",
            patient_id=f"P{turn}.{n % STUDIES}",
            patient_name=f"Doe^{writer}",
        )
        for n in range(OWN + 1)
    ]
    begin = writer % len(images)
    return images[begin:] + images[:begin]


async def write(database: Database, writer: int, turn: int) -> int:
    """Put a batch in, and return how many of its images were new."""
    async with database.begin() as session:
        return sum(one.inserted for one in await add_images(session, batch(writer, turn)))


class Meeting:
    """Where processes wait for each other: in each round, all of them go on at once."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._arrived: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def let_in(self, timeout: float = 60.0) -> None:
        """Wait until all are there, then let them go on."""
        async with asyncio.timeout(timeout):
            waiting = [await self._arrived.get() for _ in range(self._processes)]
        for writer in waiting:
            writer.write(b"\n")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            self._arrived.put_nowait(writer)
        writer.close()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()


async def main(url: str, port: int, first: int, writers: int, rounds: int) -> None:
    """Write the batches of `writers` writers, and print how many images were new."""
    inserted = 0
    reader, meeting = await asyncio.open_connection(LOOPBACK, port)
    async with Database(url) as database:
        await database.check()
        for turn in range(rounds):
            meeting.write(b"\n")
            await reader.readline()
            writing = (write(database, writer, turn) for writer in range(first, first + writers))
            inserted += sum(await asyncio.gather(*writing))
    meeting.close()
    await meeting.wait_closed()
    print(f"inserted {inserted}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
