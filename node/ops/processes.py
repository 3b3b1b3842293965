"""Which processes run: a number alone does not say, for it is given again, and by others as well.

In a container the node is process 1 each time it starts, and so is the one in the container beside
it. So a process is known by its number and by where that counts: after which start of which machine
(its boot id), in which PID namespace (pid_namespaces(7)); and by when it started, which Linux says
in ticks since the machine did (proc(5), field 22 of `stat`). Elsewhere the number has to do.
"""

import os
from pathlib import Path

_PROC = Path("/proc")
CYCLES: set[int] = set()
"""The ids of the cycles that this process runs."""

_START = 22 - 3
"""Where `stat` has the start, behind the command, the second field, which may have blanks."""


def start_of(pid: int) -> str | None:
    """Return where a process has its number, and when it started; None where nobody says."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        return " ".join([*_here(), stat.rpartition(")")[2].split()[_START]])
    except (OSError, IndexError):
        return None


def is_alive(pid: int, start: str | None) -> bool | None:
    """Tell whether a process runs; None of one that has its number elsewhere: nobody here can say.

    Parameters
    ----------
    start
        As `start_of` has said it of the process that is meant; None: any of that number.
    """
    if start is not None and (now := start_of(os.getpid())) is not None:
        *place, began = start.split()
        if place != now.split()[: len(place)]:  # it may have been noted without a namespace
            return None
        if (now := start_of(pid)) is not None:
            return now.split()[-1] == began
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def runs(cycle: int, pid: int, start: str | None) -> bool | None:
    """Tell whether a process runs a cycle: of this one we know, whatever the row says."""
    if pid == os.getpid() and start == start_of(pid):
        return cycle in CYCLES
    return is_alive(pid, start)


def _here() -> tuple[str, str]:
    """Return after which start of which machine, and in which namespace, our numbers count."""
    boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return boot, str((_PROC / "self/ns/pid").readlink())
