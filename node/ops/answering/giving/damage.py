"""Files that retrievals could not read: taken down, as `dicom-node verify` does."""

import asyncio
import logging
from collections.abc import Mapping

from node.errors import FileDamaged, FileGone, NodeError, StorageError
from node.net.messages import Instance
from node.ops.checking.home import Holder, Home
from schema import Database, SchemaError
from schema.inventory import Held
from schema.text.words import counted
from schema.verifying.files import note_unsound

log = logging.getLogger(__name__)

_TO_RECORD = 10.0
"""Seconds that the database has: who asked waits for the last response."""


class Damage:
    """What one retrieval could not read.

    Parameters
    ----------
    home
        Whose files are ours: what another storage directory has may just not be seen from here.
    images
        The rows, by SOP Instance UID.
    """

    def __init__(self, home: Home, images: Mapping[str, Held]) -> None:
        self._home = home
        self._images = images
        self._unsound: list[Held] = []

    def note(self, instance: Instance, error: NodeError) -> None:
        """Take note of an object that was not sent because of its file."""
        held = self._images.get(instance.sop_instance_uid)
        if held is None or held.filepath is None or not isinstance(error, StorageError):
            return
        of_another = self._home.holder(held) is Holder.ANOTHERS
        if of_another and (isinstance(error, FileGone) or self._home.is_below(held.filepath)):
            return
        what = {FileGone: "gone", FileDamaged: "damaged"}.get(type(error), "unreadable")
        log.error("The file of an image is %s: %s", what, error)
        self._unsound.append(held)

    async def record(self, database: Database) -> None:
        """Write down of which studies files are not sound."""
        if not self._unsound:
            return
        files = counted(len(self._unsound), "file")
        try:
            async with asyncio.timeout(_TO_RECORD):
                await database.run(note_unsound, self._unsound)
        except (SchemaError, TimeoutError) as error:
            why = str(error) or f"no answer for {_TO_RECORD:g} s"
            log.warning("What is wrong with %s is not recorded: %s", files, why)
        self._unsound.clear()
