"""The application entity that others associate with (PS3.8 7.1, acceptor role).

`Acceptor` listens, decides about associations, and gives each of them a task that serves it.
Draining stops listening and lets running associations end; stopping aborts what is left.
"""

import asyncio
import logging
import socket
from types import TracebackType
from typing import Self

from pynetdicom.ae import ApplicationEntity

from node.net.entity import deadlines
from node.net.messages import Caller, Services
from node.net.scp.access import Access, Rights
from node.net.scp.limits import Attendance, Crowd, Limits, OpenAssociations
from node.net.scp.practice import Practice, usual
from node.net.scp.session import Session
from node.net.scp.visit import Onlooker, Reception, Refusal, Visit
from node.net.transport.complaints import Complaints
from node.net.transport.descriptors import make_room
from node.net.transport.ebb import Ebb
from node.net.transport.listener import Listener
from node.net.transport.tls import AcceptorTLS, Renewing, is_for
from node.net.transport.turns import Turns
from node.upperlayer import AssociateRequest, Association, Rejection, Role
from node.upperlayer.associate import APPLICATION_CONTEXT
from schema.text.words import counted

log = logging.getLogger(__name__)

_TO_ABORT = 3.0
"""Seconds for the aborts of all running associations together."""

_TO_CLOSE = 1.0
"""Seconds for connections to be gone once they are closed."""

# PS3.8 9.3.4
_APPLICATION_CONTEXT_NOT_SUPPORTED = Rejection(result=1, source=1, reason=2)
_CALLING_NOT_RECOGNISED = Rejection(result=1, source=1, reason=3)
_CALLED_NOT_RECOGNISED = Rejection(result=1, source=1, reason=7)
_LOCAL_LIMIT_EXCEEDED = Rejection(result=2, source=3, reason=2)


class Acceptor:
    """Listens for associations and serves them.

    Parameters
    ----------
    entity
        What we are: title, supported contexts, time-outs, the most associations, and which titles
        may be called and may call (PS3.8 9.3.4); see `node.net.entity`.
    host, port
        Where to listen. Port 0 takes a free one, see `port` after `start`.
    services
        Who answers for what the entity supports; or how it is negotiated and answered at all.
    title
        Under which it is called; the entity's own where it is empty.
    access
        Who may call from where, and for what (reason 3).
    limits
        Further caps; what is beyond is rejected as transient, local limit exceeded.
    tls
        Nothing but TLS is spoken when it is given.
    attendance
        Is told of associations.
    onlooker
        Is told of each connection.

    Raises
    ------
    ConfigurationError
        The files of `tls` cannot be used.
    """

    def __init__(
        self,
        entity: ApplicationEntity,
        *,
        host: str,
        port: int,
        services: Services | Practice,
        title: str = "",
        access: Access | None = None,
        limits: Limits | None = None,
        tls: AcceptorTLS | Renewing | None = None,
        attendance: Attendance | None = None,
        onlooker: Onlooker | None = None,
    ) -> None:
        self._entity = entity
        self._title = title or entity.ae_title
        self._practice = services if isinstance(services, Practice) else usual(entity, services)
        served = isinstance(services, Practice)
        self._allowed_by = "require_calling_aet" if served else "node.allowed_calling"
        self._access = access or Access()
        self._limits = limits or Limits()
        self._deadlines = deadlines(entity)
        self._attendance = attendance
        self._tls = Renewing(tls) if isinstance(tls, AcceptorTLS) else tls
        self._address = (host, port)
        self._listener = Listener(self._taken)
        self._turns = Turns()
        self._complaints = Complaints(log)
        self._ebb = Ebb()
        self._reception = Reception(
            judge=self._judge,
            welcome=self._welcome,
            established=self._established,
            ended=self._ended,
            complaints=self._complaints,
            onlooker=onlooker or Onlooker(),
        )
        self._visits: set[Visit] = set()
        self._crowd: Crowd[Visit] = Crowd(self._limits.unnegotiated)
        self._associations = OpenAssociations(entity.maximum_associations, self._limits)

    @property
    def aetitle(self) -> str:
        """Our own title."""
        return self._title

    @property
    def host(self) -> str:
        """The address we listen at."""
        return self._address[0]

    @property
    def port(self) -> int:
        """The port we listen on; known after `start` when 0 was asked for."""
        return self._address[1]

    @property
    def open_associations(self) -> int:
        """How many associations we have accepted that have not ended."""
        return self._associations.total

    @property
    def open_connections(self) -> int:
        """How many connections there are, with an association or without."""
        return len(self._visits)

    async def start(self) -> None:
        """Begin to listen; connections are served from the moment this returns.

        Raises
        ------
        ListenError
            When the address is taken, not ours, or not allowed.
        """
        make_room(self._entity.maximum_associations + self._limits.unnegotiated)
        host, port = self._address
        self._address = (host, await self._listener.open(host, port))

    async def drain(self, grace: float) -> None:
        """Stop listening, and wait until running associations have ended.

        Parameters
        ----------
        grace
            Seconds that they have; `stop` aborts those that take longer.
        """
        self._listener.close()
        for visit in list(self._visits):
            if not visit.is_established:
                visit.close()
        await self._wait_ended(grace, established=True)

    async def stop(self) -> None:
        """Stop listening, abort every running association, close every connection."""
        self._listener.close()
        if running := self.open_associations:
            log.warning("Aborting %s", counted(running, "association"))
        for visit in list(self._visits):
            visit.abort()
        await self._wait_ended(_TO_ABORT)
        for visit in list(self._visits):
            visit.close()
        await self._wait_ended(_TO_CLOSE)
        self._complaints.close()
        self._ebb.close()
        if self._visits:
            log.error("%s could not be ended", counted(len(self._visits), "association"))

    async def vanish(self) -> None:
        """Stop listening, and reset every connection without a word; `start` begins anew.

        It is what peers see of a machine that goes down: for `node.simulator`.
        """
        self._listener.close()
        for visit in list(self._visits):
            visit.reset()
        await self._wait_ended(_TO_CLOSE)

    async def _wait_ended(self, timeout: float, *, established: bool = False) -> None:
        """Wait until connections have ended, or those with an association."""
        ends = [
            asyncio.ensure_future(visit.wait_ended())
            for visit in self._visits
            if visit.is_established or not established
        ]
        if not ends:
            return
        try:
            await asyncio.wait(ends, timeout=timeout)
        finally:
            for end in ends:
                end.cancel()

    # A connection, from its first sign to its end

    def _taken(self, sock: socket.socket, address: str) -> None:
        visit = Visit(
            sock,
            address,
            association=Association(Role.ACCEPTOR, maximum_length=self._entity.maximum_pdu_size),
            deadlines=self._deadlines,
            turns=self._turns,
            tls=self._tls,
            reception=self._reception,
        )
        self._visits.add(visit)
        self._ebb.level(len(self._visits))
        if (surplus := self._crowd.add(visit, address)) is not None:
            self._complaints.about(
                surplus.address,
                "%s has too many connections without an association: the oldest is closed",
                surplus.address,
            )
            surplus.close()

    def _welcome(self, visit: Visit, request: AssociateRequest, rights: Rights) -> Session:
        caller = Caller(
            aetitle=request.calling_aetitle,
            address=visit.address,
            port=visit.connection.address[1],
            peers=rights.peers,
            querying=rights.querying,
            retrieving=rights.retrieving,
            committing=rights.committing,
        )
        return Session(
            visit.connection,
            caller=caller,
            agreement=self._practice.agree(request, rights),
            answers=self._practice.answers,
            patience=self._deadlines.message,
        )

    def _established(self, visit: Visit, session: Session) -> None:
        self._crowd.remove(visit, visit.address)
        self._associations.add(visit.address, session.caller.aetitle)
        if self._attendance is not None:
            self._attendance.came(session.caller.aetitle)

    def _ended(self, visit: Visit) -> None:
        self._visits.discard(visit)
        self._ebb.level(len(self._visits))
        if visit.session is not None:
            self._associations.remove(visit.address, visit.session.caller.aetitle)
            if self._attendance is not None:
                self._attendance.went(visit.session.caller.aetitle)
        else:
            self._crowd.remove(visit, visit.address)

    # Decisions

    def _judge(self, visit: Visit, request: AssociateRequest) -> Refusal | Rights:
        """Decide about a request."""
        title = request.calling_aetitle
        if request.application_context != APPLICATION_CONTEXT:
            return Refusal(
                _APPLICATION_CONTEXT_NOT_SUPPORTED, "application context name not supported"
            )
        if self._entity.require_called_aet and request.called_aetitle != self._title:
            return Refusal(_CALLED_NOT_RECOGNISED, "called AE title not recognised")
        allowed = self._entity.require_calling_aet
        rights = self._access.rights(title, visit.address)
        if rights is None or (allowed and title not in allowed):
            reason = f"{title} is not in {self._allowed_by}"
            if rights is None:
                reason = self._access.why_not_at_all(title)
            return Refusal(_CALLING_NOT_RECOGNISED, f"calling AE title not recognised: {reason}")
        bound = self._tls is not None and self._tls.settings.bind_aetitle
        if bound and not is_for(visit.connection.peer_certificate(), title):
            return Refusal(
                _CALLING_NOT_RECOGNISED, "calling AE title is not that of its certificate"
            )
        if (why := self._associations.full(visit.address, title)) is not None:
            if self._attendance is not None:
                self._attendance.turned_away(title)
            return Refusal(_LOCAL_LIMIT_EXCEEDED, f"local limit exceeded: {why}")
        return rights

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()
