"""The process that puts images into another transfer syntax: asked, and answering, through pipes.

A request names a file, a digest and the transfer syntaxes that would do. The answer is a message,
and behind it, where that is good, the dataset's bytes: who reads them slowly is waited for.
"""

import errno
import hashlib
from dataclasses import dataclass
from enum import Enum, auto
from typing import BinaryIO

from node.dicom.converting import ConversionError, converted
from schema import InvalidDicom
from schema.parsing.extract import past_meta
from schema.parsing.scan import open_regular, reason_of
from schema.parsing.worker import receive_message, send_message, serve_in_pipes

PROGRAM = "from node.ops.answering.giving.conversion import main; main()"
"""What the process runs."""

_HEAD = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What is to be converted.

    Attributes
    ----------
    sha256
        Of its dataset; None where nobody knows it.
    targets
        The transfer syntaxes that would do.
    """

    path: str
    transfer_syntax_uid: str
    sha256: str | None
    targets: tuple[str, ...]


class ConversionEnd(Enum):
    """What became of it."""

    DONE = auto()
    GONE = auto()
    DAMAGED = auto()
    UNREADABLE = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionAnswer:
    """What became of it, and why.

    Attributes
    ----------
    size
        Bytes that follow.
    """

    end: ConversionEnd
    reason: str = ""
    transfer_syntax_uid: str = ""
    size: int = 0


def main() -> None:
    """Convert until the standard input ends."""
    serve_in_pipes(_serve)


def _serve(source: BinaryIO, target: BinaryIO) -> None:
    send_message(target, "ready")
    while (wanted := receive_message(source)) is not None:
        answer, dataset = convert(wanted)
        send_message(target, answer)
        target.write(dataset)
        target.flush()


def convert(wanted: Conversion) -> tuple[ConversionAnswer, bytes]:
    """Read a file, see that it is what is expected, and put it into another transfer syntax."""
    try:
        with open_regular(wanted.path) as file:
            head, start, syntax = past_meta(file, _HEAD)
            dataset = head[start:] + file.read()
        _compare(dataset, wanted.sha256)
        target, data = converted(dataset, syntax or wanted.transfer_syntax_uid, wanted.targets)
    except (OSError, InvalidDicom, ConversionError, MemoryError) as error:
        return _failure(error), b""
    answer = ConversionAnswer(end=ConversionEnd.DONE, transfer_syntax_uid=target, size=len(data))
    return answer, data


def _compare(dataset: bytes, sha256: str | None) -> None:
    if sha256 not in (None, hashlib.sha256(dataset).hexdigest()):
        raise InvalidDicom("the SHA-256 of its dataset is another one")


def _failure(error: Exception) -> ConversionAnswer:
    if isinstance(error, OSError):
        gone = error.errno in (errno.ENOENT, errno.ENOTDIR)
        end = ConversionEnd.GONE if gone else ConversionEnd.UNREADABLE
        return ConversionAnswer(end=end, reason=reason_of(error))
    if isinstance(error, InvalidDicom):
        return ConversionAnswer(end=ConversionEnd.DAMAGED, reason=str(error))
    reason = "it needs too much memory" if isinstance(error, MemoryError) else str(error)
    return ConversionAnswer(end=ConversionEnd.FAILED, reason=reason)
