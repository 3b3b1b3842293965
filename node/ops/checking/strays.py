"""The quarantine's files and rows, compared: a file without a row gets one again."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from node.ops.checking.report import Kind, Ledger
from node.ops.checking.unindexed import keep_undecodable
from node.storage.folders import QUARANTINE
from node.storage.inspect import REPLACEMENT, Spooled, are_there, digest_of, origin_of
from schema import Database, ImageRecord
from schema.cycles import add_quarantined
from schema.inventory import held_by_uid
from schema.parsing.headers import HeaderReader
from schema.parsing.scan import File, Passed, walk
from schema.quarantine import quarantine_page, quarantined_at

_AT_ONCE = 100


class Strays:
    """Compares them.

    Parameters
    ----------
    database
        The index.
    directory
        The storage directory.
    institution
        Whose patients these are.
    ledger
        Takes down what is found, and says whether to mend it.
    """

    def __init__(
        self, database: Database, directory: Path, *, institution: str, ledger: Ledger
    ) -> None:
        self._database = database
        self._quarantine = directory / QUARANTINE
        self._spooled = Spooled(directory)
        self._ledger = ledger
        self._headers = HeaderReader(institution=institution, processes=1)

    async def run(self) -> None:
        """Look at the files, then at the rows."""
        try:
            if await asyncio.to_thread(self._quarantine.is_dir):
                files = _files(self._quarantine)
                while paths := await asyncio.to_thread(lambda: list(islice(files, _AT_ONCE))):
                    await self._look_at(paths)
        finally:
            await self._headers.close()
        await self._rows()

    async def _look_at(self, paths: Sequence[str]) -> None:
        # the spool first: what leaves it has its row by then
        spooled = await asyncio.to_thread(self._spooled.among, list(paths))
        self._ledger.waiting += len(spooled)
        async with self._database.session() as session:
            known = await quarantined_at(session, paths)
        strays = [path for path in paths if path not in known and path not in spooled]
        if not strays:
            return
        readings = await self._headers.read([Path(path) for path in strays])
        for path, reading in zip(strays, readings, strict=True):
            if isinstance(reading, ImageRecord):
                await self._image(path, reading)
            else:
                await self._undecodable(path, reading)

    async def _undecodable(self, path: str, reading: Passed) -> None:
        if not reading.lasting:
            self._ledger.add(path, Kind.UNREADABLE, reading.reason)
            return
        self._ledger.add(path, Kind.STRAY, f"it has no row: {reading.reason}")
        if self._ledger.fix:
            await keep_undecodable(self._database, path, reading.reason)

    async def _image(self, path: str, record: ImageRecord) -> None:
        origin = await asyncio.to_thread(origin_of, path)
        sha256 = await asyncio.to_thread(digest_of, path)
        named = origin.sop_instance_uid if origin is not None else record.image_uid
        async with self._database.session() as session:
            held = (await held_by_uid(session, [record.image_uid])).get(record.image_uid)
        if named != record.image_uid:
            kind, reason = "mismatch", f"its C-STORE named SOP Instance UID {named}"
        elif held is None:
            kind = Kind.STRAY.value
            reason = "it was found without a row; `dicom-node quarantine retry` may index it"
        elif held.sha256 is not None and held.sha256 == sha256:
            reason = f"the same object is indexed, in {held.filepath}"
            self._ledger.add(path, Kind.DUPLICATE, reason)
            return
        else:
            kind = Kind.CONFLICT.value
            reason = f"another object with this SOP Instance UID is indexed, in {held.filepath}"
        self._ledger.add(path, Kind.STRAY, f"it has no row: {reason}")
        if not self._ledger.fix:
            return
        async with self._database.begin() as session:
            await add_quarantined(
                session,
                filepath=path,
                reason=reason,
                kind=kind,
                sop_instance_uid=named,
                study_uid=record.study_uid,
                sha256=sha256,
                source=origin.source if origin else None,
                received_on=origin.received_on if origin else None,
            )

    async def _rows(self) -> None:
        after = 0
        while True:
            async with self._database.session() as session:
                page = await quarantine_page(session, after=after)
                paths = [row.filepath for row in page]
                after = page[-1].id if page else after
            if not paths:
                return
            self._ledger.rows += len(paths)
            there = await asyncio.to_thread(are_there, paths)
            for path, is_there in zip(paths, there, strict=True):
                if not is_there and REPLACEMENT not in path:
                    self._ledger.add(path, Kind.UNKEPT, "its file is gone from quarantine")


def _files(folder: Path) -> Iterator[str]:
    return (found.path for found in walk(str(folder)) if isinstance(found, File))
