"""From the configuration to the acceptor: its limits, and who has which rights."""

from contextlib import suppress
from ipaddress import ip_network

from node.config import Config
from node.net.entity import configured
from node.net.messages import Services
from node.net.scp.acceptor import Acceptor
from node.net.scp.access import STORE_ONLY, Access, KnownCaller, Network
from node.net.scp.limits import Limits
from node.ops.tls import acceptor_tls


def acceptor_of(config: Config, services: Services) -> Acceptor:
    """Return the configured acceptor, which does not listen yet.

    Raises
    ------
    ConfigurationError
        The files for TLS cannot be used.
    """
    node = config.node
    return Acceptor(
        configured(config, services),
        host=node.host,
        port=node.port,
        services=services,
        access=access_of(config),
        limits=Limits(
            per_address=node.max_associations_per_address,
            per_aetitle=node.max_associations_per_aetitle,
            unnegotiated=node.max_unnegotiated,
        ),
        tls=acceptor_tls(node.tls),
    )


def access_of(config: Config) -> Access:
    """Return who may call us, and for what.

    Where only peers may, what a move beside us has fetched at a peer with a URL alone is taken
    under the title as whose it is handed on, from this machine.
    """
    callers = [
        KnownCaller(
            name=peer.name,
            aetitle=peer.aetitle,
            networks=peer.networks,
            stores=frozenset(peer.may_store),
            queries=frozenset(peer.may_query),
            retrieves=frozenset(peer.may_retrieve),
            commits=frozenset(peer.may_commit),
        )
        for peer in config.peers.values()
        if peer.aetitle is not None
    ]
    if config.node.known_peers_only:
        callers += [
            KnownCaller(networks=_this_machine(config), stores=frozenset({peer.source}))
            for peer in config.peers.values()
            if peer.aetitle is None
        ]
    return Access(callers, known_only=config.node.known_peers_only, strangers=STORE_ONLY)


def _this_machine(config: Config) -> tuple[Network, ...]:
    """Return the addresses from which this machine calls us."""
    networks = [*map(ip_network, ("127.0.0.0/8", "::1/128"))]
    with suppress(ValueError):  # it may be a name
        networks.append(ip_network(config.node.own_host))
    return tuple(networks)
