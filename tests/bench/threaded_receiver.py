"""A storage SCP as one writes it with pynetdicom: two threads for each association.

    python -m tests.bench.threaded_receiver PORT FOLDER

Every object is durable before it is acknowledged, by the same four steps as ours: written to a file
of its own, fsynced, renamed, the directory fsynced. It keeps no index, and looks at nothing.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt

AETITLE = "THREADS"


def keep(event: evt.Event, folder: Path) -> int:
    """Make an object durable, and return the status."""
    part = folder / f"{secrets.token_hex(12)}.part"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(event.encoded_dataset())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.rename(part.with_suffix(".dcm"))
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return 0x0000


def main(port: str, folder: str) -> None:
    """Listen until the process is ended."""
    ae = AE(ae_title=AETITLE)
    ae.maximum_associations = 64
    ae.add_supported_context(MRImageStorage, ExplicitVRLittleEndian)
    ae.start_server(
        ("127.0.0.1", int(port)),
        block=True,
        evt_handlers=[(evt.EVT_C_STORE, keep, [Path(folder)])],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
