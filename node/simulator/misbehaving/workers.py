"""Those who do the work of a PACS: what is asked beyond their number waits its turn."""

import asyncio


class Workers:
    """Some workers, each at one thing at a time; who came first is served first.

    Attributes
    ----------
    waiting
        How many wait, or are served.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self._count = 0
        self._free = asyncio.Semaphore(0)

    async def serve(self, workers: int, seconds: float) -> None:
        """Wait for a worker, and until it is done.

        Parameters
        ----------
        workers
            How many there are.
        seconds
            Of its time; 0 takes none of it.
        """
        if not seconds:
            return
        if workers != self._count:
            self._count, self._free = workers, asyncio.Semaphore(workers)
        self.waiting += 1
        try:
            async with self._free:
                await asyncio.sleep(seconds)
        finally:
            self.waiting -= 1
