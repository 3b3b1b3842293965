"""The calls that may be refused, how, and whose they are."""

from __future__ import annotations

import re

_WRITING = ("ENOSPC", "EIO", "EDQUOT")
_OPENING = ("EMFILE", "ENFILE", "EIO", "ENOSPC", "EDQUOT")
ERRORS = {
    "openat": _OPENING,
    "read": ("EIO",),
    "pread64": ("EIO",),
    "write": _WRITING,
    "writev": _WRITING,
    "pwrite64": _WRITING,
    "ftruncate": _WRITING,
    "fallocate": _WRITING,
    "fsync": _WRITING,
    "fdatasync": _WRITING,
    "rename": _WRITING,
    "link": _WRITING,
    "mkdir": _WRITING,
    "unlink": ("EIO",),
    "rmdir": ("EIO",),
    "stat": ("EIO",),
    "newfstatat": ("EIO",),
    "fstat": ("EIO",),
    "getdents64": ("EIO",),
    "statfs": ("EIO",),
}
"""What may be refused, and how."""

ROLES = ("main", "gate", "spool", "headers", "index", "database", "asyncio")
"""Whose call it is: threads by their names, and the processes that read headers."""

CALL = re.compile(r"(\d+) +(\w+)\(")
"""A line of a trace on which a call begins: the thread, and the call."""


def known() -> str:
    """Return what strace is to trace; it need not know all of it."""
    return ",".join(f"?{call}" for call in ERRORS)


def role_of(name: str) -> str:
    """Return the role of a thread, by its name."""
    if name.startswith("Thread-"):
        return "database"  # aiosqlite does not name the thread of a connection
    return next((role for role in ROLES if name.startswith(role)), name)
