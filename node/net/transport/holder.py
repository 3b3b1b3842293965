"""Who listens on a port that is taken, as far as Linux lets this process see it."""

import contextlib
import pwd
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"


def holder_of(port: int) -> str | None:
    """Return who listens on a TCP port, in words; None where nobody can say.

    The name and id of the process where it is ours to see, else whose it is.
    """
    try:
        sockets = dict(_listening(port))
        if not sockets:
            return None
        for process in _PROC.iterdir():
            if process.name.isdecimal() and _has_one_of(process, sockets):
                return f"{_name(process)} (process {process.name})"
    except OSError:
        return None
    return f"a process of {_user(next(iter(sockets.values())))}"


def _listening(port: int) -> Iterator[tuple[str, int]]:
    """Yield the inode and the user of each socket that listens on a port."""
    for table in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, _, state, _, _, _, user, _, inode, *_ = line.split()
            if state == _LISTENING and int(local.rpartition(":")[2], 16) == port:
                yield f"socket:[{inode}]", int(user)


def _has_one_of(process: Path, sockets: dict[str, int]) -> bool:
    try:
        for opened in (process / "fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                if str(opened.readlink()) in sockets:
                    return True
    except OSError:  # not ours to see, or gone
        pass
    return False


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "a program"


def _user(number: int) -> str:
    try:
        return f"the user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"the user {number}"
