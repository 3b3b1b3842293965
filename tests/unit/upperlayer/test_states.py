"""The state machine beside PS3.8 Table 9-10, and the core in every cell of it."""

from typing import NamedTuple

import pytest
from pynetdicom.fsm import TRANSITION_TABLE

from node.upperlayer import Association, Command, CommandField, LocalMistake, Rejection, Role
from node.upperlayer.events import (
    Aborted,
    Accepted,
    CommandReceived,
    Rejected,
    Released,
    ReleaseRequested,
    Requested,
)
from node.upperlayer.states import TRANSITIONS, Cause, State, after_collision
from tests.unit.upperlayer import wire

# PS3.8 Table 9-10: a row for each event, a column for each state.
TABLE_9_10 = """
        Sta1  Sta2  Sta3  Sta4  Sta5  Sta6  Sta7  Sta8  Sta9  Sta10 Sta11 Sta12 Sta13
Evt1    AE-1  .     .     .     .     .     .     .     .     .     .     .     .
Evt2    .     .     .     AE-2  .     .     .     .     .     .     .     .     .
Evt3    .     AA-1  AA-8  .     AE-3  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt4    .     AA-1  AA-8  .     AE-4  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt5    AE-5  .     .     .     .     .     .     .     .     .     .     .     .
Evt6    .     AE-6  AA-8  .     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
Evt7    .     .     AE-7  .     .     .     .     .     .     .     .     .     .
Evt8    .     .     AE-8  .     .     .     .     .     .     .     .     .     .
Evt9    .     .     .     .     .     DT-1  .     AR-7  .     .     .     .     .
Evt10   .     AA-1  AA-8  .     AA-8  DT-2  AR-6  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt11   .     .     .     .     .     AR-1  .     .     .     .     .     .     .
Evt12   .     AA-1  AA-8  .     AA-8  AR-2  AR-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt13   .     AA-1  AA-8  .     AA-8  AA-8  AR-3  AA-8  AA-8  AR-10 AR-3  AA-8  AA-6
Evt14   .     .     .     .     .     .     .     AR-4  AR-9  .     .     AR-4  .
Evt15   .     .     AA-1  AA-2  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  .
Evt16   .     AA-2  AA-3  .     AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-2
Evt17   .     AA-5  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AR-5
Evt18   .     AA-2  .     .     .     .     .     .     .     .     .     .     AA-2
Evt19   .     AA-1  AA-8  .     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
"""


class Does(NamedTuple):
    """What an action does to the outside (PS3.8 Tables 9-6 to 9-9)."""

    next: int
    sends: tuple[int, ...] = ()
    tells: tuple[type, ...] = ()
    artim: bool | None = None  # None: as it was
    closes: bool = False


ACTIONS = {
    "AE-1": Does(4),
    "AE-2": Does(5, sends=(wire.RQ,)),
    "AE-3": Does(6, tells=(Accepted,)),
    "AE-4": Does(1, tells=(Rejected,), closes=True),
    "AE-5": Does(2, artim=True),
    "AE-6": Does(3, tells=(Requested,), artim=False),
    "AE-7": Does(6, sends=(wire.AC,)),
    "AE-8": Does(13, sends=(wire.RJ,), artim=True),
    "DT-1": Does(6, sends=(wire.P_DATA,)),
    "DT-2": Does(6, tells=(CommandReceived,)),
    "AR-1": Does(7, sends=(wire.RELEASE_RQ,)),
    "AR-2": Does(8, tells=(ReleaseRequested,)),
    "AR-3": Does(1, tells=(Released,), closes=True),
    "AR-4": Does(13, sends=(wire.RELEASE_RP,), artim=True),
    "AR-5": Does(1, artim=False),
    "AR-6": Does(7, tells=(CommandReceived,)),
    "AR-7": Does(8, sends=(wire.P_DATA,)),
    "AR-8": Does(9, tells=(ReleaseRequested,)),  # of the requestor; the acceptor: Sta10
    "AR-9": Does(11, sends=(wire.RELEASE_RP,)),
    "AR-10": Does(12, tells=(Released,)),
    "AA-1": Does(13, sends=(wire.ABORT,), artim=True),
    "AA-2": Does(1, artim=False, closes=True),
    "AA-3": Does(1, tells=(Aborted,), closes=True),
    "AA-4": Does(1, tells=(Aborted,)),
    "AA-5": Does(1, artim=False),
    "AA-6": Does(13),
    "AA-7": Does(13, sends=(wire.ABORT,)),
    "AA-8": Does(13, sends=(wire.ABORT,), tells=(Aborted,), artim=True),
}


def cells() -> dict[tuple[int, int], str]:
    """Return the table's actions by state and event; '' where it is empty."""
    head, *rows = TABLE_9_10.strip().splitlines()
    states = [int(name.removeprefix("Sta")) for name in head.split()]
    return {
        (state, int(name.removeprefix("Evt"))): "" if cell == "." else cell
        for name, *row in map(str.split, rows)
        for state, cell in zip(states, row, strict=True)
    }


CELLS = cells()


def test_the_text_has_every_state_and_event():
    assert len(CELLS) == 13 * 19
    assert set(CELLS.values()) - {""} == set(ACTIONS)


@pytest.mark.parametrize(("state", "event"), list(CELLS), ids=str)
def test_the_table_says_what_the_standard_says(state, event):
    expected = CELLS[state, event]
    if not expected:
        assert (State(state), Cause(event)) not in TRANSITIONS
        return
    action, after = TRANSITIONS[State(state), Cause(event)]
    assert action.name.replace("_", "-") == expected
    assert after.value == ACTIONS[expected].next


def test_the_table_agrees_with_pynetdicoms():
    theirs = {
        (int(state.removeprefix("Sta")), int(event.removeprefix("Evt"))): action
        for (event, state), action in TRANSITION_TABLE.items()
    }
    assert theirs == {cell: action for cell, action in CELLS.items() if action}


def test_after_a_collision_the_requestor_answers_first():
    assert after_collision(Role.REQUESTOR) is State.COLLISION_REQUESTOR_LOCAL
    assert after_collision(Role.ACCEPTOR) is State.COLLISION_ACCEPTOR_RP


# The core itself, by bytes and calls only

BOTH = (Role.REQUESTOR, Role.ACCEPTOR)
ROLES = {
    1: BOTH, 2: (Role.ACCEPTOR,), 3: (Role.ACCEPTOR,), 4: (Role.REQUESTOR,),
    5: (Role.REQUESTOR,), 6: BOTH, 7: BOTH, 8: BOTH, 9: (Role.REQUESTOR,),
    10: (Role.ACCEPTOR,), 11: (Role.REQUESTOR,), 12: (Role.ACCEPTOR,), 13: BOTH,
}  # fmt: skip
RELEASE_RQ = wire.pdu(wire.RELEASE_RQ)
RELEASE_RP = wire.pdu(wire.RELEASE_RP)
ECHO_RQ = Command(field=CommandField.C_ECHO_RQ, message_id=1)


def core_in(state: int, role: Role) -> Association:
    """Bring a core to a state the way it gets there."""
    core = Association(role, maximum_length=wire.LIMIT)
    if state == 1:
        return core
    if role is Role.REQUESTOR:
        core.request(wire.PROPOSAL)
        if state == 4:
            return core
        core.transport_opened()
        if state == 5:
            return emptied(core)
        core.receive(wire.ac())
    else:
        core.transport_opened()
        if state == 2:
            return core
        core.receive(wire.rq())
        if state == 3:
            return core
        core.accept(wire.ACCEPT)
    if state in (7, 9, 10, 11, 12):
        core.release()
    if state in (8, 9, 10, 11, 12, 13):
        core.receive(RELEASE_RQ)
    if state in (11, 13):
        core.respond_to_release()
    if state == 12:
        core.receive(RELEASE_RP)
    return emptied(core)


def emptied(core: Association) -> Association:
    core.take_output()
    return core


def happen(core: Association, event: int) -> list:
    """Let an event happen; return what is told."""
    pdus = {
        3: wire.ac(), 4: wire.rj(), 6: wire.rq(), 10: wire.ECHO_PDU, 12: RELEASE_RQ,
        13: RELEASE_RP, 16: wire.pdu(wire.ABORT), 19: wire.pdu(0x99),
    }  # fmt: skip
    calls = {
        1: lambda: core.request(wire.PROPOSAL),
        2: core.transport_opened,
        5: core.transport_opened,
        7: lambda: core.accept(wire.ACCEPT),
        8: lambda: core.reject(Rejection(result=1, source=1, reason=1)),
        9: lambda: core.send(1, ECHO_RQ),
        11: core.release,
        14: core.respond_to_release,
        15: core.abort,
        17: core.transport_closed,
        18: core.artim_expired,
    }
    if event in pdus:
        return core.receive(pdus[event])
    return calls[event]() or []


def cases():
    for (state, event), action in CELLS.items():
        for role in ROLES[state]:
            # The call that opens the transport is Evt2 for one role, and Evt5 for the other;
            # only one of them asks.
            if (event, role) in {(1, Role.ACCEPTOR), (2, Role.ACCEPTOR), (5, Role.REQUESTOR)}:
                continue
            yield pytest.param(state, event, role, action, id=f"Sta{state}-Evt{event}-{role.name}")


@pytest.mark.parametrize(("state", "event", "role", "action"), list(cases()))
def test_the_core_does_in_every_cell_what_the_standard_says(state, event, role, action):
    core = core_in(state, role)
    assert core.state.value == state
    artim, starts = core.artim_running, core.artim_starts
    if not action:
        told = nothing_or_mistake(core, event)
        assert told == []
        assert wire.output(core) == b""
        assert (core.state.value, core.artim_running, core.artim_starts) == (state, artim, starts)
        assert not core.close_transport
        return
    told = happen(core, event)
    does = ACTIONS[action]
    after = 10 if action == "AR-8" and role is Role.ACCEPTOR else does.next
    assert core.state.value == after
    assert tuple(kind for kind, _ in wire.pdus(wire.output(core))) == does.sends
    # The standard has nobody to tell in AA-1; our user is told what the peer did.
    extra = (Aborted,) if action == "AA-1" and event != 15 else ()
    assert tuple(wire.types(told)) == does.tells + extra
    # Whoever closes has nothing more to wait for.
    running = False if after == 1 else artim if does.artim is None else does.artim
    assert core.artim_running is running
    assert core.artim_starts == starts + (does.artim is True)
    assert core.close_transport is does.closes


def nothing_or_mistake(core: Association, event: int) -> list:
    """An empty cell: bytes and time mean nothing there, a call is a mistake."""
    if event in (3, 4, 6, 10, 12, 13, 16, 17, 18, 19):
        return happen(core, event)
    with pytest.raises(LocalMistake):
        happen(core, event)
    return []


def test_an_acceptor_does_not_ask():
    with pytest.raises(LocalMistake, match="acceptor"):
        Association(Role.ACCEPTOR, maximum_length=0).request(wire.PROPOSAL)


@pytest.mark.parametrize("state", range(2, 14))
def test_the_source_of_an_abort_is_the_provider_only_where_the_table_says_so(state):
    core = core_in(state, ROLES[state][0])
    core.receive(wire.pdu(0x99))
    sent = wire.pdus(wire.output(core))
    action = CELLS[state, 19]
    expected = {"AA-1": bytes(4), "AA-7": b"\0\0\2\1", "AA-8": b"\0\0\2\1", "": None}[action]
    assert sent == ([] if expected is None else [(wire.ABORT, expected)])
