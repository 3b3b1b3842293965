"""PDUs and command sets written by hand from PS3.8 section 9.3 and PS3.7 section 6.3.

Nothing of `node.upperlayer` encodes here, so that the tests compare with something else.
"""

import struct
from collections.abc import Iterable

from node.upperlayer import (
    AssociateAccept,
    AssociateRequest,
    Association,
    ContextResult,
    ProposedContext,
    Role,
    UserInformation,
)
from node.upperlayer.events import Event

VERIFICATION = "1.2.840.10008.1.1"
MR = "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
JPEG = "1.2.840.10008.1.2.4.50"
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

RQ, AC, RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
LIMIT = 16384


def pdu(kind: int, body: bytes = bytes(4)) -> bytes:
    """Return a PDU."""
    return struct.pack(">BBL", kind, 0, len(body)) + body


def item(kind: int, value: bytes) -> bytes:
    """Return an item or sub-item of an A-ASSOCIATE PDU."""
    return struct.pack(">BBH", kind, 0, len(value)) + value


def value(context_id: int, control: int, data: bytes) -> bytes:
    """Return a presentation data value; control: 1 command, 2 last."""
    return struct.pack(">LBB", len(data) + 2, context_id, control) + data


def fixed(called: str = "NODE", calling: str = "PEER", version: int = 1) -> bytes:
    """Return the fixed part of an A-ASSOCIATE-RQ or -AC."""
    titles = called.encode().ljust(16) + calling.encode().ljust(16)
    return struct.pack(">HH", version, 0) + titles + bytes(32)


def user(*sub_items: bytes, maximum: int = LIMIT) -> bytes:
    """Return a user information item."""
    return item(0x50, item(0x51, struct.pack(">L", maximum)) + b"".join(sub_items))


def proposed(number: int, abstract: str, *syntaxes: str) -> bytes:
    """Return a proposed presentation context."""
    parts = [item(0x40, uid.encode()) for uid in syntaxes]
    return item(0x20, bytes((number, 0, 0, 0)) + item(0x30, abstract.encode()) + b"".join(parts))


def answered(number: int, result: int, syntax: str) -> bytes:
    """Return an answered presentation context."""
    return item(0x21, bytes((number, 0, result, 0)) + item(0x40, syntax.encode()))


CONTEXTS = (proposed(1, VERIFICATION, IMPLICIT), proposed(3, MR, EXPLICIT, IMPLICIT))
RESULTS = (answered(1, 0, IMPLICIT), answered(3, 0, EXPLICIT))


def rq(*contexts: bytes, version: int = 1, users: bytes = b"", maximum: int = LIMIT) -> bytes:
    """Return an A-ASSOCIATE-RQ PDU."""
    parts = fixed(version=version) + item(0x10, APPLICATION_CONTEXT.encode())
    return pdu(RQ, parts + b"".join(contexts or CONTEXTS) + (users or user(maximum=maximum)))


def ac(*results: bytes, maximum: int = LIMIT) -> bytes:
    """Return an A-ASSOCIATE-AC PDU."""
    parts = fixed() + item(0x10, APPLICATION_CONTEXT.encode())
    return pdu(AC, parts + b"".join(results or RESULTS) + user(maximum=maximum))


def rj(result: int = 1, source: int = 1, reason: int = 7) -> bytes:
    """Return an A-ASSOCIATE-RJ PDU."""
    return pdu(RJ, bytes((0, result, source, reason)))


def element(number: int, content: bytes) -> bytes:
    """Return an element of group 0000, its content as it is."""
    return struct.pack("<HHL", 0, number, len(content)) + content


def us(number: int, content: int) -> bytes:
    """Return an element of group 0000 with VR US."""
    return element(number, struct.pack("<H", content))


def command_set(*elements: bytes) -> bytes:
    """Return a command set with its group length."""
    body = b"".join(elements)
    return element(0, struct.pack("<L", len(body))) + body


ECHO = command_set(
    element(0x0002, VERIFICATION.encode() + b"\0"), us(0x0100, 0x0030), us(0x0110, 1),
    us(0x0800, 0x0101),
)  # fmt: skip
STORE = command_set(
    element(0x0002, MR.encode() + b"\0"), us(0x0100, 1), us(0x0110, 2), us(0x0700, 0),
    us(0x0800, 1), element(0x1000, b"1.2.3\0"),
)  # fmt: skip
ECHO_PDU = pdu(P_DATA, value(1, 3, ECHO))
STORE_PDU = pdu(P_DATA, value(3, 3, STORE))

PROPOSAL = AssociateRequest(
    called_aetitle="NODE",
    calling_aetitle="PEER",
    contexts=(
        ProposedContext(id=1, abstract_syntax=VERIFICATION, transfer_syntaxes=(IMPLICIT,)),
        ProposedContext(id=3, abstract_syntax=MR, transfer_syntaxes=(EXPLICIT, IMPLICIT)),
    ),
    user=UserInformation(maximum_length=LIMIT, implementation_class_uid="1.2.3"),
)
ACCEPT = AssociateAccept(
    called_aetitle="NODE",
    calling_aetitle="PEER",
    contexts=(
        ContextResult(id=1, result=0, transfer_syntax=IMPLICIT),
        ContextResult(id=3, result=0, transfer_syntax=EXPLICIT),
    ),
    user=UserInformation(maximum_length=LIMIT, implementation_class_uid="1.2.3"),
)


def output(core: Association) -> bytes:
    """Return what the core has to say."""
    return b"".join(core.take_output())


def pdus(stream: bytes) -> list[tuple[int, bytes]]:
    """Cut a stream into types and bodies; fails unless it ends with a PDU."""
    found, offset = [], 0
    while offset < len(stream):
        kind, length = struct.unpack_from(">BxL", stream, offset)
        body = stream[offset + 6 : offset + 6 + length]
        assert len(body) == length, "the stream ends within a PDU"
        found.append((kind, body))
        offset += 6 + length
    return found


def values(stream: bytes) -> list[tuple[int, int, bytes]]:
    """Return context, control and data of every presentation data value."""
    found = []
    for kind, body in pdus(stream):
        assert kind == P_DATA
        offset = 0
        while offset < len(body):
            length, context_id, control = struct.unpack_from(">LBB", body, offset)
            found.append((context_id, control, body[offset + 6 : offset + 4 + length]))
            offset += 4 + length
    return found


def acceptor(*, established: bool = True, maximum: int = LIMIT, peer: int = LIMIT) -> Association:
    """Return an acceptor's core, its output taken."""
    core = Association(Role.ACCEPTOR, maximum_length=maximum)
    core.transport_opened()
    if established:
        core.receive(rq(maximum=peer))
        core.accept(ACCEPT)
        core.take_output()
    return core


def requestor(*, established: bool = True, maximum: int = LIMIT, peer: int = LIMIT) -> Association:
    """Return a requestor's core, its output taken."""
    core = Association(Role.REQUESTOR, maximum_length=maximum)
    core.request(PROPOSAL)
    core.transport_opened()
    if established:
        core.receive(ac(maximum=peer))
    core.take_output()
    return core


def told(core: Association, data: bytes) -> list[Event]:
    """Let a core receive bytes, step by step to the last one; return what it tells."""
    found = core.receive(data)
    while core.unread:
        found += core.receive(b"")
    return found


def talk(a: Association, b: Association) -> tuple[list[Event], list[Event]]:
    """Carry what both have to say, until neither has anything; return what each was told."""
    told_a: list[Event] = []
    told_b: list[Event] = []
    while True:
        from_a, from_b = output(a), output(b)
        if not from_a and not from_b:
            return told_a, told_b
        told_b += told(b, from_a)
        told_a += told(a, from_b)


def types(told: Iterable[Event]) -> list[type]:
    """Return the events' types."""
    return [type(event) for event in told]
