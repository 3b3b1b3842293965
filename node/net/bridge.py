"""From the network library's threads into the event loop, and back.

The library calls handlers in the thread of each association and expects plain values and
generators. Here each call becomes a coroutine in the node's event loop; the thread waits
for it. A handler's mistake becomes a status: a network handler never raises (PS3.7 Annex C).
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, TypeVar, cast

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_FIND, C_MOVE, C_STORE

from node.dicom.status import Status
from node.net.contexts import FIND_MODELS, MAXIMUM_CONTEXTS, MOVE_MODELS, to_request
from node.net.messages import Caller, FindRequest, MovePlan, MoveRequest, Services, StoreRequest

log = logging.getLogger(__name__)

T = TypeVar("T")

_END = object()


class FileReference(Dataset):
    """Stands for a file among the datasets that the library's C-MOVE asks for.

    `send_as_file` puts the path back, so that the file's bytes are sent as they are instead
    of being decoded and encoded again.
    """

    def __init__(self, path: Path, sop_instance_uid: str) -> None:
        super().__init__()
        self.SOPInstanceUID = sop_instance_uid  # the library lists it when the sub-operation fails
        self.__dict__["path"] = path


def send_as_file(association: Association) -> None:
    """Make an association send the files that `FileReference`s stand for."""
    send = association.send_c_store

    def send_c_store(dataset: Dataset, **options: Any) -> Dataset:  # noqa: ANN401 - the library's own
        return send(dataset.path if isinstance(dataset, FileReference) else dataset, **options)

    association.send_c_store = send_c_store  # type: ignore[method-assign, assignment]


class Bridge:
    """Answers the library's events with the services' coroutines.

    Parameters
    ----------
    services
        What the acceptor offers.
    loop
        The event loop in which the services run.
    """

    def __init__(self, services: Services, loop: asyncio.AbstractEventLoop) -> None:
        self._services = services
        self._loop = loop

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def echo(self, event: evt.Event) -> int:  # noqa: ARG002 - the library's signature
        """Answer a C-ECHO (PS3.7 9.1.5)."""
        return Status.SUCCESS

    def store(self, event: evt.Event) -> int:
        """Answer a C-STORE with the status that the service returns."""
        if self._services.store is None:
            return Status.SOP_CLASS_NOT_SUPPORTED
        command = cast(C_STORE, event.request)
        dataset = command.DataSet
        request = StoreRequest(
            caller=caller_of(event.assoc),
            sop_class_uid=str(command.AffectedSOPClassUID),
            sop_instance_uid=str(command.AffectedSOPInstanceUID),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            dataset=dataset.getvalue() if dataset is not None else b"",
        )
        try:
            return self._run(self._services.store(request))  # type: ignore[arg-type]
        except (Exception, CancelledError) as error:  # noqa: BLE001 - a handler never raises
            _log_failure("store", error)
            return Status.PROCESSING_FAILURE

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        """Answer a C-FIND: a pending response for each identifier (PS3.4 C.4.1)."""
        if self._services.find is None:
            yield Status.SOP_CLASS_NOT_SUPPORTED, None
            return
        command = cast(C_FIND, event.request)
        request = FindRequest(
            caller=caller_of(event.assoc),
            model=FIND_MODELS[str(command.AffectedSOPClassUID)],
            identifier=event.identifier,
        )
        matches = self._services.find(request)
        try:
            while (match := self._run(_next(matches))) is not _END:
                if event.is_cancelled:
                    yield Status.CANCEL, None
                    return
                yield Status.PENDING, match
        except (Exception, CancelledError) as error:  # noqa: BLE001 - a handler never raises
            _log_failure("find", error)
            yield Status.UNABLE_TO_PROCESS, None
        finally:
            self._close(matches)

    def _close(self, matches: AsyncIterator[Dataset]) -> None:
        """End a find handler that was left before its end."""
        if isinstance(matches, AsyncGenerator):
            with contextlib.suppress(Exception, CancelledError):
                self._run(matches.aclose())

    def move(self, event: evt.Event) -> Iterator[Any]:
        """Answer a C-MOVE: the destination, the number of files, then each file (PS3.4 C.4.2)."""
        if self._services.move is None:
            yield (None, None)
            return
        command = cast(C_MOVE, event.request)
        request = MoveRequest(
            caller=caller_of(event.assoc),
            model=MOVE_MODELS[str(command.AffectedSOPClassUID)],
            identifier=event.identifier,
            destination=str(command.MoveDestination).strip(),
        )
        plan: MovePlan = self._run(self._services.move(request))  # type: ignore[arg-type]
        if plan.target is None:
            yield (None, None)
            return
        pairs = list(
            dict.fromkeys((i.sop_class_uid, i.transfer_syntax_uid) for i in plan.instances)
        )
        yield (
            plan.target.host,
            plan.target.port,
            {
                "ae_title": plan.target.aetitle,
                "contexts": to_request((), pairs[:MAXIMUM_CONTEXTS]) or None,
            },
        )
        yield len(plan.instances)
        for instance in plan.instances:
            if event.is_cancelled:
                yield Status.CANCEL, None
                return
            yield Status.PENDING, FileReference(instance.path, instance.sop_instance_uid)


async def _next(matches: AsyncIterator[Dataset]) -> Any:  # noqa: ANN401 - an identifier or the end
    return await anext(matches, _END)


def _log_failure(service: str, error: BaseException) -> None:
    # the message and the traceback of a library's error may quote a patient
    log.error("The %s handler failed: %s", service, type(error).__name__)
    log.debug("Why the %s handler failed", service, exc_info=error)


def caller_of(association: Association) -> Caller:
    """Return who requested an association."""
    requestor = association.requestor
    return Caller(
        aetitle=str(requestor.ae_title).strip(),
        address=requestor.address or "",
        port=requestor.port or 0,
    )
