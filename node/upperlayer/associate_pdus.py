"""The encoding of A-ASSOCIATE PDUs (PS3.8 sections 9.3.2 and 9.3.3, PS3.7 D.3.3).

The decoder takes what real peers send: items in any order, unknown items and sub-items
passed over, titles and UIDs with any padding. What cannot be understood at all is
`InvalidPDU`, which says where.
"""

import struct
from collections.abc import Iterator
from itertools import count

from node.upperlayer.associate import (
    APPLICATION_CONTEXT,
    PROTOCOL_VERSION,
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    RoleSelection,
    UserInformation,
)
from node.upperlayer.errors import InvalidPDU, LocalMistake

_MOST_ITEMS = 1024
"""Items within one PDU or item that are read; 128 contexts and as many roles are the most."""

_MOST_ITEMS_IN_ALL = 8192
"""Items that are read at all: 128 contexts with 60 transfer syntaxes each have as many. Each of
them costs time in which nobody else is served."""

_FIXED = struct.Struct(">H2x16s16s32x")
_ITEM = struct.Struct(">BxH")

_APPLICATION_CONTEXT = 0x10
_PRESENTATION_CONTEXT_RQ = 0x20
_PRESENTATION_CONTEXT_AC = 0x21
_ABSTRACT_SYNTAX = 0x30
_TRANSFER_SYNTAX = 0x40
_USER_INFORMATION = 0x50
_MAXIMUM_LENGTH = 0x51
_IMPLEMENTATION_CLASS_UID = 0x52
_ASYNCHRONOUS_WINDOW = 0x53
_ROLE_SELECTION = 0x54
_IMPLEMENTATION_VERSION_NAME = 0x55
_EXTENDED_NEGOTIATION = 0x56
_USER_IDENTITY_RQ = 0x58


def encode_request(request: AssociateRequest) -> bytes:
    """Return the PDU's variable part: everything behind type and length."""
    parts = [
        _FIXED.pack(
            request.protocol_version,
            _title(request.called_aetitle),
            _title(request.calling_aetitle),
        ),
        _item(_APPLICATION_CONTEXT, request.application_context.encode("latin-1")),
    ]
    for context in request.contexts:
        syntaxes = b"".join(
            _item(_TRANSFER_SYNTAX, uid.encode("latin-1")) for uid in context.transfer_syntaxes
        )
        abstract = _item(_ABSTRACT_SYNTAX, context.abstract_syntax.encode("latin-1"))
        body = bytes((context.id, 0, 0, 0)) + abstract + syntaxes
        parts.append(_item(_PRESENTATION_CONTEXT_RQ, body))
    parts.append(_user_information(request.user))
    return b"".join(parts)


def encode_accept(accept: AssociateAccept) -> bytes:
    """Return the PDU's variable part: everything behind type and length."""
    parts = [
        _FIXED.pack(
            PROTOCOL_VERSION, _title(accept.called_aetitle), _title(accept.calling_aetitle)
        ),
        _item(_APPLICATION_CONTEXT, APPLICATION_CONTEXT.encode("latin-1")),
    ]
    for context in accept.contexts:
        syntax = _item(_TRANSFER_SYNTAX, context.transfer_syntax.encode("latin-1"))
        parts.append(
            _item(_PRESENTATION_CONTEXT_AC, bytes((context.id, 0, context.result, 0)) + syntax)
        )
    parts.append(_user_information(accept.user))
    return b"".join(parts)


def decode_request(body: bytes) -> AssociateRequest:
    """Return an A-ASSOCIATE-RQ from what follows type and length.

    Raises
    ------
    InvalidPDU
        When an item is longer than what holds it, the fixed part is missing, or the ID of a
        presentation context comes twice or is even.
    """
    version, called, calling = _fixed(body)
    application_context = ""
    contexts: list[ProposedContext] = []
    user = b""
    numbers = count(1)
    for kind, value in _items(body, _FIXED.size, numbers):
        if kind == _APPLICATION_CONTEXT:
            application_context = _uid(value)
        elif kind == _PRESENTATION_CONTEXT_RQ:
            contexts.append(_proposed(value, numbers))
        elif kind == _USER_INFORMATION:
            user = value
    ids = [context.id for context in contexts]
    _require_distinct(ids)
    _require_odd(ids)
    return AssociateRequest(
        called_aetitle=called,
        calling_aetitle=calling,
        contexts=tuple(contexts),
        user=_decode_user(user, numbers),
        application_context=application_context,
        protocol_version=version,
    )


def decode_accept(body: bytes) -> AssociateAccept:
    """Return an A-ASSOCIATE-AC from what follows type and length.

    Raises
    ------
    InvalidPDU
        When an item is longer than what holds it, the fixed part is missing, or a presentation
        context comes twice.
    """
    _, called, calling = _fixed(body)
    contexts: list[ContextResult] = []
    user = b""
    numbers = count(1)
    for kind, value in _items(body, _FIXED.size, numbers):
        if kind == _PRESENTATION_CONTEXT_AC:
            contexts.append(_answered(value, numbers))
        elif kind == _USER_INFORMATION:
            user = value
    _require_distinct([context.id for context in contexts])
    return AssociateAccept(
        called_aetitle=called,
        calling_aetitle=calling,
        contexts=tuple(contexts),
        user=_decode_user(user, numbers),
    )


def _fixed(body: bytes) -> tuple[int, str, str]:
    if len(body) < _FIXED.size:
        raise InvalidPDU(f"an A-ASSOCIATE PDU of {len(body)} bytes ends within its fixed part")
    version, called, calling = _FIXED.unpack_from(body)
    return version, _text(called), _text(calling)


def _items(body: bytes, offset: int, numbers: Iterator[int]) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each item; each takes the next number, over all of the PDU."""
    end = len(body)
    here = 0
    while offset < end:
        here += 1
        if here > _MOST_ITEMS:
            raise InvalidPDU(f"more than {_MOST_ITEMS} items in one")
        if next(numbers) > _MOST_ITEMS_IN_ALL:
            raise InvalidPDU(f"more than {_MOST_ITEMS_IN_ALL} items in an A-ASSOCIATE PDU")
        if offset + _ITEM.size > end:
            raise InvalidPDU(f"an item's header at byte {offset} is beyond the PDU's end")
        kind, length = _ITEM.unpack_from(body, offset)
        offset += _ITEM.size
        if offset + length > end:
            raise InvalidPDU(f"item 0x{kind:02X} at byte {offset} is longer than what holds it")
        yield kind, body[offset : offset + length]
        offset += length


def _require_distinct(ids: list[int]) -> None:
    if len(set(ids)) < len(ids):
        raise InvalidPDU("two presentation contexts have the same ID")


def _require_odd(ids: list[int]) -> None:
    """Refuse what PS3.8 9.3.2.2 does not allow; an answer to such an ID answers nothing anyway."""
    even = next((id_ for id_ in ids if id_ % 2 == 0), None)
    if even is not None:
        raise InvalidPDU(f"a presentation context has the ID {even}, which is even")


def _proposed(value: bytes, numbers: Iterator[int]) -> ProposedContext:
    if len(value) < 4:
        raise InvalidPDU("a proposed presentation context is too short")
    abstract = ""
    syntaxes: list[str] = []
    for kind, content in _items(value, 4, numbers):
        if kind == _ABSTRACT_SYNTAX:
            abstract = _uid(content)
        elif kind == _TRANSFER_SYNTAX:
            syntaxes.append(_uid(content))
    return ProposedContext(id=value[0], abstract_syntax=abstract, transfer_syntaxes=tuple(syntaxes))


def _answered(value: bytes, numbers: Iterator[int]) -> ContextResult:
    if len(value) < 4:
        raise InvalidPDU("an answered presentation context is too short")
    syntax = ""
    # A peer that rejects a context may leave anything here, even an item cut short.
    if value[2] == 0:
        for kind, content in _items(value, 4, numbers):
            if kind == _TRANSFER_SYNTAX:
                syntax = _uid(content)
    return ContextResult(id=value[0], result=value[2], transfer_syntax=syntax)


def _decode_user(value: bytes, numbers: Iterator[int]) -> UserInformation:
    known: dict[str, object] = {}
    roles: list[RoleSelection] = []
    extended: list[tuple[str, bytes]] = []
    for kind, content in _items(value, 0, numbers):
        if kind == _MAXIMUM_LENGTH and len(content) == 4:
            known["maximum_length"] = int.from_bytes(content, "big")
        elif kind == _IMPLEMENTATION_CLASS_UID:
            known["implementation_class_uid"] = _uid(content)
        elif kind == _IMPLEMENTATION_VERSION_NAME:
            known["implementation_version_name"] = _text(content)
        elif kind == _ASYNCHRONOUS_WINDOW and len(content) == 4:
            known["asynchronous_window"] = struct.unpack(">HH", content)
        elif kind == _ROLE_SELECTION:
            uid, rest = _counted_uid(content)
            if len(rest) >= 2:
                roles.append(RoleSelection(sop_class_uid=uid, scu=rest[0] == 1, scp=rest[1] == 1))
        elif kind == _EXTENDED_NEGOTIATION:
            extended.append(_counted_uid(content))
        elif kind == _USER_IDENTITY_RQ:
            known["user_identity"] = True
            known["identity_response_wanted"] = len(content) > 1 and content[1] == 1
    return UserInformation(roles=tuple(roles), extended=tuple(extended), **known)  # type: ignore[arg-type]


def _counted_uid(content: bytes) -> tuple[str, bytes]:
    if len(content) < 2:
        raise InvalidPDU("a user information sub-item is too short for its UID")
    length = int.from_bytes(content[:2], "big")
    if 2 + length > len(content):
        raise InvalidPDU("a UID is longer than the sub-item that holds it")
    return _uid(content[2 : 2 + length]), content[2 + length :]


def _user_information(user: UserInformation) -> bytes:
    parts = [
        _item(_MAXIMUM_LENGTH, user.maximum_length.to_bytes(4, "big")),
        _item(_IMPLEMENTATION_CLASS_UID, user.implementation_class_uid.encode("latin-1")),
    ]
    if user.asynchronous_window is not None:
        parts.append(_item(_ASYNCHRONOUS_WINDOW, struct.pack(">HH", *user.asynchronous_window)))
    for role in user.roles:
        flags = bytes((role.scu, role.scp))
        parts.append(_item(_ROLE_SELECTION, _with_count(role.sop_class_uid) + flags))
    if user.implementation_version_name:
        name = user.implementation_version_name.encode("ascii", "replace")[:16]
        parts.append(_item(_IMPLEMENTATION_VERSION_NAME, name))
    parts.extend(
        _item(_EXTENDED_NEGOTIATION, _with_count(uid) + information)
        for uid, information in user.extended
    )
    return _item(_USER_INFORMATION, b"".join(parts))


def _with_count(uid: str) -> bytes:
    encoded = uid.encode("latin-1")
    return len(encoded).to_bytes(2, "big") + encoded


def _item(kind: int, value: bytes) -> bytes:
    if len(value) > 0xFFFF:
        raise LocalMistake(f"item 0x{kind:02X} of {len(value)} bytes; its length has 16 bits")
    return _ITEM.pack(kind, len(value)) + value


def _title(aetitle: str) -> bytes:
    return aetitle.encode("latin-1", "replace")[:16].ljust(16)


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip(" \0")


def _uid(value: bytes) -> str:
    return value.decode("latin-1").strip(" \0")
