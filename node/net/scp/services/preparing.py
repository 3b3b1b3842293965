"""An object that was read ahead, made ready for whom it is sent to: as it is, or converted."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from pydicom.uid import UID

from node.errors import (
    AssociationLost,
    FileDamaged,
    FileGone,
    NodeError,
    NotConverted,
    PeerRefused,
    StorageError,
)
from node.net.dimse.ahead import ReadObject
from node.net.dimse.contexts import UNCOMPRESSED
from node.net.messages import Instance, RetrievalMeans, SentParts

log = logging.getLogger(__name__)

Takes = Callable[[str, str], bool]
"""Tells whether objects of a SOP class are taken in a transfer syntax."""


@asynccontextmanager
async def prepared(
    read: ReadObject, takes: Takes, means: RetrievalMeans, receiver: str
) -> AsyncIterator[SentParts]:
    """Have what is to be sent of an object for the length of the block.

    Parameters
    ----------
    receiver
        Whom it is sent to, for messages.

    Raises
    ------
    PeerRefused
        It is not taken in its own transfer syntax, nor in one that it may be converted to.
    NotConverted
        It could not be.
    StorageError
        It could not be read.
    """
    try:
        if read.sendable is None:
            raise read.error or StorageError("it could not be read")
        sendable = read.sendable
        if takes(sendable.sop_class_uid, sendable.transfer_syntax_uid):
            yield sendable
            return
        targets = [syntax for syntax in UNCOMPRESSED if takes(sendable.sop_class_uid, syntax)]
        if not targets or means.convert is None:
            raise PeerRefused(
                f"{receiver} cannot take {sendable.name}: no presentation context for"
                f" {UID(sendable.sop_class_uid).name} in"
                f" {UID(sendable.transfer_syntax_uid).name} was accepted"
            )
        read.close()
        async with means.convert(read.instance, targets) as converted:
            yield converted
    finally:
        read.close()


@contextmanager
def noted(instance: Instance, means: RetrievalMeans, reasons: list[str]) -> Iterator[None]:
    """Take note of why an object cannot be sent, and go on.

    Parameters
    ----------
    reasons
        Gets the reason, short enough for an Error Comment, and without what is nobody's business.
    """
    try:
        yield
    except AssociationLost:  # that is no matter of the object's
        raise
    except NodeError as error:
        log.warning("An image is not sent: %s", error)
        reasons.append(reason_of(error))
        if isinstance(error, StorageError):
            with suppress(Exception):
                means.missed(instance, error)


def reason_of(error: NodeError) -> str:
    """Say why an object could not be sent, to who has asked for it."""
    if isinstance(error, FileGone):
        return "its file is gone"
    if isinstance(error, FileDamaged):
        return "its file is damaged"
    if isinstance(error, StorageError):
        return "its file cannot be read"
    if isinstance(error, NotConverted):
        return str(error)
    if isinstance(error, PeerRefused):
        return "not taken in its transfer syntax"
    return "the association was lost"
