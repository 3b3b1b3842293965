"""Command sets: round trips, pynetdicom's and pydicom's codec beside ours, odd and hostile ones."""

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom import dimse_messages, dimse_primitives
from pynetdicom.dsutils import decode, encode

from node.upperlayer import Command, CommandField, InvalidCommand, response_to
from node.upperlayer.dimse import DATASET, NO_DATASET, decode_command, encode_command
from tests.unit.upperlayer.wire import ECHO, MR, STORE, command_set, element, us

KEYWORDS = {
    "affected_sop_class_uid": "AffectedSOPClassUID",
    "field": "CommandField",
    "message_id": "MessageID",
    "responding_to": "MessageIDBeingRespondedTo",
    "move_destination": "MoveDestination",
    "priority": "Priority",
    "dataset_type": "CommandDataSetType",
    "status": "Status",
    "error_comment": "ErrorComment",
    "affected_sop_instance_uid": "AffectedSOPInstanceUID",
    "remaining": "NumberOfRemainingSuboperations",
    "completed": "NumberOfCompletedSuboperations",
    "failed": "NumberOfFailedSuboperations",
    "warning": "NumberOfWarningSuboperations",
    "move_originator": "MoveOriginatorApplicationEntityTitle",
    "move_originator_message_id": "MoveOriginatorMessageID",
    "requested_sop_class_uid": "RequestedSOPClassUID",
    "requested_sop_instance_uid": "RequestedSOPInstanceUID",
    "event_type_id": "EventTypeID",
    "action_type_id": "ActionTypeID",
}

numbers = st.none() | st.integers(0, 65535)
components = st.integers(0, 10**8).map(str)
uids = st.none() | st.lists(components, min_size=1, max_size=6).map(lambda p: "1." + ".".join(p))
printable = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\")
titles = st.none() | st.text(printable, min_size=1, max_size=16)
commands = st.builds(
    Command,
    field=st.sampled_from(list(CommandField)).map(int) | st.integers(0, 65535),
    message_id=numbers,
    responding_to=numbers,
    affected_sop_class_uid=uids,
    affected_sop_instance_uid=uids,
    move_destination=titles,
    priority=numbers,
    dataset_type=st.sampled_from([DATASET, NO_DATASET, 0, 0xFEFE]),
    status=numbers,
    error_comment=st.none() | st.text(printable, min_size=1, max_size=64),
    remaining=numbers,
    completed=numbers,
    failed=numbers,
    warning=numbers,
    move_originator=titles,
    move_originator_message_id=numbers,
    requested_sop_class_uid=uids,
    requested_sop_instance_uid=uids,
    event_type_id=numbers,
    action_type_id=numbers,
)


@given(commands)
@settings(max_examples=200, deadline=None)
def test_a_command_comes_back_as_it_went(command):
    assert decode_command(encode_command(command)) == command


@given(commands)
@settings(max_examples=150, deadline=None)
def test_pydicom_reads_what_we_write(command):
    encoded = encode_command(command)
    read = decode(BytesIO(encoded), True, True)
    assert read.CommandGroupLength == len(encoded) - 12
    for name, keyword in KEYWORDS.items():
        assert read.get(keyword) == getattr(command, name)
    tags = [element.tag for element in read]
    assert tags == sorted(tags)


@given(commands)
@settings(max_examples=150, deadline=None)
def test_we_write_what_pydicom_writes_and_read_it(command):
    made = Dataset()
    for name, keyword in KEYWORDS.items():
        if (value := getattr(command, name)) is not None:
            setattr(made, keyword, value)
    made.CommandGroupLength = len(encode_command(command)) - 12
    encoded = encode(made, True, True)
    assert encoded == encode_command(command)
    assert decode_command(encoded) == command


def primitive(name: str, **values: object) -> object:
    made = getattr(dimse_primitives, name)()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


COMMITMENT, ONE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
REQUESTED = {"RequestedSOPClassUID": COMMITMENT, "RequestedSOPInstanceUID": ONE}
AFFECTED = {"AffectedSOPClassUID": COMMITMENT, "AffectedSOPInstanceUID": ONE}
STORE_UIDS = {"AffectedSOPClassUID": MR, "AffectedSOPInstanceUID": "1.2.3"}
SOP = {"AffectedSOPClassUID": "1.2.840.10008.5.1.4.1.2.2.1"}
COUNTS = {
    "NumberOfRemainingSuboperations": 4, "NumberOfCompletedSuboperations": 3,
    "NumberOfFailedSuboperations": 2, "NumberOfWarningSuboperations": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("message", "sent", "expected"),
    [
        (
            "C_ECHO_RQ",
            primitive("C_ECHO", MessageID=7, AffectedSOPClassUID="1.2.840.10008.1.1"),
            Command(
                field=0x0030, message_id=7, affected_sop_class_uid="1.2.840.10008.1.1"
            ),
        ),
        (
            "C_ECHO_RSP",
            primitive("C_ECHO", MessageIDBeingRespondedTo=7, Status=0),
            Command(field=0x8030, responding_to=7, status=0),
        ),
        (
            "N_ACTION_RQ",
            primitive(
                "N_ACTION", **REQUESTED, MessageID=1, ActionTypeID=1,
                ActionInformation=BytesIO(b"ab"),
            ),
            Command(
                field=0x0130, message_id=1, action_type_id=1, dataset_type=DATASET,
                requested_sop_class_uid=COMMITMENT, requested_sop_instance_uid=ONE,
            ),
        ),
        (
            "N_ACTION_RSP",
            primitive(
                "N_ACTION", **AFFECTED, MessageIDBeingRespondedTo=1, ActionTypeID=1, Status=0
            ),
            Command(
                field=0x8130, responding_to=1, action_type_id=1, status=0,
                affected_sop_class_uid=COMMITMENT, affected_sop_instance_uid=ONE,
            ),
        ),
        (
            "N_EVENT_REPORT_RQ",
            primitive(
                "N_EVENT_REPORT", **AFFECTED, MessageID=1, EventTypeID=2,
                EventInformation=BytesIO(b"ab"),
            ),
            Command(
                field=0x0100, message_id=1, event_type_id=2, dataset_type=DATASET,
                affected_sop_class_uid=COMMITMENT, affected_sop_instance_uid=ONE,
            ),
        ),
        (
            "N_EVENT_REPORT_RSP",
            primitive(
                "N_EVENT_REPORT", **AFFECTED, MessageIDBeingRespondedTo=1, EventTypeID=2, Status=0
            ),
            Command(
                field=0x8100, responding_to=1, event_type_id=2, status=0,
                affected_sop_class_uid=COMMITMENT, affected_sop_instance_uid=ONE,
            ),
        ),
        (
            "C_STORE_RQ",
            primitive(
                "C_STORE", **STORE_UIDS, MessageID=1, Priority=2, DataSet=BytesIO(b"ab"),
                MoveOriginatorApplicationEntityTitle="MOVER", MoveOriginatorMessageID=9,
            ),
            Command(
                field=0x0001, message_id=1, priority=2, dataset_type=DATASET,
                affected_sop_class_uid=MR, affected_sop_instance_uid="1.2.3",
                move_originator="MOVER", move_originator_message_id=9,
            ),
        ),
        (
            "C_STORE_RSP",
            primitive("C_STORE", **STORE_UIDS, MessageIDBeingRespondedTo=1, Status=0xA700),
            Command(
                field=0x8001, responding_to=1, status=0xA700,
                affected_sop_class_uid=MR, affected_sop_instance_uid="1.2.3",
            ),
        ),
        (
            "C_FIND_RQ",
            primitive("C_FIND", **SOP, MessageID=1, Priority=0, Identifier=BytesIO(b"ab")),
            Command(
                field=0x0020, message_id=1, priority=0, dataset_type=DATASET,
                affected_sop_class_uid=SOP["AffectedSOPClassUID"],
            ),
        ),
        (
            "C_GET_RQ",
            primitive("C_GET", **SOP, MessageID=1, Priority=1, Identifier=BytesIO(b"ab")),
            Command(
                field=0x0010, message_id=1, priority=1, dataset_type=DATASET,
                affected_sop_class_uid=SOP["AffectedSOPClassUID"],
            ),
        ),
        (
            "C_MOVE_RQ",
            primitive(
                "C_MOVE", **SOP, MessageID=1, Priority=0, Identifier=BytesIO(b"ab"),
                MoveDestination="THERE",
            ),
            Command(
                field=0x0021, message_id=1, priority=0, dataset_type=DATASET,
                affected_sop_class_uid=SOP["AffectedSOPClassUID"], move_destination="THERE",
            ),
        ),
        (
            "C_MOVE_RSP",
            primitive("C_MOVE", MessageIDBeingRespondedTo=1, Status=0xFF00, **COUNTS),
            Command(
                field=0x8021, responding_to=1, status=0xFF00,
                remaining=4, completed=3, failed=2, warning=1,
            ),
        ),
        (
            "C_CANCEL_RQ",
            primitive("C_CANCEL", MessageIDBeingRespondedTo=5),
            Command(field=0x0FFF, responding_to=5),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_we_read_and_write_pynetdicoms_messages(message, sent, expected):
    made = getattr(dimse_messages, message)()
    made.primitive_to_message(sent)
    fragments = [
        data
        for one in made.encode_msg(1, 16384)
        for _, data in one.presentation_data_value_list
        if data[0] & 1
    ]
    encoded = b"".join(fragment[1:] for fragment in fragments)
    command = decode_command(encoded)
    assert command == Command(
        **{name: getattr(expected, name) for name in KEYWORDS if name != "dataset_type"},
        dataset_type=command.dataset_type,
    )
    assert command.has_dataset == expected.has_dataset
    assert encode_command(command) == encoded


# What a command says


@pytest.mark.parametrize("dataset_type", [0x0000, 0x0001, 0x0100, 0x0102, 0xFFFF])
def test_every_dataset_type_but_one_announces_a_dataset(dataset_type):
    encoded = command_set(us(0x0100, 0x0030), us(0x0800, dataset_type))
    assert decode_command(encoded).has_dataset
    assert not decode_command(ECHO).has_dataset


@pytest.mark.parametrize("field", CommandField)
def test_the_highest_bit_tells_a_response(field):
    assert Command(field=field).is_response is field.name.endswith("_RSP")


def test_a_response_names_its_request():
    assert response_to(decode_command(STORE), 0xA700, comment="x" * 70) == Command(
        field=CommandField.C_STORE_RSP,
        responding_to=2,
        affected_sop_class_uid=MR,
        affected_sop_instance_uid="1.2.3",
        status=0xA700,
        error_comment="x" * 64,
    )


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (
            Command(
                field=CommandField.N_ACTION_RQ,
                message_id=4,
                requested_sop_class_uid=COMMITMENT,
                requested_sop_instance_uid=ONE,
                action_type_id=1,
            ),
            CommandField.N_ACTION_RSP,
        ),
        (
            Command(
                field=CommandField.N_EVENT_REPORT_RQ,
                message_id=4,
                affected_sop_class_uid=COMMITMENT,
                affected_sop_instance_uid=ONE,
                event_type_id=2,
            ),
            CommandField.N_EVENT_REPORT_RSP,
        ),
    ],
)
def test_what_was_requested_is_affected_in_the_response(request_, field):
    response = response_to(request_, 0x0110)
    assert (response.field, response.responding_to, response.status) == (field, 4, 0x0110)
    assert response.affected_sop_class_uid == COMMITMENT
    assert response.affected_sop_instance_uid == ONE
    assert response.requested_sop_class_uid is None
    assert response.action_type_id == request_.action_type_id
    assert response.event_type_id == request_.event_type_id


def test_a_response_may_announce_a_dataset_and_count():
    request = Command(field=CommandField.C_MOVE_RQ, message_id=3)
    response = response_to(
        request, 0xFF00, dataset=True, remaining=70000, completed=65535, failed=0
    )
    assert response.has_dataset
    assert (response.remaining, response.completed, response.failed) == (65535, 65535, 0)
    assert response.warning is None
    assert decode_command(encode_command(response)) == response


# Odd peers


def test_the_group_length_may_be_missing():
    assert decode_command(STORE[12:]) == decode_command(STORE)


@pytest.mark.parametrize("length", [0, 1, 0xFFFFFFFF])
def test_the_group_length_may_be_wrong(length):
    wrong = element(0, length.to_bytes(4, "little")) + STORE[12:]
    assert decode_command(wrong) == decode_command(STORE)


def test_unknown_elements_are_passed_over():
    retired = element(0x0001, b"\0\0\0\0") + element(0x5150, b"odd")
    assert decode_command(retired + STORE[12:]) == decode_command(STORE)
    failed = b"\x08\0\x58\0\6\0\0\0" + b"1.2.3\0"  # as Orthanc answers a C-GET
    assert decode_command(STORE + failed) == decode_command(STORE)


def test_elements_come_in_any_order():
    shuffled = us(0x0800, 0x0101) + us(0x0110, 4) + us(0x0100, 0x0030)
    assert decode_command(shuffled) == Command(field=0x0030, message_id=4)


@pytest.mark.parametrize("padded", [b"1.2.3", b"1.2.3\0", b"1.2.3 ", b"1.2.3\0\0\0", b" 1.2.3 \0"])
def test_uids_come_with_any_padding_and_of_any_length(padded):
    encoded = command_set(us(0x0100, 1), us(0x0800, 1), element(0x1000, padded))
    assert decode_command(encoded).affected_sop_instance_uid == "1.2.3"


def test_a_number_may_have_more_bytes_than_it_needs():
    encoded = element(0x0100, b"\x30\0\0\0") + us(0x0800, 0x0101)
    assert decode_command(encoded).field == 0x0030


@pytest.mark.parametrize("content", [b"", b"\x07"])
def test_a_number_without_its_bytes_was_not_said(content):
    assert decode_command(ECHO + element(0x0110, content)).message_id == 1
    bare = us(0x0100, 0x0030) + us(0x0800, 0x0101) + element(0x0110, content)
    assert decode_command(bare).message_id is None


def test_text_of_any_bytes_comes_back():
    encoded = command_set(us(0x0100, 1), us(0x0800, 1), element(0x0902, b"\xe9\xff\0!"))
    command = decode_command(encoded)
    assert command.error_comment == "\xe9\xff\0!"
    assert decode_command(encode_command(command)) == command


# Hostile bytes


@pytest.mark.parametrize(
    ("encoded", "says"),
    [
        (b"", "no Command Field"),
        (us(0x0800, 1), "no Command Field"),
        (us(0x0100, 1), "no Command Data Set Type"),
        (us(0x0100, 1) + b"\0\0\0", "ends within an element's header"),
        (us(0x0100, 1) + b"\0\0\2\0\xff\xff\xff\xff", "4294967295 bytes long where 0 are left"),
        (us(0x0100, 1)[:-1], "2 bytes long where 1 are left"),
        (b"\x08\0\0\1\2\0\0\0\1\0", "no Command Field"),
        (us(0x0100, 1) + b"\x08\0\x58\0\2\0\0\0", r"\(0008,0058\) is 2 bytes long where 0"),
    ],
)
def test_what_cannot_be_understood_is_invalid(encoded, says):
    with pytest.raises(InvalidCommand, match=says):
        decode_command(encoded)


def read_or_refuse(encoded: bytes) -> None:
    try:
        command = decode_command(encoded)
    except InvalidCommand:
        return
    assert decode_command(encode_command(command)) == command


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_command_or_invalid(encoded):
    read_or_refuse(encoded)


@given(st.sampled_from([ECHO, STORE]), st.data())
@settings(max_examples=400, deadline=None)
def test_a_command_with_wrong_bytes_is_a_command_or_invalid(encoded, data):
    changed = bytearray(encoded)
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    read_or_refuse(bytes(changed[: data.draw(st.integers(0, len(changed)))]))
    read_or_refuse(bytes(changed))
