"""What is to be sent: a DICOM file (PS3.10), its dataset's bytes as they are; or a dataset."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pydicom.filereader import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pynetdicom.dsutils import split_dataset

from node.dicom.peek import HEAD, peek_sop_uids
from node.errors import FileDamaged, FileGone, PeerRefused, StorageError
from node.net.messages import InstanceFile, InstanceInMemory, InstanceMissing

_PART = 1 << 20
"""Bytes of a dataset that are read, and handed to the association, at once."""


@dataclass(slots=True, kw_only=True)
class Sendable:
    """An open file, placed at its dataset.

    Attributes
    ----------
    size
        Of the encoded dataset, in bytes.
    sha256
        Of the encoded dataset, in hexadecimal; None where nobody knows it.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    size: int
    file: BinaryIO
    sha256: str | None = None
    _left: int = field(init=False)
    _seen: "hashlib._Hash" = field(init=False, default_factory=hashlib.sha256)

    def __post_init__(self) -> None:
        """Begin before the first byte."""
        self._left = self.size

    async def part(self) -> tuple[bytes, bool]:
        """Return the next part of the dataset, and whether it is the last one.

        A deflated dataset of odd length gets the byte that makes it even (PS3.5 A.5): many files
        have it not, and DCMTK takes no dataset of odd length.

        Raises
        ------
        StorageError
            The file cannot be read, or has become shorter.
        FileDamaged
            With this part it would be whole, and is not what it should be.
        """
        part = await asyncio.to_thread(self._next, min(self._left, _PART))
        if self._left and not part:
            raise StorageError(f"{self.path} became shorter while it was sent")
        self._left -= len(part)
        if not self._left and self.sha256 not in (None, self._seen.hexdigest()):
            raise FileDamaged(f"{self.path} changed while it was sent")
        if not self._left and self.size % 2 and self._is_deflated:
            part += b"\0"
        return part, not self._left

    @property
    def _is_deflated(self) -> bool:
        return self.transfer_syntax_uid == DeflatedExplicitVRLittleEndian

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return str(self.path)

    def _next(self, size: int) -> bytes:
        part = self.read(size)
        if self.sha256 is not None:
            self._seen.update(part)
        return part

    def read(self, size: int) -> bytes:
        """Return the next bytes of the dataset.

        Raises
        ------
        StorageError
            The file cannot be read.
        """
        try:
            return self.file.read(size)
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error.strerror}") from error

    def close(self) -> None:
        """Close the file."""
        self.file.close()


@dataclass(slots=True, kw_only=True)
class SendableBytes:
    """A dataset in memory; see `Sendable`."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    dataset: bytes
    name: str

    async def part(self) -> tuple[bytes, bool]:
        """Return the whole dataset: it is the last part."""
        return self.dataset, True

    def close(self) -> None:
        """Do nothing: there is no file."""


def made_sendable(instance: InstanceInMemory) -> SendableBytes:
    """Make the dataset of an object without a file."""
    return SendableBytes(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
        dataset=instance.dataset(),
        name=instance.sop_instance_uid,
    )


def open_sendable(path: Path) -> Sendable:
    """Open a file to send it.

    Raises
    ------
    PeerRefused
        It does not say what it holds, so no presentation context can be found for it.
    StorageError
        It cannot be read.
    """
    try:
        try:
            meta, offset = split_dataset(path)
        except OSError:
            raise
        except Exception as error:  # the parser's exceptions have no common base
            raise PeerRefused(f"{path} cannot be sent: {error}") from error
        sop_class = meta.get("MediaStorageSOPClassUID")
        sop_instance = meta.get("MediaStorageSOPInstanceUID")
        if not sop_class or not sop_instance:
            dataset = dcmread(
                path,
                force=True,
                stop_before_pixels=True,
                specific_tags=["SOPClassUID", "SOPInstanceUID"],
            )
            sop_class = sop_class or dataset.get("SOPClassUID")
            sop_instance = sop_instance or dataset.get("SOPInstanceUID")
        syntax = meta.get("TransferSyntaxUID")
        if not sop_class or not sop_instance or not syntax:
            raise PeerRefused(
                f"{path} cannot be sent: it does not name its SOP class, instance "
                "and transfer syntax"
            )
        file = path.open("rb")
        try:
            size = file.seek(0, 2) - offset
            file.seek(offset)
            # Where File Meta and dataset disagree, peers compare the command with the dataset.
            seen = peek_sop_uids(file.read(HEAD), str(syntax))
            file.seek(offset)
        except BaseException:
            file.close()
            raise
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    return Sendable(
        path=path,
        sop_class_uid=seen.sop_class_uid or str(sop_class),
        sop_instance_uid=seen.sop_instance_uid or str(sop_instance),
        transfer_syntax_uid=str(syntax),
        size=size,
        file=file,
    )


@asynccontextmanager
async def opened_sendable(
    source: Path | InstanceFile | InstanceInMemory | InstanceMissing,
) -> AsyncIterator[Sendable | SendableBytes]:
    """Open a file in a thread, and close it at the end; also when nobody waits for it any more.

    What is in memory is there already.

    Raises
    ------
    PeerRefused, StorageError
        See `open_sendable`.
    """
    if isinstance(source, InstanceInMemory):
        yield made_sendable(source)
        return
    if isinstance(source, InstanceMissing):
        raise FileGone(source.reason)
    path = source if isinstance(source, Path) else source.path
    opening = asyncio.ensure_future(asyncio.to_thread(open_sendable, path))
    try:
        sendable = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_unwanted)
        raise
    try:
        yield sendable
    finally:
        sendable.close()


def _close_unwanted(opening: "asyncio.Future[Sendable]") -> None:
    with suppress(Exception, asyncio.CancelledError):
        opening.result().close()
