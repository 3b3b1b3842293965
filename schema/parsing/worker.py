"""The process that reads files: paths come in on its standard input, what was read goes out.

It is started afresh, not forked, so it has nothing of its parent's state. It knows only its two
pipes: when the parent is gone it reads the end of its input and ends, however the parent died.
Control-C and SIGTERM, which `systemd` and `timeout` send to all processes, are for the parent to
handle. A message is eight bytes of length and a pickle.
"""

import logging
import os
import pickle
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

from schema.parsing.extract import Reading, extract
from schema.parsing.scan import Passed
from schema.record import ImageRecord

LENGTH_BYTES = 8
"""Bytes of a message's length, big endian."""

MEMORY = 2 << 30
"""Bytes that a process may have of its own; a header that needs more is refused, not killed."""

_MESSAGE_FILES = 50
_MESSAGE_BYTES = 1 << 20
_MESSAGE_SECONDS = 0.5


def main() -> None:
    """Read files until the standard input ends: first a `Reading`, then lists of paths."""
    serve_in_pipes(_serve)


def serve_in_pipes(serve: Callable[[BinaryIO, BinaryIO], None]) -> None:
    """Serve whoever started this process, through its pipes, within a limit of memory.

    Parameters
    ----------
    serve
        Reads messages from the first, and writes to the second, until there are none.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    logging.disable()
    with suppress(ValueError, OSError):  # the system may have a lower limit, or none
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints does not get between the messages
    with suppress(BrokenPipeError):
        serve(source, target)


def _serve(source: BinaryIO, target: BinaryIO) -> None:
    reading: Reading | None = receive_message(source)
    if reading is None:  # who started it is gone already
        return
    os.nice(reading.niceness)
    send_message(target, "ready")
    while (paths := receive_message(source)) is not None:
        _answer(paths, reading, target)


def _answer(paths: list[str], reading: Reading, target: BinaryIO) -> None:
    """Say what became of the files, in order, in lists that a pipe takes well."""
    answers: list[ImageRecord | Passed] = []
    size, since = 0, time.monotonic()

    def late() -> bool:
        return time.monotonic() - since > _MESSAGE_SECONDS

    def send() -> None:
        nonlocal answers, size, since
        send_message(target, answers)
        answers, size, since = [], 0, time.monotonic()

    def alive() -> None:
        if late():
            send()

    for path in paths:
        answer = extract(path, reading, alive)
        answers.append(answer)
        size += len(answer.meta) if isinstance(answer, ImageRecord) else 0
        if late() or len(answers) == _MESSAGE_FILES or size > _MESSAGE_BYTES:
            send()
    if answers:
        send()


def packed(message: object) -> tuple[bytes, bytes]:
    """Return what goes through a pipe for a message, in this order: its length, and itself."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return len(data).to_bytes(LENGTH_BYTES), data


def unpacked(data: bytes) -> Any:  # noqa: ANN401 - whatever the other one sent
    """Return a message that has come through a pipe, without its length."""
    return pickle.loads(data)  # noqa: S301 - our parent's, or our child's


def receive_message(source: BinaryIO) -> Any:  # noqa: ANN401 - whatever the parent sent
    """Return the next message; None at the end of the input."""
    head = source.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    return unpacked(source.read(int.from_bytes(head)))


def send_message(target: BinaryIO, message: object) -> None:
    """Send a message to the parent."""
    target.writelines(packed(message))
    target.flush()
