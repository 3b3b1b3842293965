"""One association, without any I/O: bytes and requests in, bytes and events out.

    association = Association(Role.ACCEPTOR, maximum_length=131072)
    association.transport_opened()
    for event in association.receive(data):
        ...
    transport.write(association.take_output())

Whoever owns the transport writes `take_output()` after each call, receives again while bytes
are `unread`, closes it when `close_transport` is set, and runs the ARTIM timer while
`artim_running` is (PS3.8 9.1.5), from the beginning whenever `artim_starts` has another value.
"""

from collections.abc import Mapping

from node.upperlayer import events
from node.upperlayer.aborts import abort_of
from node.upperlayer.associate import (
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    Rejection,
    accepted_contexts,
)
from node.upperlayer.associate_pdus import (
    decode_accept,
    decode_request,
    encode_accept,
    encode_request,
)
from node.upperlayer.dimse import Command, encode_command
from node.upperlayer.errors import InvalidPDU, LocalMistake, UnrecognizedPDU
from node.upperlayer.framing import PDU, Fragment, PDUType
from node.upperlayer.incoming import STEP, STEP_OF_REQUESTOR, Incoming
from node.upperlayer.machine import CAUSES, Machine
from node.upperlayer.messages import Messages
from node.upperlayer.sending import Outgoing, usable_maximum
from node.upperlayer.states import Action, Cause, Role, State, after_collision

# PS3.8 9.3.8, of the upper layer as the source
_UNRECOGNIZED = 1
_UNEXPECTED = 2
_INVALID_PARAMETER = 6

_DEAF = (State.IDLE, State.AWAITING_TRANSPORT)
"""The states without a transport connection."""

_ASKING = (events.Requested, events.ReleaseRequested)
"""The indications that the local user has to answer."""

_PROTOCOL_VERSION_NOT_SUPPORTED = Rejection(result=1, source=2, reason=2)


class Association(Machine):
    """The state of one association, for either role.

    Parameters
    ----------
    role
        Who asked for it.
    maximum_length
        Bytes of P-DATA that we take in one PDU (PS3.8 D.1): what we told the peer.

    Attributes
    ----------
    contexts
        The accepted presentation contexts by their ID.
    """

    def __init__(self, role: Role, *, maximum_length: int) -> None:
        super().__init__(role)
        self.contexts: Mapping[int, ContextResult] = {}
        self._maximum_length = maximum_length
        self._incoming = Incoming(STEP if role is Role.ACCEPTOR else STEP_OF_REQUESTOR)
        self._outgoing = Outgoing()
        self._broken = False
        self._events: list[events.Event] = []
        self._proposal: AssociateRequest | None = None
        self._messages = Messages()
        self._latest_sent: tuple[Command, bytes] | None = None

    @property
    def mid_message(self) -> bool:
        """Whether the peer has begun a PDU or a message and not ended it."""
        return not self._incoming.reader.between_pdus or self._messages.unfinished

    @property
    def unread(self) -> bool:
        """Whether bytes were received that have not been taken yet: see `receive`."""
        return self._incoming.waiting and not self._deaf

    @property
    def _deaf(self) -> bool:
        """Whether nothing that comes means anything."""
        return self._broken or self.state in _DEAF

    def take_output(self) -> list[bytes]:
        """Return what is to be written to the transport, in order, and forget it."""
        return self._outgoing.take()

    # What the local user and the transport say

    def transport_opened(self) -> None:
        """Say that the transport connection is open (Evt2, Evt5)."""
        if self.role is Role.ACCEPTOR:
            self._step(Cause.TRANSPORT_INDICATION)
            return
        self._step(Cause.TRANSPORT_CONFIRM)
        assert self._proposal is not None, "the request comes first"  # noqa: S101
        self._outgoing.pdu(PDUType.ASSOCIATE_RQ, encode_request(self._proposal))

    def request(self, proposal: AssociateRequest) -> None:
        """Ask for an association; the transport is to be opened now (Evt1)."""
        if self.role is not Role.REQUESTOR:
            raise LocalMistake("an acceptor does not ask for an association")
        self._step(Cause.ASSOCIATE_REQUEST)
        self._proposal = proposal

    def accept(self, accept: AssociateAccept) -> None:
        """Accept the association that was requested (Evt7)."""
        body = encode_accept(accept)
        self._step(Cause.ASSOCIATE_ACCEPT)
        self._outgoing.pdu(PDUType.ASSOCIATE_AC, body)
        self._establish(accept)

    def reject(self, rejection: Rejection) -> None:
        """Reject the association that was requested (Evt8)."""
        self._step(Cause.ASSOCIATE_REJECT)
        self._send_rejection(rejection)

    def send(self, context_id: int, command: Command, dataset: bytes | None = None) -> None:
        """Send a message (Evt9): a command, and its dataset when it has one.

        Parameters
        ----------
        dataset
            None with a command that has a dataset: its parts follow by `send_part`.
        """
        self._require_context(context_id)
        self._step(Cause.P_DATA_REQUEST)
        if self._latest_sent is None or self._latest_sent[0] is not command:
            self._latest_sent = command, encode_command(command)
        encoded = self._latest_sent[1]  # of the responses to one C-FIND all but the last are equal
        self._outgoing.data(context_id, encoded, command=True, last=True)
        if dataset is not None:
            self._outgoing.data(context_id, dataset, command=False, last=True)

    def send_part(self, context_id: int, data: bytes, *, last: bool) -> None:
        """Send the next bytes of the dataset whose command was sent (Evt9)."""
        self._require_context(context_id)
        self._step(Cause.P_DATA_REQUEST)
        self._outgoing.data(context_id, data, command=False, last=last)

    def release(self) -> None:
        """Ask for the end of the association (Evt11)."""
        self._step(Cause.RELEASE_REQUEST)
        self._outgoing.pdu(PDUType.RELEASE_RQ)

    def respond_to_release(self) -> None:
        """Agree to the end of the association (Evt14)."""
        action = self._step(Cause.RELEASE_RESPONSE)
        self._outgoing.pdu(PDUType.RELEASE_RP)
        if action is Action.AR_4:
            self._start_artim()

    def abort(self) -> None:
        """End the association at once (Evt15)."""
        if self._step(Cause.ABORT_REQUEST) is Action.AA_1:
            self._outgoing.pdu(PDUType.ABORT)
            self._start_artim()

    def transport_closed(self) -> list[events.Event]:
        """Say that the transport has been closed, by whomever (Evt17)."""
        if self.state is not State.IDLE and self._step(Cause.TRANSPORT_CLOSED) is Action.AA_4:
            self._tell(events.Aborted(None, "the connection was closed"))
        self._stop_artim()
        return self._take_events()

    def artim_expired(self) -> None:
        """Say that the ARTIM timer has expired (Evt18)."""
        if self.artim_running:
            self._step(Cause.ARTIM_EXPIRED)

    def receive(self, data: bytes | bytearray | memoryview) -> list[events.Event]:
        """Take bytes that the peer has sent, and return what they mean.

        Only so much is taken at a time (`node.upperlayer.incoming`). While bytes are left, see
        `unread`, this is to be called again, without new ones; what is returned comes in order.

        Bytes that come before the transport is open or after the association is over mean
        nothing. What is returned can still be answered: an indication is not told when the
        bytes behind it ended the association.
        """
        if not self._deaf:
            try:
                for item in self._incoming.step(data):
                    if isinstance(item, Fragment):
                        self._on_fragment(item)
                    else:
                        self._on_pdu(item)
                    if self.state is State.IDLE:
                        break
            except InvalidPDU as error:
                self._broken = True
                self._on_invalid(error)
        return self._take_events()

    # What the peer says

    def _on_pdu(self, pdu: PDU) -> None:
        if pdu.kind is PDUType.ASSOCIATE_RQ and self.state is State.AWAITING_ASSOCIATE_RQ:
            self._on_request(decode_request(pdu.body))
            return
        if pdu.kind is PDUType.ASSOCIATE_AC and self.state is State.AWAITING_ASSOCIATE_RESPONSE:
            accept = decode_accept(pdu.body)
            self._outgoing.maximum = usable_maximum(accept.user.maximum_length)
            self._step(Cause.ASSOCIATE_AC_PDU)
            self._establish(accept)
            self._tell(events.Accepted(accept))
            return
        action = self._step(CAUSES[pdu.kind])
        if action is Action.AE_4:
            _, result, source, reason = pdu.body
            self._tell(events.Rejected(Rejection(result=result, source=source, reason=reason)))
            self._close()
        elif action is Action.AR_2:
            self._tell(events.ReleaseRequested())
        elif action is Action.AR_8:
            self.state = after_collision(self.role)
            self._tell(events.ReleaseRequested())
        elif action is Action.AR_3:
            self._tell(events.Released())
            self._close()
        elif action is Action.AR_10:
            self._tell(events.Released())
        elif action is Action.AA_3:
            self._tell(abort_of(pdu.body))
            self._close()
        else:
            self._break_off(
                action, f"an unexpected PDU of type 0x{pdu.kind:02X}", reason=_UNEXPECTED
            )

    def _on_request(self, request: AssociateRequest) -> None:
        self._outgoing.maximum = usable_maximum(request.user.maximum_length)
        self._stop_artim()
        self._step(Cause.ASSOCIATE_RQ_PDU)
        self._proposal = request
        if request.protocol_version & 1:  # PS3.8 9.3.2: each version has a bit
            self._tell(events.Requested(request))
            return
        # AE-6: the service provider itself rejects.
        self.state = State.AWAITING_CLOSE
        self._send_rejection(_PROTOCOL_VERSION_NOT_SUPPORTED)

    def _on_fragment(self, fragment: Fragment) -> None:
        action = self._step(Cause.P_DATA_PDU)
        if action not in (Action.DT_2, Action.AR_6):
            self._break_off(action, "data where none is expected", reason=_UNEXPECTED)
            return
        if fragment.context_id not in self.contexts:
            raise InvalidPDU(f"presentation context {fragment.context_id} was not accepted")
        event = self._messages.take(fragment)
        if event is not None:
            self._tell(event)

    def _on_invalid(self, error: InvalidPDU) -> None:
        action = self._step(Cause.INVALID_PDU)
        reason = _UNRECOGNIZED if isinstance(error, UnrecognizedPDU) else _INVALID_PARAMETER
        self._break_off(action, str(error), reason=reason)

    def _break_off(self, action: Action, why: str, *, reason: int) -> None:
        """Abort because of what the peer has sent (AA-1, AA-7, AA-8)."""
        if action in (Action.AA_6, Action.AA_2):
            return
        provider = action is not Action.AA_1
        self._outgoing.pdu(PDUType.ABORT, bytes((0, 0, 2, reason)) if provider else bytes(4))
        if action is not Action.AA_7:
            self._start_artim()
            self._tell(events.Aborted(None, why))

    def _establish(self, accept: AssociateAccept) -> None:
        assert self._proposal is not None, "there is nothing to accept"  # noqa: S101
        self.contexts = accepted_contexts(self._proposal.contexts, accept.contexts)
        self._incoming.reader.data_limit = self._maximum_length or (1 << 32)

    def _require_context(self, context_id: int) -> None:
        if context_id not in self.contexts:
            raise LocalMistake(f"presentation context {context_id} is not accepted")

    def _send_rejection(self, rejection: Rejection) -> None:
        body = bytes((0, rejection.result, rejection.source, rejection.reason))
        self._outgoing.pdu(PDUType.ASSOCIATE_RJ, body)
        self._start_artim()

    def _tell(self, event: events.Event) -> None:
        if isinstance(event, events.Aborted):
            self._events = [told for told in self._events if not isinstance(told, _ASKING)]
        self._events.append(event)

    def _take_events(self) -> list[events.Event]:
        told, self._events = self._events, []
        return told
