"""What becomes of an object that is no new image: known already, another one, or no image.

`schema.judgement` says what it is; here the disk is looked at before, and what was decided is
done after. Each step may be done again after a crash, from the object's name in the spool or in
quarantine, which it loses last.
"""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

from node.errors import StorageError
from node.ops.indexing.records import came_as, changed, name_file
from node.ops.threads import Threads
from node.storage.archive import Archive, Placed
from node.storage.failpoints import reach
from node.storage.inspect import kept_of
from node.storage.names import same_entry
from node.storage.writing import Entry
from schema import AsyncSession, Database, ImageRecord
from schema.header.values import clean_text
from schema.images import still_names
from schema.inventory import Held, held_by_uid
from schema.judgement import Judgement, Kept, Lies, judge, why_conflict
from schema.moving.arrivals import note_repeated
from schema.parsing.kept import known_of
from schema.quarantine import add_quarantined, quarantine_file
from schema.tables.ledger import QuarantineKind

log = logging.getLogger(__name__)

_PATIENCE = 60.0
"""Seconds that a file must stay unreadable until it counts as damaged: a network drive or a
controller may be away for a while."""

_OFTEN = 4
"""How often it must have been tried in that time: a process may have stood still."""

_OF_A_FILE = ("sha256", "size", "transfer_syntax_uid", "source", "node")
"""What a row says of its file, header included."""

_OTHER = "the SHA-256 of its dataset was another one"


class Settlement:
    """Decides, and keeps it durably.

    Parameters
    ----------
    database
        The index.
    archive
        Where the files are.
    threads
        For the disk.
    """

    def __init__(self, database: Database, archive: Archive, threads: Threads) -> None:
        self._database = database
        self._archive = archive
        self._threads = threads
        self._unreadable: dict[Path, list[float]] = {}

    async def settle(self, entry: Entry, record: ImageRecord, placed: Placed) -> None:
        """Settle what has been received under a known UID; on return the spool may forget it.

        Raises
        ------
        StorageError, SchemaError
            When disk or database do not take it.
        """
        held = await self.held(record)
        kept = await self.look_at(held, record, placed)
        self._be_patient(entry.path, held, kept)
        came = await came_as(self._database, held, kept, record)
        known = known_of(held, record.storage_id)
        judgement = judge(known, kept, came)
        if judgement is Judgement.CONFLICT:
            log.warning(
                "Received another object under a known SOP Instance UID from %s: in quarantine",
                entry.sender.aetitle or "somebody unknown",
            )
            # In the place of a file that is gone it would pass for the one that the row tells of.
            await self.quarantine(
                entry,
                QuarantineKind.CONFLICT,
                why_conflict(known, kept),
                study_uid=record.study_uid,
                surplus=placed if placed.created else None,
            )
        elif judgement is Judgement.SAME:
            await self._agree(held, placed)
            await self._note_repeated(held, record)
            await self.give_up(held, placed)
        else:
            log.warning("Image %s has a sound file again: %s", held.image_uid, judgement)
            await self._note_repeated(held, record)
            await self.heal(judgement, held, kept, record, placed, source=entry.path)
        await self.tidy(held.filepath, placed)
        self._unreadable.pop(entry.path, None)

    async def tidy(self, named: str | None, placed: Placed) -> None:
        """Take from a file the names that an attempt before has left it beside its place.

        Parameters
        ----------
        named
            What the row names, which stays.

        Raises
        ------
        StorageError
            When the disk does not do it.
        """
        if placed.others:
            await self._threads.run(self._tidy, named, placed)

    def _tidy(self, named: str | None, placed: Placed) -> None:
        for name in placed.others:
            if not _is_at(named, name) and not _is_at(placed.path, name):
                self._archive.discard(name)

    async def held(self, record: ImageRecord) -> Held:
        """Return the row that has an object's UID.

        Raises
        ------
        StorageError
            Somebody has removed it: the object may be indexed now.
        """
        async with self._database.session() as session:
            held = (await held_by_uid(session, [record.image_uid])).get(record.image_uid)
        if held is None:
            raise StorageError(f"the row of image {record.image_uid} was removed meanwhile")
        return held

    async def look_at(self, held: Held, record: ImageRecord, placed: Placed | None) -> Kept:
        """Return what lies where a row says, beside what has come and its place."""
        there = record.filepath if placed is None else placed.path
        if not await self._threads.run(_is_at, held.filepath, there):
            return await self._threads.run(kept_of, held, self._archive.directory)
        # At this place is what has come, byte for byte: linked, or found there. That it was the
        # row's file before is told by its row: else there was none, or one with another header.
        itself = placed is None or (
            held.storage_id in (None, record.storage_id)
            and all(getattr(held, name) == getattr(record, name) for name in _OF_A_FILE)
        )
        return Kept(lies=Lies.ITSELF if itself else Lies.NOTHING, archived=True)

    async def _note_repeated(self, held: Held, record: ImageRecord) -> None:
        """Note that an attempt has brought an image once more: its PACS has it as well."""
        if record.attempt_id is not None:
            await self._database.run(note_repeated, [(held.id, record.attempt_id)])

    async def _agree(self, held: Held, placed: Placed) -> None:
        """Make sure that a row still names the file that was looked at.

        Where the file had been missed, somebody may be about to say so: who has the row first is
        seen by the other one, for the file has its name before.
        """
        if not placed.created:
            return
        renewed = await self._threads.run(_is_at, held.filepath, placed.path)
        if not await self._database.run(still_names, held.id, held.filepath, renewed=renewed):
            raise changed(held)

    async def give_up(self, held: Held, placed: Placed) -> None:
        """Let go of an object that is there already, once what is there is durable.

        Its place is taken from it only while the row's file is there under a name of its own.

        Raises
        ------
        StorageError
            When it is not, or no more: the object keeps the name with which it has come.
        """
        reach("index.settle")
        await self._threads.run(self._give_up, Path(held.filepath or ""), placed)

    def _give_up(self, kept: Path, placed: Placed) -> None:
        if _is_at(kept, placed.path):
            return
        self._archive.rely_on(kept)
        if placed.created:
            self._archive.discard(placed.path)
            if not kept.is_file():
                raise StorageError(f"{kept.name} is gone, for which another copy was given up")

    async def heal(
        self,
        judgement: Judgement,
        held: Held,
        kept: Kept,
        record: ImageRecord,
        placed: Placed | None,
        *,
        source: Path,
    ) -> None:
        """Give an image that has no sound file in the archive the one that has come.

        Parameters
        ----------
        judgement
            To restore, to adopt, or to repair.
        placed
            Its place; None when it stays where it lies.
        source
            The name under which it has come, and which it has until this is done.

        Raises
        ------
        StorageError, SchemaError
            When disk or database do not take it.
        """
        if judgement is not Judgement.REPAIR or placed is None:
            reach("index.settle")
            adopted = judgement is Judgement.ADOPT
            # what another node's directory holds was received there, and lies there still
            nobodys = held.node is None and held.storage_id is None
            parsed = held.filepath if adopted and nobodys else None
            await self._database.run(name_file, held, record, parsed_from=parsed)
            return
        damaged = Path(held.filepath or "")
        aside = await self._threads.run(
            self._archive.set_aside,
            damaged,
            sop_instance_uid=held.image_uid,
            sha256=kept.sha256,
            damaged=True,
        )
        reach("index.settle")

        async def exchange(session: AsyncSession) -> None:
            await quarantine_file(
                session,
                held,
                filepath=aside,
                reason=f"it was damaged, and has been replaced: {kept.reason or _OTHER}",
                kind=QuarantineKind.DAMAGED,
                sha256=kept.sha256,
                storage_id=record.storage_id,
            )
            # before the file is: should this process end in between, it is found damaged again
            await name_file(session, held, replace(record, filepath=held.filepath))

        await self._database.run(exchange)
        await self._threads.run(
            self._archive.replace, damaged, source, placed=placed, sha256=record.sha256 or ""
        )

    async def quarantine(
        self,
        entry: Entry,
        kind: QuarantineKind,
        reason: str,
        *,
        study_uid: str | None = None,
        surplus: Placed | None = None,
    ) -> None:
        """Keep an object in quarantine, with a row that says why.

        Parameters
        ----------
        surplus
            The place that it had got in the archive, which is taken from it again.

        Raises
        ------
        StorageError, SchemaError
            When disk or database do not take it.
        """
        kept = await self._threads.run(
            self._archive.set_aside,
            entry.path,
            sop_instance_uid=entry.sop_instance_uid,
            sha256=entry.sha256,
        )
        storage_id = await self._threads.run(self._archive.identity)
        reach("index.settle")
        async with self._database.begin() as session:
            await add_quarantined(
                session,
                filepath=str(kept),
                reason=reason,
                kind=kind,
                sop_instance_uid=entry.sop_instance_uid,
                study_uid=study_uid,
                sha256=entry.sha256,
                source=entry.sender.aetitle,
                received_on=entry.received_on,
                storage_id=storage_id,
            )
        if surplus is not None:
            await self._threads.run(self._archive.discard, surplus.path)

    def _be_patient(self, path: Path, held: Held, kept: Kept) -> None:
        """Let what cannot be read be tried again, for a while."""
        if kept.lies is not Lies.UNREADABLE:
            return
        tried = self._unreadable.setdefault(path, [])
        tried.append(asyncio.get_running_loop().time())
        if len(tried) > _OFTEN and tried[-1] - tried[0] >= _PATIENCE:
            return
        # not the whole path: a folder of it may be named after the patient
        name = Path(held.filepath or "").name
        raise StorageError(f"cannot read {name}, to compare it: {kept.reason}")


def _is_at(named: str | Path | None, there: str | Path | None) -> bool:
    """Tell whether a row names a place, by whatever spelling."""
    if not named or not there:
        return False
    if clean_text(str(there)) == str(named):
        return True
    try:
        return same_entry(named, there)
    except (OSError, ValueError) as error:
        raise StorageError(f"cannot tell where {Path(named).name} lies: {error}") from error
