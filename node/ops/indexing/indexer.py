"""The indexer: what is in the spool gets its place in the archive and its rows, in batches.

For each batch the headers are read in processes of their own, the files are linked to their
places, their folders are made durable, the rows are committed in one transaction, and only
then the spool forgets them. A crash at any point loses nothing and doubles nothing: the next
start does again what was not finished.

While the database is away everything waits. What disk or database do not take for a reason of
its own is put off, and holds up nothing else.
"""

import functools
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from node.errors import StorageError
from node.ops.indexing.backlog import Waiting
from node.ops.indexing.outages import Trouble
from node.ops.indexing.records import add_received, completed
from node.ops.indexing.settling import Settlement
from node.ops.threads import Threads
from node.storage.archive import Archive, Placed
from node.storage.failpoints import reach
from node.storage.spool import Spool
from node.storage.writing import Entry
from schema import AsyncSession, Database, ImageRecord
from schema.errors import ValuesRefused
from schema.images import Added
from schema.judgement import disagreement
from schema.moving.senders import Senders
from schema.parsing.headers import HeaderReader
from schema.parsing.scan import Passed
from schema.tables.ledger import QuarantineKind

log = logging.getLogger(__name__)

_DAMAGED = (
    "it is not what was received: the power was lost before it was acknowledged, or the disk has"
    " damaged it"
)

_Image = tuple[Entry, ImageRecord, Placed]
"""What is received, read, and has a place."""

Listener = Callable[[Mapping[str, int]], None]
"""Is told how many images have come into the index, by Study Instance UID; it must not wait."""


class Indexer:
    """Indexes what is put in: `put` from the event loop, `run` is the task behind it.

    Parameters
    ----------
    database
        The index.
    archive
        Where the files get their places.
    spool
        Where they are until then.
    headers
        Reads the headers.
    aetitle, senders
        This node's AE title, and who sends for which peer: for what the rows say of an image.
    """

    def __init__(
        self,
        database: Database,
        archive: Archive,
        spool: Spool,
        headers: HeaderReader,
        *,
        aetitle: str,
        senders: Senders = Senders(),  # noqa: B008 - it is frozen
    ) -> None:
        self._database = database
        self._archive = archive
        self._spool = spool
        self._headers = headers
        self._aetitle = aetitle
        self._senders = senders
        self._waiting = Waiting()
        self._threads = Threads(4, "index")
        self._settlement = Settlement(database, archive, self._threads)
        self._trouble = Trouble()
        self._listeners: list[Listener] = []
        self._latest: list[Path] = []

    @property
    def backlog(self) -> int:
        """How many acknowledged objects are not indexed yet."""
        return len(self._waiting)

    @property
    def trouble(self) -> str | None:
        """Why something is not indexed at the moment; None when all is well."""
        return self._trouble.reason

    def under_way(self) -> frozenset[Path]:
        """Return the names in the spool of what is to be indexed next, and not put off."""
        return self._waiting.under_way()

    def uids(self) -> tuple[frozenset[str], bool]:
        """Return which SOP instances are not indexed yet, and whether there may be others."""
        return self._waiting.uids()

    def put(self, entry: Entry | Path) -> None:
        """Take an entry that is durable, or the path of one that an earlier process has left."""
        self._waiting.put(entry)

    @contextmanager
    def telling(self, listener: Listener) -> Iterator[None]:
        """Tell somebody what is indexed, for the length of the block."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def wait_for_database(self, why: str) -> None:
        """Take note of why nothing can be indexed before `run` begins."""
        self._trouble.reason = why

    async def wait_idle(self) -> None:
        """Wait until everything that was put in is indexed."""
        await self._waiting.wait_empty()

    async def wait_settled(self) -> None:
        """Wait until everything is indexed, or put off because disk or database refuse it."""
        await self._waiting.wait_settled()

    async def run(self) -> None:
        """Index what comes, until cancelled; what waits then stays in the spool."""
        try:
            await self._headers.start()
            while True:
                batch = await self._waiting.take()
                try:
                    await self._index(batch)
                except Exception as error:
                    log.debug("Why images could not be indexed", exc_info=error)
                    for one in self._waiting.taken():
                        self._put_off(one, type(error).__name__, alone=True)
                if not self._waiting.put_off_ones:
                    self._trouble.is_over()
                await self._waiting.gather()
        finally:
            await self._headers.close()
            # a thread may be linking what the spool would otherwise give to somebody else
            await self._threads.close()

    async def _index(self, batch: Sequence[Entry | Path]) -> None:
        entries = await self._recovered(batch)
        if not entries:
            return
        paths = [entry.path for entry in entries]
        readings = await self._trouble.insist(lambda: self._read(paths), watched=False)
        images: list[tuple[Entry, ImageRecord]] = []
        for entry, reading in zip(entries, readings, strict=True):
            if isinstance(reading, ImageRecord):
                reason = disagreement(
                    reading,
                    sop_instance_uid=entry.sop_instance_uid,
                    sop_class_uid=entry.sop_class_uid,
                )
                if reason is None:
                    images.append((entry, reading))
                else:
                    await self._quarantine(
                        entry, QuarantineKind.MISMATCH, reason, reading.study_uid
                    )
            elif reading.lasting:
                log.warning("Received an object that cannot be indexed: %s", reading.reason)
                await self._quarantine(entry, QuarantineKind.UNDECODABLE, reading.reason, None)
            elif await self._threads.run(entry.path.exists):
                self._put_off(entry, f"cannot read {entry.path}: {reading.reason}")
            else:
                self._is_gone(entry.path)
        if images:
            await self._index_images(images)

    async def _read(self, paths: Sequence[Path]) -> list[ImageRecord | Passed]:
        reach("index.headers")
        return await self._headers.read(paths, beside=self._latest)

    async def _recovered(self, batch: Sequence[Entry | Path]) -> list[Entry]:
        """Return the entries, with those read that an earlier process has left."""
        entries = []
        for one in batch:
            if isinstance(one, Entry):
                entries.append(one)
                continue
            try:
                entry = await self._threads.run(self._spool.recover, one)
            except StorageError as error:
                self._put_off(one, str(error))
                continue
            if entry is None:
                self._is_gone(one)
                continue
            self._waiting.replace(one, entry)
            if entry.damaged:
                log.error("An object in the spool is not what was received: %s", entry.path.name)
                await self._quarantine(entry, QuarantineKind.UNDECODABLE, _DAMAGED, None)
            else:
                entries.append(entry)
        return entries

    async def _index_images(self, images: Sequence[tuple[Entry, ImageRecord]]) -> None:
        """Place and insert; what has no place is put off, and the others go on."""
        places = await self._threads.run(self._place, images)
        placed: list[_Image] = []
        for (entry, record), place in zip(images, places, strict=True):
            if isinstance(place, StorageError):
                self._put_off(entry, str(place))
            else:
                placed.append((entry, self._completed(entry, record, place), place))
        if placed:
            await self._insert(placed)

    def _completed(self, entry: Entry, record: ImageRecord, placed: Placed) -> ImageRecord:
        storage_id = self._archive.identity()  # known since the file has its place
        return completed(entry, record, placed, aetitle=self._aetitle, storage_id=storage_id)

    async def _insert(self, placed: Sequence[_Image]) -> None:
        async def insert(session: AsyncSession) -> tuple[list[ImageRecord], list[Added]]:
            reach("index.insert")
            came = [(record, entry.sender.originator) for entry, record, _ in placed]
            records, added = await add_received(session, came, self._senders)
            reach("index.commit")
            return records, added

        try:
            records, results = await self._trouble.insist(lambda: self._database.run(insert))
            reach("index.committed")
        except ValuesRefused as error:
            await self._not_inserted(placed, error, self._refused)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing is lost
            await self._not_inserted(placed, error, self._put_off_placed)
            return
        studies = Counter(record.study_uid for _, record, _ in placed)
        for tell in self._listeners:
            tell(studies)
        done = []
        for (entry, _, place), record, added in zip(placed, records, results, strict=True):
            settle = functools.partial(self._settlement.settle, entry, record, place)
            try:
                if added.inserted:
                    await self._settlement.tidy(record.filepath, place)
                    self._latest = [place.path]
                else:
                    await self._trouble.insist(settle)
            except Exception as error:  # noqa: BLE001 - the others go on
                self._put_off_for(entry, error)
            else:
                done.append(entry)
        await self._done(done)

    async def _not_inserted(
        self,
        placed: Sequence[_Image],
        error: Exception,
        deal_with: Callable[[_Image, Exception], Awaitable[None]],
    ) -> None:
        """Find the one that is the cause, and deal with it: it must not hold up the others."""
        if len(placed) > 1:
            for one in placed:
                await self._insert([one])
        else:
            await deal_with(placed[0], error)

    async def _refused(self, image: _Image, error: Exception) -> None:
        entry, record, placed = image
        log.error("An image cannot be indexed: %s", error)
        log.debug("Why an image cannot be indexed", exc_info=error)
        await self._quarantine(
            entry,
            QuarantineKind.UNINDEXABLE,
            str(error),
            record.study_uid,
            surplus=placed if placed.created else None,
        )

    async def _put_off_placed(self, image: _Image, error: Exception) -> None:
        self._put_off_for(image[0], error)

    def _place(self, images: Sequence[tuple[Entry, ImageRecord]]) -> list[Placed | StorageError]:
        """Link the files to their places, and make the names durable."""
        places: list[Placed | StorageError] = []
        for entry, record in images:
            try:
                self._archive.identity()
                places.append(
                    self._archive.place(
                        entry.path,
                        sha256=entry.sha256,
                        patient_id=record.patient_id,
                        study_uid=record.study_uid,
                        series_uid=record.series_uid,
                        sop_instance_uid=record.image_uid,
                    )
                )
            except StorageError as error:
                places.append(error)
        failures = iter(self._archive.sync([one for one in places if isinstance(one, Placed)]))
        return [
            (next(failures) or place) if isinstance(place, Placed) else place for place in places
        ]

    async def _quarantine(
        self,
        entry: Entry,
        kind: QuarantineKind,
        reason: str,
        study_uid: str | None,
        surplus: Placed | None = None,
    ) -> None:
        """Keep an entry in quarantine, or put it off when that is not possible now."""
        keep = functools.partial(
            self._settlement.quarantine, entry, kind, reason, study_uid=study_uid, surplus=surplus
        )
        try:
            await self._trouble.insist(keep)
        except Exception as error:  # noqa: BLE001 - the others go on
            self._put_off_for(entry, error)
        else:
            await self._done([entry])

    async def _done(self, entries: Sequence[Entry]) -> None:
        """Let the spool forget entries: what becomes of them is committed."""
        await self._threads.run(self._spool.remove, entries)
        for entry in entries:
            self._waiting.done(entry)

    def _is_gone(self, path: Path) -> None:
        log.error("Somebody has removed %s from the spool: it cannot be indexed", path.name)
        self._waiting.forget(path)

    def _put_off_for(self, entry: Entry, error: Exception) -> None:
        log.debug("Why an image is put off", exc_info=error)
        why = str(error) if isinstance(error, StorageError) else type(error).__name__
        self._put_off(entry, why)

    def _put_off(self, entry: Entry | Path, why: str, *, alone: bool = False) -> None:
        self._trouble.say(why)
        self._waiting.put_off(entry, alone=alone)
