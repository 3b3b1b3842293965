"""What an A-ABORT PDU says (PS3.8 section 9.3.8)."""

from node.upperlayer.events import Aborted

_PROVIDER = 2

_REASONS = {
    0: "no reason given",
    1: "unrecognized PDU",
    2: "unexpected PDU",
    4: "unrecognized PDU parameter",
    5: "unexpected PDU parameter",
    6: "invalid PDU parameter value",
}
"""Of the upper layer as the source."""


def abort_of(body: bytes) -> Aborted:
    """Return what is told when the PDU comes with these four bytes behind its header."""
    _, _, source, reason = body
    if source != _PROVIDER:
        return Aborted(source, "the peer aborted")
    why = _REASONS.get(reason, f"reason {reason}")
    return Aborted(source, f"the peer's upper layer aborted: {why}")
