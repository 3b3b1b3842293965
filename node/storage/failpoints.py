"""Points on the way of a received object at which a test lets this process die, fail or hang.

    DICOM_NODE_FAILPOINTS="spool.fsync=kill@3,index.insert=error"

The third file that is to be fsynced ends the process as SIGKILL does; every insert fails.
`error` is an input/output error, `hang` never comes back. Without the variable, which is read
once when the process starts, nothing happens here and nothing is counted.
"""

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

VARIABLE = "DICOM_NODE_FAILPOINTS"

POINTS = (
    "spool.append",
    "spool.rename",
    "spool.fsync",
    "spool.sync",
    "spool.durable",
    "store.respond",
    "index.headers",
    "archive.link",
    "archive.sync",
    "index.insert",
    "index.commit",
    "index.committed",
    "archive.aside",
    "index.settle",
    "archive.replace",
    "archive.replaced",
    "spool.remove",
)
"""Every point, in the order in which an object passes them."""


def _nothing(_: str) -> None:
    """Pass."""


def _armed(specification: str) -> Callable[[str], None]:
    """Return what happens at each point.

    Raises
    ------
    ValueError
        When the specification names no point, or no action.
    """
    actions: dict[str, tuple[str, int]] = {}
    for part in specification.split(","):
        name, _, action = part.partition("=")
        action, _, number = action.partition("@")
        if name not in POINTS or action not in ("kill", "error", "hang"):
            raise ValueError(f"{VARIABLE} has {part!r}: write POINT=kill|error|hang[@N]")
        actions[name] = action, int(number or 0)
    counts = dict.fromkeys(actions, 0)
    lock = threading.Lock()

    def reached(name: str) -> None:
        if name not in actions:
            return
        action, wanted = actions[name]
        with lock:
            counts[name] += 1
            if wanted and counts[name] != wanted:
                return
        sys.stderr.write(f"failpoint {name}: {action}\n")
        sys.stderr.flush()
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        while action == "hang":
            time.sleep(3600)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    return reached


_specification = os.environ.get(VARIABLE)

reach: Callable[[str], None] = _armed(_specification) if _specification else _nothing
"""Say that a point is reached; the name is one of `POINTS`.

Raises
------
OSError
    When it was armed with `error`.
"""
