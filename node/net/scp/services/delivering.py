"""The sub-operations of a C-MOVE: images to its destination, over associations of ours."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from node.errors import AssociationLost, NodeError, NoPlace, PeerRefused, PeerUnreachable
from node.net.dimse.ahead import ReadAhead, ReadObject
from node.net.dimse.contexts import MAXIMUM_CONTEXTS, UNCOMPRESSED, StorageContext
from node.net.messages import Instance, Peer, RetrievalMeans
from node.net.scp.services.preparing import noted, prepared, reason_of
from node.net.scp.services.underway import Underway
from node.net.scu.requestor import Originator, ServiceUser, associate
from schema import SchemaError

log = logging.getLogger(__name__)

_LOSSES = 4
"""Associations in a row that are lost, before what is left has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Images that one association has contexts for."""

    instances: Sequence[Instance]
    contexts: Sequence[StorageContext]


def groups_of(instances: Sequence[Instance], *, converting: bool) -> Iterator[_Group]:
    """Share images out so that none needs more contexts than an association has.

    Parameters
    ----------
    converting
        Whether contexts are proposed as well for what images may be converted to.
    """
    wanted: dict[str, dict[str, None]] = {}
    for one in instances:
        wanted.setdefault(one.sop_class_uid, {})[one.transfer_syntax_uid] = None
    if converting:
        for sop_class in wanted:
            wanted[sop_class] |= dict.fromkeys(UNCOMPRESSED)
    contexts: list[StorageContext] = []
    classes: set[str] = set()
    for sop_class, syntaxes in wanted.items():
        pairs = [(sop_class, syntax) for syntax in syntaxes][:MAXIMUM_CONTEXTS]
        if len(contexts) + len(pairs) > MAXIMUM_CONTEXTS:
            yield _group(instances, classes, contexts)
            contexts, classes = [], set()
        contexts += pairs
        classes.add(sop_class)
    if classes:
        yield _group(instances, classes, contexts)


def _group(
    instances: Sequence[Instance], classes: set[str], contexts: list[StorageContext]
) -> _Group:
    return _Group(
        instances=[one for one in instances if one.sop_class_uid in classes], contexts=contexts
    )


class ImageDelivery:
    """Sends the images of a C-MOVE, and counts them.

    An image during which an association is lost has failed; the rest goes over another one.

    Parameters
    ----------
    target
        The destination.
    originator
        What its C-STOREs say of the C-MOVE.
    """

    def __init__(
        self, target: Peer, means: RetrievalMeans, underway: Underway, originator: Originator
    ) -> None:
        self._target = target
        self._means = means
        self._underway = underway
        self._originator = originator
        self._opening: set[asyncio.Task[Any] | None] = set()

    async def run(self, instances: Sequence[Instance]) -> None:
        """Send all of them, unless it is cancelled."""
        begun = False
        try:
            async with self._underway.turn(self._means):
                begun = True
                for group in groups_of(instances, converting=self._means.convert is not None):
                    if not self._underway.is_cancelled:
                        await self._underway.reclaim()
                        await self._deliver(group)
        except NodeError as error:
            if begun:
                raise
            log.warning("C-MOVE to %s: %s", self._target.name, error)
            await self._fail(instances, error)

    async def _fail(self, instances: Sequence[Instance], error: Exception) -> None:
        why = _short(error)
        for instance in instances:
            await self._underway.count(instance, None, why)

    async def _deliver(self, group: _Group) -> None:
        ahead = ReadAhead(group.instances)
        lines = min(self._means.associations, len(group.instances))
        opened = asyncio.Event()
        tasks = [asyncio.create_task(self._line(ahead, group, opened), name="C-MOVE")]
        try:
            # the others are asked for when the first one has come about
            waiting = asyncio.create_task(opened.wait())
            await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if opened.is_set():
                tasks += [
                    asyncio.create_task(self._line(ahead, group, opened), name="C-MOVE")
                    for _ in range(lines - 1)
                ]
            errors = await self._ends(tasks, ahead)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            left = await ahead.close()
        if errors and not self._underway.is_cancelled:
            await self._fail(left, errors[0])

    async def _ends(
        self, tasks: list["asyncio.Task[Exception | None]"], ahead: ReadAhead
    ) -> list[Exception]:
        """Wait until all lines have ended; one that is still being opened is not waited for."""
        left = set(tasks)
        while left:
            _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            if ahead.is_empty:
                for task in left & self._opening:
                    task.cancel()
        found = [None if task.cancelled() else task.result() for task in tasks]
        return [error for error in found if error is not None]

    async def _line(
        self, ahead: ReadAhead, group: _Group, opened: asyncio.Event
    ) -> Exception | None:
        """Send over one association after the other; return why no more can be."""
        losses = 0
        line = asyncio.current_task()
        while not self._underway.is_cancelled and await self._more(ahead):
            try:
                self._opening.add(line)
                async with associate(self._target, storage=group.contexts) as association:
                    self._opening.discard(line)
                    opened.set()
                    while (read := await self._next(ahead, association)) is not None:
                        await self._send(association, read)
                        losses = 0
                        if self._unwanted():
                            return None
            except AssociationLost as error:
                losses += 1
                log.warning("An image is not sent: %s", error)
                if losses == _LOSSES:
                    return error
            except (NodeError, SchemaError) as error:  # who keeps places asks a database
                log.warning("C-MOVE to %s: %s", self._target.name, error)
                return error
        return None

    async def _more(self, ahead: ReadAhead) -> bool:
        """Wait for the turn, and until there is another image; tell whether there is one at all."""
        if ahead.is_empty:
            return False
        await self._underway.reclaim()
        return await ahead.more()

    async def _next(self, ahead: ReadAhead, association: ServiceUser) -> ReadObject | None:
        """Return the next image; None when there is none left, or nothing to send it over."""
        if association.is_over or not await self._more(ahead) or association.is_over:
            return None
        return await ahead.next()

    def _unwanted(self) -> bool:
        return self._underway.is_cancelled

    async def _send(self, association: ServiceUser, read: ReadObject) -> None:
        """Send an image, and count it; an association that is lost meanwhile is an error."""
        status: int | None = None
        reasons: list[str] = []
        with self._underway.storing():
            try:
                with noted(read.instance, self._means, reasons):
                    async with prepared(
                        read, association.takes, self._means, self._target.name
                    ) as sent:
                        status = await association.store_opened(sent, originator=self._originator)
            except AssociationLost as error:
                await self._underway.count(read.instance, None, reason_of(error))
                raise
        await self._underway.count(read.instance, status, "".join(reasons[:1]))


def _short(error: Exception) -> str:
    if isinstance(error, (NoPlace, SchemaError)):
        return "nobody knows whether it may be sent to"
    if isinstance(error, PeerUnreachable):
        return "the destination cannot be reached"
    if isinstance(error, PeerRefused):
        return "the destination refused it"
    return "the association was lost"
