"""Who may associate with us, and for what: by calling AE title and network address.

An AE title is a name that anybody can write; the address it comes from, or a certificate (see
`node.net.transport.tls`), makes it harder to lie.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address

from node.config.peer.titles import meant_by, no_peer
from node.config.suggest import did_you_mean

_COMPARED = 100
"""Titles that a stranger's is compared with: whoever calls has it done."""

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What a caller may ask for, beside C-ECHO.

    Attributes
    ----------
    store
        C-STORE.
    query
        C-FIND.
    retrieve
        C-MOVE, C-GET.
    commit
        N-ACTION of Storage Commitment.
    peers
        The names of the entries that are the caller's; none of a stranger.
    querying, retrieving, committing
        Of these, those that grant each of it: what one is shown is not for another that shares
        its title.
    absent
        Entries with the caller's title that call from elsewhere; they grant nothing.
    near
        Which peer's title is a stranger's but for capitals, or much like it, in words.
    """

    store: bool = True
    query: bool = True
    retrieve: bool = True
    commit: bool = True
    peers: tuple[str, ...] = ()
    querying: tuple[str, ...] = ()
    retrieving: tuple[str, ...] = ()
    committing: tuple[str, ...] = ()
    absent: "tuple[KnownCaller, ...]" = ()
    near: str = ""


ALL = Rights()
"""Everything, as a simulator grants it."""

STORE_ONLY = Rights(query=False, retrieve=False, commit=False)
"""What a stranger may do at a node that is not for its peers only."""


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
    stores, queries, retrieves, commits
        The AE titles under which it may do each of these.
    name
        What the operator calls it.
    """

    name: str = ""
    aetitle: str = ""
    networks: tuple[Network, ...] = ()
    stores: frozenset[str] = frozenset()
    queries: frozenset[str] = frozenset()
    retrieves: frozenset[str] = frozenset()
    commits: frozenset[str] = frozenset()

    @property
    def titles(self) -> frozenset[str]:
        """All titles that are this caller's, whether anything is allowed under them or not."""
        own = {self.aetitle} - {""}
        return self.stores | self.queries | self.retrieves | self.commits | own

    @property
    def place(self) -> str:
        """Who it is and where it calls from, for the log."""
        networks = ", ".join(map(str, self.networks)) or "anywhere"
        who = f"peers.{self.name}, which" if self.name else "one that"
        return f"{who} may call from {networks} only"

    def may(self, right: str, aetitle: str) -> bool:
        """Tell whether it has a right, such as `query`, under an AE title."""
        titles = {
            "store": self.stores,
            "query": self.queries,
            "retrieve": self.retrieves,
            "commit": self.commits,
        }
        return aetitle in titles.get(right, ())

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
    strangers
        What everybody else may do otherwise.
    """

    def __init__(
        self,
        entries: Sequence[KnownCaller] = (),
        *,
        known_only: bool = False,
        strangers: Rights = ALL,
    ) -> None:
        self._entries = tuple(entries)
        self._strangers = None if known_only else strangers
        self._titles = {one.name: sorted(one.titles) for one in self._entries if one.name}

    def rights(self, aetitle: str, address: str) -> Rights | None:
        """Return what a caller may do; None when it may not associate."""
        named = [one for one in self._entries if aetitle in one.titles]
        if not named:
            given = self._strangers
            return given and replace(given, near=self._near(aetitle))
        here = [one for one in named if one.covers(address)]
        if not here:
            return None
        return Rights(
            store=any(aetitle in one.stores for one in here),
            query=any(aetitle in one.queries for one in here),
            retrieve=any(aetitle in one.retrieves for one in here),
            commit=any(aetitle in one.commits for one in here),
            peers=_names(here),
            querying=_names(one for one in here if aetitle in one.queries),
            retrieving=_names(one for one in here if aetitle in one.retrieves),
            committing=_names(one for one in here if aetitle in one.commits),
            absent=tuple(one for one in named if one not in here),
        )

    def _near(self, aetitle: str) -> str:
        """Say whose title a stranger's is but for capitals, or a little more; for the log."""
        if meant := meant_by(aetitle, self._titles):
            return meant
        every = [title for titles in self._titles.values() for title in titles]
        return did_you_mean(aetitle, every[:_COMPARED]).strip(" ()")

    def why_not_at_all(self, aetitle: str) -> str:
        """Say why a caller that has no rights may not associate: for the log, not for the peer."""
        named = [one for one in self._entries if aetitle in one.titles]
        if named:
            return f"{aetitle} is {'; and '.join(one.place for one in named)}"
        return f"{no_peer(aetitle, self._titles)}, and node.known_peers_only is on"


def why_not(aetitle: str, lacking: Iterable[str], rights: Rights) -> str:
    """Say why a caller that may associate lacks rights, and what would give them: for the log.

    Parameters
    ----------
    lacking
        Such as `query`.
    """
    missing = list(lacking)
    keys = [f"may_{right}" for right in missing]
    if rights.peers:
        who = " and ".join(f"peers.{name}" for name in rights.peers)
        given = ", ".join(f"peers.{rights.peers[0]}.{key}: [{aetitle}]" for key in keys)
        why = f"it is {who}, without that right; {given} would give it"
    else:
        who = "; ".join(filter(None, ("no peer has that AE title", rights.near)))
        why = f"{who}; peers.<name>.{' and '.join(keys)} would give it to one"
    able = [one for one in rights.absent if any(one.may(right, aetitle) for right in missing)]
    return "; ".join([why, *(f"the right has {one.place}" for one in able)])


def _names(entries: Iterable[KnownCaller]) -> tuple[str, ...]:
    return tuple(one.name for one in entries if one.name)
