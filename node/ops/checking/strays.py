"""The quarantine's files and rows, compared: a file without a row gets one again."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from node.ops.checking.home import Home
from node.ops.checking.report import Kind, Ledger
from node.ops.checking.unindexed import is_damaged, keep_undecodable
from node.ops.indexing.records import came_as
from node.storage.inspect import (
    Fault,
    Inspected,
    Spooled,
    digest_of,
    glance,
    kept_of,
    written_header_of,
)
from node.storage.names import same_file
from schema import Database, ImageRecord
from schema.header.values import clean_text
from schema.inventory import held_at, held_by_uid
from schema.judgement import Judgement, Kept, Lies, disagreement, judge, why_conflict
from schema.parsing.headers import HeaderReader
from schema.parsing.kept import REPLACEMENT, known_of
from schema.parsing.scan import QUARANTINE, File, Passed, Why, reason_of, walk
from schema.quarantine import add_quarantined, quarantine_page, quarantined_at
from schema.tables.ledger import QuarantineKind

_AT_ONCE = 100

_KINDS = {
    Judgement.CONFLICT: QuarantineKind.CONFLICT,
    Judgement.MISMATCH: QuarantineKind.MISMATCH,
}


class Strays:
    """Compares them.

    Parameters
    ----------
    database
        The index.
    home
        The storage directory.
    institution
        Whose patients these are.
    ledger
        Takes down what is found, and says whether to mend it.
    """

    def __init__(self, database: Database, home: Home, *, institution: str, ledger: Ledger) -> None:
        self._database = database
        self._home = home
        self._quarantine = home.directory / QUARANTINE
        self._spooled = Spooled(home.directory)
        self._ledger = ledger
        self._headers = HeaderReader(institution=institution, processes=1)

    async def run(self) -> None:
        """Look at the files, then at the rows."""
        try:
            entries = walk(str(self._quarantine))
            while found := await asyncio.to_thread(lambda: list(islice(entries, _AT_ONCE))):
                await self._look_at([one.path for one in found if isinstance(one, File)])
                await self._unreadable([one for one in found if isinstance(one, Passed)])
        finally:
            await self._headers.close()
        await self._rows()

    async def _look_at(self, paths: Sequence[str]) -> None:
        # the spool and the images first: what leaves them has its row by then
        spooled = await asyncio.to_thread(self._spooled.among, list(paths))
        self._ledger.waiting += len(spooled)
        leaving = await self._leaving(paths)
        async with self._database.session() as session:
            known = await quarantined_at(session, paths)
            known |= await held_at(session, paths)
        strays = [path for path in paths if path not in known | spooled | leaving]
        if not strays:
            return
        readings = await self._headers.read([Path(path) for path in strays])
        for path, reading in zip(strays, readings, strict=True):
            if isinstance(reading, ImageRecord):
                await self._image(path, reading)
            else:
                await self._undecodable(path, reading)

    async def _leaving(self, paths: Sequence[str]) -> set[str]:
        """Return those that are the file of an image as well: it is about to be set aside.

        A damaged file gets its name here before it gets a row, and loses its first one after that.
        """
        several = await asyncio.to_thread(lambda: [path for path in paths if _has_several(path)])
        if not several:
            return set()
        uids = {path: Path(path).name.partition("~")[0] for path in several}
        async with self._database.session() as session:
            held = await held_by_uid(session, uids.values())
        named = {
            path: row.filepath
            for path, uid in uids.items()
            if (row := held.get(uid)) is not None and row.filepath
        }
        return await asyncio.to_thread(
            lambda: {path for path, other in named.items() if _is_same(path, other)}
        )

    async def _unreadable(self, entries: Sequence[Passed]) -> None:
        """Tell what could not be listed, but for what a row names: that is looked at with it."""
        left = [one for one in entries if one.why is Why.UNREADABLE]
        glances = await asyncio.to_thread(_glances, [one.path for one in left])
        gone = [found.fault is Fault.MISSING for found in glances]
        left = [one for one, is_gone in zip(left, gone, strict=True) if not is_gone]
        if not left:
            return
        async with self._database.session() as session:
            known = await quarantined_at(session, [one.path for one in left])
        for one in left:
            if clean_text(one.path) not in known:
                self._ledger.add(one.path, Kind.UNREADABLE, one.reason)

    async def _undecodable(self, path: str, reading: Passed) -> None:
        if not reading.lasting:
            self._ledger.add(path, Kind.UNREADABLE, reading.reason)
            return
        self._ledger.add(path, Kind.STRAY, f"it has no row: {reading.reason}")
        if self._ledger.fix:
            await keep_undecodable(self._database, self._home, reading, self._ledger)

    async def _image(self, path: str, record: ImageRecord) -> None:
        try:
            reception = await asyncio.to_thread(written_header_of, path)
            sha256 = await asyncio.to_thread(digest_of, path)
        except OSError as error:
            self._ledger.add(path, Kind.UNREADABLE, reason_of(error))
            return
        if sha256 is None:
            self._ledger.add(path, Kind.UNREADABLE, "its dataset cannot be read any more")
            return
        named = record.image_uid if reception is None else reception.sop_instance_uid
        disagrees = disagreement(
            record,
            sop_instance_uid=named,
            sop_class_uid=None if reception is None else reception.sop_class_uid,
        )
        async with self._database.session() as session:
            held = (await held_by_uid(session, [record.image_uid])).get(record.image_uid)
        kept = Kept(lies=Lies.NOTHING)
        if held is not None:
            kept = await asyncio.to_thread(kept_of, held, self._home.directory)
        known = None if held is None else known_of(held, self._home.id)
        found = replace(record, sha256=sha256)
        came = await came_as(self._database, held, kept, found, agrees=disagrees is None)
        judgement = judge(known, kept, came)
        if known is not None and held is not None and judgement is Judgement.SAME:
            if await asyncio.to_thread(is_damaged, held):
                self._ledger.add(path, Kind.SPARE, f"keep it: {held.filepath} is damaged")
                return
            self._ledger.add(
                path, Kind.DUPLICATE, f"the same object is indexed, in {known.filepath}"
            )
            return
        kind = _KINDS.get(judgement, QuarantineKind.STRAY)
        reason = "it was found without a row; `dicom-node quarantine retry` may index it"
        if disagrees is not None:
            reason = disagrees
        elif known is not None and judgement is Judgement.CONFLICT:
            reason = why_conflict(known, kept)
        self._ledger.add(path, Kind.STRAY, f"it has no row: {reason}")
        if not self._ledger.fix:
            return
        storage_id = await asyncio.to_thread(self._home.identify, make=True)
        async with self._database.begin() as session:
            await add_quarantined(
                session,
                filepath=path,
                storage_id=storage_id,
                reason=reason,
                kind=kind,
                sop_instance_uid=named,
                study_uid=record.study_uid,
                sha256=sha256,
                source=reception.source if reception else None,
                received_on=reception.received_on if reception else None,
            )

    async def _rows(self) -> None:
        after = 0
        while True:
            async with self._database.session() as session:
                page = await quarantine_page(session, after=after)
                rows = [(row.filepath, row.storage_id) for row in page]
                after = page[-1].id if page else after
            if not rows:
                return
            self._ledger.rows += len(rows)
            glances = await asyncio.to_thread(_glances, [path for path, _ in rows])
            for (path, storage_id), found in zip(rows, glances, strict=True):
                if storage_id not in (None, self._home.id):
                    if found.fault is not None:
                        reason = f"it is held by another storage directory, {storage_id}"
                        self._ledger.add(path, Kind.ELSEWHERE, reason)
                elif found.fault is Fault.UNREADABLE:
                    self._ledger.add(path, Kind.UNREADABLE, found.reason)
                elif found.fault is not None and REPLACEMENT not in path:
                    self._ledger.add(path, Kind.UNKEPT, "its file is gone from quarantine")


def _has_several(path: str) -> bool:
    """Tell whether a file has another name besides this one."""
    try:
        return os.lstat(path).st_nlink > 1
    except OSError:
        return False


def _is_same(path: str, other: str) -> bool:
    try:
        return same_file(Path(path), Path(other))
    except OSError:
        return False


def _glances(paths: Sequence[str]) -> list[Inspected]:
    return [glance(path) for path in paths]
