"""Writing one object into the spool, all of it or nothing."""

import contextlib
import hashlib
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from node.dicom.part10 import file_header
from node.errors import StorageError
from node.storage.durable import write_all
from node.storage.failpoints import reach
from schema.tables.columns import utcnow

PART = ".part"
"""How the name of a file ends that is being written."""

WHOLE = ".dcm"
"""How the name of a file ends that is whole, or was to be when the power was lost."""

_NAME = re.compile(r"[0-9a-f]{24}-(\d+)-([0-9a-f]{64})(?:-([0-9a-f]*))?\.dcm")

_LONGEST_ADDRESS = 45
"""Characters of a network address; what is longer is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who has sent an object.

    Attributes
    ----------
    aetitle, address
        Its calling AE title, and the network address that it called from; "" when not known.
    originator
        The Move Originator Application Entity Title (0000,1030) of the C-STORE; "" without one.
    """

    aetitle: str
    address: str = ""
    originator: str = ""


def named(path: Path) -> tuple[int, str] | None:
    """Return what the name of an entry says: its size, and the SHA-256 of its dataset."""
    found = _NAME.fullmatch(path.name)
    return (int(found[1]), found[2]) if found else None


def sender_named(path: Path, aetitle: str) -> Sender:
    """Return who has sent an entry: its header has the AE title, its name says the rest."""
    found = _NAME.fullmatch(path.name)
    said = (found[3] or "") if found else ""  # older versions wrote nothing there
    try:
        address, _, originator = bytes.fromhex(said).decode().partition("|")
    except ValueError:
        return Sender(aetitle=aetitle)
    return Sender(aetitle=aetitle, address=address, originator=originator)


def _suffix(sender: Sender) -> str:
    """Return what the name of an entry says of its sender: letters that every disk takes."""
    address = sender.address if len(sender.address) <= _LONGEST_ADDRESS else ""
    text = f"{address}|{sender.originator[:16]}"
    return f"-{text.encode('ascii', 'replace').hex()}" if text != "|" else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A durable object that waits to be indexed.

    Attributes
    ----------
    size
        Of the file, in bytes.
    sha256
        Of the encoded dataset.
    sop_class_uid, sop_instance_uid, sender
        As the C-STORE command and the association had them.
    received_on
        Naive UTC.
    damaged
        Whether an entry of an earlier process is not what was received; never set here.
    """

    path: Path
    size: int
    sha256: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    sender: Sender
    received_on: datetime
    damaged: bool = False


class Writing:
    """An entry that is being written: `append` as often as needed, then `commit` or `abandon`.

    The methods are called in threads; one waits for the other. After one that failed, and
    after `abandon`, nothing can be written any more.
    """

    def __init__(
        self,
        *,
        folder: Path,
        sync: Callable[[], None],
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        sender: Sender,
    ) -> None:
        self._header = file_header(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            source_aetitle=sender.aetitle,
        )
        self._uids = (sop_class_uid, sop_instance_uid, transfer_syntax_uid)
        self._sender = sender
        self._folder = str(folder)
        self._name = secrets.token_hex(12)
        # As text, not as paths: those cost as much as the system calls that they are for.
        self._part = f"{self._folder}/{self._name}{PART}"
        self._sync = sync
        self._digest = hashlib.sha256()
        self._size = len(self._header)
        self._descriptor: int | None = None
        self._given_up = False
        self._lock = threading.RLock()

    @property
    def path(self) -> Path:
        """The file, once something has been appended: the header, and what came until then."""
        return Path(self._part)

    def append(self, parts: list[bytes]) -> None:
        """Write the next bytes of the dataset.

        Raises
        ------
        StorageError
            When the disk does not take them; nothing is left of the entry then.
        """
        with self._all_or_nothing():
            reach("spool.append")
            first = self._descriptor is None
            if self._descriptor is None:
                self._descriptor = os.open(
                    self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666
                )
            write_all(self._descriptor, [self._header, *parts] if first else parts)
            for part in parts:
                self._digest.update(part)
                self._size += len(part)

    def commit(self, parts: list[bytes]) -> Entry:
        """Write the last bytes, and make the entry durable: on return it may be acknowledged.

        Raises
        ------
        StorageError
            When the disk does not take it; nothing is left of the entry then.
        """
        with self._all_or_nothing():
            self.append(parts)
            descriptor = self._descriptor
            assert descriptor is not None, "append has opened it"  # noqa: S101
            # The name comes first, so that it is stable with the file itself: one transaction
            # of the filesystem's journal instead of two. It says what the file must hold.
            sha256 = self._digest.hexdigest()
            said = f"{self._size}-{sha256}{_suffix(self._sender)}"
            whole = f"{self._folder}/{self._name}-{said}{WHOLE}"
            reach("spool.rename")
            os.rename(self._part, whole)  # noqa: PTH104
            self._part = whole
            reach("spool.fsync")
            os.fsync(descriptor)
            self._descriptor = None
            os.close(descriptor)
            self._sync()
            self._given_up = True  # there is nothing left to give up
            reach("spool.durable")
        sop_class_uid, sop_instance_uid, transfer_syntax_uid = self._uids
        return Entry(
            path=Path(whole),
            size=self._size,
            sha256=sha256,
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            sender=self._sender,
            received_on=utcnow(),
        )

    def abandon(self) -> None:
        """Remove what was written, unless it is an entry: nobody has been told about it."""
        with self._lock:
            if not self._given_up:
                self._give_up()

    def _give_up(self) -> None:
        self._given_up = True
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(self._part)  # noqa: PTH108

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        with self._lock:
            if self._given_up:
                raise StorageError(f"what was written to {self._folder} has been given up")
            try:
                yield
            except OSError as error:
                self._give_up()
                raise StorageError(
                    f"cannot write to {self._folder}: {error.strerror or error}"
                ) from error
            except BaseException:
                self._give_up()
                raise
