"""How many connections and associations there may be, and who has to go when there are too many."""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Caps beside an entity's most associations; what is beyond is refused for the moment.

    Attributes
    ----------
    per_address, per_aetitle
        Associations of one network address, and of one calling AE title; None is no cap of its own.
    unnegotiated
        Connections that have no association: not yet, or no longer.
    """

    per_address: int | None = None
    per_aetitle: int | None = None
    unnegotiated: int = 256


class Attendance(Protocol):
    """Is told which associations there are."""

    def came(self, aetitle: str) -> None:
        """Take note that somebody has associated, under this title."""

    def went(self, aetitle: str) -> None:
        """Take note that an association has ended."""

    def turned_away(self, aetitle: str) -> None:
        """Take note that somebody was rejected because a cap was reached."""


class Crowd(Generic[T]):
    """Those who are connected and not associated, by the address that they come from.

    When there are too many, the oldest one of the address that has most of them goes: so many
    connections of one address never keep another one out.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._members: dict[str, dict[T, None]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, member: T, address: str) -> T | None:
        """Add one, and return who has to go for it; None while there is room."""
        self._members.setdefault(address, {})[member] = None
        self._size += 1
        if self._size <= self._most:
            return None
        crowded = max(self._members, key=lambda one: len(self._members[one]))
        surplus = next(iter(self._members[crowded]))
        self.remove(surplus, crowded)
        return surplus

    def remove(self, member: T, address: str) -> None:
        """Remove one, if it is there."""
        of_address = self._members.get(address, {})
        if member in of_address:
            del of_address[member]
            self._size -= 1
        if not of_address:
            self._members.pop(address, None)


class OpenAssociations:
    """Counts the associations that are open, in all and of each address and AE title.

    Parameters
    ----------
    most
        How many there may be in all.
    limits
        Of one address, and of one AE title.
    """

    def __init__(self, most: int, limits: Limits) -> None:
        self._most = most
        self._limits = limits
        self._addresses: Counter[str] = Counter()
        self._titles: Counter[str] = Counter()
        self.total = 0

    def full(self, address: str, aetitle: str) -> str | None:
        """Say which cap another association would be beyond; None when there is room."""
        limits = self._limits
        if self.total >= self._most:
            return f"{self._most} associations are open"
        if limits.per_address is not None and self._addresses[address] >= limits.per_address:
            return f"{limits.per_address} associations of its address are open"
        if limits.per_aetitle is not None and self._titles[aetitle] >= limits.per_aetitle:
            return f"{limits.per_aetitle} associations of its AE title are open"
        return None

    def add(self, address: str, aetitle: str) -> None:
        """Count an association."""
        self.total += 1
        self._addresses[address] += 1
        self._titles[aetitle] += 1

    def remove(self, address: str, aetitle: str) -> None:
        """Count one no longer."""
        self.total -= 1
        for counter, key in ((self._addresses, address), (self._titles, aetitle)):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]
