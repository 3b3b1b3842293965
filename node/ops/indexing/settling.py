"""What becomes of an object that is no new image: known already, another one, or no image."""

import logging
from dataclasses import replace
from pathlib import Path

from node.errors import StorageError
from node.ops.threads import Threads
from node.storage.archive import Archive, Placed
from node.storage.files import dataset_digest
from node.storage.writing import Entry
from schema import (
    Added,
    Database,
    ImageRecord,
    add_quarantined,
    clean_text,
    replace_file,
)
from schema.record import key_of

log = logging.getLogger(__name__)


class Known:
    """Decides, and keeps it durably. Everything here may be done again after a crash.

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

    async def settle(self, entry: Entry, record: ImageRecord, placed: Placed, known: Added) -> None:
        """Let the same object again be nothing, and keep another one under the same UID.

        Raises
        ------
        StorageError, SchemaError
            When disk or database do not take it.
        """
        in_place = known.filepath == record.filepath
        if in_place and known.sha256 == record.sha256:
            return  # it is this very file, indexed before a crash, or one with its bytes
        gone = not await self._threads.run(_is_there, known)
        if gone and known.sha256 in (record.sha256, None):
            await self._restore(record, known)
            return
        if await self._threads.run(_digest_of, known) in (record.sha256, None):
            if placed.created and not in_place:
                await self._threads.run(self._archive.discard, placed.path)
            return
        log.warning("Received another object under a known SOP Instance UID: kept in quarantine")
        reason = f"another object with this SOP Instance UID is indexed, in {known.filepath}"
        # In the place of a file that is gone it would pass for the one that the row tells of.
        surplus = placed if placed.created else None
        await self.quarantine(
            entry, "conflict", reason, study_uid=record.study_uid, surplus=surplus
        )

    async def quarantine(
        self,
        entry: Entry,
        kind: str,
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
        async with self._database.begin() as session:
            await add_quarantined(
                session,
                filepath=str(kept),
                reason=reason,
                kind=kind,
                sop_instance_uid=entry.sop_instance_uid,
                study_uid=study_uid,
                sha256=entry.sha256,
                source=entry.source,
                received_on=entry.received_on,
            )
        if surplus is not None:
            await self._threads.run(self._archive.discard, surplus.path)

    async def _restore(self, record: ImageRecord, known: Added) -> None:
        """Let the row of an image whose file is gone name the one that has just come."""
        log.warning("Image %s had lost its file; it has one again", known.image_uid)
        async with self._database.begin() as session:
            await replace_file(
                session,
                known.id,
                filepath=record.filepath or "",
                sha256=record.sha256,
                size=record.size,
                transfer_syntax_uid=record.transfer_syntax_uid,
                received_on=record.received_on,
                source=record.source,
                node=record.node,
            )


def _is_there(known: Added) -> bool:
    return known.filepath is not None and Path(known.filepath).is_file()


def _digest_of(known: Added) -> str | None:
    """Return the digest of what is indexed; None when nothing is left to compare with."""
    if known.sha256 is not None or known.filepath is None:
        return known.sha256
    try:
        return dataset_digest(Path(known.filepath))
    except StorageError:
        return None


def completed(entry: Entry, record: ImageRecord, placed: Placed, aetitle: str) -> ImageRecord:
    """Return a record with what only its receiver knows."""
    return replace(
        record,
        filepath=clean_text(str(placed.path)),
        sha256=entry.sha256,
        size=entry.size,
        transfer_syntax_uid=entry.transfer_syntax_uid,
        source=clean_text(entry.source),
        node=aetitle,
        received_on=entry.received_on,
    )


def disagreement(entry: Entry, record: ImageRecord) -> str | None:
    """Say how a dataset is not the one that its C-STORE named; None when it is."""
    if _as_indexed(entry.sop_instance_uid) != _as_indexed(record.image_uid):
        return f"its C-STORE named SOP Instance UID {entry.sop_instance_uid}"
    if _as_indexed(entry.sop_class_uid) != _as_indexed(record.sop_class_uid or ""):
        return f"its C-STORE named SOP Class UID {entry.sop_class_uid}"
    return None


def _as_indexed(uid: str) -> str:
    """Return a UID as a record has it: no padding, nothing that a database cannot hold."""
    return key_of(clean_text(uid.strip(" \0")))
