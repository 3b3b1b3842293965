"""Reading ahead: files are opened, read and checked before they are sent, while others are.

Small files are read some at a time, so that a thread is asked once for all of them, and are in
memory before anything of them is sent. A large one is read twice: once to see whether it is sound,
and once while it is sent. So what is damaged is known before the first byte, as a rule; where a
large file changes in between, its last part is never sent (`Sendable.part`).
"""

import asyncio
import errno
import hashlib
import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.dicom.part10 import read_file_header
from node.dicom.peek import HEAD, peek_sop_uids
from node.errors import FileDamaged, FileGone, NodeError, StorageError
from node.net.dimse.sendable import Sendable, SendableBytes, made_sendable
from node.net.messages import Instance, InstanceFile, InstanceInMemory, InstanceMissing
from schema import InvalidDicom
from schema.header.encoding import after_file_meta
from schema.parsing.scan import open_regular, reason_of

WHOLE = 4 << 20
"""Bytes up to which a file is read at once, and held in memory until it has been sent."""

_CHUNK = 1 << 20

_BATCH_FILES = 16
_BATCH_BYTES = 1 << 20
_BATCHES = 2
"""How many batches of files may wait; one more is being read, and one is being sent."""

_AHEAD_BYTES = 4 << 20
"""Bytes of files that are in memory, or being read, before somebody takes them; or one file. Many
retrievals may stand still at once, each with so much."""

_UNKNOWN = 1 << 18
"""Bytes that a file is taken to have of which nobody knows."""

_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG))


@dataclass(slots=True, kw_only=True)
class ReadObject:
    """An object that was read ahead, or why it could not be.

    Attributes
    ----------
    number
        Its place among the objects.
    sendable
        To be closed by who has it; None with an error.
    """

    number: int
    instance: Instance
    sendable: Sendable | SendableBytes | None = None
    error: NodeError | None = None

    def close(self) -> None:
        """Let go of its file."""
        if self.sendable is not None:
            self.sendable.close()


class ReadAhead:
    """Hands out objects one by one, in their order, and reads the next ones meanwhile.

    Parameters
    ----------
    instances
        The objects. Reading begins at once, and ends with `close`.
    """

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._instances = instances
        self._handed = bytearray(len(instances))
        self._left = len(instances)
        self._ready: deque[ReadObject] = deque()
        self._batches: asyncio.Queue[list[ReadObject]] = asyncio.Queue(_BATCHES)
        self._turn = asyncio.Lock()
        self._held = 0
        self._taken = asyncio.Event()
        self._reading = asyncio.create_task(self._read(), name="read ahead")

    @property
    def is_empty(self) -> bool:
        """Whether all objects have been handed out."""
        return not self._left

    async def more(self) -> bool:
        """Wait until there is another object, and tell whether there is one at all."""
        async with self._turn:
            if not self._ready and self._left:
                self._ready += await self._batches.get()
            return bool(self._ready)

    async def next(self) -> ReadObject | None:
        """Return the next object; None when there is none left."""
        if not self._ready and not await self.more():
            return None
        one = self._ready.popleft()
        self._left -= 1
        self._handed[one.number] = True
        self._held -= _in_memory(one.instance)
        self._taken.set()
        if isinstance(one.instance, InstanceInMemory):
            one.sendable = made_sendable(one.instance)
        return one

    async def close(self) -> list[Instance]:
        """Stop reading, let go of what nobody has taken, and return it, in order."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        while not self._batches.empty():
            self._ready += self._batches.get_nowait()
        for one in self._ready:
            one.close()
        self._ready.clear()
        self._left = 0
        return [
            one for one, handed in zip(self._instances, self._handed, strict=True) if not handed
        ]

    async def _read(self) -> None:
        start = 0
        while start < len(self._instances):
            end = self._end_of_batch(start)
            batch = list(enumerate(self._instances[start:end], start=start))
            size = sum(_in_memory(one) for _, one in batch)
            while self._held and self._held + size > _AHEAD_BYTES:
                self._taken.clear()
                await self._taken.wait()
            self._held += size
            if not any(isinstance(one, InstanceFile) for _, one in batch):
                read = _load_all(batch)
            else:
                loading = asyncio.ensure_future(asyncio.to_thread(_load_all, batch))
                try:
                    read = await asyncio.shield(loading)
                except asyncio.CancelledError:
                    loading.add_done_callback(_close_all)
                    raise
                except RuntimeError as error:  # no thread can be started
                    unread = StorageError(f"cannot read: {error}")
                    read = [ReadObject(number=n, instance=i, error=unread) for n, i in batch]
            try:
                await self._batches.put(read)
            except asyncio.CancelledError:
                for one in read:
                    one.close()
                raise
            start = end

    def _end_of_batch(self, start: int) -> int:
        size = 0
        for number in range(start, min(start + _BATCH_FILES, len(self._instances))):
            one = self._instances[number]
            if isinstance(one, InstanceFile):
                size += _UNKNOWN if one.size is None else one.size
            if size > _BATCH_BYTES and number > start:
                return number
        return min(start + _BATCH_FILES, len(self._instances))


def _in_memory(instance: Instance) -> int:
    """Return how many bytes an object takes once it is read ahead, as far as is known."""
    if not isinstance(instance, InstanceFile):
        return 0
    size = _UNKNOWN if instance.size is None else instance.size
    return size if size <= WHOLE else 0


def load(instance: InstanceFile) -> Sendable | SendableBytes:
    """Open a file to send it, and see whether it is what is expected; blocks on the disk.

    Raises
    ------
    FileGone
        There is no such file.
    FileDamaged
        It is of another size, or another dataset, than was said; or no DICOM file.
    StorageError
        It cannot be read.
    """
    path = instance.path
    try:
        file = open_regular(path)
        try:
            found = _loaded(instance, file)
        except BaseException:
            file.close()
            raise
        if isinstance(found, SendableBytes):
            file.close()
    except InvalidDicom as error:
        raise FileDamaged(f"{path} is no DICOM file any more: {error}") from error
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno not in _GONE:
            raise StorageError(f"cannot read {path}: {reason_of(error)}") from error
        raise FileGone(f"{path}: there is no such file") from error
    return found


def _loaded(instance: InstanceFile, file: BinaryIO) -> Sendable | SendableBytes:
    path = instance.path
    size = os.fstat(file.fileno()).st_size
    if instance.size not in (None, size):
        raise FileDamaged(f"{path} has {size} bytes, {instance.size} expected")
    head = file.read(min(size, WHOLE))
    start, syntax = _past_header(head)
    if size <= len(head):
        dataset = head[start:]
        _compare(path, instance.sha256, hashlib.sha256(dataset).hexdigest())
    else:
        dataset = head[start : start + HEAD]
        if instance.sha256 is not None:
            digest = hashlib.sha256(memoryview(head)[start:])
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
            _compare(path, instance.sha256, digest.hexdigest())
        file.seek(start)
    syntax = syntax or instance.transfer_syntax_uid or str(ImplicitVRLittleEndian)
    # where File Meta and dataset disagree, peers compare the command with the dataset
    seen = peek_sop_uids(dataset[:HEAD], syntax)
    sop_class = seen.sop_class_uid or instance.sop_class_uid
    sop_instance = seen.sop_instance_uid or instance.sop_instance_uid
    if size > len(head):
        return Sendable(
            path=path,
            sop_class_uid=sop_class,
            sop_instance_uid=sop_instance,
            transfer_syntax_uid=syntax,
            size=size - start,
            file=file,
            sha256=instance.sha256,
        )
    if len(dataset) % 2 and syntax == DeflatedExplicitVRLittleEndian:
        dataset += b"\0"  # PS3.5 A.5; see `Sendable.part`
    return SendableBytes(
        sop_class_uid=sop_class,
        sop_instance_uid=sop_instance,
        transfer_syntax_uid=syntax,
        dataset=dataset,
        name=str(path),
    )


def _past_header(head: bytes) -> tuple[int, str | None]:
    """Return where the dataset begins, and its transfer syntax."""
    if (ours := read_file_header(head)) is not None:
        elements, start = ours
        return start, elements.get(0x0010) or None
    return after_file_meta(head, complete=True)


def _compare(path: Path, expected: str | None, found: str) -> None:
    if expected not in (None, found):
        raise FileDamaged(f"{path}: the SHA-256 of its dataset is another one")


def _load_all(batch: Sequence[tuple[int, Instance]]) -> list[ReadObject]:
    return [_load_one(number, instance) for number, instance in batch]


def _load_one(number: int, instance: Instance) -> ReadObject:
    if isinstance(instance, InstanceInMemory):
        return ReadObject(number=number, instance=instance)
    if isinstance(instance, InstanceMissing):
        missing = FileGone(f"{instance.sop_instance_uid}: {instance.reason}")
        return ReadObject(number=number, instance=instance, error=missing)
    try:
        return ReadObject(number=number, instance=instance, sendable=load(instance))
    except NodeError as error:
        return ReadObject(number=number, instance=instance, error=error)
    except Exception as error:  # noqa: BLE001 - one file never stops the others
        unread = StorageError(f"cannot read {instance.path}: {type(error).__name__}")
        return ReadObject(number=number, instance=instance, error=unread)


def _close_all(loading: "asyncio.Future[list[ReadObject]]") -> None:
    with suppress(Exception, asyncio.CancelledError):
        for one in loading.result():
            one.close()
