"""Recording what became of studies: those that end while one is written share a transaction."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from schema import Database
from schema.finding.verdict import Lack, MoveAttempt
from schema.moves import record_move_attempts


class Recorder:
    """Writes attempts in the order in which they come, as many at once as there are.

    Parameters
    ----------
    peer
        The configured name of the PACS that is asked.
    """

    def __init__(self, database: Database, peer: str) -> None:
        self._database = database
        self._peer = peer
        self._waiting: list[tuple[MoveAttempt, asyncio.Future[Lack | None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def record(self, attempt: MoveAttempt) -> Lack | None:
        """Return when the attempt is committed, with what a study lacks that it took for complete.

        Raises
        ------
        SchemaError
            It is not.
        """
        done: asyncio.Future[Lack | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((attempt, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="record what was moved")
        return await done

    async def end(self) -> None:
        """Write no more; what is not committed yet is rolled back."""
        if self._writing is not None:
            self._writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writing

    async def _write(self) -> None:
        try:
            while self._waiting:
                together, self._waiting = self._waiting, []
                error: Exception | None = None
                lacks: dict[str, Lack] = {}
                try:
                    lacks = await self._database.run(
                        record_move_attempts,
                        [attempt for attempt, _ in together],
                        peer=self._peer,
                    )
                except Exception as caught:  # noqa: BLE001 - it is raised where it is waited for
                    error = caught
                for attempt, done in together:
                    if done.done():  # who waited was cancelled
                        continue
                    if error is None:
                        done.set_result(lacks.get(attempt.study_uid))
                    else:
                        done.set_exception(error)
        finally:
            self._writing = None


@asynccontextmanager
async def recording(database: Database, peer: str) -> AsyncIterator[Recorder]:
    """Record for the length of the block."""
    recorder = Recorder(database, peer)
    try:
        yield recorder
    finally:
        await recorder.end()
