"""The quarantine: which objects are in it, reading them again, taking copies of them out.

What is read again goes the way of a received object: it is linked to its place in the archive,
gets its rows, and only then loses its row and its name in quarantine. Nothing that is indexed is
ever replaced: of two objects with one SOP Instance UID the first stays the image.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from node.config import Config
from node.errors import StorageError, UsageError
from node.ops.checking.report import Kind
from node.storage.archive import Archive, Placed
from node.storage.folders import QUARANTINE
from node.storage.inspect import digest_of, is_below, origin_of
from schema import AsyncSession, Database, ImageRecord, Quarantined, add_images
from schema.engine.faults import refuses_values
from schema.engine.retry import retrying
from schema.header.values import clean_text
from schema.images import Added, replace_file
from schema.parsing.headers import HeaderReader
from schema.quarantine import quarantine_page, remove_quarantined, requarantine

_MISMATCH = "mismatch"


class Outcome(StrEnum):
    """What became of an object that was read again."""

    INDEXED = "indexed"
    """It is an image of the index now."""
    KNOWN = "known"
    """The same object is in the index already: it has left the quarantine."""
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
class _Stays:
    """Why an object is still in quarantine; without a kind, its row stays as it is."""

    reason: str
    kind: str | None = None


async def objects(
    database: Database, *, ids: Collection[int] | None = None, kinds: Collection[str] | None = None
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
    left = set(ids or ())
    after = 0
    if ids is not None:
        async with database.session() as session:
            known = {row.id for row in await quarantine_page(session, ids=ids, limit=len(left))}
        if unknown := sorted(left - known):
            listed = ", ".join(map(str, unknown))
            raise UsageError(f"not in quarantine: {listed}; `dicom-node quarantine list` shows all")
    while True:
        async with database.session() as session:
            page = await quarantine_page(session, after=after, ids=ids, kinds=kinds)
        if not page:
            return
        after = page[-1].id
        for row in page:
            yield row


class Retry:
    """Reads objects of the quarantine again.

    Parameters
    ----------
    config
        Whose storage directory, institution and AE title.
    database
        The index.
    """

    def __init__(self, config: Config, database: Database) -> None:
        self._database = database
        self._archive = Archive(config.storage.directory, config.storage.layout)
        self._aetitle = config.node.aetitle
        self._headers = HeaderReader(institution=config.node.institution, processes=1)

    async def close(self) -> None:
        """End the process that reads."""
        await self._headers.close()

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
            result = _Stays(str(error))
        if isinstance(result, Outcome):
            reason = "the same object is indexed" if result is Outcome.KNOWN else ""
            return Retried(id=row.id, outcome=result, kind=row.kind, reason=reason)
        kind = result.kind or row.kind
        if result.kind is not None and (result.kind, result.reason) != (row.kind, row.reason):
            async with self._database.begin() as session:
                await requarantine(session, row.id, kind=kind, reason=result.reason)
        return Retried(id=row.id, outcome=Outcome.STAYS, kind=kind, reason=result.reason)

    async def _retry(self, row: Quarantined) -> Outcome | _Stays:
        path = Path(row.filepath)
        if not await asyncio.to_thread(path.is_file):
            return _Stays(f"its file is gone: {path}")
        (reading,) = await self._headers.read([path])
        if not isinstance(reading, ImageRecord):
            return _Stays(reading.reason, Kind.UNDECODABLE if reading.lasting else None)
        sha256 = await asyncio.to_thread(digest_of, row.filepath)
        if sha256 is None or row.sha256 not in (None, sha256):
            return _Stays("its file is not the one that was put into quarantine")
        if (reason := await asyncio.to_thread(_disagreement, row, reading)) is not None:
            return _Stays(reason, _MISMATCH)
        record = replace(
            reading,
            sha256=sha256,
            source=row.source,
            received_on=row.received_on,
            node=self._aetitle if row.source is not None else None,
        )
        if not is_below(row.filepath, self._archive.directory / QUARANTINE):
            return await self._index(row, record, None)
        placed = await asyncio.to_thread(self._place, path, record)
        record = replace(record, filepath=clean_text(str(placed.path)))
        # should this fail, the row may be there all the same: then the place is its own
        result = await self._index(row, record, placed)
        if isinstance(result, _Stays):
            await self._withdraw(placed)
        else:
            await asyncio.to_thread(self._archive.discard, path)
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
        self, row: Quarantined, record: ImageRecord, placed: Placed | None
    ) -> Outcome | _Stays:
        async def insert(session: AsyncSession) -> Added:
            (added,) = await add_images(session, [record])
            if added.inserted:
                await remove_quarantined(session, row.id)
            return added

        try:
            added = await retrying(self._database, insert)
        except Exception as error:
            if not refuses_values(error):
                raise
            reason = f"the database refuses it: {type(error).__name__}"
            return _Stays(reason, Kind.UNINDEXABLE)
        if added.inserted:
            return Outcome.INDEXED
        return await self._already_known(row, record, added, placed)

    async def _already_known(
        self, row: Quarantined, record: ImageRecord, known: Added, placed: Placed | None
    ) -> Outcome | _Stays:
        in_place = known.filepath == record.filepath
        # at a place that had been empty is this very object
        there = not (placed is not None and placed.created and in_place) and _is_file(known)
        if there:
            kept = known.filepath or ""
            digest = await asyncio.to_thread(digest_of, kept)
            if digest != record.sha256:
                reason = f"another object with this SOP Instance UID is indexed, in {kept}"
                if known.sha256 == record.sha256:
                    reason = f"the same object is indexed, in {kept}, but that file has changed"
                return _Stays(reason, Kind.CONFLICT)
        elif known.sha256 not in (record.sha256, None):
            reason = "another object with this SOP Instance UID is indexed; its file is gone"
            return _Stays(reason, Kind.CONFLICT)

        async def leave(session: AsyncSession) -> None:
            if not there:
                await replace_file(
                    session,
                    known.id,
                    filepath=record.filepath or "",
                    sha256=record.sha256,
                    size=record.size,
                    transfer_syntax_uid=record.transfer_syntax_uid,
                )
            await remove_quarantined(session, row.id)

        await retrying(self._database, leave)
        if placed is not None and there and not in_place:
            await self._withdraw(placed)
        return Outcome.KNOWN


def _is_file(known: Added) -> bool:
    return known.filepath is not None and Path(known.filepath).is_file()


def _disagreement(row: Quarantined, record: ImageRecord) -> str | None:
    """Say how a dataset is not the one that its C-STORE named; None when it is, or none did."""
    if row.sop_instance_uid is not None and row.sop_instance_uid != record.image_uid:
        return f"its C-STORE named SOP Instance UID {row.sop_instance_uid}"
    origin = origin_of(row.filepath)
    if origin is not None and origin.sop_class_uid != (record.sop_class_uid or ""):
        return f"its C-STORE named SOP Class UID {origin.sop_class_uid}"
    return None
