"""Between the acceptor and the threads: each connection's association, from its beginning on."""

import asyncio
from collections.abc import Callable
from functools import partial
from io import BytesIO

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation

from node.dicom.status import Status
from node.net.dimse.inbox import Message
from node.net.door.association import Handlers, ServedAssociation
from node.net.door.crew import Crew, Lane
from node.net.door.negotiation import ExactAgreement, association_request, proposed
from node.net.scp.access import Rights
from node.net.scp.practice import Practice
from node.net.scp.session import Answers, Responder, Session
from node.net.scp.visit import Onlooker, Visit
from node.upperlayer import AssociateRequest, Command, CommandField, response_to


class _Gathered:
    """Keeps a whole dataset in memory, as the library's handlers expect it."""

    def __init__(self, guest: "_Guest") -> None:
        self._guest = guest
        self._stream = BytesIO()

    @property
    def full(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self._stream.write(data)

    async def drained(self) -> None:
        return

    async def finish(self) -> int:
        self._guest.dataset = self._stream
        return Status.SUCCESS

    def discard(self) -> None:
        self._stream = BytesIO()


class _Guest:
    """One connection: its association as handlers see it, and what is done for it."""

    def __init__(self, association: ServedAssociation, lane: Lane) -> None:
        self.association = association
        self.lane = lane
        self.was_opened = False
        self.dataset: BytesIO | None = None


class Hall(Onlooker):
    """Has handlers called for what becomes of connections, and for requests.

    Parameters
    ----------
    ae
        Whose server it is.
    title
        Under which it serves.
    contexts
        What it supports.
    handlers
        Returns those that are bound, by event.
    crew
        In whose threads they run.
    """

    def __init__(
        self,
        ae: ApplicationEntity,
        title: str,
        contexts: list[PresentationContext],
        handlers: Callable[[], Handlers],
        crew: Crew,
    ) -> None:
        self.address: AddressInformation | None = None
        self._ae = ae
        self._title = title
        self._contexts = contexts
        self._handlers = handlers
        self._crew = crew
        self._loop = asyncio.get_running_loop()
        self._guests: dict[Visit, _Guest] = {}
        self._sessions: dict[Session, _Guest] = {}
        self._leaving: set[Lane] = set()
        self._asked: tuple[AssociateRequest, list[PresentationContext]] | None = None

    @property
    def associations(self) -> list[ServedAssociation]:
        """Those that are open."""
        return [guest.association for guest in tuple(self._sessions.values())]

    @property
    def is_quiet(self) -> bool:
        """Whether no handler runs."""
        lanes = [guest.lane for guest in self._guests.values()]
        return not any(lane.is_working for lane in (*lanes, *self._leaving))

    @property
    def is_parting(self) -> bool:
        """Whether there is a connection whose association is over."""
        return any(
            visit.session is not None and visit.session not in self._sessions
            for visit in self._guests
        )

    def practice(self) -> Practice:
        """Return how the acceptor negotiates and answers."""
        store = Responder(give=self._store)
        serve = Responder(give=self._serve)
        fields = (
            CommandField.C_ECHO_RQ,
            CommandField.C_FIND_RQ,
            CommandField.C_GET_RQ,
            CommandField.C_MOVE_RQ,
        )
        return Practice(
            agree=self._agree,
            answers=Answers(
                by_field={CommandField.C_STORE_RQ: store, **dict.fromkeys(fields, serve)},
                open_sink=self._open_sink,
            ),
        )

    # What becomes of a connection

    def opened(self, visit: Visit) -> None:
        """Have EVT_CONN_OPEN told."""
        guest = self._guest(visit)
        if not guest.was_opened:
            guest.was_opened = True
            self._tell(guest, evt.EVT_CONN_OPEN, address=_address(visit))

    def requested(self, visit: Visit, request: AssociateRequest) -> None:
        """Have EVT_REQUESTED told."""
        self.opened(visit)
        guest = self._guest(visit)
        requestor = guest.association.requestor
        self._asked = request, proposed(request)
        requestor.primitive = association_request(*self._asked)
        requestor.ae_title = request.calling_aetitle
        self._tell(guest, evt.EVT_REQUESTED)

    def rejected(self, visit: Visit) -> None:
        """Have EVT_REJECTED told."""
        guest = self._guest(visit)
        guest.association.is_rejected = True
        self._tell(guest, evt.EVT_REJECTED)

    def accepted(self, visit: Visit, session: Session) -> None:
        """Have EVT_ACCEPTED and EVT_ESTABLISHED told."""
        guest = self._guest(visit)
        self._sessions[session] = guest
        assert isinstance(session.agreement, ExactAgreement)  # noqa: S101 - `practice` says so
        guest.association.begin(session, session.agreement)
        self._tell(guest, evt.EVT_ACCEPTED)
        self._tell(guest, evt.EVT_ESTABLISHED)

    def served(self, visit: Visit) -> None:
        """Have EVT_RELEASED or EVT_ABORTED told."""
        if visit.session is not None and (guest := self._sessions.pop(visit.session, None)):
            ended = visit.session.inbox.ended
            released = visit.session.released or (ended is not None and ended.released)
            if (event := guest.association.end(released=released)) is not None:
                self._tell(guest, event)

    def closed(self, visit: Visit) -> None:
        """Have EVT_CONN_CLOSE told."""
        guest = self._guests.pop(visit, None)
        if guest is not None and guest.was_opened:
            self._tell(guest, evt.EVT_CONN_CLOSE, address=_address(visit))
        if guest is not None and guest.lane.is_working:
            self._leaving.add(guest.lane)
            guest.lane.add(_nothing, partial(self._leaving.discard, guest.lane))

    def _guest(self, visit: Visit) -> _Guest:
        guest = self._guests.get(visit)
        if guest is None:
            association = ServedAssociation(self._ae, self._loop, self._handlers())
            association.name = f"AcceptorThread of {visit.address}"
            ours, theirs = association.acceptor, association.requestor
            ours.maximum_length = self._ae.maximum_pdu_size
            ours.ae_title = self._title
            ours.address_info = self.address
            ours.implementation_version_name = self._ae.implementation_version_name
            ours.supported_contexts = self._contexts
            theirs.address_info = AddressInformation(*_address(visit))
            guest = _Guest(association, Lane(self._crew, self._loop))
            self._guests[visit] = guest
        return guest

    def _tell(self, guest: _Guest, event: evt.NotificationEvent, **attributes: object) -> None:
        if guest.association.get_handlers(event):
            guest.lane.add(partial(guest.association.tell, event, **attributes))

    # What is answered

    def _agree(self, request: AssociateRequest, rights: Rights) -> ExactAgreement:  # noqa: ARG002
        known, asked = self._asked or (None, [])
        if known is not request:
            asked = proposed(request)
        self._asked = None
        return ExactAgreement(request, asked, self._ae, self._contexts)

    def _open_sink(self, session: Session, context_id: int, command: Command) -> _Gathered:  # noqa: ARG002
        return _Gathered(self._sessions[session])

    async def _store(self, session: Session, message: Message) -> None:
        """Have the handler of a C-STORE called."""
        if message.sink is None:
            await session.refuse(message)
            return
        guest = self._sessions[session]
        status = await message.sink.finish()
        if status != Status.SUCCESS:  # it could not be kept
            await session.respond(message.context_id, response_to(message.command, status))
            return
        dataset, guest.dataset = guest.dataset, None
        await self._ask(guest, message, dataset)

    async def _serve(self, session: Session, message: Message) -> None:
        """Have the handler of another request called."""
        dataset = BytesIO(message.dataset) if message.dataset is not None else None
        await self._ask(self._sessions[session], message, dataset)

    async def _ask(self, guest: _Guest, message: Message, dataset: BytesIO | None) -> None:
        association = guest.association
        await guest.lane.run(
            partial(association.serve, message.context_id, message.command, dataset)
        )
        await association.flush()


def _address(visit: Visit) -> tuple[str, int]:
    return visit.address, visit.connection.address[1]


def _nothing() -> None:
    return
