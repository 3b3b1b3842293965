"""The index writer: all images that wait are inserted in one transaction (group commit).

A transaction costs the same whether it holds one image or two hundred: it ends with the
database's own write to stable storage. So while one is under way, further images queue up
for the next.
"""

import asyncio
import logging
from dataclasses import dataclass

from node.errors import RetriableError
from schema import Added, AsyncSession, Database, ImageRecord, SchemaError, add_images, retrying

log = logging.getLogger(__name__)

_MOST_AT_ONCE = 256


class NotIndexed(RetriableError):  # noqa: N818 - reads as a sentence where it is raised
    """The database did not take an image.

    Attributes
    ----------
    certain
        False when the commit itself failed: the row may be there all the same.
    """

    def __init__(self, message: str, *, certain: bool) -> None:
        super().__init__(message)
        self.certain = certain


@dataclass(slots=True)
class _Waiting:
    record: ImageRecord
    outcome: "asyncio.Future[Added]"


class IndexWriter:
    """Inserts image records, in batches, from one task: `run`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._closed = False

    async def add(self, record: ImageRecord) -> Added:
        """Insert a record; returns when it is committed.

        Raises
        ------
        NotIndexed
            The database did not take it.
        """
        if self._closed:
            raise NotIndexed("the node is stopping", certain=True)
        waiting = _Waiting(record, asyncio.get_running_loop().create_future())
        self._queue.put_nowait(waiting)
        return await waiting.outcome

    async def run(self) -> None:
        """Insert what comes, for ever; what waits when this is cancelled fails."""
        batch: list[_Waiting] = []
        try:
            while True:
                batch = [await self._queue.get()]
                while not self._queue.empty() and len(batch) < _MOST_AT_ONCE:
                    batch.append(self._queue.get_nowait())
                await self._insert(batch)
        finally:
            self._closed = True
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            _fail(batch, NotIndexed("the node is stopping", certain=False))

    async def _insert(self, batch: list[_Waiting]) -> None:
        committing = False

        async def insert(session: AsyncSession) -> list[Added]:
            nonlocal committing
            committing = False
            added = await add_images(session, [waiting.record for waiting in batch])
            committing = True
            return added

        try:
            results = await retrying(self._database, insert)
        except SchemaError as error:
            log.error("%d images were not indexed: %s", len(batch), error)  # noqa: TRY400
            _fail(batch, NotIndexed(str(error), certain=not committing))
        except Exception as error:
            if len(batch) > 1 and not committing:
                # one of them is the cause: it must not fail the others
                for waiting in batch:
                    await self._insert([waiting])
                return
            # the database's words may quote the row, patient included
            log.error("An image was not indexed: %s", type(error).__name__)  # noqa: TRY400
            log.debug("Why an image was not indexed", exc_info=True)
            _fail(batch, NotIndexed(type(error).__name__, certain=not committing))
        else:
            for waiting, added in zip(batch, results, strict=True):
                if not waiting.outcome.done():
                    waiting.outcome.set_result(added)


def _fail(batch: list[_Waiting], error: NotIndexed) -> None:
    for waiting in batch:
        if not waiting.outcome.done():
            waiting.outcome.set_exception(error)
