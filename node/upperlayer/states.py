"""The association's state machine as a table: PS3.8 section 9.2, Tables 9-1 to 9-10.

States, events and actions carry the standard's own numbers; what an action does is in
`node.upperlayer.association`. A pair of state and event that the table leaves empty cannot
happen: the local user has made a mistake.
"""

from enum import Enum, auto


class Role(Enum):
    """Who asked for the association."""

    REQUESTOR = auto()
    ACCEPTOR = auto()


class State(Enum):
    """PS3.8 Tables 9-1 to 9-5."""

    IDLE = 1
    """Sta1."""
    AWAITING_ASSOCIATE_RQ = 2
    """Sta2: transport connection open (acceptor), awaiting A-ASSOCIATE-RQ."""
    AWAITING_LOCAL_ASSOCIATE_RESPONSE = 3
    """Sta3: awaiting the local user's acceptance or rejection."""
    AWAITING_TRANSPORT = 4
    """Sta4: awaiting the transport connection to be opened (requestor)."""
    AWAITING_ASSOCIATE_RESPONSE = 5
    """Sta5: awaiting A-ASSOCIATE-AC or -RJ."""
    ESTABLISHED = 6
    """Sta6: ready for data transfer."""
    AWAITING_RELEASE_RP = 7
    """Sta7: we have asked for the release."""
    AWAITING_LOCAL_RELEASE_RESPONSE = 8
    """Sta8: the peer has asked for the release."""
    COLLISION_REQUESTOR_LOCAL = 9
    """Sta9: both asked; the requestor awaits its user's response."""
    COLLISION_ACCEPTOR_RP = 10
    """Sta10: both asked; the acceptor awaits A-RELEASE-RP."""
    COLLISION_REQUESTOR_RP = 11
    """Sta11: both asked; the requestor awaits A-RELEASE-RP."""
    COLLISION_ACCEPTOR_LOCAL = 12
    """Sta12: both asked; the acceptor awaits its user's response."""
    AWAITING_CLOSE = 13
    """Sta13: the association is over; awaiting the transport's end."""


class Cause(Enum):
    """What happens: the events Evt1 to Evt19 of PS3.8 Table 9-10."""

    ASSOCIATE_REQUEST = 1
    TRANSPORT_CONFIRM = 2
    ASSOCIATE_AC_PDU = 3
    ASSOCIATE_RJ_PDU = 4
    TRANSPORT_INDICATION = 5
    ASSOCIATE_RQ_PDU = 6
    ASSOCIATE_ACCEPT = 7
    ASSOCIATE_REJECT = 8
    P_DATA_REQUEST = 9
    P_DATA_PDU = 10
    RELEASE_REQUEST = 11
    RELEASE_RQ_PDU = 12
    RELEASE_RP_PDU = 13
    RELEASE_RESPONSE = 14
    ABORT_REQUEST = 15
    ABORT_PDU = 16
    TRANSPORT_CLOSED = 17
    ARTIM_EXPIRED = 18
    INVALID_PDU = 19


class Action(Enum):
    """PS3.8 Tables 9-6 to 9-9."""

    AE_1 = "open the transport connection"
    AE_2 = "send A-ASSOCIATE-RQ"
    AE_3 = "confirm the acceptance"
    AE_4 = "confirm the rejection, close the transport"
    AE_5 = "start ARTIM"
    AE_6 = "stop ARTIM, indicate the request or reject it"
    AE_7 = "send A-ASSOCIATE-AC"
    AE_8 = "send A-ASSOCIATE-RJ, start ARTIM"
    DT_1 = "send P-DATA-TF"
    DT_2 = "indicate the data"
    AR_1 = "send A-RELEASE-RQ"
    AR_2 = "indicate the release"
    AR_3 = "confirm the release, close the transport"
    AR_4 = "send A-RELEASE-RP, start ARTIM"
    AR_5 = "stop ARTIM"
    AR_6 = "indicate data that comes before the release"
    AR_7 = "send P-DATA-TF before the release"
    AR_8 = "indicate the release: a collision"
    AR_9 = "send A-RELEASE-RP"
    AR_10 = "confirm the release"
    AA_1 = "send A-ABORT as the service user, start ARTIM"
    AA_2 = "stop ARTIM, close the transport"
    AA_3 = "indicate the abort, close the transport"
    AA_4 = "indicate that the provider aborted"
    AA_5 = "stop ARTIM: the peer closed"
    AA_6 = "ignore the PDU"
    AA_7 = "send A-ABORT again"
    AA_8 = "send A-ABORT as the provider, indicate it, start ARTIM"


_S = State
_C = Cause
_A = Action

_OPEN = (
    State.AWAITING_ASSOCIATE_RESPONSE,
    State.ESTABLISHED,
    State.AWAITING_RELEASE_RP,
    State.AWAITING_LOCAL_RELEASE_RESPONSE,
    State.COLLISION_REQUESTOR_LOCAL,
    State.COLLISION_ACCEPTOR_RP,
    State.COLLISION_REQUESTOR_RP,
    State.COLLISION_ACCEPTOR_LOCAL,
)
"""Sta5 to Sta12: in these, what is not foreseen aborts the association (AA-8)."""

_PDUS = (
    Cause.ASSOCIATE_AC_PDU,
    Cause.ASSOCIATE_RJ_PDU,
    Cause.ASSOCIATE_RQ_PDU,
    Cause.P_DATA_PDU,
    Cause.RELEASE_RQ_PDU,
    Cause.RELEASE_RP_PDU,
    Cause.INVALID_PDU,
)


def _unforeseen() -> dict[tuple[State, Cause], tuple[Action, State]]:
    """Return what each PDU does where it does not belong, and how an association breaks off."""
    table: dict[tuple[State, Cause], tuple[Action, State]] = {}
    for pdu in _PDUS:
        table[_S.AWAITING_ASSOCIATE_RQ, pdu] = (_A.AA_1, _S.AWAITING_CLOSE)
        table[_S.AWAITING_LOCAL_ASSOCIATE_RESPONSE, pdu] = (_A.AA_8, _S.AWAITING_CLOSE)
        for state in _OPEN:
            table[state, pdu] = (_A.AA_8, _S.AWAITING_CLOSE)
        table[_S.AWAITING_CLOSE, pdu] = (_A.AA_6, _S.AWAITING_CLOSE)
    table[_S.AWAITING_CLOSE, _C.ASSOCIATE_RQ_PDU] = (_A.AA_7, _S.AWAITING_CLOSE)
    table[_S.AWAITING_CLOSE, _C.INVALID_PDU] = (_A.AA_7, _S.AWAITING_CLOSE)
    for state in (_S.AWAITING_LOCAL_ASSOCIATE_RESPONSE, *_OPEN):
        table[state, _C.ABORT_REQUEST] = (_A.AA_1, _S.AWAITING_CLOSE)
        table[state, _C.ABORT_PDU] = (_A.AA_3, _S.IDLE)
        table[state, _C.TRANSPORT_CLOSED] = (_A.AA_4, _S.IDLE)
    return table


TRANSITIONS: dict[tuple[State, Cause], tuple[Action, State]] = _unforeseen() | {
    # Association establishment (Table 9-6)
    (_S.IDLE, _C.ASSOCIATE_REQUEST): (_A.AE_1, _S.AWAITING_TRANSPORT),
    (_S.AWAITING_TRANSPORT, _C.TRANSPORT_CONFIRM): (_A.AE_2, _S.AWAITING_ASSOCIATE_RESPONSE),
    (_S.AWAITING_ASSOCIATE_RESPONSE, _C.ASSOCIATE_AC_PDU): (_A.AE_3, _S.ESTABLISHED),
    (_S.AWAITING_ASSOCIATE_RESPONSE, _C.ASSOCIATE_RJ_PDU): (_A.AE_4, _S.IDLE),
    (_S.IDLE, _C.TRANSPORT_INDICATION): (_A.AE_5, _S.AWAITING_ASSOCIATE_RQ),
    (_S.AWAITING_ASSOCIATE_RQ, _C.ASSOCIATE_RQ_PDU): (
        _A.AE_6,
        _S.AWAITING_LOCAL_ASSOCIATE_RESPONSE,
    ),
    (_S.AWAITING_LOCAL_ASSOCIATE_RESPONSE, _C.ASSOCIATE_ACCEPT): (_A.AE_7, _S.ESTABLISHED),
    (_S.AWAITING_LOCAL_ASSOCIATE_RESPONSE, _C.ASSOCIATE_REJECT): (_A.AE_8, _S.AWAITING_CLOSE),
    # Data transfer (Table 9-7)
    (_S.ESTABLISHED, _C.P_DATA_REQUEST): (_A.DT_1, _S.ESTABLISHED),
    (_S.ESTABLISHED, _C.P_DATA_PDU): (_A.DT_2, _S.ESTABLISHED),
    # Release (Table 9-8)
    (_S.ESTABLISHED, _C.RELEASE_REQUEST): (_A.AR_1, _S.AWAITING_RELEASE_RP),
    (_S.ESTABLISHED, _C.RELEASE_RQ_PDU): (_A.AR_2, _S.AWAITING_LOCAL_RELEASE_RESPONSE),
    (_S.AWAITING_RELEASE_RP, _C.RELEASE_RP_PDU): (_A.AR_3, _S.IDLE),
    (_S.COLLISION_REQUESTOR_RP, _C.RELEASE_RP_PDU): (_A.AR_3, _S.IDLE),
    (_S.AWAITING_LOCAL_RELEASE_RESPONSE, _C.RELEASE_RESPONSE): (_A.AR_4, _S.AWAITING_CLOSE),
    (_S.COLLISION_ACCEPTOR_LOCAL, _C.RELEASE_RESPONSE): (_A.AR_4, _S.AWAITING_CLOSE),
    (_S.AWAITING_CLOSE, _C.TRANSPORT_CLOSED): (_A.AR_5, _S.IDLE),
    (_S.AWAITING_RELEASE_RP, _C.P_DATA_PDU): (_A.AR_6, _S.AWAITING_RELEASE_RP),
    (_S.AWAITING_LOCAL_RELEASE_RESPONSE, _C.P_DATA_REQUEST): (
        _A.AR_7,
        _S.AWAITING_LOCAL_RELEASE_RESPONSE,
    ),
    # The next state of AR-8 depends on the role; see `after_collision`.
    (_S.AWAITING_RELEASE_RP, _C.RELEASE_RQ_PDU): (_A.AR_8, _S.COLLISION_REQUESTOR_LOCAL),
    (_S.COLLISION_REQUESTOR_LOCAL, _C.RELEASE_RESPONSE): (_A.AR_9, _S.COLLISION_REQUESTOR_RP),
    (_S.COLLISION_ACCEPTOR_RP, _C.RELEASE_RP_PDU): (_A.AR_10, _S.COLLISION_ACCEPTOR_LOCAL),
    # Abort (Table 9-9)
    (_S.AWAITING_TRANSPORT, _C.ABORT_REQUEST): (_A.AA_2, _S.IDLE),
    (_S.AWAITING_TRANSPORT, _C.TRANSPORT_CLOSED): (_A.AA_4, _S.IDLE),
    (_S.AWAITING_ASSOCIATE_RQ, _C.ABORT_PDU): (_A.AA_2, _S.IDLE),
    (_S.AWAITING_ASSOCIATE_RQ, _C.TRANSPORT_CLOSED): (_A.AA_5, _S.IDLE),
    (_S.AWAITING_ASSOCIATE_RQ, _C.ARTIM_EXPIRED): (_A.AA_2, _S.IDLE),
    (_S.AWAITING_CLOSE, _C.ABORT_PDU): (_A.AA_2, _S.IDLE),
    (_S.AWAITING_CLOSE, _C.ARTIM_EXPIRED): (_A.AA_2, _S.IDLE),
}
"""Action and next state by state and event: PS3.8 Table 9-10."""


def after_collision(role: Role) -> State:
    """Return the state after AR-8: both sides have asked for the release (PS3.8 Table 9-8)."""
    if role is Role.REQUESTOR:
        return State.COLLISION_REQUESTOR_LOCAL
    return State.COLLISION_ACCEPTOR_RP
