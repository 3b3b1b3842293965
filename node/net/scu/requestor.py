"""Associations that we request (PS3.8 7.1, requestor role), and the DIMSE services over them.

    async with associate(peer, Service.FIND) as association:
        async for identifier in association.find(query):
            ...

When the task is cancelled, or the block is left with an error, the association is aborted;
otherwise it is released. An iteration that is left early cancels its operation (C-CANCEL).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from pynetdicom.ae import ApplicationEntity

from node.errors import PeerRefused
from node.net.dimse.contexts import Service, StorageContext
from node.net.entity import requesting
from node.net.messages import Peer
from node.net.scu.exchange import Exchange
from node.net.scu.originator import Originator
from node.net.scu.service_user import ServiceUser
from node.net.transport.places import place_at
from node.upperlayer import RoleSelection
from schema.engine.backoff import Backoff

__all__ = ["Originator", "ServiceUser", "associate"]

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
    async with (
        place_at(peer.name),
        _associated(peer, [*services, *also], storage, receive, response_timeout) as user,
    ):
        yield user


@asynccontextmanager
async def _associated(
    peer: Peer,
    services: Sequence[Service],
    storage: Sequence[StorageContext],
    receive: Sequence[StorageContext],
    response_timeout: float | None,
) -> AsyncIterator[ServiceUser]:
    entity = requesting(peer, services, [*storage, *receive])
    sent = {sop_class for sop_class, _ in storage}
    roles = tuple(
        RoleSelection(sop_class_uid=sop_class, scu=sop_class in sent, scp=True)
        for sop_class in dict.fromkeys(sop_class for sop_class, _ in receive)
    )
    exchange = await _established(entity, peer, roles, response_timeout)
    try:
        user = ServiceUser(exchange)
        user.require(services)
        yield user
        await exchange.link.release()
    finally:
        await exchange.link.close()


async def _established(
    entity: ApplicationEntity,
    peer: Peer,
    roles: tuple[RoleSelection, ...],
    response_timeout: float | None,
) -> Exchange:
    """Request the association; again, a little later, when the peer is only busy."""
    for attempt in range(1, _ATTEMPTS + 1):
        exchange = Exchange(entity, peer, roles=roles, response_timeout=response_timeout)
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
