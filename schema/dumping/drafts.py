"""Files that get their names when they are whole: `Drafts`, for whatever writes files for people.

They are written into a hidden folder beside their places. When all are whole and on the disk, the
folder is renamed: from then on they are what is there, and each is moved to its place. Whoever is
killed before leaves what was there before; whoever is killed behind it has left the new ones, and
the next run moves those that are not in their places yet.

The folder is locked as long as its process lives, so that the next run knows what a dead one has
left.
"""

import errno
import fcntl
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from schema.engine.durability import sync, sync_folder

_PART = ".part"
_WHOLE = ".whole"
_LABEL = 50


class Drafts:
    """The drafts of files that belong together, in a folder.

        with Drafts(folder, "dump") as drafts:
            write(drafts.path("images.csv"))

    At the end of the block all get their names; after an error none does.

    Parameters
    ----------
    folder
        Where the files are to be; made when it is missing.
    label
        What they are together, in a file name.
    replace
        Whether files that are there may be replaced.

    Raises
    ------
    FileExistsError
        When one may not.
    OSError
        When the folder does not take them. What was there before is still there.
    """

    def __init__(self, folder: Path, label: str, *, replace: bool = True) -> None:
        self._folder = folder
        self._label = label[:_LABEL]  # a name has room for 255 bytes, random letters included
        self._replace = replace
        self._names: list[str] = []
        self._place = Path()
        self._lock = -1
        self._finished = False
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.close()

    def start(self) -> None:
        """Make the hidden folder; finish or remove what dead processes have left."""
        self._folder.mkdir(parents=True, exist_ok=True)
        settle(self._folder, self._label)
        while self._lock < 0:
            try:
                made = tempfile.mkdtemp(prefix=f".{self._label}.", suffix=_PART, dir=self._folder)
            except OSError as error:  # people know the file by its own name
                name = str(self._folder / self._label)
                raise OSError(error.errno, error.strerror, name) from error
            place = Path(made)
            # who cleans up at this moment may have taken it away
            self._lock = _locked(place, without_locks=True)
            self._place = place

    @property
    def place(self) -> Path:
        """The hidden folder, once started: for what is not whole, and gets its name otherwise."""
        return self._place

    def path(self, name: str) -> Path:
        """Return where to write the file that is to have this name."""
        self._refuse_what_is_there(name)
        self._names.append(name)
        return self._place / name

    def finish(self) -> None:
        """Make the drafts durable, and give them their names; in another thread, if you like."""
        with self._turn:
            if not self._finished:
                self._finish()

    def _finish(self) -> None:
        for name in self._names:
            self._refuse_what_is_there(name)
            draft, there = self._place / name, self._folder / name
            if there.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(there))
            with suppress(FileNotFoundError):
                draft.chmod(stat.S_IMODE(there.stat().st_mode))
            sync(draft)
        sync_folder(self._place)
        whole = self._place.with_suffix(_WHOLE)
        self._place.rename(whole)
        self._place = whole
        self._finished = True
        sync_folder(self._folder)
        _move(whole, self._folder)

    def close(self) -> None:
        """Remove what has not got its name; what is whole gets it, whatever came in between.

        Waits for a thread that is about to finish: its task may have been cancelled.
        """
        with self._turn:
            if self._lock < 0:
                return
            try:
                if self._finished and self._place.exists():
                    _move(self._place, self._folder)
                elif not self._finished:
                    shutil.rmtree(self._place, ignore_errors=True)
            finally:
                os.close(self._lock)
                self._lock = -1

    def _refuse_what_is_there(self, name: str) -> None:
        there = self._folder / name
        if not self._replace and os.path.lexists(there):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(there))


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """Yield where to write one file; at the end of the block it gets its name, if all went well.

    A link stays what it is, and what it leads to is replaced. What is no regular file (a FIFO, a
    terminal, /dev/null) is written itself.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    path = path.resolve()
    with Drafts(path.parent, path.name) as drafts:
        yield drafts.path(path.name)


def settle(folder: Path, label: str) -> None:
    """Finish what dead processes have left whole in a folder, and remove what they have not."""
    with os.scandir(folder) as entries:
        mine = [Path(one.path) for one in entries if one.name.startswith(f".{label}.")]
    left = [one for one in mine if one.suffix in {_PART, _WHOLE} and one.is_dir()]
    for place in sorted(left, key=_age):
        lock = _locked(place)
        if lock < 0:
            continue
        try:
            if place.suffix == _WHOLE:
                _move(place, folder)
            else:
                shutil.rmtree(place, ignore_errors=True)
        finally:
            os.close(lock)


def _age(place: Path) -> float:
    try:
        return place.stat().st_mtime
    except OSError:
        return 0.0


def _move(whole: Path, folder: Path) -> None:
    for draft in sorted(whole.iterdir()):
        draft.replace(folder / draft.name)
    sync_folder(folder)
    whole.rmdir()


def _locked(place: Path, *, without_locks: bool = False) -> int:
    """Return a descriptor that locks a folder; -1 when somebody has it, or it is gone.

    Parameters
    ----------
    without_locks
        Whether to do without where the filesystem has no locks.
    """
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if place.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        if without_locks:
            return descriptor
    os.close(descriptor)
    return -1
