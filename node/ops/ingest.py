"""A received image: from the bytes of a C-STORE to Success (PS3.4 Annex B).

Success is answered only when the dataset, byte for byte as it came, is on stable storage
and its row is committed. What cannot be indexed is kept in quarantine, and a row says so.
"""

import asyncio
import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

from node.dicom.status import Status
from node.errors import StorageError
from node.net.messages import StoreRequest
from node.ops.index import IndexWriter, NotIndexed
from node.storage.archive import Archive, Placed, Staged
from node.storage.files import dataset_digest
from schema import (
    Added,
    Database,
    ImageRecord,
    InvalidDicom,
    SchemaError,
    add_quarantined,
    clean_text,
    record_from_bytes,
    replace_file,
    utcnow,
)
from schema.record import key_of

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 16
"""Files written at once: an fsync waits for the disk, and several can share one wait."""


class Ingest:
    """Takes what C-STORE brings: `store` is the handler, `run` the task behind it.

    Parameters
    ----------
    database
        The index.
    archive
        The storage directory, opened.
    aetitle
        This node's AE title, for `images.node`.
    institution
        Whose patients these are.
    """

    def __init__(
        self, database: Database, archive: Archive, *, aetitle: str, institution: str
    ) -> None:
        self._database = database
        self._archive = archive
        self._aetitle = aetitle
        self._institution = institution
        self._writer = IndexWriter(database)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
        self._under_way: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self) -> None:
        """Index what `store` receives, until cancelled."""
        try:
            await self._writer.run()
        finally:
            self._threads.shutdown(wait=False)

    async def store(self, request: StoreRequest) -> int:
        """Take one object, durably, and return the C-STORE status (PS3.4 B.2.3).

        Returns
        -------
        int
            0x0000 when the object is stored and indexed, was there already, or is kept in
            quarantine; 0xA900 when the dataset is not what the command says; 0xA700 when
            disk or database do not take it: then nothing of it is left behind.
        """
        # One object at a time under each UID, so that what one of two equal requests cleans
        # up after a failure is not the file that the other has just been indexed with.
        lock = self._under_way.setdefault(_as_indexed(request.sop_instance_uid), asyncio.Lock())
        async with lock:
            try:
                return await self._store(request)
            except (StorageError, SchemaError, NotIndexed) as error:
                log.error("Refused an object from %s: %s", request.caller.aetitle, error)  # noqa: TRY400
                return Status.OUT_OF_RESOURCES

    async def _store(self, request: StoreRequest) -> int:
        try:
            record = await self._in_thread(self._read, request)
        except InvalidDicom as error:
            return await self._keep_unreadable(request, str(error))
        if _differs(record.image_uid, request.sop_instance_uid) or _differs(
            record.sop_class_uid, request.sop_class_uid
        ):
            log.warning(
                "Refused an object from %s: its dataset is not the one that the command names",
                request.caller.aetitle,
            )
            return Status.DATASET_MISMATCH
        staged, placed = await self._in_thread(self._write, request, record)
        record = replace(record, filepath=str(placed.path), sha256=staged.sha256, size=staged.size)
        try:
            added = await self._writer.add(record)
        except NotIndexed as error:
            if placed.created and error.certain:
                await self._in_thread(self._archive.discard, placed.path)
            raise
        if not added.inserted:
            await self._already_known(request, record, placed, added)
        return Status.SUCCESS

    def _read(self, request: StoreRequest) -> ImageRecord:
        return record_from_bytes(
            request.dataset,
            request.transfer_syntax_uid,
            institution=self._institution,
            source=request.caller.aetitle,
            node=self._aetitle,
            received_on=utcnow(),
        )

    def _stage(self, request: StoreRequest) -> Staged:
        return self._archive.stage(
            request.dataset,
            sop_class_uid=request.sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
            transfer_syntax_uid=request.transfer_syntax_uid,
            source_aetitle=request.caller.aetitle,
        )

    def _write(self, request: StoreRequest, record: ImageRecord) -> tuple[Staged, Placed]:
        staged = self._stage(request)
        placed = self._archive.place(
            staged,
            patient_id=record.patient_id,
            study_uid=record.study_uid,
            series_uid=record.series_uid,
            sop_instance_uid=record.image_uid,
        )
        return staged, placed

    async def _already_known(
        self, request: StoreRequest, record: ImageRecord, placed: Placed, known: Added
    ) -> None:
        """Let the same object again be nothing, and keep another one under the same UID."""
        in_place = known.filepath == str(placed.path)
        if in_place and not placed.created:
            return  # its bytes have been compared
        gone = in_place or not await self._in_thread(_is_there, known)
        if gone and known.sha256 in (record.sha256, None):
            await self._restore(record, known)
            return
        if await self._in_thread(_digest_of, known) in (record.sha256, None):
            if placed.created:
                await self._in_thread(self._archive.discard, placed.path)
            return
        log.warning("Received another object under a known SOP Instance UID: kept in quarantine")
        await self._quarantine(
            request,
            placed.path,
            sha256=record.sha256 or "",
            kind="conflict",
            reason=f"another object with this SOP Instance UID is indexed, in {known.filepath}",
            study_uid=record.study_uid,
        )

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
            )

    async def _keep_unreadable(self, request: StoreRequest, reason: str) -> int:
        log.warning("Received an object that cannot be indexed: kept in quarantine: %s", reason)
        staged = await self._in_thread(self._stage, request)
        await self._quarantine(
            request,
            staged.path,
            sha256=staged.sha256,
            kind="undecodable",
            reason=reason,
            study_uid=None,
        )
        return Status.SUCCESS

    async def _quarantine(
        self,
        request: StoreRequest,
        path: Path,
        *,
        sha256: str,
        kind: str,
        reason: str,
        study_uid: str | None,
    ) -> None:
        uid = request.sop_instance_uid
        known = await self._in_thread(self._archive.quarantine_path(uid, sha256).exists)
        set_aside = functools.partial(
            self._archive.set_aside, path, sop_instance_uid=uid, sha256=sha256
        )
        kept = await self._in_thread(set_aside)
        committing = False
        try:
            async with self._database.begin() as session:
                await add_quarantined(
                    session,
                    filepath=str(kept),
                    reason=reason,
                    kind=kind,
                    sop_instance_uid=uid,
                    study_uid=study_uid,
                    sha256=sha256,
                    source=request.caller.aetitle,
                )
                committing = True
        except Exception as error:
            if not known and not committing:
                await self._in_thread(self._archive.discard, kept)
            why = str(error) if isinstance(error, SchemaError) else type(error).__name__
            raise NotIndexed(why, certain=not committing) from error

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        call = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


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


def _differs(in_dataset: str | None, in_command: str) -> bool:
    return _as_indexed(in_dataset or "") != _as_indexed(in_command)


def _as_indexed(uid: str) -> str:
    """Return a UID as a record has it: no padding, nothing that a database cannot hold."""
    return key_of(clean_text(uid.strip(" \0")))
