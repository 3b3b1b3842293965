"""Reconcile: bring index and storage directory together, both ways, and drop nothing.

1. Files that no row names are read, and become images of the index where they lie; or rows of
   the quarantine, with the reason. A row whose file is gone takes the file that has its dataset.
2. Files in quarantine that have no row get one again.
3. Rows are compared with the disk: a row whose file is gone stays, without one, and its study is
   opened again for the next move.

So an empty database and the storage directory give the rows again.
"""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from node.config import Config
from node.errors import StorageError
from node.ops.checking.report import Finding, Kind, Ledger, ReconcileReport
from node.ops.checking.strays import Strays
from node.ops.checking.unindexed import Seen, Unindexed
from node.storage.inspect import Fault, Inspected, glance, inspect, is_below
from schema import Database
from schema.inventory import Held, held_page, lose_files
from schema.parsing.extract import Reading
from schema.parsing.kept import REPLACEMENT
from schema.parsing.run import Run
from schema.parsing.scan import reason_of
from schema.quarantine import quarantine_page

_KINDS = {Fault.CHANGED: Kind.CHANGED, Fault.UNREADABLE: Kind.UNREADABLE}


class Reconciliation:
    """One run. `report` may be asked for at any time, `run` is called once.

    Parameters
    ----------
    config
        Whose storage directory, institution and AE title.
    database
        The index.
    fix
        Whether to mend what is found; otherwise nothing is changed.
    workers
        How many processes read files.
    watch
        Called now and then with what has been found so far.
    found
        Called for each disagreement.
    """

    def __init__(
        self,
        config: Config,
        database: Database,
        *,
        fix: bool,
        workers: int = 1,
        watch: Callable[[ReconcileReport], None] = lambda _: None,
        found: Callable[[Finding], None] = lambda _: None,
    ) -> None:
        self._node = config.node
        self._directory = config.storage.directory.absolute()
        self._database = database
        self._workers = workers
        self._watch = watch
        self._ledger = Ledger(fix=fix, found=found)
        self._seen = Seen()

    def report(self) -> ReconcileReport:
        """Return what has been found and done so far."""
        return self._ledger.report()

    async def run(self) -> ReconcileReport:
        """Do all of it.

        Raises
        ------
        StorageError
            The index names files in the storage directory, and it is not there, or has no image:
            it is not mounted, most likely. Or it cannot be looked at.
        DatabaseUnavailable
            When the database is away; what was committed stays.
        """
        there = await asyncio.to_thread(_is_there, self._directory)
        if not there:
            await self._refuse_to_miss_all()
            self._ledger.absent = self._directory
        try:
            if there:
                await self._files()
            strays = Strays(
                self._database,
                self._directory,
                institution=self._node.institution,
                ledger=self._ledger,
            )
            await strays.run()
            await self._rows()
            self._watch(self.report())
        finally:
            self._seen.close()
        return self.report()

    async def _refuse_to_miss_all(self) -> None:
        """Raise where rows have something to do with a storage directory that is not there."""
        async for images in self._pages():
            if any(held.lost or self._is_below(held) for held in images):
                raise self._not_there()
        after = 0
        while True:
            async with self._database.session() as session:
                rows = await quarantine_page(session, after=after)
                paths = [row.filepath for row in rows]
                after = rows[-1].id if rows else after
            if not paths:
                return
            if any(is_below(path, self._directory) for path in paths):
                raise self._not_there()

    def _not_there(self) -> StorageError:
        return StorageError(f"there is no storage directory {self._directory}: is it mounted?")

    async def _files(self) -> None:
        sink = Unindexed(
            self._database,
            self._directory,
            aetitle=self._node.aetitle,
            ledger=self._ledger,
            seen=self._seen,
        )
        run = Run(
            str(self._directory),
            sink,
            Reading(institution=self._node.institution),
            workers=self._workers,
            watch=lambda _: self._watch(self.report()),
            failed=sink.failed,
            stop=None,
        )
        async with sink:
            parsed = await run.run()
        await sink.finish()
        self._ledger.skipped = sum(parsed.skipped.values()) - parsed.skipped.get(
            "folder of the node's own", 0
        )

    async def _pages(self) -> AsyncIterator[list[Held]]:
        after = 0
        while True:
            async with self._database.session() as session:
                page = await held_page(session, after=after)
            if not page:
                return
            after = page[-1].id
            yield page

    async def _rows(self) -> None:
        async for page in self._pages():
            self._ledger.rows += len(page)
            found = await asyncio.to_thread(_looked_at, page)
            gone = []
            for held, file in zip(page, found, strict=True):
                if file.fault is Fault.MISSING:
                    if self._is_gone(held):
                        gone.append(held)
                    continue
                self._ledger.outside += not self._is_below(held)
                if file.fault is not None:
                    self._ledger.add(held.filepath or "", _KINDS[file.fault], file.reason)
            if gone:
                await self._missing(gone)
            self._watch(self.report())

    def _is_below(self, held: Held) -> bool:
        return is_below(held.filepath or "", self._directory)

    def _is_gone(self, held: Held) -> bool:
        """Tell whether a file that is not there should be, and is ours to miss."""
        path = held.filepath
        if self._seen.get(held.image_uid) is not None or REPLACEMENT in (path or ""):
            return False
        if path is None:
            if held.lost:
                reason = "its row names no file since an earlier reconciliation"
                self._ledger.add(held.image_uid, Kind.LOST, reason)
            return False
        if self._is_below(held) or held.node == self._node.aetitle:
            return True
        whose = f"the node {held.node}" if held.node else "another program"
        self._ledger.add(path, Kind.ELSEWHERE, f"outside the storage directory, kept by {whose}")
        return False

    async def _missing(self, images: Sequence[Held]) -> None:
        ledger = self._ledger
        if not ledger.images:
            raise StorageError(
                f"{self._directory} has no image, but the index names some in it, such as "
                f"{images[0].filepath}: is it mounted? Rows were left as they are"
            )
        for held in images:
            ledger.add(held.filepath or "", Kind.MISSING, f"image {held.image_uid} has no file")
        if ledger.fix:
            ledger.reopened.update(await self._database.run(lose_files, images))


def _is_there(directory: Path) -> bool:
    """Tell whether there is a storage directory; raise `StorageError` where nobody can tell."""
    try:
        status = os.stat(directory)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        reason = f"the storage directory {directory} cannot be looked at: {reason_of(error)}"
        raise StorageError(reason) from error
    if not stat.S_ISDIR(status.st_mode):
        raise StorageError(f"the storage directory {directory} is no directory")
    return True


def _looked_at(page: Sequence[Held]) -> list[Inspected]:
    return [_compared(held) for held in page]


def _compared(held: Held) -> Inspected:
    """Compare a file with its row, by its size; one whose size nobody knows has to be read."""
    if held.filepath is None or held.size is None:
        return inspect(held)
    return glance(held.filepath, held.size)
