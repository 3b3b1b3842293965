"""Whose the file of a row is: ours, another storage directory's, nobody's, or unknown.

AE titles and paths may be the same on two machines, so what tells is the id of the storage
directory, which rows have since schema 0006. Of a row without one, nobody knows whether its file
was ever here: it is never cleared, until the file has been seen, or somebody has said so.
"""

import asyncio
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from node.storage.identity import made_storage_id, storage_id
from node.storage.inspect import Fault, Inspected, glance, inspect, is_below
from schema.inventory import Held

UNKNOWN = "unknown"
"""Stands for the id of rows that have none, where somebody says whose they are."""


class Holder(Enum):
    """Who looks after the file of a row."""

    OURS = "ours"
    """It lies in this storage directory, or did."""
    ANOTHERS = "another's"
    """It lies in another storage directory."""
    NOBODYS = "nobody's"
    """No node has put it where it is."""
    UNKNOWN = "unknown"
    """It may be ours."""


class Home:
    """The storage directory of this node, and which files are its own.

    Parameters
    ----------
    directory
        The storage directory, absolute.
    aetitle
        This node's AE title: rows without an id have at least that.
    """

    def __init__(self, directory: Path, *, aetitle: str) -> None:
        self.directory = directory
        self.aetitle = aetitle
        self.id: str | None = None

    def identify(self, *, make: bool = False) -> str | None:
        """Read the id of the storage directory, and return it; blocks on the disk.

        Parameters
        ----------
        make
            Give it one where it has none; the directory must be there.

        Raises
        ------
        StorageError
            The disk does not give or take it.
        """
        if self.id is None:
            self.id = made_storage_id(self.directory) if make else storage_id(self.directory)
        return self.id

    def is_below(self, path: str | None) -> bool:
        """Tell whether a path lies in the storage directory, by its name alone."""
        return is_below(path or "", self.directory)

    def holder(self, held: Held) -> Holder:
        """Say who looks after the file of an image."""
        # a storage directory without an id may be one that is not mounted
        unmounted = self.id is None and self.is_below(held.filepath)
        if held.storage_id is not None and not unmounted:
            return Holder.OURS if held.storage_id == self.id else Holder.ANOTHERS
        if held.node not in (None, self.aetitle):
            return Holder.ANOTHERS
        if held.node == self.aetitle or self.is_below(held.filepath):
            return Holder.UNKNOWN
        return Holder.NOBODYS

    def shadows(self, held: Held) -> bool:
        """Tell whether what lies under the path of a row is not its file: it only has its name."""
        return self.holder(held) is Holder.ANOTHERS and self.is_below(held.filepath)


async def still_missing(images: Sequence[Held]) -> list[Held]:
    """Return those whose files are not there now either: one may have come meanwhile."""
    found = await asyncio.to_thread(looked_at, images)
    pairs = zip(images, found, strict=True)
    return [held for held, file in pairs if file.fault is Fault.MISSING]


def looked_at(page: Sequence[Held]) -> list[Inspected]:
    """Return what the files of images are, compared by size; blocks on the disk."""
    return [_compared(held) for held in page]


def _compared(held: Held) -> Inspected:
    """Compare a file with its row, by its size; one whose size nobody knows has to be read."""
    if held.filepath is None or held.size is None:
        return inspect(held)
    return glance(held.filepath, held.size)
