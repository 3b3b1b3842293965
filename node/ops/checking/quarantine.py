"""The quarantine: which objects are in it, reading them again, taking copies of them out.

What is read again goes the way of a received object: it is linked to its place in the archive,
gets its rows, and only then loses its row and its name in quarantine. Of two objects with one SOP
Instance UID the first stays the image; only a damaged file makes room, for the same object.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from node.config import Config
from node.errors import StorageError, UsageError
from node.ops.indexing.records import came_as
from node.ops.indexing.settling import Settlement
from node.ops.threads import Threads
from node.storage.archive import Archive, Placed
from node.storage.identity import storage_id
from node.storage.inspect import Fault, digest_of, glance, is_below, written_header_of
from node.storage.restate import restated
from schema import AsyncSession, Database, ImageRecord, Quarantined
from schema.errors import ValuesRefused
from schema.header.values import clean_text
from schema.judgement import Judgement, Lies, disagreement, judge, why_conflict
from schema.moving.arrivals import add_unasked
from schema.parsing.headers import HeaderReader
from schema.parsing.kept import known_of
from schema.parsing.scan import QUARANTINE, reason_of
from schema.quarantine import quarantine_page, remove_quarantined, requarantine
from schema.tables.ledger import QuarantineKind

_LARGEST_KEY = 2**31 - 1
"""What the databases' keys go up to; PostgreSQL refuses to look for a larger one."""


class Outcome(StrEnum):
    """What became of an object that was read again."""

    INDEXED = "indexed"
    """It is an image of the index now."""
    KNOWN = "known"
    """The same object is in the index already: it has left the quarantine."""
    ACCEPTED = "accepted"
    """It is the image of the index now, in the place of another object."""
    STAYS = "stays"
    """It is still in quarantine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What became of one object, and why."""

    id: int
    outcome: Outcome
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Stays:
    """Why an object is still in quarantine; without a kind, its row stays as it is."""

    reason: str
    kind: QuarantineKind | None = None


async def objects(
    database: Database,
    *,
    ids: Collection[int] | None = None,
    kinds: Collection[QuarantineKind] | None = None,
) -> AsyncIterator[Quarantined]:
    """Yield the rows of the quarantine, the oldest first.

    Parameters
    ----------
    ids, kinds
        Only these; None means all.

    Raises
    ------
    UsageError
        There is none with one of these keys.
    """
    after = 0
    if ids is not None:
        await check_ids(database, ids)
    while True:
        async with database.session() as session:
            page = await quarantine_page(session, after=after, ids=ids, kinds=kinds)
        if not page:
            return
        after = page[-1].id
        for row in page:
            yield row


async def check_ids(database: Database, ids: Collection[int]) -> None:
    """Raise where keys name nothing.

    Raises
    ------
    UsageError
        There is no object with one of these keys.
    """
    left = set(ids)
    keys = {one for one in left if 0 < one <= _LARGEST_KEY}
    async with database.session() as session:
        known = {row.id for row in await quarantine_page(session, ids=keys, limit=len(left))}
    if unknown := sorted(left - known):
        listed = ", ".join(map(str, unknown))
        raise UsageError(f"not in quarantine: {listed}; `dicom-node quarantine list` shows all")


class Retry:
    """Reads objects of the quarantine again.

    Parameters
    ----------
    config
        Whose storage directory, institution and AE title.
    database
        The index.
    as_dataset
        Take an object for what its dataset says, whatever its C-STORE named.
    """

    def __init__(self, config: Config, database: Database, *, as_dataset: bool = False) -> None:
        self._database = database
        self._as_dataset = as_dataset
        self._archive = Archive(config.storage.directory, config.storage.layout)
        self._aetitle = config.node.aetitle
        self._headers = HeaderReader(institution=config.node.institution, processes=1)
        self._threads = Threads(1, "retry")
        self._settlement = Settlement(database, self._archive, self._threads)

    async def close(self) -> None:
        """End the process that reads."""
        await self._headers.close()
        await self._threads.close()

    async def retry(self, row: Quarantined) -> Retried:
        """Read one object again.

        Raises
        ------
        DatabaseUnavailable
            When the database is away.
        """
        try:
            result = await self._retry(row)
        except StorageError as error:
            result = Stays(str(error))
        if isinstance(result, Outcome):
            reason = "the same object is indexed" if result is Outcome.KNOWN else ""
            return Retried(id=row.id, outcome=result, kind=row.kind, reason=reason)
        kind = result.kind
        if kind is None or row.kind == QuarantineKind.DAMAGED:  # which says more than why it stays
            return Retried(id=row.id, outcome=Outcome.STAYS, kind=row.kind, reason=result.reason)
        if (kind, result.reason) != (row.kind, row.reason):
            async with self._database.begin() as session:
                await requarantine(session, row.id, kind=kind, reason=result.reason)
        return Retried(id=row.id, outcome=Outcome.STAYS, kind=kind, reason=result.reason)

    async def _retry(self, row: Quarantined) -> Outcome | Stays:
        record = await self._read(row)
        if isinstance(record, Stays):
            return record
        path = Path(row.filepath)
        apart = is_below(row.filepath, self._archive.directory / QUARANTINE)
        reason = await asyncio.to_thread(_disagreement, row, record)
        if reason is not None and not (self._as_dataset and apart):
            return Stays(reason, QuarantineKind.MISMATCH)
        if reason is not None:
            return await self._enter_restated(row, record, path)
        if apart:
            return await self._enter(row, record, path)
        return await self._index(row, record, None, source=path)

    async def _read(self, row: Quarantined) -> ImageRecord | Stays:
        """Return what an object is now, as the node has received it."""
        path = Path(row.filepath)
        known = await asyncio.to_thread(storage_id, self._archive.directory)
        if (reason := await asyncio.to_thread(_why_not_there, row, known)) is not None:
            return Stays(reason)
        own = await asyncio.to_thread(self._archive.identity)
        (reading,) = await self._headers.read([path])
        if not isinstance(reading, ImageRecord):
            return Stays(reading.reason, QuarantineKind.UNDECODABLE if reading.lasting else None)
        sha256 = await asyncio.to_thread(_digest, row.filepath)
        if sha256 is None or row.sha256 not in (None, sha256):
            return Stays("its file is not the one that was put into quarantine")
        return replace(
            reading,
            sha256=sha256,
            source=row.source,
            received_on=row.received_on,
            node=self._aetitle if row.source is not None else None,
            storage_id=own if is_below(row.filepath, self._archive.directory) else None,
        )

    async def _enter_restated(
        self, row: Quarantined, record: ImageRecord, path: Path
    ) -> Outcome | Stays:
        """Let an object enter as what its dataset says, behind a header that says the same."""
        anew = await asyncio.to_thread(restated, path, record)
        try:
            size = (await asyncio.to_thread(glance, str(anew))).size
            return await self._enter(row, replace(record, size=size), anew)
        finally:
            await asyncio.to_thread(self._archive.discard, anew)

    async def _enter(self, row: Quarantined, record: ImageRecord, path: Path) -> Outcome | Stays:
        """Give an object of the quarantine its place and its row; when it has both it leaves.

        Parameters
        ----------
        path
            Of its file, or of the one that was made from it.
        """
        placed = await asyncio.to_thread(self._place, path, record)
        record = replace(record, filepath=clean_text(str(placed.path)))
        try:
            # should the database fail, the row may be there all the same: the place is its own then
            result = await self._index(row, record, placed, source=path)
        except StorageError:
            await self._withdraw(placed)
            raise
        if isinstance(result, Stays):
            await self._withdraw(placed)
        else:
            await asyncio.to_thread(self._archive.discard, Path(row.filepath))
        return result

    def _place(self, path: Path, record: ImageRecord) -> Placed:
        placed = self._archive.place(
            path,
            sha256=record.sha256 or "",
            patient_id=record.patient_id,
            study_uid=record.study_uid,
            series_uid=record.series_uid,
            sop_instance_uid=record.image_uid,
        )
        (failure,) = self._archive.sync([placed])
        if failure is not None:
            raise failure
        return placed

    async def _withdraw(self, placed: Placed) -> None:
        """Take a place back that no row names: the object keeps its name in quarantine."""
        if placed.created:
            await asyncio.to_thread(self._archive.discard, placed.path)

    async def _index(
        self, row: Quarantined, record: ImageRecord, placed: Placed | None, *, source: Path
    ) -> Outcome | Stays:
        async def insert(session: AsyncSession) -> bool:
            (added,) = await add_unasked(session, [record])
            if added.inserted:
                await remove_quarantined(session, row.id)
            return added.inserted

        try:
            inserted = await self._database.run(insert)
        except ValuesRefused as error:
            return Stays(str(error), QuarantineKind.UNINDEXABLE)
        if inserted:
            return Outcome.INDEXED
        return await self._settle(row, record, placed, source=source)

    async def _settle(
        self, row: Quarantined, record: ImageRecord, placed: Placed | None, *, source: Path
    ) -> Outcome | Stays:
        """Compare an object with the one that is known under its UID, and do what is decided."""
        held = await self._settlement.held(record)
        kept = await self._settlement.look_at(held, record, placed)
        if kept.lies is Lies.UNREADABLE:  # perhaps for a moment only
            name = Path(held.filepath or "").name
            return Stays(f"cannot read {name}, to compare it: {kept.reason}")
        known = known_of(held, record.storage_id)
        judgement = judge(known, kept, await came_as(self._database, held, kept, record))
        if judgement is Judgement.CONFLICT:
            return Stays(why_conflict(known, kept), QuarantineKind.CONFLICT)
        if judgement is Judgement.CHANGED or (judgement is Judgement.REPAIR and placed is None):
            reason = f"the same object is indexed, in {held.filepath}, but that file has changed"
            return Stays(reason, QuarantineKind.CONFLICT)
        if judgement is not Judgement.SAME:
            await self._settlement.heal(judgement, held, kept, record, placed, source=source)
        elif placed is not None:
            await self._settlement.give_up(held, placed)
        await self._database.run(remove_quarantined, row.id)
        return Outcome.KNOWN


def _why_not_there(row: Quarantined, own: str | None) -> str | None:
    """Say why the file of a row cannot be read again; None when it can, as far as is seen."""
    if row.storage_id not in (None, own):
        return f"another storage directory holds it, {row.storage_id}"
    found = glance(row.filepath)
    if found.fault is Fault.MISSING:
        return f"its file is gone: {row.filepath}"
    return None if found.fault is None else f"its file cannot be read: {found.reason}"


def _digest(path: str) -> str | None:
    """Return the digest of a file's dataset; None when it has none.

    Raises
    ------
    StorageError
        It cannot be read any more.
    """
    try:
        return digest_of(path)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {reason_of(error)}") from error


def _disagreement(row: Quarantined, record: ImageRecord) -> str | None:
    """Say how a dataset is not what its C-STORE named; None when it is, or none did.

    Raises
    ------
    StorageError
        Its header cannot be read any more.
    """
    try:
        reception = written_header_of(row.filepath)
    except OSError as error:
        raise StorageError(f"cannot read {row.filepath}: {reason_of(error)}") from error
    return disagreement(
        record,
        sop_instance_uid=row.sop_instance_uid or record.image_uid,
        sop_class_uid=None if reception is None else reception.sop_class_uid,
    )
