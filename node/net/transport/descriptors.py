"""File descriptors: each connection needs one, and systems give few unless they are asked."""

import logging
import resource

log = logging.getLogger(__name__)

_OTHERS = 256
"""For files, the database, and whatever else the process has open."""


def make_room(connections: int) -> None:
    """Raise the process's limit of open files (RLIMIT_NOFILE), where it is too low.

    Only what the system allows without being root; a warning says when that is not enough.
    """
    wanted = connections + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (OSError, ValueError):
        allowed = soft
    if allowed < wanted:
        log.warning(
            "The system allows %d open files; %d connections may need %d",
            allowed,
            connections,
            wanted,
        )
