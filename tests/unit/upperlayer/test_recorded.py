"""What DCMTK, Orthanc and pynetdicom said when `tests.fuzz.record` listened, said again."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.upperlayer import CommandField, State, events
from tests.fuzz.record import CORPUS
from tests.fuzz.target import ACCEPTOR, REQUESTOR, User, drive, pieces

INPUTS = sorted(CORPUS.iterdir())


class Listener(User):
    """Remembers what it was told."""

    def __init__(self, behaviour: int) -> None:
        self.told: list[events.Event] = []
        super().__init__(behaviour)

    def take(self, event: events.Event, most: int) -> None:
        self.told.append(event)
        super().take(event, most)


def heard(path: Path, seed: int = 0) -> Listener:
    """Let a core hear a recording."""
    data = path.read_bytes()
    listener = Listener(data[0])
    for piece in pieces(data[2:], seed):
        listener.feed(piece)
    return listener


def commands(listener: Listener) -> list[int]:
    return [one.command.field for one in listener.told if isinstance(one, events.CommandReceived)]


def recorded(begin: str, end: str) -> list[Path]:
    found = [path for path in INPUTS if path.name.startswith(begin) and path.name.endswith(end)]
    assert found, f"nothing is recorded of {begin}"
    return found


def test_the_recordings_are_there():
    assert {path.read_bytes()[0] for path in INPUTS} == {ACCEPTOR, REQUESTOR}
    assert len(INPUTS) > 40


@pytest.mark.parametrize(
    ("begin", "fields"),
    [
        ("echoscu-to", [CommandField.C_ECHO_RQ]),
        ("echoscu-many", [CommandField.C_ECHO_RQ]),
        ("storescu", [CommandField.C_STORE_RQ]),
        ("dcmsend", [CommandField.C_STORE_RQ]),
        ("findscu", [CommandField.C_FIND_RQ]),
        ("movescu", [CommandField.C_MOVE_RQ]),
        ("orthanc-to-storescp", [CommandField.C_STORE_RQ]),
        ("dcmqrscp-to-storescp", [CommandField.C_STORE_RQ]),
    ],
)
@pytest.mark.parametrize("seed", [0, 5])
def test_an_acceptor_understands_what_they_ask(begin, fields, seed):
    for path in recorded(begin, "-requestor"):
        listener = heard(path, seed)
        assert commands(listener) == fields, path.name
        assert isinstance(listener.told[-1], events.ReleaseRequested)
        assert listener.core.state is State.AWAITING_CLOSE


def test_an_acceptor_understands_pynetdicom():
    echo, store = CommandField.C_ECHO_RQ, CommandField.C_STORE_RQ
    for path in recorded("pynetdicom", "-requestor"):
        assert commands(heard(path)) == [echo, store, CommandField.C_FIND_RQ], path.name


def test_both_understand_a_commitment_and_its_report_over_one_association():
    (asked,) = recorded("commit-by-pynetdicom-to-pynetdicom", "-requestor")
    (answered,) = recorded("commit-by-pynetdicom-to-pynetdicom", "-acceptor")
    assert commands(heard(asked)) == [CommandField.N_ACTION_RQ, CommandField.N_EVENT_REPORT_RSP]
    assert commands(heard(answered)) == [  # it was quicker to report than to answer
        CommandField.N_EVENT_REPORT_RQ,
        CommandField.N_ACTION_RSP,
    ]
    told = [one for one in heard(asked).told if isinstance(one, events.CommandReceived)]
    assert told[0].command.action_type_id == 1
    assert told[0].command.requested_sop_instance_uid == "1.2.840.10008.1.20.1.1"


def test_an_acceptor_understands_dcmtks_abort():
    (path,) = recorded("echoscu-abort", "-requestor")
    told = heard(path).told
    assert told[-1] == events.Aborted(0, "the peer aborted")


@pytest.mark.parametrize("server", ["orthanc", "dcmqrscp", "pynetdicom"])
@pytest.mark.parametrize(
    ("program", "field"),
    [
        ("echoscu", CommandField.C_ECHO_RSP),
        ("storescu", CommandField.C_STORE_RSP),
        ("dcmsend", CommandField.C_STORE_RSP),
        ("findscu", CommandField.C_FIND_RSP),
        ("movescu", CommandField.C_MOVE_RSP),
    ],
)
def test_a_requestor_understands_what_they_answer(server, program, field):
    for path in recorded(f"{program}-to-{server}", "-acceptor"):
        listener = heard(path)
        accepted = listener.told[0]
        assert isinstance(accepted, events.Accepted), path.name
        assert accepted.accept.user.implementation_class_uid
        if 1 in listener.core.contexts:
            assert set(commands(listener)) == {field}


@pytest.mark.parametrize("server", ["orthanc", "dcmqrscp"])
def test_a_requestor_understands_their_rejection(server):
    (path,) = recorded(f"echoscu-wrong-title-to-{server}", "-acceptor")
    (told,) = heard(path).told
    assert isinstance(told, events.Rejected)
    assert (told.rejection.result, told.rejection.source, told.rejection.reason) == (1, 1, 7)


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_the_fuzz_target_holds_for_every_behaviour_and_any_pieces(path):
    data = path.read_bytes()
    # every third of the behaviours, beginning elsewhere for the next recording: each of their bits
    # is set and unset, and many recordings have each behaviour
    behaviours = range(data[0] & 1, 256, 2)[INPUTS.index(path) % 3 :: 3]
    for number, behaviour in enumerate(behaviours):
        drive(bytes((behaviour, behaviour >> 4 if number % 2 else 0)) + data[2:])


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_the_fuzz_target_holds_for_any_bytes(data):
    drive(data)


@given(st.sampled_from(INPUTS), st.integers(0, 255), st.integers(0, 255), st.data())
@settings(max_examples=100, deadline=None)
def test_the_fuzz_target_holds_for_recordings_with_wrong_bytes(path, behaviour, seed, data):
    changed = bytearray(path.read_bytes()[:4096])
    changed[0] = (behaviour & 0xFE) | (changed[0] & 1)
    changed[1] = seed
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(2, len(changed) - 1))] = data.draw(st.integers(0, 255))
    drive(bytes(changed))
