"""Reconcile: bring index and storage directory together, both ways, and drop nothing.

1. Files that no row names are read, and become images of the index where they lie; or rows of
   the quarantine, with the reason. A row whose file is gone takes the file that has its dataset; a
   row without a digest, the one that has its header.
2. Files in quarantine that have no row get one again.
3. Rows are compared with the disk: a row whose file is gone stays, without one, and its study is
   opened again for the next move. Rows of other storage directories are left alone, and so are
   those that do not say whose they are, until their file has been seen here.
4. What each complete study rested on is compared with the rows: where file and row of an image are
   gone, nothing else tells. Such a study is opened again as well.

So an empty database and the storage directory give the rows again.
"""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from node.config import Config
from node.errors import StorageError, UsageError
from node.ops.checking.home import UNKNOWN, Holder, Home, looked_at, still_missing
from node.ops.checking.removed import Removed
from node.ops.checking.report import Finding, Kind, Ledger, ReconcileReport
from node.ops.checking.strays import Strays
from node.ops.checking.unindexed import Unindexed
from node.storage.inspect import Fault, is_below
from schema import Database
from schema.inventory import Held, claim_files, held_page, lose_files, storage_ids
from schema.parsing.extract import Reading
from schema.parsing.kept import REPLACEMENT
from schema.parsing.run import Run
from schema.parsing.scan import reason_of
from schema.parsing.seen import Seen
from schema.quarantine import quarantine_page
from schema.verifying.files import note_unsound

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
    claim
        Take the rows of the storage directory with this id for this one's, of which it is the
        successor; `UNKNOWN` stands for the rows that say no id. None takes none.
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
        claim: str | None = None,
        workers: int = 1,
        watch: Callable[[ReconcileReport], None] = lambda _: None,
        found: Callable[[Finding], None] = lambda _: None,
    ) -> None:
        self._node = config.node
        self._directory = config.storage.directory.absolute()
        self._home = Home(self._directory, aetitle=config.node.aetitle)
        self._claim = claim
        self._database = database
        self._workers = workers
        self._watch = watch
        self._ledger = Ledger(fix=fix, found=found)
        self._seen = Seen()
        self._removed = Removed(config, database)

    def report(self) -> ReconcileReport:
        """Return what has been found and done so far."""
        return self._ledger.report()

    async def run(self) -> ReconcileReport:
        """Do all of it.

        Raises
        ------
        UsageError
            No row says the id whose rows are to be claimed.
        StorageError
            The index names files in the storage directory, and it is not there, or has no image:
            it is not mounted, most likely. Or it cannot be looked at.
        DatabaseUnavailable
            When the database is away; what was committed stays.
        """
        await self._check_claim()
        there = await asyncio.to_thread(_is_there, self._directory)
        if not there:
            await self._refuse_to_miss_all()
            self._ledger.absent = self._directory
        try:
            await asyncio.to_thread(self._home.identify)
            if there:
                await self._files()
            strays = Strays(
                self._database,
                self._home,
                institution=self._node.institution,
                ledger=self._ledger,
            )
            await strays.run()
            await self._rows()
            await self._verdicts()
            self._watch(self.report())
        finally:
            self._seen.close()
        return self.report()

    async def _check_claim(self) -> None:
        if self._claim in (None, UNKNOWN):
            return
        async with self._database.session() as session:
            known = await storage_ids(session)
        if self._claim not in known:
            listed = ", ".join(sorted(known)) or "none at all"
            raise UsageError(f"no row is of the storage directory {self._claim}; there is {listed}")

    async def _refuse_to_miss_all(self) -> None:
        """Raise where rows have something to do with a storage directory that is not there."""
        async for images in self._pages():
            if any(held.lost or self._home.is_below(held.filepath) for held in images):
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
            self._home,
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
        async for rows in self._pages():
            self._ledger.rows += len(rows)
            page = await self._claimed(rows)
            found = await asyncio.to_thread(looked_at, page)
            gone, seen, unsound = [], [], []
            for held, file in zip(page, found, strict=True):
                if self._home.shadows(held) or file.fault is Fault.MISSING:
                    if self._is_gone(held):
                        gone.append(held)
                    continue
                self._ledger.outside += not self._home.is_below(held.filepath)
                if file.fault is not None:
                    self._ledger.add(held.filepath or "", _KINDS[file.fault], file.reason)
                    unsound.append(held)
                elif held.storage_id is None and self._home.is_below(held.filepath):
                    seen.append(held)
            if gone:
                await self._missing(gone)
            if self._ledger.fix:
                await self._keep(seen)
                if unsound:
                    await self._database.run(note_unsound, unsound)
            self._watch(self.report())

    async def _claimed(self, page: list[Held]) -> list[Held]:
        """Take the rows for ours that somebody has said are."""
        if self._claim is None:
            return page
        ours = [held for held in page if self._is_claimed(held)]
        if self._ledger.fix:
            await self._keep(ours)
        self._ledger.claimed += len(ours)
        mine = self._home.id or self._claim
        taken = {held.id: replace(held, storage_id=mine) for held in ours}
        return [taken.get(held.id, held) for held in page]

    def _is_claimed(self, held: Held) -> bool:
        if held.storage_id is None:
            return self._claim == UNKNOWN and self._home.holder(held) is Holder.UNKNOWN
        return held.storage_id == self._claim != self._home.id

    async def _keep(self, images: Sequence[Held]) -> None:
        """Note in rows that their files are in this storage directory."""
        if images:
            mine = await asyncio.to_thread(self._home.identify, make=True)
            await self._database.run(claim_files, images, mine or "")

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
        holder = self._home.holder(held)
        nobody_can_tell = self._home.id is None and self._home.is_below(path)
        if not self._ledger.images and (nobody_can_tell or holder in (Holder.OURS, Holder.UNKNOWN)):
            raise StorageError(
                f"{self._directory} has no image, but the index names some in it, such as "
                f"{path}: is it mounted? Rows were left as they are"
            )
        if holder is Holder.UNKNOWN:
            self._ledger.add(path, Kind.UNCLAIMED, "no storage directory is known to have held it")
        elif holder is not Holder.OURS:
            self._ledger.add(path, Kind.ELSEWHERE, _whose(held))
        return holder is Holder.OURS

    async def _missing(self, images: Sequence[Held]) -> None:
        gone = images
        if self._ledger.fix:
            reopened, gone = await self._database.run(lose_files, images, gone=still_missing)
            self._ledger.reopened.update(reopened)
        for held in gone:
            reason = f"image {held.image_uid} has no file"
            self._ledger.add(held.filepath or "", Kind.MISSING, reason)

    async def _verdicts(self) -> None:
        async for page in self._removed.pages():
            if self._ledger.fix:
                self._ledger.reopened.update(await self._removed.reopen(page))
            for one in page:
                # what a dry run would index is here then
                left = one.without(self._seen.of_study(one.study_uid))
                if left.lacking:
                    self._ledger.add(left.study_uid, Kind.REMOVED, str(left))


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


def _whose(held: Held) -> str:
    """Say who looks after a file that is not ours."""
    if held.storage_id is not None:
        return f"it is held by another storage directory, {held.storage_id}"
    who = f"the node {held.node}" if held.node else "another program"
    return f"outside the storage directory, kept by {who}"
