"""Which processes of this machine run: a number alone does not say, for it is given again.

In a container the node is process 1 each time it starts. So a process is known by its number, and
by when it started, which Linux says in ticks since the machine did (proc(5), field 22 of `stat`).
Elsewhere the number has to do.
"""

import os
from pathlib import Path

_PROC = Path("/proc")
_START = 22 - 3
"""Where `stat` has the start, behind the command, the second field, which may have blanks."""


def start_of(pid: int) -> str | None:
    """Return when a process started, after which start of the machine; None where nobody says."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        return f"{boot} {stat.rpartition(')')[2].split()[_START]}"
    except (OSError, IndexError):
        return None


def is_alive(pid: int, start: str | None) -> bool:
    """Tell whether a process of this machine runs.

    Parameters
    ----------
    start
        As `start_of` has said it of the process that is meant; None: any of that number.
    """
    now = None if start is None else start_of(pid)
    if now is not None:
        return now == start
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
