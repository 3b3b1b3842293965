"""The power fails under a real node: its calls, as strace has written them, on the worst disk."""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.syscalls import Call, calls
from tests.support.worst_disk import Disk, File

TRACED = (
    "open,openat,creat,write,writev,pwrite64,pwritev,ftruncate,truncate,fallocate,fsync,fdatasync,"
    "sync_file_range,copy_file_range,sendfile,rename,renameat,renameat2,link,linkat,unlink,unlinkat,"
    "mkdir,mkdirat,rmdir,sendto,sendmsg"
)
"""All calls by which a file below a folder can change, and those that answer a sender."""


def accepted(data: bytes) -> str | None:
    """Return the SOP Instance UID that a C-STORE-RSP with status 0x0000 is about, if it is one."""
    if data[:1] != b"\x04" or len(data) < 12:
        return None
    elements: dict[int, bytes] = {}
    position = 12  # behind the heads of the PDU and of its presentation data value
    while position + 8 <= len(data):
        group, number, length = struct.unpack_from("<HHL", data, position)
        if group:
            return None
        elements[number] = data[position + 8 : position + 8 + length]
        position += 8 + length
    if elements.get(0x0100) != b"\x01\x80" or elements.get(0x0900) != b"\0\0":
        return None
    return elements[0x1000].rstrip(b"\0 ").decode()


def digest_of(content: bytes) -> str:
    """Return the digest of the dataset behind our header, of 144 bytes and the rest of group 2."""
    start = 144 + int.from_bytes(content[140:144], "little")
    return hashlib.sha256(content[start:]).hexdigest()


class PowerLoss:
    """Follows a node's calls, and looks after each one at what would be left.

    Parameters
    ----------
    root
        Below it are the storage directory, and the database `var/index/node.db`.
    sent
        SOP Instance UID to the digests of the datasets sent under it, in their order: a sender
        waits for each answer.
    scratch
        A folder for databases that are looked at.
    """

    def __init__(self, root: Path, sent: dict[str, list[str]], scratch: Path) -> None:
        self.disk = Disk(root)
        self.acknowledged: list[tuple[str, str]] = []
        self.failures: list[str] = []
        self.moments = 0
        self.databases = 0
        self._sent = {uid: list(digests) for uid, digests in sent.items()}
        self._scratch = scratch
        self._choice = random.Random(0)
        self._digests: dict[bytes, str] = {}
        self._rows: dict[tuple[bytes, bytes], list[tuple[str, str]]] = {}

    def follow(self, lines: Iterable[str]) -> Iterator[None]:
        """Follow the calls, and pause after each that changes what is there or promised."""
        seen: dict[int, Any] = {}
        for call, over in calls(lines):
            if not over:
                if call.name in ("sendto", "write", "sendmsg") and self._answers(call):
                    self._moment()
                    yield
                if call.name in ("fsync", "fdatasync"):
                    node = self.disk.find(call.file())
                    seen[id(call)] = None if node is None else (node, node.seen())
            elif call.result is not None and call.result >= 0 and self._apply(call, seen):
                self._moment()
                yield

    def _answers(self, call: Call) -> bool:
        if not call.file().name.startswith("socket:"):
            return False
        uid = accepted(b"".join(call.texts()[:1]))
        if uid is None:
            return False
        self.acknowledged.append((uid, self._sent[uid].pop(0)))
        return True

    def _apply(self, call: Call, seen: dict[int, Any]) -> bool:
        """Let a call that has succeeded happen on the disk; tell whether it is one of ours."""
        disk = self.disk
        match call.name:
            case "fsync" | "fdatasync":
                if (found := seen.pop(id(call))) is None:
                    return False
                node, before = found
                node.synced(before)
                return True
            case "open" | "openat" | "creat":
                (path,) = call.paths()
                if "O_CREAT" in call.arguments and not disk.create(path):
                    return False
                if "O_TRUNC" in call.arguments and isinstance(node := disk.find(path), File):
                    node.change((0, None))
                return "O_CREAT" in call.arguments
            case "write" | "writev" | "pwrite64" | "ftruncate":
                return self._write(call)
            case "rename" | "renameat" | "renameat2":
                return disk.rename(*call.paths())
            case "link" | "linkat":
                return disk.link(*call.paths())
            case "unlink" | "unlinkat" | "rmdir":
                return disk.remove(*call.paths())
            case "mkdir" | "mkdirat":
                return disk.mkdir(*call.paths())
            case "sendto" | "sendmsg":
                return False
        assert str(disk.root) not in str(call.file()), f"not followed: {call}"
        return False

    def _write(self, call: Call) -> bool:
        node = self.disk.find(call.file())
        if not isinstance(node, File):
            return False
        data = b"".join(call.texts()[: None if call.name == "writev" else 1])[: call.result]
        if call.name == "ftruncate":
            node.change((call.numbers()[0], None))
        elif call.name == "pwrite64":
            node.change((call.numbers()[-1], data))
        else:
            node.append(data)  # nobody writes twice to a place with these
        return True

    # What would be left

    def _moment(self) -> None:
        self.moments += 1
        self.failures += [f"moment {self.moments}: {failure}" for failure in self.look()]

    def look(self) -> list[str]:
        """Return what would be wrong if the power failed now."""
        left = self.disk.survivors()
        whole = {
            self.disk.root / path: self._digest(file.durable)
            for path, file in left.items()
            if path.suffix == ".dcm"
        }
        spooled = {digest for path, digest in whole.items() if ".spool" in path.parts}
        failures = []
        for torn in (False, True):
            try:
                rows = self._database(left, torn=torn)
            except sqlite3.Error as error:
                failures.append(f"the database is damaged: {error}")
                continue
            indexed = set()
            for path, digest in rows:
                if whole.get(Path(path)) == digest:
                    indexed.add(digest)
                elif digest not in spooled:
                    failures.append(f"a row without its file: {path}")
            lost = [uid for uid, digest in self.acknowledged if digest not in spooled | indexed]
            if lost:
                failures.append(f"lost: {lost}")
        return failures

    def _digest(self, content: bytes) -> str:
        if content not in self._digests:
            self._digests[content] = digest_of(content)
        return self._digests[content]

    def _database(self, left: dict[Path, File], *, torn: bool) -> list[tuple[str, str]]:
        """Return path and digest of every row of the database that would be left."""
        contents = []
        for suffix in ("", "-wal", "-journal"):
            file = left.get(Path(f"var/index/node.db{suffix}"))
            content = file.durable if file else b""
            contents.append(file.torn(self._choice) if file and torn else content)
        main, log, journal = contents
        if not main:
            return []
        key = (main, log + journal)
        if key not in self._rows:
            self._rows[key] = self._opened(main, log, journal)
        return self._rows[key]

    def _opened(self, main: bytes, log: bytes, journal: bytes) -> list[tuple[str, str]]:
        self.databases += 1
        path = self._scratch / "node.db"
        for suffix, content in (("", main), ("-wal", log), ("-journal", journal), ("-shm", b"")):
            one = path.with_name(path.name + suffix)
            one.unlink(missing_ok=True)
            if content:
                one.write_bytes(content)
        with closing(sqlite3.connect(path)) as connection:
            ((verdict,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
            if not {"images", "quarantine"} <= tables:
                return []
            return connection.execute(
                "SELECT filepath, sha256 FROM images UNION ALL"
                " SELECT filepath, sha256 FROM quarantine"
            ).fetchall()

    def write_out(self) -> None:
        """Put what would be left where the node had it."""
        written: dict[int, Path] = {}
        for name, file in self.disk.survivors().items():
            path = self.disk.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if first := written.get(id(file)):
                os.link(first, path)
            else:
                path.write_bytes(file.durable)
                written[id(file)] = path
