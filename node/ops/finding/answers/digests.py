"""A set of texts that are only counted, in a few bytes each."""

from array import array

_SMALLEST = 64


class Digests:
    """Which texts there were, by the 64 bits of their hashes: 16 to 32 bytes for each.

    A set of two million UIDs takes 200 MB, and this takes 32. Two texts of one hash count as one:
    among two million that happens once in ten million times. The table is one of open addressing.
    """

    __slots__ = ("_count", "_mask", "_slots")

    def __init__(self) -> None:
        self._count = 0
        self._mask = _SMALLEST - 1
        self._slots = array("q", bytes(8 * _SMALLEST))

    def __len__(self) -> int:
        return self._count

    def __contains__(self, text: object) -> bool:
        return bool(self._slots[self._place(hash(text) or 1)])

    def add(self, text: str) -> bool:
        """Add a text; return whether it was not there yet."""
        digest = hash(text) or 1  # 0 is a free place
        place = self._place(digest)
        if self._slots[place]:
            return False
        self._slots[place] = digest
        self._count += 1
        if 2 * self._count > self._mask:
            self._grow()
        return True

    def _place(self, digest: int) -> int:
        """Return where a digest is, or where there is room for it."""
        slots, mask = self._slots, self._mask
        place = digest & mask
        while (found := slots[place]) and found != digest:
            place = (place + 1) & mask
        return place

    def _grow(self) -> None:
        digests = self._slots
        self._mask = 2 * self._mask + 1
        self._slots = array("q", bytes(8 * (self._mask + 1)))
        for digest in digests:
            if digest:
                self._slots[self._place(digest)] = digest
