"""What a fuzzer drives: an association's core, fed any bytes in any pieces.

The first byte of an input says which role the core has and how its user behaves, the second how
the rest, the peer's bytes, is cut into pieces. Around the core stands a user like `node.net`: it
accepts or rejects, answers commands, releases, aborts. `drive` asserts what has to hold whatever
comes: no exception leaves the core, all output is well formed, nothing is told after the end,
nothing grows beyond its limit, and nothing is told that cannot be answered.
"""

from __future__ import annotations

import struct

from node.upperlayer import (
    AssociateRequest,
    Association,
    Command,
    CommandField,
    ProposedContext,
    Rejection,
    Role,
    RoleSelection,
    State,
    UserInformation,
    events,
    response_to,
)
from node.upperlayer.associate_pdus import decode_request, encode_request
from node.upperlayer.dimse import DATASET, decode_command, encode_command
from node.upperlayer.framing import MAXIMUM_ASSOCIATE_LENGTH
from node.upperlayer.incoming import STEP
from node.upperlayer.messages import MAXIMUM_COMMAND_LENGTH
from node.upperlayer.negotiation import abstract_syntaxes, answer

MAXIMUM_LENGTH = 16384
"""Bytes of P-DATA that the core takes in one PDU."""

ACCEPTOR, REQUESTOR = 0, 1
"""Bit 0 of the first byte."""

VERIFICATION = "1.2.840.10008.1.1"
STORAGE = "1.2.840.10008.5.1.4.1.1."
SUPPORTED = ("1.2.840.10008.5", "1.2.840.10008.1.20.")
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"

PROPOSAL = AssociateRequest(
    called_aetitle="PEER",
    calling_aetitle="FUZZ",
    contexts=tuple(
        ProposedContext(id=number, abstract_syntax=uid, transfer_syntaxes=(EXPLICIT, IMPLICIT))
        for number, uid in (
            (1, VERIFICATION),
            (3, "1.2.840.10008.5.1.4.1.2.2.1"),
            (5, "1.2.840.10008.5.1.4.1.2.2.2"),
            (7, STORAGE + "4"),
        )
    ),
    user=UserInformation(
        maximum_length=MAXIMUM_LENGTH,
        implementation_class_uid="1.2.3",
        roles=(RoleSelection(sop_class_uid=STORAGE + "4", scu=True, scp=True),),
    ),
)

REJECTION = Rejection(result=1, source=1, reason=7)

_PDU_LENGTHS = {0x03: 4, 0x05: 4, 0x06: 4, 0x07: 4}
_ENDS = (events.Aborted, events.Released, events.Rejected)


class User:
    """Owns a core as the network layer does, and checks what comes out of it."""

    def __init__(self, behaviour: int) -> None:
        self.role = Role.REQUESTOR if behaviour & REQUESTOR else Role.ACCEPTOR
        self.on_request = behaviour >> 1 & 3  # accept, accept, reject, abort
        self.on_command = behaviour >> 3 & 3  # answer, answer with dataset, release, abort
        self.on_release = behaviour >> 5 & 1  # respond, abort
        self.on_end = behaviour >> 6 & 3  # close, release, abort, ARTIM expires
        self.core = Association(self.role, maximum_length=MAXIMUM_LENGTH)
        self.peer_maximum = 0
        self.dataset_of: int | None = None
        self.ended = False
        self.negotiated = False
        self.gone = False
        if self.role is Role.REQUESTOR:
            self.core.request(PROPOSAL)
        self.core.transport_opened()
        self.check_output()

    def feed(self, piece: bytes) -> None:
        """Hand the core the next bytes of the peer, as a buffer that is used again afterwards."""
        buffer = bytearray(piece)
        self.step(memoryview(buffer), len(piece))
        buffer[:] = bytes(len(buffer))
        steps = 1
        while self.core.unread:
            self.step(memoryview(b""), len(piece))
            steps += 1
        assert steps <= 1 + len(piece) // 24, "a step took less than it could"

    def step(self, data: memoryview, most: int) -> None:
        """Let the core do a step, and take what it tells."""
        gone = self.gone
        told = self.core.receive(data)
        assert not (gone and told), f"{told} after our abort"
        assert len(told) <= STEP + 1, "a step took more than it should"
        for event in told:
            self.take(event, most)
        self.check_core()
        self.check_output()

    def take(self, event: events.Event, most: int) -> None:
        """Check an event, and do what the local user would do."""
        if self.gone:  # it came with the one that made us abort
            return
        assert not self.ended, f"{event} after the end"
        if isinstance(event, events.Requested):
            self.negotiate(event.request)
        elif isinstance(event, events.Accepted):
            assert self.role is Role.REQUESTOR
            assert not self.negotiated
            self.negotiated = True
            self.peer_maximum = event.accept.user.maximum_length
            proposed = {one.id: one.transfer_syntaxes for one in PROPOSAL.contexts}
            for number, context in self.core.contexts.items():
                assert context.transfer_syntax in proposed[number]
            if self.core.contexts and self.core.is_established:
                self.ask(next(iter(self.core.contexts)))
        elif isinstance(event, events.CommandReceived):
            assert self.negotiated
            self.take_command(event)
        elif isinstance(event, events.DatasetFragment):
            assert self.dataset_of == event.context_id, "a fragment without its command"
            assert len(event.data) <= most, "fragments were joined"
            if event.last:
                self.dataset_of = None
        elif isinstance(event, events.ReleaseRequested):
            if self.on_release:
                self.abort()
            elif self.core.state is not State.COLLISION_ACCEPTOR_RP:
                self.core.respond_to_release()
        elif isinstance(event, events.Released) and self.core.state is not State.IDLE:
            # AR-10: the acceptor in a collision still owes its own response.
            self.core.respond_to_release()
            self.ended = True
        if isinstance(event, _ENDS):
            self.ended = True

    def abort(self) -> None:
        """Abort, and want to hear no more."""
        self.core.abort()
        self.gone = True

    def negotiate(self, request: AssociateRequest) -> None:
        """Accept, reject or abort."""
        assert self.role is Role.ACCEPTOR
        assert not self.negotiated
        self.negotiated = True
        self.peer_maximum = request.user.maximum_length
        again = decode_request(encode_request(request))
        assert again.contexts == request.contexts
        assert again.user.roles == request.user.roles
        assert again.user.extended == request.user.extended
        assert again.called_aetitle == request.called_aetitle
        if self.on_request == 2:
            self.core.reject(REJECTION)
        elif self.on_request == 3:
            self.abort()
        else:
            accept = answer(
                request,
                supports=lambda uid: uid == VERIFICATION or uid.startswith(SUPPORTED),
                choose=lambda _, proposed: next(iter(proposed), None),
                user=UserInformation(maximum_length=MAXIMUM_LENGTH),
            )
            assert len(accept.contexts) == len(request.contexts)
            self.core.accept(accept)
            assert set(self.core.contexts) <= set(abstract_syntaxes(request))

    def take_command(self, event: events.CommandReceived) -> None:
        """Check that the command can be written again, and answer it."""
        assert event.context_id in self.core.contexts
        assert self.dataset_of is None, "a command inside a dataset"
        command = event.command
        assert decode_command(encode_command(command)) == command
        if command.has_dataset:
            self.dataset_of = event.context_id
        if self.core.state not in (State.ESTABLISHED, State.AWAITING_LOCAL_RELEASE_RESPONSE):
            return
        if self.on_command == 3:
            self.abort()
        elif self.on_command == 2:
            if self.core.is_established:
                self.core.release()
        elif not command.is_response:
            identifier = bytes(40) if self.on_command else None
            response = response_to(command, 0, dataset=identifier is not None)
            self.core.send(event.context_id, response, identifier)

    def ask(self, context_id: int) -> None:
        """Send a request, its dataset in two parts."""
        request = Command(field=CommandField.C_FIND_RQ, message_id=1, dataset_type=DATASET)
        self.core.send(context_id, request)
        self.core.send_part(context_id, bytes(30), last=False)
        self.core.send_part(context_id, bytes(3), last=True)

    def end(self) -> None:
        """End it as the behaviour says, and close the transport."""
        core = self.core
        if self.on_end == 1 and core.state is State.ESTABLISHED:
            core.release()
        elif self.on_end == 2 and core.state.value in range(3, 13):
            core.abort()
        elif self.on_end == 3:
            core.artim_expired()
        self.check_output()
        for event in core.transport_closed():
            assert isinstance(event, events.Aborted), event
            assert not self.ended, f"{event} after the end"
        assert core.state is State.IDLE
        assert not core.artim_running
        assert core.receive(b"\x05\0\0\0\0\x04\0\0\0\0") == []
        assert core.take_output() == []

    def check_core(self) -> None:
        """Check that what is kept is bounded, and that the state fits what was told."""
        core = self.core
        assert len(core._incoming.reader._partial) <= MAXIMUM_ASSOCIATE_LENGTH
        assert len(core._messages._command) <= MAXIMUM_COMMAND_LENGTH
        if self.dataset_of is not None and core.is_established:
            assert core.mid_message
        assert core.state is not State.AWAITING_LOCAL_ASSOCIATE_RESPONSE, "never answered"
        if core.state is State.IDLE:
            assert core.close_transport
        if core.state is State.AWAITING_CLOSE:
            assert core.artim_running

    def check_output(self) -> None:
        """Check that the output is a row of whole PDUs, none longer than the peer takes."""
        written = self.core.take_output()
        if not written:
            return
        output, offset = b"".join(written), 0
        while offset < len(output):
            kind, reserved, length = struct.unpack_from(">BBL", output, offset)
            offset += 6
            assert 1 <= kind <= 7
            assert not reserved
            assert length == _PDU_LENGTHS.get(kind, length)
            if kind == 4:
                assert self.negotiated
                assert not self.peer_maximum or length <= self.peer_maximum
                value, context_id, control = struct.unpack_from(">LBB", output, offset)
                assert value + 4 == length
                assert context_id in self.core.contexts
                assert control < 4
            offset += length
        assert offset == len(output), "the output ends within a PDU"


def pieces(data: bytes, seed: int) -> list[bytes]:
    """Cut the bytes into pieces whose lengths follow from the seed.

    Unless its highest bit is set, the first PDU ends a piece: a peer waits there for the answer to
    its request. For seed 0 the rest is one piece; there are never more than some fifty.
    """
    cut, offset = [], 0
    if not seed & 0x80 and len(data) >= 6:
        offset = 6 + int.from_bytes(data[2:6], "big")
        if offset >= len(data):
            offset = 0
        else:
            cut = [data[:offset]]
    if not seed & 0x7F:
        return [*cut, data[offset:]]
    most = seed & 0x7F
    while offset < len(data) and len(cut) < 50:
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        # a few bytes at a time for some seeds, many for others
        length = 1 + (seed >> 8) % (7 if most < 16 else 8 * most)
        cut.append(data[offset : offset + length])
        offset += length
    return [*cut, data[offset:]]


def drive(data: bytes) -> None:
    """Run one input."""
    if len(data) < 2:
        return
    user = User(data[0])
    for piece in pieces(data[2:], data[1]):
        user.feed(piece)
    user.end()
