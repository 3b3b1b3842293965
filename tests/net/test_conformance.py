"""What the conformance statement says of associations is what is on the wire."""

import struct
from pathlib import Path

import pytest

from node.config import NodeSettings
from node.upperlayer import AssociateRequest, ProposedContext, UserInformation
from node.upperlayer.associate_pdus import decode_accept, encode_request
from node.upperlayer.framing import PDUType, frame
from tests.support import rawpeer
from tests.support.acceptors import acceptor
from tests.support.rawpeer import EXPLICIT, VERIFICATION, RawPeer

STATEMENT = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")


def row(name):
    """Return what a table says of something."""
    (found,) = [line for line in STATEMENT.splitlines() if line.startswith(f"| {name} |")]
    return found


async def test_an_asynchronous_operations_window_is_answered_with_one_operation_at_a_time():
    request = AssociateRequest(
        called_aetitle="PACS",
        calling_aetitle="ME",
        contexts=(
            ProposedContext(id=1, abstract_syntax=VERIFICATION, transfer_syntaxes=(EXPLICIT,)),
        ),
        user=UserInformation(asynchronous_window=(8, 8)),
    )
    async with acceptor() as pacs, await RawPeer.connect(pacs.port) as peer:
        peer.send(frame(PDUType.ASSOCIATE_RQ, encode_request(request)))
        kind, body = await peer.pdu()
    assert kind == PDUType.ASSOCIATE_AC
    assert decode_accept(body).user.asynchronous_window == (1, 1)
    assert "answered with 1/1 where it is proposed" in row("Asynchronous operations window")


EARLY = {
    "a request of too many items": rawpeer.associate_request()[:2]
    + struct.pack(">L", 68 + 4 * 2000)
    + rawpeer.associate_request()[6:74]
    + struct.pack(">BxH", 0x7F, 0) * 2000,
    "no type of PDU": b"\x99" * 6,
    "data before the association": rawpeer.echo(),
}
LATE = {
    "no type of PDU": (b"\x99" * 6, 1),
    "a second request": (rawpeer.associate_request(), 2),
    "a context that was not accepted": (rawpeer.echo(context_id=9), 6),
    "a PDU beyond the limit": (struct.pack(">BxL", PDUType.P_DATA, 1 << 20), 6),
}


@pytest.mark.parametrize("what", EARLY)
async def test_before_the_association_an_abort_has_source_0_and_reason_0(what):
    async with acceptor() as pacs, await RawPeer.connect(pacs.port) as peer:
        peer.send(EARLY[what])
        assert await peer.pdu() == (PDUType.ABORT, bytes((0, 0, 0, 0)))
    assert "AA-1: source 0 (service user) and reason 0" in STATEMENT


@pytest.mark.parametrize("what", LATE)
async def test_in_an_association_an_abort_is_the_provider_s_and_says_why(what):
    said, reason = LATE[what]
    async with acceptor() as pacs, await RawPeer.associated(pacs.port) as peer:
        peer.send(said)
        assert await peer.pdu() == (PDUType.ABORT, bytes((0, 0, 2, reason)))


def test_the_numbers_of_associations_are_the_defaults():
    node = NodeSettings()
    stated = row("Associations at once as an acceptor")
    for number, key in (
        (node.max_associations, "max_associations"),
        (node.max_associations_per_address, "max_associations_per_address"),
        (node.max_associations_per_aetitle, "max_associations_per_aetitle"),
    ):
        assert str(number) in stated[: stated.index(f"(`node.{key}`)")].rsplit(")", 1)[-1]
    assert f"| {node.max_unnegotiated} (" in row("Connections without an association")
