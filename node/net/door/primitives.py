"""Between the library's service primitives and our commands (PS3.7 9.1).

Handlers are given primitives as their requests, and the library's service classes answer by them.
"""

from io import BytesIO
from typing import Any

from pynetdicom.dimse_primitives import C_CANCEL, C_ECHO, C_FIND, C_GET, C_MOVE, C_STORE

from node.upperlayer import Command, CommandField
from node.upperlayer.dimse import DATASET, NO_DATASET

_REQUESTS: dict[type, CommandField] = {
    C_ECHO: CommandField.C_ECHO_RQ,
    C_STORE: CommandField.C_STORE_RQ,
    C_FIND: CommandField.C_FIND_RQ,
    C_GET: CommandField.C_GET_RQ,
    C_MOVE: CommandField.C_MOVE_RQ,
}
_PRIMITIVES = {field: kind for kind, field in _REQUESTS.items()}

_RESPONSE = 0x8000

_PARAMETERS = (
    ("MessageID", "message_id"),
    ("MessageIDBeingRespondedTo", "responding_to"),
    ("AffectedSOPClassUID", "affected_sop_class_uid"),
    ("AffectedSOPInstanceUID", "affected_sop_instance_uid"),
    ("Priority", "priority"),
    ("MoveDestination", "move_destination"),
    ("MoveOriginatorApplicationEntityTitle", "move_originator"),
    ("MoveOriginatorMessageID", "move_originator_message_id"),
    ("Status", "status"),
    ("ErrorComment", "error_comment"),
    ("NumberOfRemainingSuboperations", "remaining"),
    ("NumberOfCompletedSuboperations", "completed"),
    ("NumberOfFailedSuboperations", "failed"),
    ("NumberOfWarningSuboperations", "warning"),
)
"""Of primitives, and of commands: what is the same in both."""

_OF_REQUESTS = frozenset({"message_id", "priority"})
"""What a primitive may have that answers a request, and no response says (PS3.7 9.3)."""


def primitive_of(context_id: int, command: Command, dataset: BytesIO | None) -> Any:  # noqa: ANN401 - the library's have no common type
    """Return the primitive of a command that has come.

    Raises
    ------
    ValueError
        It is none that is known, or one of its values is not possible, such as a UID that is none.
    """
    kind = _PRIMITIVES.get(CommandField(command.field & ~_RESPONSE))
    if kind is None:
        raise ValueError(f"a command of field 0x{command.field:04X} is not known here")
    primitive = kind()
    for keyword, name in _PARAMETERS:
        value = getattr(command, name)
        if value is not None and value != "" and hasattr(primitive, keyword):
            setattr(primitive, keyword, value)
    if command.offending and hasattr(primitive, "OffendingElement"):
        primitive.OffendingElement = list(command.offending)
    if dataset is not None:
        setattr(primitive, _dataset_of(kind), dataset)
    primitive._context_id = context_id  # noqa: SLF001 - what the library's own decoder does
    return primitive


def command_of(primitive: Any) -> tuple[Command, bytes | None]:  # noqa: ANN401
    """Return the command of a primitive that is to be sent, and its dataset.

    Raises
    ------
    NotImplementedError
        A service that is none of DIMSE-C.
    """
    kind = type(primitive)
    if kind is C_CANCEL:
        return Command(
            field=CommandField.C_CANCEL_RQ, responding_to=primitive.MessageIDBeingRespondedTo
        ), None
    field = _REQUESTS.get(kind)
    if field is None:
        raise NotImplementedError(f"{kind.__name__.replace('_', '-')} cannot be sent here")
    answers = primitive.MessageIDBeingRespondedTo is not None
    values = {
        name: getattr(primitive, keyword)
        for keyword, name in _PARAMETERS
        if hasattr(primitive, keyword) and not (answers and name in _OF_REQUESTS)
    }
    offending = getattr(primitive, "OffendingElement", None)
    if offending is not None:
        tags = [offending] if isinstance(offending, int) else offending
        values["offending"] = tuple(int(tag) for tag in tags)
    dataset = _encoded(primitive)
    return Command(
        field=field | _RESPONSE if answers else field,
        dataset_type=DATASET if dataset is not None else NO_DATASET,
        **values,
    ), dataset


def _encoded(primitive: Any) -> bytes | None:  # noqa: ANN401
    stream: BytesIO | None = getattr(primitive, _dataset_of(type(primitive)), None)
    if stream is not None:
        return stream.getvalue() or None
    path = primitive._dataset_path  # noqa: SLF001 - of a file that is sent unread
    if path is None or primitive.MessageIDBeingRespondedTo is not None:
        return None
    file, offset = path
    with file.open("rb") as opened:
        opened.seek(offset)
        return bytes(opened.read())


def _dataset_of(kind: type) -> str:
    return "DataSet" if kind is C_STORE else "Identifier"
