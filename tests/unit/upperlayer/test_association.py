"""An acceptor and a requestor, wired in memory; and each alone with a peer that misbehaves."""

import gc
import struct
import weakref
from dataclasses import replace

import pytest

from node.upperlayer import (
    AssociateAccept,
    Association,
    Command,
    CommandField,
    ContextResult,
    LocalMistake,
    Rejection,
    Role,
    RoleSelection,
    State,
    UserInformation,
    response_to,
)
from node.upperlayer.dimse import DATASET
from node.upperlayer.events import (
    Aborted,
    Accepted,
    CommandReceived,
    DatasetFragment,
    Rejected,
    Released,
    ReleaseRequested,
    Requested,
)
from node.upperlayer.incoming import STEP
from node.upperlayer.messages import MAXIMUM_COMMAND_LENGTH
from tests.unit.upperlayer import wire
from tests.unit.upperlayer.wire import ACCEPT, LIMIT, PROPOSAL, acceptor, requestor, talk, types

ECHO_RQ = Command(
    field=CommandField.C_ECHO_RQ, message_id=1, affected_sop_class_uid=wire.VERIFICATION
)
STORE_RQ = Command(
    field=CommandField.C_STORE_RQ,
    message_id=2,
    affected_sop_class_uid=wire.MR,
    affected_sop_instance_uid="1.2.3",
    priority=0,
    dataset_type=DATASET,
)
RELEASE_RQ = wire.pdu(wire.RELEASE_RQ)


def pair(maximum: int = LIMIT, accept: AssociateAccept = ACCEPT) -> tuple[Association, Association]:
    """Return an established requestor and acceptor; both take `maximum` bytes in a PDU."""
    asks, answers = (Association(role, maximum_length=maximum) for role in Role)
    user = UserInformation(maximum_length=maximum)
    asks.request(replace(PROPOSAL, user=user))
    asks.transport_opened()
    answers.transport_opened()
    (asked,) = talk(asks, answers)[1]
    assert asked == Requested(replace(PROPOSAL, user=user))
    answers.accept(replace(accept, user=user))
    (told,) = talk(asks, answers)[0]
    assert told == Accepted(replace(accept, user=user))
    assert asks.is_established
    assert answers.is_established
    return asks, answers


def aborts(core: Association) -> list[bytes]:
    """Return the bodies of the A-ABORT PDUs that a core sends; it sends nothing else."""
    found = wire.pdus(wire.output(core))
    assert {kind for kind, _ in found} <= {wire.ABORT}
    return [body for _, body in found]


# Establishment


def test_both_know_the_accepted_contexts():
    asks, answers = pair()
    assert asks.contexts == answers.contexts == {one.id: one for one in ACCEPT.contexts}
    assert not asks.artim_running
    assert not answers.artim_running


def test_a_rejected_context_cannot_be_used():
    accept = AssociateAccept(
        called_aetitle="NODE",
        calling_aetitle="PEER",
        contexts=(
            ContextResult(id=1, result=0, transfer_syntax=wire.IMPLICIT),
            ContextResult(id=3, result=3, transfer_syntax=""),
        ),
    )
    for core in pair(accept=accept):
        assert set(core.contexts) == {1}
        with pytest.raises(LocalMistake, match="context 3 is not accepted"):
            core.send(3, STORE_RQ)
        assert core.take_output() == []


def test_a_context_that_was_not_proposed_cannot_be_used():
    core = requestor(established=False)
    told = core.receive(wire.ac(*wire.RESULTS, wire.answered(5, 0, wire.IMPLICIT)))
    assert types(told) == [Accepted]
    assert set(core.contexts) == {1, 3}


def test_roles_that_nobody_answers_stay_the_default_ones():
    """C-GET proposes the SCP role; an acceptor that says nothing has not agreed (D.3.3.4)."""
    role = RoleSelection(sop_class_uid=wire.MR, scu=True, scp=True)
    asks, answers = (Association(role_, maximum_length=LIMIT) for role_ in Role)
    asks.request(replace(PROPOSAL, user=UserInformation(roles=(role,))))
    asks.transport_opened()
    answers.transport_opened()
    (asked,) = talk(asks, answers)[1]
    assert asked.request.user.roles == (role,)
    answers.accept(ACCEPT)
    (told,) = talk(asks, answers)[0]
    assert told.accept.user.roles == ()


def test_roles_that_are_answered_are_told():
    role = RoleSelection(sop_class_uid=wire.MR, scu=False, scp=True)
    asks, answers = (Association(role_, maximum_length=LIMIT) for role_ in Role)
    asks.request(PROPOSAL)
    asks.transport_opened()
    answers.transport_opened()
    talk(asks, answers)
    answers.accept(replace(ACCEPT, user=UserInformation(roles=(role,))))
    (told,) = talk(asks, answers)[0]
    assert told.accept.user.roles == (role,)


REASONS = [(1, s, r) for s, rs in {1: (1, 2, 3, 7), 2: (1, 2), 3: (1, 2)}.items() for r in rs]


@pytest.mark.parametrize("result", [1, 2])
@pytest.mark.parametrize(("_", "source", "reason"), REASONS)
def test_a_rejection_says_why(_, result, source, reason):
    rejection = Rejection(result=result, source=source, reason=reason)
    asks, answers = requestor_and_acceptor()
    answers.reject(rejection)
    assert talk(asks, answers) == ([Rejected(rejection)], [])
    assert asks.state is State.IDLE
    assert asks.close_transport
    assert answers.state is State.AWAITING_CLOSE
    assert answers.artim_running
    assert answers.transport_closed() == []
    assert not answers.artim_running


def requestor_and_acceptor() -> tuple[Association, Association]:
    """Return both before the answer."""
    asks, answers = (Association(role, maximum_length=LIMIT) for role in Role)
    asks.request(PROPOSAL)
    asks.transport_opened()
    answers.transport_opened()
    assert types(talk(asks, answers)[1]) == [Requested]
    return asks, answers


@pytest.mark.parametrize("version", [0, 2, 0xFFFE])
def test_another_protocol_version_is_rejected_by_the_provider(version):
    core = acceptor(established=False)
    assert core.receive(wire.rq(version=version)) == []
    assert wire.output(core) == wire.rj(1, 2, 2)
    assert core.state is State.AWAITING_CLOSE
    assert core.artim_running


@pytest.mark.parametrize("version", [1, 3, 0xFFFF])
def test_a_peer_that_also_speaks_other_versions_is_served(version):
    assert types(acceptor(established=False).receive(wire.rq(version=version))) == [Requested]


@pytest.mark.parametrize("maximum", range(1, 7))
def test_a_peer_that_takes_no_data_is_not_associated_with(maximum):
    asked, answered = acceptor(established=False), requestor(established=False)
    assert types(asked.receive(wire.rq(maximum=maximum))) == [Aborted]
    assert aborts(asked) == [bytes(4)]
    assert types(answered.receive(wire.ac(maximum=maximum))) == [Aborted]
    assert aborts(answered) == [b"\0\0\2\6"]


def test_two_contexts_with_one_id_are_refused():
    core = acceptor(established=False)
    (told,) = core.receive(wire.rq(wire.CONTEXTS[0], wire.CONTEXTS[0]))
    assert "same ID" in told.reason


# Data


@pytest.mark.parametrize("maximum", [7, 8, 50, 128, 4096, 16384, 131072, 0, 0xFFFFFFFF])
@pytest.mark.parametrize("size", [0, 1, 500, 200_000])
def test_data_goes_both_ways_in_pdus_that_are_not_too_long(maximum, size):
    if maximum < 50 and size > 500:
        size = 5000
    data = bytes(n % 251 for n in range(size))
    for sender, receiver in (pair(maximum), pair(maximum)[::-1]):
        sender.send(3, STORE_RQ, data)
        stream = wire.output(sender)
        longest = maximum or 131072
        assert all(len(body) <= longest for _, body in wire.pdus(stream))
        command, *fragments = wire.told(receiver, stream)
        assert command == CommandReceived(3, STORE_RQ)
        assert b"".join(one.data for one in fragments) == data
        assert {type(one) for one in fragments} == {DatasetFragment}
        assert [one.last for one in fragments] == [False] * (len(fragments) - 1) + [True]
        assert not receiver.mid_message


def test_each_side_keeps_to_the_others_maximum():
    for core, own, peer in (
        (acceptor(maximum=50, peer=100), 50, 100),
        (requestor(maximum=50, peer=100), 50, 100),
    ):
        core.send(3, STORE_RQ, bytes(1000))
        assert max(len(body) for _, body in wire.pdus(wire.output(core))) == peer
        assert core.receive(struct.pack(">BBL", 4, 0, own)) == []
        fresh = acceptor(maximum=own) if core.role is Role.ACCEPTOR else requestor(maximum=own)
        assert types(fresh.receive(struct.pack(">BBL", 4, 0, own + 1))) == [Aborted]


def test_a_peer_without_a_limit_gets_pdus_of_a_sensible_length():
    core = acceptor(peer=0)
    core.send(3, STORE_RQ, bytes(1 << 20))
    lengths = [len(body) for _, body in wire.pdus(wire.output(core))]
    assert max(lengths) == 1 << 17


def test_a_dataset_can_be_sent_in_parts():
    asks, answers = pair(100)
    asks.send(3, STORE_RQ)
    for part, last in ((b"a" * 300, False), (b"", False), (b"b", False), (b"c" * 95, True)):
        asks.send_part(3, part, last=last)
    command, *fragments = talk(asks, answers)[1]
    assert command == CommandReceived(3, STORE_RQ)
    assert b"".join(one.data for one in fragments) == b"a" * 300 + b"b" + b"c" * 95
    assert [one.last for one in fragments].count(True) == 1
    assert fragments[-1].last


def test_small_pdus_are_few_objects():
    core = acceptor(peer=7)
    core.send(3, STORE_RQ)
    core.take_output()
    core.send_part(3, bytes(50_000), last=True)
    assert len(core.take_output()) == 1


def test_the_data_that_is_written_is_not_copied():
    core = acceptor(peer=0)
    data = bytes(100_000)
    core.send(3, STORE_RQ, data)
    assert core.take_output()[-1] is data


def test_an_answer_follows_its_request():
    asks, answers = pair()
    asks.send(1, ECHO_RQ)
    (told,) = talk(asks, answers)[1]
    answers.send(told.context_id, response_to(told.command, 0))
    (told,) = talk(asks, answers)[0]
    assert told.command.responding_to == 1
    assert told.command.status == 0


def test_many_messages_may_come_at_once():
    stream = wire.ECHO_PDU * 5 + wire.STORE_PDU + wire.pdu(4, wire.value(3, 2, b"ab")) + RELEASE_RQ
    expected = [CommandReceived] * 6 + [DatasetFragment, ReleaseRequested]
    assert types(wire.told(acceptor(), stream)) == expected


def test_command_and_dataset_may_share_a_pdu():
    body = wire.value(3, 3, wire.STORE) + wire.value(3, 0, b"a") + wire.value(3, 2, b"b")
    told = acceptor().receive(wire.pdu(4, body))
    assert types(told) == [CommandReceived, DatasetFragment, DatasetFragment]


def test_a_command_may_come_in_fragments():
    core = acceptor()
    for byte in wire.ECHO[:-1]:
        assert core.receive(wire.pdu(4, wire.value(1, 1, bytes((byte,))))) == []
        assert core.mid_message
    (told,) = core.receive(wire.pdu(4, wire.value(1, 3, wire.ECHO[-1:])))
    assert told == CommandReceived(1, ECHO_RQ)
    assert not core.mid_message


def test_the_middle_of_a_message_is_known():
    core = acceptor()
    assert not core.mid_message
    core.receive(wire.STORE_PDU[:1])
    assert core.mid_message  # within a PDU
    core.receive(wire.STORE_PDU[1:])
    assert core.mid_message  # between a command and its dataset
    core.receive(wire.pdu(4, wire.value(3, 0, b"ab")))
    assert core.mid_message  # between two fragments
    core.receive(wire.pdu(4, wire.value(3, 2, b"")))
    assert not core.mid_message


# Data that must not come


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        (wire.pdu(4, wire.value(5, 3, wire.ECHO)), "context 5 was not accepted"),
        (wire.pdu(4, wire.value(0, 2, b"ab")), "context 0 was not accepted"),
        (wire.pdu(4, wire.value(3, 2, b"ab")), "no command has announced"),
        (wire.ECHO_PDU + wire.pdu(4, wire.value(1, 2, b"ab")), "no command has announced"),
        (wire.STORE_PDU + wire.pdu(4, wire.value(1, 2, b"ab")), "no command has announced"),
        (wire.STORE_PDU + wire.ECHO_PDU, "before the dataset of the last one has ended"),
        (
            wire.pdu(4, wire.value(1, 1, wire.ECHO[:9]) + wire.value(3, 3, wire.ECHO[9:])),
            "in two presentation contexts",
        ),
        (
            wire.pdu(4, wire.value(1, 1, wire.ECHO[:9]) + wire.value(1, 2, b"ab")),
            "no command has announced",
        ),
        (wire.pdu(4, wire.value(1, 3, b"")), "no Command Field"),
        (wire.pdu(4, wire.value(1, 3, b"\x08\0\0\1\0\0\0\0")), "no Command Field"),
    ],
)
@pytest.mark.parametrize("make", [acceptor, requestor])
def test_data_that_makes_no_sense_aborts_the_association(make, stream, says):
    core = make()
    *_, told = core.receive(stream)
    assert isinstance(told, Aborted)
    assert says in told.reason
    assert told.source is None
    assert aborts(core) == [b"\0\0\2\6"]
    assert core.receive(wire.ECHO_PDU) == []
    assert core.take_output() == []


def test_a_command_set_of_more_than_16_kb_is_refused():
    core = acceptor(maximum=0)
    part = bytes(MAXIMUM_COMMAND_LENGTH // 4)
    for _ in range(4):
        assert core.receive(wire.pdu(4, wire.value(1, 1, part))) == []
    (told,) = core.receive(wire.pdu(4, wire.value(1, 1, b"x")))
    assert "a command set of more than 16384 bytes" in told.reason
    assert aborts(core) == [b"\0\0\2\6"]


def test_the_longest_command_set_is_taken():
    filling = MAXIMUM_COMMAND_LENGTH - len(wire.ECHO) - 8
    encoded = wire.ECHO + wire.element(0x5150, bytes(filling))
    assert len(encoded) == MAXIMUM_COMMAND_LENGTH
    (told,) = acceptor(maximum=0).receive(wire.pdu(4, wire.value(1, 3, encoded)))
    assert told == CommandReceived(1, ECHO_RQ)


# Steps: nothing that a peer sends is a long piece of work


def fragments(count, data=b"", control=0):
    """Return a store's command, and P-DATA-TF PDUs with so many fragments."""
    value = wire.value(3, control, data)
    in_each = LIMIT // len(value)
    whole, rest = divmod(count, in_each)
    pdus = [value * in_each] * whole + ([value * rest] if rest else [])
    return wire.STORE_PDU + b"".join(wire.pdu(4, body) for body in pdus)


def steps(core, stream):
    """Return what each step of receiving a stream takes: bytes, and events."""
    taken, data = [], stream
    while data or core.unread:
        before = len(core._incoming._rest) or len(data)
        told = core.receive(data)
        taken.append((before - len(core._incoming._rest), told))
        data = b""
    return taken


@pytest.mark.parametrize("data", [b"", b"x", b"0123456789"])
def test_a_step_takes_no_more_than_so_many_fragments(data):
    core = acceptor()
    taken = steps(core, fragments(5000, data))
    assert max(count for count, _ in taken[1:]) <= STEP * (6 + len(data)) + 6
    told = [event for _, events in taken for event in events]
    assert types(told) == [CommandReceived] + [DatasetFragment] * (5000 if data else 0)


def test_a_step_takes_few_commands_and_one_long_one():
    short = steps(acceptor(), wire.ECHO_PDU * 50)
    assert max(len(told) for _, told in short) <= STEP // 16
    assert sum(len(told) for _, told in short) == 50
    long = wire.ECHO + wire.element(0x5150, b"") * ((MAXIMUM_COMMAND_LENGTH - len(wire.ECHO)) // 8)
    long_pdu = wire.pdu(4, wire.value(1, 3, long))
    assert [len(told) for _, told in steps(acceptor(maximum=0), long_pdu * 3)] == [1, 1, 1]


def test_what_peers_send_is_a_step_for_each_read():
    stream = wire.STORE_PDU + wire.pdu(4, wire.value(3, 0, bytes(8186))) * 31
    assert len(steps(acceptor(), stream)) == 1


def test_what_is_left_of_a_step_does_not_depend_on_the_buffer():
    core = acceptor()
    buffer = bytearray(fragments(500, b"abc"))
    told = core.receive(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert core.unread
    told += wire.told(core, wire.pdu(4, wire.value(3, 2, b"end")))
    assert b"".join(event.data for event in told[1:]) == b"abc" * 500 + b"end"
    assert told[-1].last


def test_nothing_is_left_behind_what_breaks_an_association():
    core = acceptor()
    told = wire.told(core, fragments(100, b"abc") + b"\x63" + bytes(5000))
    assert types(told[-1:]) == [Aborted]
    assert not core.unread
    assert core.receive(b"more") == []


# Release


def test_a_release_ends_it_in_good_order():
    for first, second in (pair(), pair()[::-1]):
        first.release()
        assert talk(first, second) == ([], [ReleaseRequested()])
        second.respond_to_release()
        assert talk(first, second) == ([Released()], [])
        assert first.close_transport
        assert first.state is State.IDLE
        assert second.state is State.AWAITING_CLOSE
        assert second.artim_running
        assert first.transport_closed() == second.transport_closed() == []
        assert second.state is State.IDLE


def test_data_may_come_before_the_release_is_answered():
    asks, answers = pair()
    asks.send(3, STORE_RQ, b"abcd")
    assert len(talk(asks, answers)[1]) == 2
    asks.release()
    assert talk(asks, answers)[1] == [ReleaseRequested()]
    answers.send(3, response_to(STORE_RQ, 0))
    answers.respond_to_release()
    told = talk(asks, answers)[0]
    assert types(told) == [CommandReceived, Released]


def test_after_a_release_was_asked_for_no_data_is_sent():
    asks, _ = pair()
    asks.release()
    with pytest.raises(LocalMistake, match="AWAITING_RELEASE_RP"):
        asks.send(1, ECHO_RQ)


def test_both_may_ask_for_the_release_at_once():
    """PS3.8 9.2.3, collision: the requestor answers first."""
    asks, answers = pair()
    asks.release()
    answers.release()
    assert talk(asks, answers) == ([ReleaseRequested()], [ReleaseRequested()])
    assert asks.state is State.COLLISION_REQUESTOR_LOCAL
    assert answers.state is State.COLLISION_ACCEPTOR_RP
    with pytest.raises(LocalMistake):
        answers.respond_to_release()
    asks.respond_to_release()
    assert talk(asks, answers) == ([], [Released()])
    assert answers.state is State.COLLISION_ACCEPTOR_LOCAL
    assert not answers.close_transport
    answers.respond_to_release()
    assert talk(asks, answers) == ([Released()], [])
    assert asks.state is State.IDLE
    assert asks.close_transport
    assert answers.state is State.AWAITING_CLOSE
    assert answers.artim_running
    assert answers.transport_closed() == []


# Abort, and the transport's end


def test_either_may_abort():
    for first, second in (pair(), pair()[::-1]):
        first.abort()
        assert first.artim_running
        (told,) = talk(first, second)[1]
        assert told == Aborted(0, "the peer aborted")
        assert second.state is State.IDLE
        assert second.close_transport
        assert first.state is State.AWAITING_CLOSE
        assert first.transport_closed() == []


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        (0, "no reason given"),
        (1, "unrecognized PDU"),
        (2, "unexpected PDU"),
        (4, "unrecognized PDU parameter"),
        (5, "unexpected PDU parameter"),
        (6, "invalid PDU parameter value"),
        (77, "reason 77"),
    ],
)
def test_an_abort_of_the_peers_upper_layer_says_why(reason, says):
    (told,) = acceptor().receive(wire.pdu(wire.ABORT, bytes((0, 0, 2, reason))))
    assert told.source == 2
    assert told.reason.endswith(says)


def test_an_abort_of_a_source_that_is_none_is_the_peers():
    (told,) = acceptor().receive(wire.pdu(wire.ABORT, b"\0\0\1\2"))
    assert told == Aborted(1, "the peer aborted")


def test_an_abort_may_come_in_the_middle_of_a_dataset():
    core = acceptor()
    told = core.receive(wire.STORE_PDU + wire.pdu(4, wire.value(3, 0, b"ab")) + wire.pdu(7))
    assert types(told) == [CommandReceived, DatasetFragment, Aborted]


@pytest.mark.parametrize("make", [acceptor, requestor])
@pytest.mark.parametrize("established", [False, True])
def test_a_lost_connection_is_told_once(make, established):
    core = make(established=established)
    told = core.transport_closed()
    silent = make is acceptor and not established  # nobody knows of it yet
    assert types(told) == ([] if silent else [Aborted])
    assert core.state is State.IDLE
    assert not core.artim_running
    assert core.transport_closed() == []


def test_a_connection_that_never_opens_is_told():
    core = Association(Role.REQUESTOR, maximum_length=LIMIT)
    core.request(PROPOSAL)
    assert types(core.transport_closed()) == [Aborted]


def test_a_request_that_was_not_sent_is_aborted_without_a_word():
    core = Association(Role.REQUESTOR, maximum_length=LIMIT)
    core.request(PROPOSAL)
    core.abort()
    assert core.close_transport
    assert core.take_output() == []


# PDUs that must not come

UNEXPECTED = {
    "request": wire.rq(),
    "acceptance": wire.ac(),
    "rejection": wire.rj(),
    "release response": wire.pdu(wire.RELEASE_RP),
}


@pytest.mark.parametrize("make", [acceptor, requestor])
@pytest.mark.parametrize("name", UNEXPECTED)
def test_an_unexpected_pdu_aborts_the_association(make, name):
    core = make()
    (told,) = core.receive(UNEXPECTED[name])
    assert told.reason.startswith("an unexpected PDU of type")
    assert aborts(core) == [b"\0\0\2\2"]
    assert core.artim_running
    assert not core.mid_message


@pytest.mark.parametrize("make", [acceptor, requestor])
def test_a_pdu_of_no_type_is_aborted_as_unrecognized(make):
    core = make()
    assert types(core.receive(wire.pdu(0x99))) == [Aborted]
    assert aborts(core) == [b"\0\0\2\1"]


@pytest.mark.parametrize("stream", [wire.ECHO_PDU, wire.ac(), wire.rj(), RELEASE_RQ])
def test_whoever_begins_with_something_else_is_aborted(stream):
    core = acceptor(established=False)
    assert types(core.receive(stream)) == [Aborted]
    assert aborts(core) == [bytes(4)]


def test_what_is_ignored_after_the_end_is_not_told():
    core = acceptor()
    core.abort()
    assert core.receive(wire.ECHO_PDU + wire.STORE_PDU + RELEASE_RQ + wire.ac()) == []
    assert wire.output(core) == wire.pdu(wire.ABORT)
    core.receive(wire.rq())
    assert wire.output(core) == wire.pdu(wire.ABORT, b"\0\0\2\2")
    assert core.receive(wire.pdu(wire.ABORT)) == []
    assert core.close_transport


def test_an_abort_starts_the_timer_again_and_one_more_does_not():
    core = acceptor(established=False)
    assert core.artim_starts == 1
    core.receive(wire.ECHO_PDU)
    assert core.artim_starts == 2
    core.receive(wire.rq())
    assert core.artim_starts == 2
    core.artim_expired()
    assert core.close_transport
    assert not core.artim_running


@pytest.mark.parametrize("behind", [wire.ECHO_PDU, wire.pdu(7), wire.rq(), wire.pdu(0x99)])
def test_a_request_that_is_over_already_is_not_told(behind):
    """Nobody could answer it any more."""
    core = acceptor(established=False)
    assert types(core.receive(wire.rq() + behind)) == [Aborted]
    with pytest.raises(LocalMistake):
        core.accept(ACCEPT)


@pytest.mark.parametrize("behind", [wire.ECHO_PDU, wire.pdu(7), RELEASE_RQ, b"\x99" + bytes(5)])
def test_a_release_that_is_over_already_is_not_told(behind):
    core = acceptor()
    told = core.receive(wire.ECHO_PDU + RELEASE_RQ + behind)
    assert types(told) == [CommandReceived, Aborted]


def test_bytes_after_the_end_mean_nothing():
    core = acceptor()
    assert types(core.receive(wire.pdu(7) + wire.ECHO_PDU)) == [Aborted]
    assert core.receive(wire.ECHO_PDU) == []
    assert core.transport_closed() == []
    assert core.receive(wire.rq()) == []
    assert core.take_output() == []


def test_bytes_before_the_connection_mean_nothing():
    core = Association(Role.REQUESTOR, maximum_length=LIMIT)
    assert core.receive(wire.ac()) == []
    core.request(PROPOSAL)
    assert core.receive(wire.ac()) == []
    core.transport_opened()
    assert types(core.receive(wire.ac())) == [Accepted]


def test_an_acceptance_that_cannot_be_written_changes_nothing():
    core = acceptor(established=False)
    core.receive(wire.rq())
    long = UserInformation(extended=(("1.2", bytes(65536)),))
    with pytest.raises(LocalMistake):
        core.accept(replace(ACCEPT, user=long))
    core.accept(ACCEPT)
    assert core.is_established


def test_what_an_association_held_is_free_as_soon_as_it_is_forgotten():
    """Without waiting for the garbage collector: a flood of peers may leave a megabyte each."""
    core = acceptor(established=False)
    core.receive(wire.rq())
    core.accept(ACCEPT)
    core.receive(wire.ECHO_PDU + wire.STORE_PDU[:50])
    gc.disable()
    try:
        alive = weakref.ref(core)
        del core
        assert alive() is None
    finally:
        gc.enable()


# All of it


@pytest.mark.parametrize("pieces", [1, 3, 1000])
def test_a_whole_association_in_any_pieces(pieces):
    stream = wire.rq() + wire.ECHO_PDU + wire.STORE_PDU
    stream += wire.pdu(4, wire.value(3, 0, b"ab")) + wire.pdu(4, wire.value(3, 2, b"cd"))
    stream += RELEASE_RQ
    core, told = Association(Role.ACCEPTOR, maximum_length=LIMIT), []
    core.transport_opened()
    # The acceptance goes out before the rest comes.
    first = len(wire.rq())
    parts = [stream[:first]]
    parts += [stream[n : n + pieces] for n in range(first, len(stream), pieces)]
    for part in parts:
        for event in core.receive(part):
            told.append(event)
            if isinstance(event, Requested):
                core.accept(ACCEPT)
            elif isinstance(event, CommandReceived):
                core.send(event.context_id, response_to(event.command, 0))
            elif isinstance(event, ReleaseRequested):
                core.respond_to_release()
    kinds = [kind for kind, _ in wire.pdus(wire.output(core))]
    assert kinds == [wire.AC, wire.P_DATA, wire.P_DATA, wire.RELEASE_RP]
    assert b"".join(one.data for one in told if isinstance(one, DatasetFragment)) == b"abcd"
