"""Watching the index for the images of one study, whichever process receives them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from schema import Database, SchemaError, count_images

log = logging.getLogger(__name__)

_INTERVAL = 0.4
"""Seconds between two looks into the index."""


class Arrivals:
    """Counts a study's images in the index, and knows when the last sign of life was.

    Attributes
    ----------
    count
        Images at the last look.
    """

    def __init__(self, database: Database, study_uid: str) -> None:
        self._database = database
        self._study_uid = study_uid
        self._last_sign = time.monotonic()
        self.count = 0

    async def look(self) -> int:
        """Count again; more images than before are a sign of life."""
        async with self._database.session() as session:
            counts = await count_images(session, [self._study_uid])
        count = counts.get(self._study_uid, 0)
        if count > self.count:
            self.touch()
        self.count = count
        return count

    def touch(self) -> None:
        """Note a sign of life."""
        self._last_sign = time.monotonic()

    def quiet_for(self) -> float:
        """Return the seconds since the last sign of life."""
        return time.monotonic() - self._last_sign


@asynccontextmanager
async def watching(
    arrivals: Arrivals, timeout: float, show: Callable[[int], None]
) -> AsyncIterator[None]:
    """Look into the index for the length of the block; end the block when nothing happens.

    Parameters
    ----------
    timeout
        Seconds without any sign of life.
    show
        Called with each count.

    Raises
    ------
    TimeoutError
        In the place of whatever the block was waiting for.
    """
    arrivals.touch()
    async with asyncio.timeout(timeout) as deadline:
        looking = asyncio.create_task(_look(arrivals, deadline, timeout, show))
        try:
            yield
        finally:
            await _end(looking)


async def _end(looking: "asyncio.Task[None]") -> None:
    """End it, and do not wait long where the database does not even let go of its connection."""
    for _ in range(3):
        looking.cancel()
        done, _ = await asyncio.wait({looking}, timeout=1.0)
        if done:
            await asyncio.gather(looking, return_exceptions=True)
            return


async def _look(
    arrivals: Arrivals, deadline: asyncio.Timeout, timeout: float, show: Callable[[int], None]
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            show(await arrivals.look())
        except Exception as error:  # noqa: BLE001 - the move goes on, and so does looking
            reason = str(error) if isinstance(error, SchemaError) else type(error).__name__
            log.warning("Cannot look into the index: %s", reason)
        deadline.reschedule(loop.time() + timeout - arrivals.quiet_for())
        await asyncio.sleep(_INTERVAL)
