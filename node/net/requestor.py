"""Associations that we request (PS3.8 7.1, requestor role), and the DIMSE services over them.

    async with associate(peer, Service.FIND) as association:
        async for identifier in association.find(query):
            ...

Each association has one thread of its own in which the library's blocking calls run. When
the task is cancelled, or the block is left with an error, the association is aborted;
otherwise it is released.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association as LibraryAssociation

from node.dicom.part10 import IMPLEMENTATION_CLASS_UID
from node.dicom.status import Status, describe
from node.errors import (
    AssociationLost,
    PeerFailure,
    PeerRefused,
    PeerUnreachable,
    StorageError,
)
from node.net import library
from node.net.contexts import Service, StorageContext, to_request
from node.net.messages import MoveProgress, Peer

log = logging.getLogger(__name__)

T = TypeVar("T")

_END = object()

_PAUSES = (0.3, 0.6, 1.2)
"""Seconds before an association is requested again that was rejected for the moment."""


@asynccontextmanager
async def associate(
    peer: Peer,
    *services: Service,
    storage: Sequence[StorageContext] = (),
    response_timeout: float | None = None,
) -> "AsyncIterator[Association]":
    """Request an association, and release it at the end.

    Parameters
    ----------
    peer
        Whom to associate with.
    services
        What for; the peer has to accept each of them.
    storage
        SOP class and transfer syntax pairs to propose for C-STORE; the peer may accept some.
    response_timeout
        Seconds to wait for the next response, in place of the peer's DIMSE time-out.

    Raises
    ------
    PeerUnreachable
        Nobody listens there, or the answer did not come in time.
    PeerRefused
        The association, or the presentation context of a service, was rejected.
    """
    library.configure()
    # one thread: the library's association is not made for two
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"associate-{peer.name}")
    try:
        contexts = to_request(services, storage)
        underlying = await _established(peer, contexts, response_timeout, thread)
        association = Association(peer, underlying, thread)
        try:
            association.require(services)
            yield association
            await association.release()
        except BaseException:
            # not in the association's own thread: that one may be waiting for the peer
            await asyncio.shield(asyncio.to_thread(underlying.abort))
            raise
    finally:
        thread.shutdown(wait=False)


async def _established(
    peer: Peer,
    contexts: list[Any],
    response_timeout: float | None,
    thread: ThreadPoolExecutor,
) -> LibraryAssociation:
    """Request the association; again, a little later, when the peer is only busy."""
    loop = asyncio.get_running_loop()
    for pause in (*_PAUSES, None):
        request = loop.run_in_executor(thread, _request, peer, contexts, response_timeout)
        try:
            return await asyncio.shield(request)
        except asyncio.CancelledError:
            request.add_done_callback(_abort_when_made)
            raise
        except PeerRefused as error:
            if pause is None or not error.transient:
                raise
        await asyncio.sleep(pause)
    raise AssertionError("the last request returned or raised")


def _abort_when_made(request: "asyncio.Future[LibraryAssociation]") -> None:
    if not request.cancelled() and request.exception() is None:
        threading.Thread(target=request.result().abort, name="abort", daemon=True).start()


def _request(peer: Peer, contexts: list[Any], response_timeout: float | None) -> LibraryAssociation:
    entity = ApplicationEntity(ae_title=peer.calling_aetitle)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = library.IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout = peer.timeouts.connect
    entity.acse_timeout = peer.timeouts.acse
    entity.dimse_timeout = response_timeout or peer.timeouts.dimse
    entity.network_timeout = max(peer.timeouts.network, response_timeout or 0)
    connected: list[bool] = []

    def opened(event: evt.Event) -> None:
        library.set_up_connection(event, entity.network_timeout)
        connected.append(True)

    where = f"{peer.name} ({peer.aetitle} at {peer.host} port {peer.port})"
    try:
        association = entity.associate(
            peer.host,
            peer.port,
            contexts=contexts,
            ae_title=peer.aetitle,
            max_pdu=library.MAXIMUM_PDU_LENGTH,
            evt_handlers=[(evt.EVT_CONN_OPEN, opened)],
        )
    except OSError as error:
        raise PeerUnreachable(f"{where}: {error.strerror or error}") from error
    if association.is_established:
        return association
    if association.is_rejected:
        answer = association.acceptor.primitive
        reason = (
            f"{answer.result_str}, {answer.reason_str}".lower() if answer else "no reason given"
        )
        raise PeerRefused(
            f"{where} rejected the association from {peer.calling_aetitle}: {reason}",
            rejection=(answer.result, answer.result_source, answer.diagnostic) if answer else None,
        )
    if not connected:
        raise PeerUnreachable(f"{where}: nobody answers at that address and port")
    if association.rejected_contexts and not association.accepted_contexts:
        refused = ", ".join(
            UID(str(cx.abstract_syntax)).name for cx in association.rejected_contexts[:3]
        )
        raise PeerRefused(f"{where} accepts none of what we need: {refused}")
    raise PeerUnreachable(
        f"{where}: the connection opened, but the association was not answered within "
        f"{peer.timeouts.acse:g} s or was aborted; is that a DICOM port?"
    )


class Association:
    """An established association; made by `associate`, and valid only inside its block.

    One operation at a time. Every method raises `AssociationLost` when the association ends,
    or the peer stays silent longer than its time-out, before the operation's last response.
    """

    def __init__(
        self, peer: Peer, underlying: LibraryAssociation, thread: ThreadPoolExecutor
    ) -> None:
        self._peer = peer
        self._underlying = underlying
        self._thread = thread

    @property
    def peer(self) -> Peer:
        """Whom we are associated with."""
        return self._peer

    @property
    def accepted_storage(self) -> set[StorageContext]:
        """The SOP class and transfer syntax pairs that the peer takes."""
        return {
            (str(cx.abstract_syntax), str(cx.transfer_syntax[0]))
            for cx in self._underlying.accepted_contexts
        }

    def require(self, services: Sequence[Service]) -> None:
        """Raise `PeerRefused` unless the peer accepted a context for each service."""
        accepted = {str(cx.abstract_syntax) for cx in self._underlying.accepted_contexts}
        refused = [str(service) for service in services if service.value not in accepted]
        if refused:
            raise PeerRefused(
                f"{self._peer.name} ({self._peer.aetitle}) does not offer {' or '.join(refused)} "
                f"to {self._peer.calling_aetitle}"
            )

    async def echo(self) -> None:
        """C-ECHO (PS3.7 9.1.5). Raises `PeerFailure` on any status but Success."""
        self._check(await self._call(self._underlying.send_c_echo), "C-ECHO")

    async def find(self, identifier: Dataset) -> AsyncIterator[Dataset]:
        """C-FIND in the Study Root model (PS3.4 C.4.1): yields each identifier that matches.

        Raises
        ------
        PeerFailure
            The last status was a failure, or a match could not be decoded. What was yielded
            before is then an incomplete answer.
        """
        undecodable = 0
        async for status, match in self._responses(
            lambda: self._underlying.send_c_find(identifier, Service.FIND.value)
        ):
            code = self._code(status, "C-FIND")
            if code in (Status.PENDING, 0xFF01):
                if match is None:
                    undecodable += 1
                else:
                    yield match
            elif code != Status.SUCCESS:
                raise self._failure("C-FIND", code, status)
        if undecodable:
            raise PeerFailure(
                f"{self._peer.name}: {undecodable} matches of the C-FIND could not be decoded",
                status=Status.UNABLE_TO_PROCESS,
            )

    async def move(self, identifier: Dataset, destination: str) -> AsyncIterator[MoveProgress]:
        """C-MOVE in the Study Root model (PS3.4 C.4.2): yields every response, the last included.

        The last status is the peer's opinion, not evidence; look into the index for that.

        Parameters
        ----------
        identifier
            Query/Retrieve Level and the unique keys of what to send.
        destination
            The AE title that the peer is to send to; the peer must know it.
        """
        async for status, failed in self._responses(
            lambda: self._underlying.send_c_move(identifier, destination, Service.MOVE.value)
        ):
            yield MoveProgress(
                status=self._code(status, "C-MOVE"),
                remaining=status.get("NumberOfRemainingSuboperations"),
                completed=status.get("NumberOfCompletedSuboperations"),
                failed=status.get("NumberOfFailedSuboperations"),
                warning=status.get("NumberOfWarningSuboperations"),
                failed_uids=_failed_uids(failed),
                comment=str(status.get("ErrorComment", "")),
            )

    async def store(self, path: Path) -> int:
        """C-STORE a DICOM file, its dataset's bytes as they are (PS3.7 9.1.1).

        Returns
        -------
        int
            The status of the response (PS3.4 B.2.3).

        Raises
        ------
        PeerRefused
            The peer did not accept the file's SOP class in the file's transfer syntax, or the file
            does not name them.
        StorageError
            The file cannot be read.
        """
        try:
            status = await self._call(self._underlying.send_c_store, path)
        except (ValueError, AttributeError, InvalidDicomError) as error:
            raise PeerRefused(f"{self._peer.name} cannot take {path}: {error}") from error
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}") from error
        return self._code(status, "C-STORE")

    async def release(self) -> None:
        """Release the association (PS3.8 7.2)."""
        await self._call(self._underlying.release)

    async def _call(self, function: Callable[..., T], *args: Any) -> T:  # noqa: ANN401
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
        except RuntimeError as error:  # the library's word for an association that has ended
            raise AssociationLost(f"{self._peer.name}: the association has ended") from error

    async def _responses(
        self, send: Callable[[], Iterator[tuple[Dataset, Dataset | None]]]
    ) -> AsyncIterator[tuple[Dataset, Dataset | None]]:
        try:
            responses = await self._call(send)
        except ValueError as error:
            raise PeerRefused(f"{self._peer.name}: {error}") from error
        while (response := await self._call(next, responses, _END)) is not _END:
            yield response

    def _code(self, status: Dataset, operation: str) -> int:
        if "Status" not in status:
            raise AssociationLost(
                f"{self._peer.name}: the association ended, or nothing came for too long, before "
                f"the {operation} was answered"
            )
        return int(status.Status)

    def _check(self, status: Dataset, operation: str) -> None:
        code = self._code(status, operation)
        if code != Status.SUCCESS:
            raise self._failure(operation, code, status)

    def _failure(self, operation: str, code: int, status: Dataset) -> PeerFailure:
        comment = str(status.get("ErrorComment", "")).strip()
        said = f": {comment}" if comment else ""
        return PeerFailure(
            f"{self._peer.name} answered the {operation} with {describe(code)}{said}", status=code
        )


def _failed_uids(identifier: Dataset | None) -> tuple[str, ...]:
    """Return the Failed SOP Instance UID List (PS3.4 C.4.2.1.4.2), of any shape that peers send."""
    value = identifier.get("FailedSOPInstanceUIDList") if identifier is not None else None
    if not value:
        return ()
    return (str(value),) if isinstance(value, str) else tuple(str(uid) for uid in value)
