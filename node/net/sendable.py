"""A DICOM file (PS3.10) that is to be sent, its dataset's bytes as they are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom.filereader import dcmread
from pynetdicom.dsutils import split_dataset

from node.errors import PeerRefused, StorageError


@dataclass(slots=True, kw_only=True)
class Sendable:
    """An open file, placed at its dataset.

    Attributes
    ----------
    size
        Of the encoded dataset, in bytes.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    size: int
    file: BinaryIO

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
        except BaseException:
            file.close()
            raise
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    return Sendable(
        path=path,
        sop_class_uid=str(sop_class),
        sop_instance_uid=str(sop_instance),
        transfer_syntax_uid=str(syntax),
        size=size,
        file=file,
    )


@asynccontextmanager
async def opened_sendable(path: Path) -> AsyncIterator[Sendable]:
    """Open a file in a thread, and close it at the end; also when nobody waits for it any more.

    Raises
    ------
    PeerRefused, StorageError
        See `open_sendable`.
    """
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
