"""Who may associate with us, and for what: by calling AE title and network address.

An AE title is a name that anybody can write; the address it comes from, or a certificate (see
`node.net.transport.tls`), makes it harder to lie.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What a caller may ask for, beside C-ECHO.

    Attributes
    ----------
    store
        C-STORE.
    query
        C-FIND, C-MOVE, C-GET.
    """

    store: bool = True
    query: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCaller:
    """A peer as a caller: PACSs may store under another AE title than they query under.

    Attributes
    ----------
    aetitle
        Its own title, which is bound to its networks whatever it may do; empty where only the
        others are known.
    networks
        Where it calls from; empty means anywhere.
    stores, queries
        The AE titles under which it may store, and query.
    """

    aetitle: str = ""
    networks: tuple[Network, ...] = ()
    stores: frozenset[str] = frozenset()
    queries: frozenset[str] = frozenset()

    @property
    def titles(self) -> frozenset[str]:
        """All titles that are this caller's, whether anything is allowed under them or not."""
        return self.stores | self.queries | ({self.aetitle} - {""})

    def covers(self, address: str) -> bool:
        """Tell whether an address is in one of the networks."""
        if not self.networks:
            return True
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.networks)


class Access:
    """The allow-list.

    Parameters
    ----------
    entries
        The peers. Their AE titles are theirs: nobody else may call under them from elsewhere.
    known_only
        Whether nobody else may call at all.
    """

    def __init__(self, entries: Sequence[KnownCaller] = (), *, known_only: bool = False) -> None:
        self._entries = tuple(entries)
        self._known_only = known_only

    def rights(self, aetitle: str, address: str) -> Rights | None:
        """Return what a caller may do; None when it may not associate."""
        named = [one for one in self._entries if aetitle in one.titles]
        if not named:
            return None if self._known_only else Rights()
        here = [one for one in named if one.covers(address)]
        if not here:
            return None
        return Rights(
            store=any(aetitle in one.stores for one in here),
            query=any(aetitle in one.queries for one in here),
        )
