"""Send: C-STORE files to a peer, their datasets' bytes as they are."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from node.errors import PeerRefused, StorageError
from node.net.categories import describe, is_success_or_warning
from node.net.dimse.contexts import MAXIMUM_CONTEXTS
from node.net.messages import InstanceFile, Peer
from node.net.scu.requestor import ServiceUser, associate
from node.storage.files import find_files, identify


@dataclass(frozen=True, slots=True, kw_only=True)
class SendResult:
    """What became of one file; `message` says why when it was not taken."""

    path: Path
    sent: bool
    message: str = ""


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


async def send(
    peer: Peer, paths: list[Path], watch: SendWatcher = lambda _: None
) -> list[SendResult]:
    """Send files, and all files in folders, to a peer.

    Returns
    -------
    list of SendResult
        One for each file, in the order in which they were tried.

    Raises
    ------
    PeerUnreachable, AssociationLost
        The files that were not tried have no result.
    """
    results: list[SendResult] = []

    def note(result: SendResult) -> None:
        results.append(result)
        watch(result)

    files = await asyncio.to_thread(find_files, paths)
    instances: list[InstanceFile] = []
    for item in await asyncio.to_thread(lambda: list(instances_of(files))):
        if isinstance(item, InstanceFile):
            instances.append(item)
        else:
            note(item)
    for batch in batches(instances):
        pairs = sorted({(i.sop_class_uid, i.transfer_syntax_uid) for i in batch})
        try:
            async with associate(peer, storage=pairs) as association:
                for instance in batch:
                    note(await _send_one(association, instance))
        except PeerRefused as error:
            done = {result.path for result in results}
            for instance in batch:
                if instance.path not in done:
                    note(SendResult(path=instance.path, sent=False, message=str(error)))
            if not any(result.sent for result in results):
                raise
    return results


async def _send_one(association: ServiceUser, instance: InstanceFile) -> SendResult:
    pair = (instance.sop_class_uid, instance.transfer_syntax_uid)
    if pair not in association.accepted_storage:
        return SendResult(
            path=instance.path,
            sent=False,
            message=f"{association.peer.name} does not take SOP class {pair[0]} in transfer "
            f"syntax {pair[1]}",
        )
    try:
        status = await association.store(instance.path)
    except (PeerRefused, StorageError) as error:
        return SendResult(path=instance.path, sent=False, message=str(error))
    sent = is_success_or_warning(status)
    return SendResult(path=instance.path, sent=sent, message="" if sent else describe(status))


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
