"""Send: C-STORE files to a peer, their datasets' bytes as they are.

A file during which the association is lost is failed, and those behind it go over a new one: there
are peers that drop the association on an object that they do not like.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import UID

from node.errors import AssociationLost, NodeError, PeerRefused, PeerUnreachable, StorageError
from node.net.categories import describe, is_success_or_warning
from node.net.dimse.contexts import MAXIMUM_CONTEXTS
from node.net.messages import InstanceFile, Peer
from node.net.scu.requestor import ServiceUser, associate
from node.storage.files import find_files, identify
from schema.engine.backoff import Backoff

_LOSSES = 4
"""Associations in a row that are lost, or do not come about, without a file that is answered."""

_BACKOFF = Backoff(first=0.5, longest=4.0)
"""Before the next association: a peer whose process has died may be started again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendResult:
    """What became of one file; `message` says why when it was not taken.

    `instance` is what was sent, None of a file of which that is not known. `shared` is whether the
    message is about no file of its own: all that the peer takes none of have the same one.
    """

    path: Path
    sent: bool
    message: str = ""
    instance: InstanceFile | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SendReport:
    """What became of all files.

    Attributes
    ----------
    results
        One for each file, those that were not tried included.
    trouble
        Why nothing was sent at all, or the sending was given up; None when every file was tried.
    """

    results: list[SendResult]
    trouble: NodeError | None = None

    @property
    def sent(self) -> int:
        """How many files the peer has taken."""
        return sum(result.sent for result in self.results)


SendWatcher = Callable[[SendResult], None]


def instances_of(paths: Iterable[Path]) -> Iterator[InstanceFile | SendResult]:
    """Identify files; those that cannot be sent come back as results that say why."""
    for path in paths:
        try:
            identity = identify(path)
        except StorageError as error:
            yield SendResult(path=path, sent=False, message=str(error))
        else:
            yield InstanceFile(
                path=path,
                sop_class_uid=identity.sop_class_uid,
                sop_instance_uid=identity.sop_instance_uid,
                transfer_syntax_uid=identity.transfer_syntax_uid,
            )


async def send(peer: Peer, paths: list[Path], watch: SendWatcher = lambda _: None) -> SendReport:
    """Send files, and all files in folders, to a peer.

    A lost association costs the file that was under way. After a few losses in a row the rest is
    given up.

    Raises
    ------
    ConfigurationError
        The files for TLS cannot be used.
    """
    files = await asyncio.to_thread(find_files, paths)
    identified = await asyncio.to_thread(lambda: list(instances_of(files)))
    sending = _Sending(peer, watch)
    for item in identified:
        if isinstance(item, SendResult):
            sending.note(item)
    for batch in batches([item for item in identified if isinstance(item, InstanceFile)]):
        await sending.send(batch)
    return sending.report()


class _Sending:
    """Sends batch after batch, and keeps count of what becomes of it."""

    def __init__(self, peer: Peer, watch: SendWatcher) -> None:
        self._peer = peer
        self._watch = watch
        self._results: list[SendResult] = []
        self._associated = False
        self._losses = 0
        self._refused: PeerRefused | None = None
        self._given_up: NodeError | None = None

    def note(self, result: SendResult) -> None:
        """Take note of what became of a file."""
        self._results.append(result)
        self._watch(result)

    def report(self) -> SendReport:
        """Return what became of all."""
        sent = any(result.sent for result in self._results)
        return SendReport(
            results=self._results, trouble=self._given_up or (None if sent else self._refused)
        )

    async def send(self, batch: list[InstanceFile]) -> None:
        """Send what fits one association, over as many as it takes."""
        left = deque(batch)
        while left and self._given_up is None:
            if self._losses:
                await asyncio.sleep(_BACKOFF.pause(self._losses))
            try:
                await self._send_over_one(batch, left)
            except PeerRefused as error:
                if self._associated and error.transient:
                    self._lose(error)
                else:
                    self._refused = error
                    self._fail(left, str(error), shared=True)
            except PeerUnreachable as error:
                self._lose(error)
            except AssociationLost as error:
                if left:
                    self._fail(deque([left.popleft()]), str(error))
                self._lose(error)
        if self._given_up is not None:
            self._fail(left, f"not tried: {self._given_up}", shared=True)

    async def _send_over_one(self, batch: list[InstanceFile], left: deque[InstanceFile]) -> None:
        """Send what is left of a batch, as far as one association goes."""
        pairs = sorted({(i.sop_class_uid, i.transfer_syntax_uid) for i in batch})
        async with associate(self._peer, storage=pairs) as association:
            self._associated = True
            begun = len(left)
            while left and not association.is_over:
                result = await _send_one(association, left[0])
                left.popleft()
                self._losses = 0
                self.note(result)
            if len(left) == begun:
                self._lose(AssociationLost(f"{self._peer.name} ended the association at once"))

    def _lose(self, error: NodeError) -> None:
        """Count an association that was lost, or did not come about; give up after a few."""
        self._losses += 1
        if not self._associated or self._losses >= _LOSSES:
            self._given_up = error

    def _fail(self, instances: deque[InstanceFile], why: str, *, shared: bool = False) -> None:
        while instances:
            path = instances.popleft().path
            self.note(SendResult(path=path, sent=False, message=why, shared=shared))


async def _send_one(association: ServiceUser, instance: InstanceFile) -> SendResult:
    pair = (instance.sop_class_uid, instance.transfer_syntax_uid)
    if pair not in association.accepted_storage:
        return SendResult(
            path=instance.path,
            sent=False,
            message=f"{association.peer.name} does not take SOP class {_named(pair[0])} in "
            f"transfer syntax {_named(pair[1])}",
            shared=True,
        )
    try:
        status = await association.store(instance.path)
    except (PeerRefused, StorageError) as error:
        return SendResult(path=instance.path, sent=False, message=str(error))
    sent = is_success_or_warning(status)
    message = "" if sent else describe(status)
    return SendResult(path=instance.path, sent=sent, message=message, instance=instance)


def _named(uid: str) -> str:
    """Return what the standard calls a UID, and the UID; a private one has no name."""
    name = UID(uid).name
    return uid if name == uid else f"{name} ({uid})"


def batches(instances: list[InstanceFile]) -> list[list[InstanceFile]]:
    """Split instances so that none needs more presentation contexts than an association has."""
    result: list[list[InstanceFile]] = []
    pairs: set[tuple[str, str]] = set()
    for instance in instances:
        pair = (instance.sop_class_uid, instance.transfer_syntax_uid)
        if not result or (pair not in pairs and len(pairs) == MAXIMUM_CONTEXTS):
            result.append([])
            pairs = set()
        pairs.add(pair)
        result[-1].append(instance)
    return result
