"""A disk as the worst one would be: what was not synced is not there, what was removed is gone.

It is told of each call that succeeded, in order. Data are durable when the file was fsynced, and
a name when its folder was. An fsync covers what was there when it began; who follows the calls
of several threads asks for `seen` then, and gives it to `synced` when the fsync has returned.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

Change = tuple[int, bytes | None]
"""Bytes at a position; or None and the length to which the file was cut or stretched."""


class File:
    """A file: its content, and the changes of it, of which the first `durable` ones are durable."""

    def __init__(self) -> None:
        self.content = b""
        self.durable = b""
        self._changes: list[Change] = []

    def change(self, change: Change) -> None:
        """Write, or truncate."""
        self._changes.append(change)
        self.content = _changed(self.content, change)

    def append(self, data: bytes) -> None:
        """Write at the end."""
        self.change((len(self.content), data))

    def seen(self) -> list[Change]:
        """Return what an fsync that begins now will make durable."""
        return self._changes.copy()

    def synced(self, seen: list[Change]) -> None:
        """Make durable what was seen, unless another fsync has done so meanwhile."""
        mine = {id(change) for change in seen}
        for change in self._changes:
            if id(change) in mine:
                self.durable = _changed(self.durable, change)
        self._changes = [change for change in self._changes if id(change) not in mine]

    def torn(self, choice: random.Random) -> bytes:
        """Return what may be there as well: of what is not durable, some writes and not others."""
        content = self.durable
        for change in self._changes:
            if choice.random() < 0.5:
                content = _changed(content, change)
        return content


class Folder:
    """A folder: its names, and those that are durable."""

    def __init__(self) -> None:
        self.entries: dict[str, File | Folder] = {}
        self.durable: dict[str, File | Folder] = {}

    def seen(self) -> dict[str, File | Folder]:
        """Return what an fsync that begins now will make durable."""
        return self.entries.copy()

    def synced(self, seen: dict[str, File | Folder]) -> None:
        """Make durable what was seen and is there still."""
        self.durable |= {
            name: node for name, node in seen.items() if self.entries.get(name) is node
        }


class Disk:
    """All that is below a folder, which itself is durable."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tree = Folder()

    def adopt(self) -> None:
        """Take what is there already for durable."""
        for path in sorted(self.root.rglob("*")):
            if path.is_dir():
                self.mkdir(path)
            else:
                self.create(path)
                file = self.find(path)
                assert isinstance(file, File)
                file.append(path.read_bytes())
                file.synced(file.seen())
        for folder in [self.tree, *map(self.find, self.root.rglob("*"))]:
            if isinstance(folder, Folder):
                folder.synced(folder.seen())

    def find(self, path: Path) -> File | Folder | None:
        """Return a file or folder; None when it is not there, or not below ours."""
        if path == self.root:
            return self.tree
        folder = self.folder(path)
        return None if folder is None else folder.entries.get(path.name)

    def folder(self, path: Path) -> Folder | None:
        """Return the folder that a path is in; None when that is not below ours."""
        if self.root not in path.parents:
            return None
        found = self.find(path.parent)
        return found if isinstance(found, Folder) else None

    def create(self, path: Path) -> bool:
        """Open a file for writing; tell whether it is ours."""
        if (folder := self.folder(path)) is None:
            return False
        folder.entries.setdefault(path.name, File())
        return True

    def rename(self, old: Path, new: Path) -> bool:
        """Rename; at worst, neither name is left until the new one is synced."""
        source, target = self.folder(old), self.folder(new)
        if source is None or target is None:
            return False
        source.durable.pop(old.name, None)
        target.entries[new.name] = source.entries.pop(old.name)
        return True

    def link(self, old: Path, new: Path) -> bool:
        """Give a file another name."""
        found, target = self.find(old), self.folder(new)
        if found is None or target is None:
            return False
        target.entries[new.name] = found
        return True

    def remove(self, path: Path) -> bool:
        """Remove a name: at worst at once."""
        if (folder := self.folder(path)) is None:
            return False
        folder.entries.pop(path.name, None)
        folder.durable.pop(path.name, None)
        return True

    def mkdir(self, path: Path) -> bool:
        """Make a folder."""
        if (folder := self.folder(path)) is None:
            return False
        folder.entries[path.name] = Folder()
        return True

    def survivors(self) -> dict[Path, File]:
        """Return the files that are there when the power has failed, below the root."""
        return dict(_survivors(self.tree, Path()))


def _survivors(folder: Folder, path: Path) -> Iterator[tuple[Path, File]]:
    for name, node in folder.durable.items():
        if isinstance(node, Folder):
            yield from _survivors(node, path / name)
        else:
            yield path / name, node


def _changed(content: bytes, change: Change) -> bytes:
    position, data = change
    if data is None:
        return content[:position].ljust(position, b"\0")
    return content[:position].ljust(position, b"\0") + data + content[position + len(data) :]
