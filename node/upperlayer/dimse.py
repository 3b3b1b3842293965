"""DIMSE commands as values, and their encoding (PS3.7 sections 6.3, 9.3 and 10.3, Annex E).

A command set is always implicit VR little endian and only has elements of group 0000, so it
is read and written here without a dataset in between.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from node.upperlayer.errors import InvalidCommand

NO_DATASET = 0x0101
"""Command Data Set Type (0000,0800): no dataset follows."""

DATASET = 0x0001
"""Command Data Set Type: any other value means that one follows."""

_ELEMENT = struct.Struct("<HHL")
_NUMBER = struct.Struct("<HHLH")


class CommandField(IntEnum):
    """Command Field (0000,0100): PS3.7 Annex E.1."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_GET_RQ = 0x0010
    C_GET_RSP = 0x8010
    C_FIND_RQ = 0x0020
    C_FIND_RSP = 0x8020
    C_MOVE_RQ = 0x0021
    C_MOVE_RSP = 0x8021
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    N_EVENT_REPORT_RQ = 0x0100
    N_EVENT_REPORT_RSP = 0x8100
    N_ACTION_RQ = 0x0130
    N_ACTION_RSP = 0x8130
    C_CANCEL_RQ = 0x0FFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A DIMSE command: request, response or cancel (PS3.7 9.3, 10.3).

    Attributes
    ----------
    field
        Command Field (0000,0100); one of `CommandField` when it is known.
    message_id, responding_to
        Message ID (0000,0110), and Message ID Being Responded To (0000,0120).
    dataset_type
        Command Data Set Type (0000,0800); see `has_dataset`.
    offending
        Offending Element (0000,0901): tags.
    requested_sop_class_uid, requested_sop_instance_uid
        Of what an N-ACTION is to act on (0000,0003 and 0000,1001); its response, and an
        N-EVENT-REPORT, say it as the affected ones.
    event_type_id, action_type_id
        Which event (0000,1002) of an N-EVENT-REPORT, and which action (0000,1008) of an N-ACTION.
    """

    field: int
    message_id: int | None = None
    responding_to: int | None = None
    affected_sop_class_uid: str | None = None
    affected_sop_instance_uid: str | None = None
    move_destination: str | None = None
    priority: int | None = None
    dataset_type: int = NO_DATASET
    status: int | None = None
    offending: tuple[int, ...] | None = None
    error_comment: str | None = None
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    move_originator: str | None = None
    move_originator_message_id: int | None = None
    requested_sop_class_uid: str | None = None
    requested_sop_instance_uid: str | None = None
    event_type_id: int | None = None
    action_type_id: int | None = None

    @property
    def has_dataset(self) -> bool:
        """Whether a dataset follows the command."""
        return self.dataset_type != NO_DATASET

    @property
    def is_response(self) -> bool:
        """Whether this answers a request (PS3.7 E.1: the highest bit)."""
        return bool(self.field & 0x8000)


_UID, _AE, _LO, _US, _AT = "UI", "AE", "LO", "US", "AT"

_LAYOUT: tuple[tuple[int, str, str], ...] = (
    (0x0002, "affected_sop_class_uid", _UID),
    (0x0003, "requested_sop_class_uid", _UID),
    (0x0100, "field", _US),
    (0x0110, "message_id", _US),
    (0x0120, "responding_to", _US),
    (0x0600, "move_destination", _AE),
    (0x0700, "priority", _US),
    (0x0800, "dataset_type", _US),
    (0x0900, "status", _US),
    (0x0901, "offending", _AT),
    (0x0902, "error_comment", _LO),
    (0x1000, "affected_sop_instance_uid", _UID),
    (0x1001, "requested_sop_instance_uid", _UID),
    (0x1002, "event_type_id", _US),
    (0x1008, "action_type_id", _US),
    (0x1020, "remaining", _US),
    (0x1021, "completed", _US),
    (0x1022, "failed", _US),
    (0x1023, "warning", _US),
    (0x1030, "move_originator", _AE),
    (0x1031, "move_originator_message_id", _US),
)
"""The elements of group 0000 that are known here, in ascending order (PS3.7 Table E.1-1)."""

_BY_ELEMENT = {element: (name, vr) for element, name, vr in _LAYOUT}


def decode_command(data: bytes) -> Command:
    """Read a command set.

    Elements that are not known are passed over, and so is a group length that is wrong: peers
    send both. So are elements of other groups: Orthanc names there what a C-GET has not sent
    (0008,0058), which belongs into the dataset.

    Raises
    ------
    InvalidCommand
        When an element is longer than what is left, or when the command field or the dataset
        type is missing.
    """
    values: dict[str, Any] = {}
    offset, end = 0, len(data)
    while offset < end:
        if offset + 8 > end:
            raise InvalidCommand(f"the command set ends within an element's header, byte {offset}")
        group, element, length = _ELEMENT.unpack_from(data, offset)
        offset += 8
        if length > end - offset:
            raise InvalidCommand(
                f"element ({group:04X},{element:04X}) is {length} bytes long where {end - offset}"
                " are left"
            )
        known = None if group else _BY_ELEMENT.get(element)
        if known is not None:
            name, vr = known
            if vr == _US:
                if length >= 2:
                    values[name] = data[offset] | data[offset + 1] << 8
            elif vr == _AT:
                whole = data[offset : offset + length // 4 * 4]
                values[name] = tuple(
                    group << 16 | one for group, one in struct.iter_unpack("<HH", whole)
                )
            else:
                values[name] = data[offset : offset + length].decode("latin-1").strip(" \0")
        offset += length
    if "field" not in values:
        raise InvalidCommand("the command set has no Command Field (0000,0100)")
    if "dataset_type" not in values:
        raise InvalidCommand("the command set has no Command Data Set Type (0000,0800)")
    return Command(**values)


def encode_command(command: Command) -> bytes:
    """Write a command set, the group length included."""
    parts: list[bytes] = []
    for element, name, vr in _LAYOUT:
        value = getattr(command, name)
        if value is None:
            continue
        if vr == _US:
            parts.append(_NUMBER.pack(0, element, 2, value))
            continue
        if vr == _AT:
            encoded = b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in value)
        else:
            encoded = value.encode("latin-1", "replace")
        if len(encoded) % 2:
            encoded += b"\0" if vr == _UID else b" "
        parts.append(_ELEMENT.pack(0, element, len(encoded)) + encoded)
    body = b"".join(parts)
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def response_to(
    request: Command,
    status: int,
    *,
    dataset: bool = False,
    comment: str = "",
    remaining: int | None = None,
    completed: int | None = None,
    failed: int | None = None,
    warning: int | None = None,
) -> Command:
    """Return the response to a request (PS3.7 9.3, 10.3): its field has the highest bit set.

    What was requested of an object is, in the response, what the object is affected by; the event
    or the action is named again.

    Parameters
    ----------
    dataset
        Whether an identifier follows.
    comment
        Error Comment (0000,0902), cut to its 64 characters.
    remaining, completed, failed, warning
        Numbers of sub-operations (PS3.7 9.1.4.1.8); more than 65535 cannot be said (US).
    """
    return Command(
        field=request.field | 0x8000,
        responding_to=request.message_id,
        affected_sop_class_uid=request.affected_sop_class_uid or request.requested_sop_class_uid,
        affected_sop_instance_uid=(
            request.affected_sop_instance_uid or request.requested_sop_instance_uid
        ),
        event_type_id=request.event_type_id,
        action_type_id=request.action_type_id,
        dataset_type=DATASET if dataset else NO_DATASET,
        status=status,
        error_comment=comment[:64] or None,
        remaining=_count(remaining),
        completed=_count(completed),
        failed=_count(failed),
        warning=_count(warning),
    )


def _count(number: int | None) -> int | None:
    return None if number is None else min(number, 0xFFFF)
