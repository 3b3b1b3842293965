"""What is committed (PS3.4 J.3.2): what is in the index, and whole on the disk at this moment.

The files are read again, one after the other and slowly while objects come. What has been received
and is not indexed yet is waited for.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from node.config import Config
from node.dicom.status import Status
from node.ops.answering.committing_askers import asker_of
from node.ops.answering.whole import whole
from node.ops.checking.home import Holder, Home
from node.ops.threads import Threads
from node.storage.inspect import Fault, Inspected, inspect
from schema import Database
from schema.committing.claiming import ClaimedCommitment
from schema.committing.outcomes import (
    COMMITTED,
    ItemRow,
    in_sight,
    items_after,
    keep_outcomes,
    set_apart,
)
from schema.inventory import Held, held_by_uid
from schema.text.words import counted
from schema.verifying.files import note_unsound

log = logging.getLogger(__name__)

_PORTION = 8
"""Files that a thread reads before it comes back."""

_LONGEST_PAUSE = 0.5
"""Seconds between two portions while objects come: as long as the portion took, at most this."""

_LOOK = 0.1
_LONGEST_LOOK = 2.0
"""Seconds from one look at what is not indexed yet to the next: the first, and the longest."""


class Backlog(Protocol):
    """What was received and is not indexed yet."""

    @property
    def backlog(self) -> int:
        """How many objects that are."""

    def uids(self) -> tuple[frozenset[str], bool]:
        """Return their SOP Instance UIDs, and whether there are others that nobody knows yet."""


class CommittedFiles:
    """Finds out what of a request is committed, and writes it down.

    Parameters
    ----------
    config
        Under which titles who asks sends, and what it is shown.
    database
        The index.
    home
        This node's storage directory.
    backlog
        What is not indexed yet.
    threads
        Read the files.
    """

    def __init__(
        self, config: Config, database: Database, home: Home, backlog: Backlog, threads: Threads
    ) -> None:
        self._config = config
        self._database = database
        self._home = home
        self._backlog = backlog
        self._threads = threads

    async def verify(self, one: ClaimedCommitment, *, wait: float) -> None:
        """Find out what of a request is committed, until that is known of each object.

        Parameters
        ----------
        wait
            Seconds that what is not indexed yet has from now on.

        Raises
        ------
        SchemaError
            The database is away; what is known is written down.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        pause = _LOOK
        while await self._go_through(one, last=loop.time() >= deadline):
            await asyncio.sleep(min(pause, max(0.0, deadline - loop.time())))
            pause = min(2 * pause, _LONGEST_LOOK)

    async def _go_through(self, one: ClaimedCommitment, *, last: bool) -> bool:
        """Look at all that is not known yet; return whether something has to be waited for."""
        await self._threads.run(self._home.identify)
        waiting, others = self._backlog.uids()  # before the index: what leaves it is there then
        asker = asker_of(self._config, one)
        left, after = False, -1
        while True:
            async with self._database.session() as session:
                page = await items_after(session, one.id, after, unsettled=True)
                if not page:
                    return left
                uids = [item.sop_instance_uid for item in page]
                held = await held_by_uid(session, uids)
                apart = await set_apart(session, uids, sources=asker.sends_as)
                shown = await in_sight(session, uids, scopes=asker.scopes, sources=asker.sends_as)
            after = page[-1].number
            outcomes: dict[int, int] = {}
            to_read: list[tuple[ItemRow, Held]] = []
            for item in page:
                uid = item.sop_instance_uid
                row = held.get(uid)
                if uid in waiting or others:  # what is there may not be what was sent last
                    left = left or not last
                    if last:
                        outcomes[item.id] = Status.PROCESSING_FAILURE
                elif uid in apart:
                    outcomes[item.id] = Status.PROCESSING_FAILURE
                elif row is None or row.filepath is None or uid not in shown:
                    outcomes[item.id] = Status.NO_SUCH_INSTANCE
                elif row.sop_class_uid != item.sop_class_uid:
                    outcomes[item.id] = Status.CLASS_INSTANCE_CONFLICT
                else:
                    to_read.append((item, row))
            outcomes |= await self._read(to_read)
            if outcomes:
                await whole(self._database.run(keep_outcomes, outcomes))

    async def _read(self, to_read: Sequence[tuple[ItemRow, Held]]) -> dict[int, int]:
        """Read the files of objects; return the outcome of each."""
        loop = asyncio.get_running_loop()
        outcomes: dict[int, int] = {}
        unsound: list[Held] = []
        for start in range(0, len(to_read), _PORTION):
            portion = to_read[start : start + _PORTION]
            began = loop.time()
            found = await self._threads.run(self._inspect, [held for _, held in portion])
            for (item, held), what in zip(portion, found, strict=True):
                outcomes[item.id] = _outcome(held, what)
                if what is not None and what.fault is not None:
                    unsound.append(held)
            if self._backlog.backlog:
                await asyncio.sleep(min(loop.time() - began, _LONGEST_PAUSE))
        if unsound:
            log.warning(
                "%s that somebody wants commitment for cannot be vouched for: `dicom-node verify`",
                counted(len(unsound), "file"),
            )
            await whole(self._database.run(note_unsound, unsound))
        return outcomes

    def _inspect(self, images: Sequence[Held]) -> list[Inspected | None]:
        """Read files; None of one that we do not look after, or have nothing to compare with."""
        return [
            inspect(held) if held.sha256 is not None and self._is_ours(held) else None
            for held in images
        ]

    def _is_ours(self, held: Held) -> bool:
        return self._home.holder(held) in (Holder.OURS, Holder.UNKNOWN)


def _outcome(held: Held, found: Inspected | None) -> int:
    """Return what a file says of its object: committed, or the Failure Reason."""
    if found is None:
        log.debug("No file of ours, or none with a digest: %s", held.image_uid)
        return Status.PROCESSING_FAILURE
    if found.fault is None:
        return COMMITTED
    return Status.NO_SUCH_INSTANCE if found.fault is Fault.MISSING else Status.PROCESSING_FAILURE
