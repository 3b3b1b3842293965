"""Folders in memory, for databases of which a test needs what is in them, and not that it lasts.

SQLite writes a commit through to the disk: there it takes milliseconds, and here it takes none.
Where the power fails, the tests name a path on the disk, and record what is asked of the system.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")


def folder_in_memory(prefix: str) -> Path | None:
    """Make a folder of its own in memory; None where there is no room. The caller removes it."""
    # a few hundred databases are made there, one after the other
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > 1 << 30:
        return Path(tempfile.mkdtemp(prefix=prefix, dir=_MEMORY))
    return None
