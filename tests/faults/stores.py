"""Objects to store, and storing them."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.bench import sender
from tests.crash.programme import MR, Association, Sent
from tests.support.encoded import element


def make(uid: str, study: str, comment: str, *, size: int = 3_000) -> Sent:
    """Make an object."""

    def ui(tag: int, value: str) -> bytes:
        return element(tag, "UI", value.encode() + b"\0" * (len(value) % 2))

    return Sent(
        uid,
        b"".join(
            (
                ui(0x00080016, MR),
                ui(0x00080018, uid),
                element(0x00100020, "LO", b"P1"),
                ui(0x0020000D, study),
                ui(0x0020000E, f"{study}.1"),
                element(0x00204000, "LT", comment.encode() + b" " * (len(comment) % 2)),
                element(0x7FE00010, "OW", random.Random(uid).randbytes(size)),
            )
        ),
    )


def requests(message_id: int, sent: Sent) -> Iterator[bytes]:
    """Yield the PDUs that store an object."""
    yield sender.data_pdu(0x03, sender.store_request(message_id, MR, sent.uid))
    step = sender.MAXIMUM_LENGTH - 6
    for start in range(0, len(sent.dataset), step):
        last = 0x02 if start + step >= len(sent.dataset) else 0
        yield sender.data_pdu(last, sent.dataset[start : start + step])


def send(port: int, sent: Sent) -> int | None:
    """Store an object over an association of its own; None when there was no answer."""
    try:
        association = Association(port)
        try:
            status = association.request(requests(1, sent))
            association.release()
            return status
        finally:
            association._socket.close()
    except (OSError, SystemExit, AssertionError):
        return None
