"""Associations that we request (PS3.8 7.1, requestor role), and the DIMSE services over them.

    async with associate(peer, Service.FIND) as association:
        async for identifier in association.find(query):
            ...

When the task is cancelled, or the block is left with an error, the association is aborted;
otherwise it is released. An iteration that is left early cancels its operation (C-CANCEL).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from pynetdicom.ae import ApplicationEntity

from node.errors import PeerRefused
from node.net.dimse.contexts import Service, StorageContext
from node.net.entity import requesting
from node.net.messages import Originator, Peer
from node.net.scu.exchange import Exchange
from node.net.scu.extension import QueryExtension
from node.net.scu.service_user import ServiceUser
from node.net.transport.places import place_at
from node.upperlayer import RoleSelection
from schema.engine.backoff import Backoff

__all__ = ["Originator", "QueryExtension", "ServiceUser", "associate", "associate_as"]

_BACKOFF = Backoff(first=0.3, longest=1.2)
_ATTEMPTS = 4
"""For an association that is rejected for the moment."""


@asynccontextmanager
async def associate(
    peer: Peer,
    *services: Service,
    also: Sequence[Service] = (),
    storage: Sequence[StorageContext] = (),
    receive: Sequence[StorageContext] = (),
    response_timeout: float | None = None,
    extended: Mapping[Service, QueryExtension] | None = None,
) -> AsyncIterator[ServiceUser]:
    """Request an association, and release it at the end.

    Parameters
    ----------
    peer
        Whom to associate with.
    services
        What for; the peer has to accept each of them.
    also
        What else for, where the peer accepts it.
    storage
        SOP class and transfer syntax pairs to propose, each in a context of its own, for C-STORE or
        only to see which are accepted; the peer may accept some.
    receive
        The same pairs of what a C-GET may bring: we propose to be their SCP (PS3.7 D.3.3.4).
    response_timeout
        Seconds to wait for the next response, in place of the peer's DIMSE time-out.
    extended
        What is proposed for queries beyond the baseline, by their services; what the peer has
        agreed to, `ServiceUser.agreed` says.

    Raises
    ------
    PeerUnreachable
        Nobody listens there, or the answer did not come in time.
    PeerRefused
        The association, or the presentation context of a service, was rejected; or the peer's
        certificate was, by us.
    ConfigurationError
        The files for TLS cannot be used.
    NoPlace
        We have as many associations with it as we may, and are not to wait: see
        `node.net.transport.places`.
    """
    sent = {sop_class for sop_class, _ in storage}
    make = partial(
        Exchange,
        requesting(peer, [*services, *also], [*storage, *receive]),
        peer,
        roles=tuple(
            RoleSelection(sop_class_uid=sop_class, scu=sop_class in sent, scp=True)
            for sop_class in dict.fromkeys(sop_class for sop_class, _ in receive)
        ),
        response_timeout=response_timeout,
        extended=tuple((one.value, what.encoded()) for one, what in (extended or {}).items()),
    )
    async with exchanging(make, peer) as exchange:
        user = ServiceUser(exchange)
        user.require(services)
        yield user


@asynccontextmanager
async def associate_as(
    entity: ApplicationEntity, peer: Peer
) -> AsyncIterator[tuple[ServiceUser, Mapping[int, StorageContext]]]:
    """Request an association as an entity that is given, for the contexts that it requests.

    The accepted contexts, by their ID, come with it.

    Raises
    ------
    PeerUnreachable, PeerRefused, ConfigurationError, NoPlace
        See `associate`.
    """
    make = partial(Exchange, entity, peer)
    async with exchanging(make, peer) as exchange:
        yield ServiceUser(exchange), exchange.link.accepted


@asynccontextmanager
async def exchanging(
    make: Callable[[], Exchange], peer: Peer, *, to_release: float | None = None
) -> AsyncIterator[Exchange]:
    """Request an association, and release it at the end; see `associate`.

    Parameters
    ----------
    make
        Makes the exchange, for each attempt.
    to_release
        Seconds that the peer has at most to answer a release; the peer's own limit unless less.
    """
    async with place_at(peer.name):
        exchange = await _established(make)
        try:
            yield exchange
            await exchange.link.release(to_release)
        finally:
            await exchange.link.close()


async def _established(make: Callable[[], Exchange]) -> Exchange:
    """Request the association; again, a little later, when the peer is only busy."""
    for attempt in range(1, _ATTEMPTS + 1):
        exchange = make()
        try:
            await exchange.link.open()
        except PeerRefused as error:
            await exchange.link.close()
            if attempt == _ATTEMPTS or not error.transient:
                raise
        except BaseException:
            await exchange.link.close()
            raise
        else:
            return exchange
        await asyncio.sleep(_BACKOFF.pause(attempt))
    raise AssertionError("the last request returned or raised")
