"""The folder that takes what is fetched: a file has its name when it is whole and on the disk.

Objects are written into a hidden folder beside their places, and linked to their names from there:
a link never replaces what has the name. What a process that died has left, the next one removes.
The names are made of UIDs alone (`node.storage.layout`), and never of what is no UID.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from node.config import Layout
from node.dicom.spans import Unreadable
from node.dicom.status import Status
from node.errors import StorageError
from node.net.dimse.sinks import Refused
from node.net.messages import StoreRequest, StoreSink
from node.ops.fetching.report import Fetched, FetchedImage, StudyFetch
from node.ops.receiving.relaying import SinkToFile
from node.storage.durable import sync_directory, sync_file
from node.storage.files import ObjectUIDs, object_uids, transfer_syntax_of
from node.storage.inspect import digest_of
from node.storage.layout import image_path
from node.storage.names import numbered
from node.storage.writing import Sender, Writing
from schema import InvalidDicom
from schema.dumping.drafts import Drafts
from schema.moving.senders import Senders

log = logging.getLogger(__name__)

_LABEL = "fetch"


class FetchFolder:
    """Takes the objects of one study at a time: `open` is a store handler.

    Also sees them come (`node.ops.retrieving.retriever.Signs`).

    Parameters
    ----------
    folder
        Where the files are to be; made when it is missing.
    by_study
        See `FetchWish`.
    senders
        Who sends for which peer, where others may send to us as well.

    Attributes
    ----------
    count
        Objects that have come.
    """

    def __init__(self, folder: Path, *, by_study: bool, senders: Senders) -> None:
        self.count = 0
        self._folder = folder
        self._layout = Layout.STUDY if by_study else Layout.IMAGE
        self._senders = senders
        self._drafts = Drafts(folder, _LABEL)
        self._made: list[Path] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listeners: list[Callable[[], None]] = []
        self._study: StudyFetch | None = None
        self._peer: str | None = None

    async def start(self) -> None:
        """Make the folder, and remove what dead processes have left in it.

        Raises
        ------
        StorageError
            It cannot be written to.
        """
        try:
            await asyncio.to_thread(self._start)
        except OSError as error:
            await asyncio.to_thread(self._leave)
            raise StorageError(f"cannot write to {self._folder}: {error.strerror}") from error

    async def close(self) -> None:
        """Remove what is not whole, and the folder where it is new and nothing came into it."""
        self._study = None
        while self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.to_thread(self._drafts.close)
        await asyncio.to_thread(self._leave)

    def _start(self) -> None:
        lineage = (self._folder, *self._folder.parents)
        self._made = [one for one in lineage if not os.path.lexists(one)]
        self._drafts.start()

    def _leave(self) -> None:
        """Remove the folders that were made, the innermost first, as far as they are empty."""
        with suppress(OSError):
            for folder in self._made:
                folder.rmdir()

    async def look(self, study: StudyFetch) -> None:
        """Take note of which of the images that a peer lists lie here whole, and what does not.

        Under their own names, or under the ones beside these where another file has them.
        """
        await asyncio.to_thread(self._look, study)

    def _look(self, study: StudyFetch) -> None:
        for series_uid, images in study.selected.listed.items():
            for uid in sorted(images):
                wanted = ObjectUIDs(study=study.selected.study_uid, series=series_uid, image=uid)
                if (path := self._there(study, wanted)) is not None:
                    study.images[uid] = FetchedImage(
                        placed=Fetched.THERE,
                        path=path,
                        series_uid=series_uid,
                        beside=path != self._path(wanted.study, series_uid, uid),
                    )

    def _there(self, study: StudyFetch, wanted: ObjectUIDs) -> Path | None:
        """Return where an image lies whole; of its names, those up to the first that is free."""
        first = self._path(wanted.study, wanted.series, wanted.image)
        for path in numbered(first, first.stem):
            if not os.path.lexists(path):
                return None
            if path.is_symlink() or not path.is_file():
                continue
            said, remark = _read(path)
            if remark:
                study.broken.add(path)
            elif said == wanted:
                return path
        return None

    def _path(self, study_uid: str, series_uid: str, uid: str) -> Path:
        """Return where the file of an image is to be."""
        return self._folder / image_path(
            self._layout,
            patient_id="",
            study_uid=study_uid,
            series_uid=series_uid,
            sop_instance_uid=uid,
        )

    def expect(self, study: StudyFetch, *, only_from: str | None) -> None:
        """Take the images of a study from now on.

        Parameters
        ----------
        only_from
            The peer that is to send them, where anybody may; None where they come over a
            connection of ours.
        """
        self._study, self._peer = study, only_from
        self.count = 0

    async def finish(self) -> None:
        """Take no more of the study."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._study = None

    @contextmanager
    def telling(self, listener: Callable[[], None], /) -> Iterator[None]:
        """Tell a function of each that comes, for the length of the block."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def open(self, request: StoreRequest) -> StoreSink:
        """Begin to take one object; what nobody has asked for stays with its sender."""
        if self._study is None or not self._is_asked(request):
            log.info("Refused an object from %s, which nobody awaits", request.caller.aetitle)
            return Refused(Status.OUT_OF_RESOURCES)
        return SinkToFile(self, request)

    async def begin(self, request: StoreRequest) -> Writing:
        """Begin the file of an object; see `SinkToFile`."""
        return Writing(
            folder=self._drafts.place,
            sync=lambda: sync_directory(self._drafts.place),
            sop_class_uid=request.sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
            transfer_syntax_uid=request.transfer_syntax_uid,
            sender=Sender(aetitle=request.caller.aetitle),
        )

    async def send(self, request: StoreRequest, path: Path) -> int:
        """Give an object that is whole its name; return the status that its sender is told."""
        study, uid = self._study, request.sop_instance_uid
        if study is None:
            return Status.OUT_OF_RESOURCES
        said, remark = await asyncio.to_thread(_read, path)
        if not study.selected.takes(said.study, said.series, uid):
            study.unasked += 1
            return Status.DATASET_MISMATCH if self._peer is None else Status.OUT_OF_RESOURCES
        if said.image not in {"", uid}:
            remark = f"its dataset names another SOP Instance UID, {said.image}"
        try:
            placed = await asyncio.to_thread(self._placed, study, said, uid, path)
            study.bytes += placed[1]
        except (OSError, StorageError) as error:
            study.failed[uid] = str(getattr(error, "strerror", None) or error)
            raise StorageError(f"cannot write to {self._folder}: {study.failed[uid]}") from error
        outcome, file = placed[0]
        before = study.images.get(uid)
        if before is None or Fetched.THERE is before.placed or outcome is not Fetched.SAME:
            study.images[uid] = FetchedImage(
                placed=outcome,
                path=file,
                series_uid=said.series,
                remark=remark,
                beside=file != self._path(study.selected.study_uid, said.series, uid),
            )
        study.failed.pop(uid, None)
        self.count += 1
        for listener in list(self._listeners):
            listener()
        return Status.SUCCESS

    def keep(self, task: "asyncio.Task[Any]") -> None:
        """Let a task not be collected, and be waited for at the end."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _is_asked(self, request: StoreRequest) -> bool:
        if self._peer is None:
            return True
        from_it = self._peer in self._senders.peers.get(request.caller.aetitle, ())
        return from_it or request.originator in self._senders.ours

    def _placed(
        self, study: StudyFetch, said: ObjectUIDs, uid: str, path: Path
    ) -> tuple[tuple[Fetched, Path], int]:
        """Link a file to its name, or to one of its own where that is taken; blocks on the disk."""
        final = self._path(study.selected.study_uid, said.series, uid)
        final.parent.mkdir(parents=True, exist_ok=True)
        sync_file(path)
        size = path.stat().st_size
        for name in numbered(final, final.stem):
            if _link(path, name):
                sync_directory(name.parent)
                return (Fetched.NEW if name == final else Fetched.APART, name), size
            if _is_same(name, path):
                return (Fetched.SAME, name), size
            if name.is_file() and not name.is_symlink() and _read(name)[1]:
                study.broken.add(name)
        raise StorageError(f"{final} and all names beside it are taken")


def _link(path: Path, name: Path) -> bool:
    """Give a file a name; False where something has it."""
    try:
        os.link(path, name)
    except FileExistsError:
        return False
    except OSError:  # the filesystem has no hard links
        if os.path.lexists(name):
            return False
        path.rename(name)
    return True


def _is_same(name: Path, path: Path) -> bool:
    """Tell whether two files have one dataset, in one transfer syntax; headers may differ."""
    with suppress(OSError, InvalidDicom):
        if not name.is_file() or name.is_symlink():
            return False
        mine, theirs = (digest_of(str(one)) for one in (name, path))
        syntaxes = {transfer_syntax_of(str(one)) for one in (name, path)}
        return mine is not None and mine == theirs and len(syntaxes) == 1
    return False


def _read(path: Path) -> tuple[ObjectUIDs, str]:
    """Return the UIDs of an object, and why they are not known."""
    try:
        return object_uids(str(path)), ""
    except (Unreadable, InvalidDicom, OSError) as error:
        return ObjectUIDs(), f"its dataset cannot be read to its end: {error}"
