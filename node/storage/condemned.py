"""A damaged file of the archive loses its name there, when it is in quarantine.

A node that works beside may have put a good file in its place a moment ago: what is taken away is
looked at once more, under a name that only we know, and given back when it is another file.

Both functions block on the disk: call them in a thread.
"""

import contextlib
import os
import stat
from pathlib import Path

from node.errors import StorageError
from node.storage import durable
from schema.parsing.scan import OWN_FOLDERS

Inode = tuple[int, int]
"""What tells one file from another, whatever its name: the disk, and its number there."""


def inode_of(path: str | Path) -> Inode | None:
    """Return which file has a name; None when none has, nobody can tell, or it is only a link."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def take_away(path: Path, inode: Inode, aside: Path) -> bool:
    """Take its name in the archive from a file that has one in quarantine.

    Parameters
    ----------
    inode
        The file that was condemned.
    aside
        Its name in quarantine, beside which it is looked at once more.

    Returns
    -------
    bool
        Whether it was that file; another one that has its name keeps it.

    Raises
    ------
    StorageError
        When the disk does not do it.
    """
    taken = aside.with_name(f"{aside.name}.{os.getpid()}.taken")
    try:
        try:
            path.rename(taken)
        except FileNotFoundError:
            return True
        ours = inode_of(taken) == inode
        if not ours:
            with contextlib.suppress(FileExistsError):  # then a third one has come meanwhile
                os.link(taken, path)
        if ours or inode_of(path) == inode_of(taken):
            taken.unlink()
        for folder in {path.parent, taken.parent}:
            durable.sync_directory(folder)
    except OSError as error:
        raise StorageError(
            f"cannot take {path.name} away below {path.parent}: {error.strerror}"
        ) from error
    return ours


def has_an_image(directory: Path) -> bool:
    """Tell whether there is any file in an image tree: an empty one is not mounted, most likely."""
    for folder, folders, names in os.walk(directory):
        if Path(folder) == directory:
            folders[:] = [name for name in folders if name not in OWN_FOLDERS]
        if any(not name.startswith(".") for name in names):
            return True
    return False
