"""What Storage Commitment asks and reports: the datasets of PS3.4 J.3.2 and J.3.3.

A request may name a hundred thousand objects, and its dataset is always the same few elements, so
it is read and written here without a dataset in between, in a second and not in a minute.
"""

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

SYNTAXES = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
"""The transfer syntaxes that are read and written here."""

REQUEST_ACTION = 1
"""Action Type ID of the request for storage commitment (PS3.4 Table J.3-1)."""

ALL_COMMITTED, SOME_FAILED = 1, 2
"""Event Type IDs of a report (PS3.4 Table J.3-2): there are no failures, or there are some."""

_TRANSACTION_UID = 0x00081195
_REFERENCED, _FAILED = 0x00081199, 0x00081198
_CLASS, _INSTANCE, _REASON = 0x00081150, 0x00081155, 0x00081197
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_DEEPEST = 16
_UID = re.compile(r"[0-9.]{1,64}")
_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)


class InvalidCommitment(ValueError):  # noqa: N818 - reads as a sentence where it is raised
    """A dataset that is no request or no report of storage commitment."""


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """An object, by its UIDs: an item of a Referenced SOP Sequence (PS3.3 10.8)."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """The Action Information of an N-ACTION (PS3.4 Table J.3-1).

    Attributes
    ----------
    references
        What is to be committed, each object once, in the order in which it was named.
    """

    transaction_uid: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentReport:
    """The Event Information of an N-EVENT-REPORT (PS3.4 Table J.3-2).

    Attributes
    ----------
    committed
        What the SCP keeps from now on.
    failed
        What it does not, with the Failure Reason (0008,1197; PS3.3 C.14.1.1) of each.
    says_failed
        Of a report that was received, whether its Event Type ID says that something has failed.
    """

    transaction_uid: str
    committed: Sequence[Reference]
    failed: Sequence[tuple[Reference, int]]
    says_failed: bool = False

    @property
    def contradicts_itself(self) -> bool:
        """Whether it says that something has failed, and names nothing (PS3.4 Table J.3-2)."""
        return self.says_failed and not self.failed

    @property
    def event_type(self) -> int:
        """The Event Type ID (0000,1002)."""
        return SOME_FAILED if self.failed else ALL_COMMITTED


def read_request(encoded: bytes, transfer_syntax_uid: str) -> CommitmentRequest:
    """Read the Action Information of an N-ACTION.

    Raises
    ------
    InvalidCommitment
        It cannot be decoded, or lacks a UID, or names no object.
    """
    transaction_uid, referenced, _ = _read(encoded, transfer_syntax_uid)
    references = tuple(dict.fromkeys(reference for reference, _ in referenced))
    if not references:
        raise InvalidCommitment("the Referenced SOP Sequence (0008,1199) names no object")
    return CommitmentRequest(transaction_uid=transaction_uid, references=references)


def read_report(
    encoded: bytes, transfer_syntax_uid: str, event_type: int = ALL_COMMITTED
) -> CommitmentReport:
    """Read the Event Information of an N-EVENT-REPORT of an Event Type ID.

    Raises
    ------
    InvalidCommitment
        It cannot be decoded, or lacks a UID.
    """
    transaction_uid, referenced, failed = _read(encoded, transfer_syntax_uid)
    return CommitmentReport(
        transaction_uid=transaction_uid,
        committed=[reference for reference, _ in referenced],
        failed=[(reference, reason or 0) for reference, reason in failed],
        says_failed=event_type == SOME_FAILED,
    )


def write_request(request: CommitmentRequest, transfer_syntax_uid: str) -> bytes:
    """Write the Action Information of an N-ACTION."""
    writer = _Writer(transfer_syntax_uid)
    items = (writer.item(reference) for reference in request.references)
    return writer.uid(_TRANSACTION_UID, request.transaction_uid) + writer.sequence(
        _REFERENCED, items
    )


def write_report(report: CommitmentReport, transfer_syntax_uid: str) -> bytes:
    """Write the Event Information of an N-EVENT-REPORT; a sequence that is empty is left out."""
    writer = _Writer(transfer_syntax_uid)
    parts = [writer.uid(_TRANSACTION_UID, report.transaction_uid)]
    if report.failed:
        parts.append(
            writer.sequence(_FAILED, (writer.item(one, why) for one, why in report.failed))
        )
    if report.committed:
        parts.append(writer.sequence(_REFERENCED, map(writer.item, report.committed)))
    return b"".join(parts)


_Items = list[tuple[Reference, int | None]]


def _read(encoded: bytes, transfer_syntax_uid: str) -> tuple[str, _Items, _Items]:
    """Return the Transaction UID, and the items of the two sequences."""
    reader = _Reader(encoded, implicit=transfer_syntax_uid == ImplicitVRLittleEndian)
    transaction_uid = ""
    found: dict[int, _Items] = {_REFERENCED: [], _FAILED: []}
    for tag, length in reader.elements(len(encoded)):
        if tag == _TRANSACTION_UID:
            transaction_uid = reader.text(length)
        elif tag in found:
            found[tag] += (reader.reference(end) for end in reader.items(length))
        else:
            reader.skip(length)
    if not _UID.fullmatch(transaction_uid):
        raise InvalidCommitment("there is no Transaction UID (0008,1195), or none that is a UID")
    return transaction_uid, found[_REFERENCED], found[_FAILED]


class _Reader:
    """Goes through an encoded dataset, element by element; whoever is given one takes its value."""

    def __init__(self, encoded: bytes, *, implicit: bool) -> None:
        self._data = encoded
        self._end = len(encoded)
        self._implicit = implicit
        self._at = 0

    def elements(self, end: int | None) -> Iterator[tuple[int, int]]:
        """Yield tag and length of each element up to `end`, or up to the end of an item."""
        while end is None or self._at < end:
            tag, length = self._header()
            if tag == _ITEM_END and end is None:
                return
            yield tag, length

    def items(self, length: int) -> Iterator[int | None]:
        """Yield where each item of a sequence ends; None where its end is marked."""
        end = None if length == _UNDEFINED else self._until(length)
        while end is None or self._at < end:
            tag, length = self._header()
            if tag == _SEQUENCE_END and end is None:
                return
            if tag != _ITEM:
                raise InvalidCommitment(f"a sequence has something that is no item, at {self._at}")
            yield None if length == _UNDEFINED else self._until(length)

    def reference(self, end: int | None) -> tuple[Reference, int | None]:
        """Read an item that names an object, and its Failure Reason where it has one."""
        sop_class = instance = ""
        reason: int | None = None
        for tag, length in self.elements(end):
            if tag == _CLASS:
                sop_class = self.text(length)
            elif tag == _INSTANCE:
                instance = self.text(length)
            elif tag == _REASON and length == 2:
                reason = self._data[self._at] | self._data[self._at + 1] << 8
                self._at += 2
            else:
                self.skip(length)
        if not _UID.fullmatch(sop_class) or not _UID.fullmatch(instance):
            raise InvalidCommitment("an item names no SOP class and instance by their UIDs")
        return Reference(sop_class, instance), reason

    def text(self, length: int) -> str:
        """Take a value that is a UID."""
        start, self._at = self._at, self._until(length)
        return self._data[start : self._at].decode("latin-1").strip(" \0")

    def skip(self, length: int, depth: int = 0) -> None:
        """Pass over a value, whatever it is."""
        if length != _UNDEFINED:
            self._at = self._until(length)
            return
        if depth > _DEEPEST:
            raise InvalidCommitment(f"it is nested deeper than {_DEEPEST} levels")
        for end in self.items(length):
            for _, inner in self.elements(end):
                self.skip(inner, depth + 1)

    def _until(self, length: int) -> int:
        if length > self._end - self._at:
            raise InvalidCommitment(
                f"a value of {length} bytes begins where {self._end - self._at} are left"
            )
        return self._at + length

    def _header(self) -> tuple[int, int]:
        at, data = self._at, self._data
        if at + 8 > self._end:
            raise InvalidCommitment("it ends within the header of an element")
        group, element, length = _HEADER.unpack_from(data, at)
        self._at = at + 8
        if not self._implicit and group != 0xFFFE:
            if (vr := data[at + 4 : at + 6]) not in _LONG_VRS:
                length = data[at + 6] | data[at + 7] << 8
            elif at + 12 > self._end:
                raise InvalidCommitment(f"it ends within the header of an element of VR {vr!r}")
            else:
                (length,) = _LENGTH.unpack_from(data, at + 8)
                self._at = at + 12
        return group << 16 | element, length


_HEADER = struct.Struct("<HHL")
_LENGTH = struct.Struct("<L")
_SHORT = struct.Struct("<HH2sH")
_LONG = struct.Struct("<HH2sHL")


class _Writer:
    """Encodes elements in a transfer syntax."""

    def __init__(self, transfer_syntax_uid: str) -> None:
        self._implicit = transfer_syntax_uid == ImplicitVRLittleEndian

    def uid(self, tag: int, value: str) -> bytes:
        encoded = value.encode("latin-1", "replace")
        return self._element(tag, b"UI", encoded + b"\0" * (len(encoded) % 2))

    def sequence(self, tag: int, items: Iterable[bytes]) -> bytes:
        value = b"".join(items)
        if self._implicit:
            return _HEADER.pack(tag >> 16, tag & 0xFFFF, len(value)) + value
        return _LONG.pack(tag >> 16, tag & 0xFFFF, b"SQ", 0, len(value)) + value

    def item(self, reference: Reference, reason: int | None = None) -> bytes:
        value = self.uid(_CLASS, reference.sop_class_uid)
        value += self.uid(_INSTANCE, reference.sop_instance_uid)
        if reason is not None:
            value += self._element(_REASON, b"US", reason.to_bytes(2, "little"))
        return _HEADER.pack(_ITEM >> 16, _ITEM & 0xFFFF, len(value)) + value

    def _element(self, tag: int, vr: bytes, value: bytes) -> bytes:
        if self._implicit:
            return _HEADER.pack(tag >> 16, tag & 0xFFFF, len(value)) + value
        return _SHORT.pack(tag >> 16, tag & 0xFFFF, vr, len(value)) + value
