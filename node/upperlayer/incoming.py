"""The peer's bytes, taken in steps: so much work at a time, the rest when the owner has a moment.

A megabyte may hold one fragment or a hundred thousand. Whoever runs an event loop does not want
to be held by the second kind, and does not want to refuse it either: each PDV is legal.
"""

from collections.abc import Iterator

from node.upperlayer.framing import PDU, Fragment, Reader

STEP = 64
"""Work of a step: a PDU or fragment is 1, some 5 µs. PDUs of 4 KB, the shortest that are usual,
fill a read of 256 KB with so many."""

STEP_OF_REQUESTOR = 8 * STEP
"""The same of who has asked: nothing begins with a response, and they come by thousands."""

_COMMAND = 16
"""Work of a command beside its fragments: somebody is told of it, and begins to do something."""

_COMMAND_BYTES = 64
"""Bytes of a command set that are as much work as a fragment: it is read element by element."""

_LONG = 1 << 13
"""Bytes of a PDU that is a step of its own: an A-ASSOCIATE-RQ that may have thousands of items."""

_NOTHING = memoryview(b"")


class Incoming:
    """Cuts what the peer sends into PDUs and fragments, a step at a time.

    Parameters
    ----------
    step
        The work of a step.

    Attributes
    ----------
    reader
        Does the cutting.
    """

    def __init__(self, step: int = STEP) -> None:
        self.reader = Reader()
        self._step = step
        self._rest = _NOTHING
        self._held: PDU | None = None

    @property
    def waiting(self) -> bool:
        """Whether something is left for the next step."""
        return bool(self._rest) or self._held is not None

    def step(self, data: bytes | bytearray | memoryview) -> Iterator[PDU | Fragment]:
        """Take the next bytes, and yield what they and those that are left complete, a step of it.

        The bytes may be overwritten once the iterator has ended.

        Raises
        ------
        InvalidPDU
            The stream cannot be understood from here on.
        """
        view = memoryview(data)
        if self._rest:
            view = memoryview(self._rest.tobytes() + view) if view else self._rest
        self._rest = _NOTHING
        if self._held is not None:
            held, self._held = self._held, None
            self._keep(view)
            yield held
            return
        left = self._step
        for item in self.reader.feed(view):
            if isinstance(item, Fragment):
                left -= _work(item) if item.command else 1
            elif len(item.body) > _LONG:
                self._held = item
                left = 0
            else:
                left -= 1
            if self._held is None:
                yield item
            if left <= 0:
                self._keep(view[self.reader.taken :])
                return

    def _keep(self, rest: memoryview) -> None:
        self._rest = rest if isinstance(rest.obj, bytes) else memoryview(rest.tobytes())


def _work(command: Fragment) -> int:
    whole = _COMMAND if command.last else 0
    return 1 + len(command.data) // _COMMAND_BYTES + whole
