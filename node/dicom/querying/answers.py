"""The identifiers of pending responses, written straight from what is known (PS3.4 C.4.1.1.3.2).

A PACS answers thousands of matches a second, and each has the same few attributes: which elements
there are is decided once for a question, and an answer is their bytes, without a dataset between.
"""

import struct
from collections.abc import Collection, Mapping, Sequence

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import UID

from node.dicom.querying.charsets import AnswerCharset, codec_of, fitting
from node.dicom.querying.levels import TAGS, UNIQUE_KEYS, HeldAttributes
from node.dicom.querying.question import Question

ABOUT_THE_ANSWER = (
    "SpecificCharacterSet",
    "QueryRetrieveLevel",
    "RetrieveAETitle",
    "InstanceAvailability",
)
"""What an answer says beside the attributes of an entity."""

TEXT_VRS = frozenset({"SH", "LO", "ST", "LT", "PN", "UC", "UT"})
"""Those that Specific Character Set is about (PS3.5 6.1.2.2)."""

LONG_VRS = frozenset({"UC", "UR", "UT", "UN", "OB", "OW", "SV", "UV"})
"""Those with a length of four bytes in explicit VR (PS3.5 7.1.2)."""

_LONGEST = 0xFFFE
"""Bytes of a value whose length has two."""

_USUAL = 1024
"""Bytes below which the length of a value is written beforehand; it is even."""

_NONE: Mapping[int, bytes] = {}

_BINARY = {"US": "H", "UL": "L", "SS": "h", "SL": "l", "UV": "Q", "SV": "q"}

_Element = tuple[str, str, int, str]
"""Keyword, value representation, tag, and the format of a binary value."""


def tag_of(keyword: str) -> int:
    """Return the tag of an attribute that is answered."""
    tag = TAGS.get(keyword) or tag_for_keyword(keyword)
    if tag is None:
        raise LookupError(f"{keyword} is not an attribute of the data dictionary")
    return tag


class AnswerWriter:
    """Writes the answers to one question.

    Parameters
    ----------
    transfer_syntax_uid
        Of the presentation context; not a deflated one.
    aetitle
        Where the matches can be retrieved from (0008,0054).
    charset
        Specific Character Set (0008,0005).
    codec
        Python's name of the encoding that is really written; what it lacks is a question mark.
    lower
        Whether keys of the levels below are answered as well.
    """

    def __init__(
        self,
        question: Question,
        transfer_syntax_uid: str,
        *,
        aetitle: str,
        charset: str = "ISO_IR 192",
        codec: str = "utf-8",
        lower: bool = False,
    ) -> None:
        self._codec = codec
        syntax = UID(transfer_syntax_uid)
        self._order = "<" if syntax.is_little_endian else ">"
        self._implicit = syntax.is_implicit_VR
        self._tag = struct.Struct(f"{self._order}HH")
        self._short = struct.Struct(f"{self._order}H")
        self._long = struct.Struct(f"{self._order}L")
        self._about: dict[str, tuple[str, ...]] = {
            "SpecificCharacterSet": (charset,),
            "QueryRetrieveLevel": (question.level.name,),
            "RetrieveAETitle": (aetitle,),
        }
        if question.availability:
            self._about["InstanceAvailability"] = ("ONLINE",)
        keywords = {*question.keys, *question.unique_above, *self._about}
        if lower:
            keywords.update(question.below)
        if question.record_key:
            keywords.add("RecordKey")
        self._record_key = UNIQUE_KEYS[question.level]
        self._elements = sorted(map(_element, keywords), key=lambda element: element[2])
        self._heads = {element[0]: self._head(element) for element in self._elements}
        pack = (self._long if self._implicit else self._short).pack
        self._lengths = tuple(pack(length) for length in range(_USUAL))
        self._plain = [self._plain_element(element) for element in self._elements]

    def best(self, entity: HeldAttributes, *candidates: tuple[str, ...]) -> bytes:
        """Return an answer's bytes in the first of several character sets in which nothing is lost.

        Most are ASCII, and need none; UTF-8 has all.
        """
        if (plain := self._simply(entity, None)) is not None:
            return plain
        for terms in candidates:
            if (codec := codec_of(terms)) is None:
                break  # code extensions: character by character
            if (simple := self._simply(entity, (terms, codec))) is not None:
                return simple
        return self.write(entity, charset=self.said_in(entity, *candidates))

    def _simply(
        self, entity: HeldAttributes, charset: tuple[tuple[str, ...], str] | None
    ) -> bytes | None:
        """Return an answer in one character set, without code extensions; None where it is not all.

        It is what there is most to do of in a long answer.

        Parameters
        ----------
        charset
            Its defined terms, and Python's name of it; None is ASCII, of which nothing is said.
        """
        parts: list[bytes] = []
        lengths = self._lengths
        codec = "ascii" if charset is None else charset[1]
        try:
            for keyword, element, head, pad, absent in self._plain:
                values = entity.get(keyword)
                if values is None:
                    parts.append(absent or self._special(keyword, head, entity, charset))
                    continue
                if element is None:
                    text = values[0] if len(values) == 1 else "\\".join(values)
                    body = text.encode(codec)
                    if len(body) % 2:
                        body += pad
                    if len(body) < _USUAL:
                        parts.append(head + lengths[len(body)] + body)
                        continue
                parts.append(head + self._value(element or _element(keyword), values, None))
        except UnicodeEncodeError:
            return None
        return b"".join(parts)

    def _special(
        self,
        keyword: str,
        head: bytes,
        entity: HeldAttributes,
        charset: tuple[tuple[str, ...], str] | None,
    ) -> bytes:
        """Return what is another one in each answer, though no value of the entity."""
        if keyword == "RecordKey":
            return head + self._key(entity)
        if charset is None:
            return b""
        return head + self._value(_element(keyword), charset[0], None)

    def _plain_element(self, element: _Element) -> tuple[str, _Element | None, bytes, bytes, bytes]:
        """Return keyword, the element where it is not plain text, head, padding, and all of it.

        The last is what is written where an entity has no value.
        """
        keyword, vr, _, binary = element
        head = self._heads[keyword]
        if keyword in ("SpecificCharacterSet", "RecordKey"):
            return keyword, element, head, b"", b""
        absent = head + self._value(element, self._about.get(keyword, ()), None)
        is_text = not binary and (self._implicit or vr not in LONG_VRS)
        return keyword, None if is_text else element, head, b"\0" if vr == "UI" else b" ", absent

    def write(
        self,
        entity: HeldAttributes,
        without: Collection[str] = (),
        *,
        charset: AnswerCharset | None = None,
        others: Mapping[int, bytes] = _NONE,
    ) -> bytes:
        """Return an answer's bytes.

        Parameters
        ----------
        without
            Keywords of attributes that are left out.
        charset
            Of this answer, in place of that of all of them; see `said_in`.
        others
            Further elements, encoded, by their tags.
        """
        parts: list[bytes] = []
        left = sorted(others, reverse=True)
        for element in self._elements:
            keyword, _, tag, _ = element
            while left and left[-1] < tag:
                parts.append(others[left.pop()])
            if keyword in without:
                continue
            if keyword == "RecordKey":
                parts += (self._heads[keyword], self._key(entity))
                continue
            if keyword == "SpecificCharacterSet" and charset is not None:
                if not charset.terms:
                    continue
                values: Sequence[str] = charset.terms
            else:
                values = entity[keyword] if keyword in entity else self._about.get(keyword, ())
            parts += (self._heads[keyword], self._value(element, values, charset))
        parts += (others[tag] for tag in reversed(left))
        return b"".join(parts)

    def said_in(self, entity: HeldAttributes, *candidates: tuple[str, ...]) -> AnswerCharset:
        """Return the character set of an answer: none of them where all of it is ASCII.

        Parameters
        ----------
        candidates
            The first one in which nothing is lost is it; else UTF-8.
        """
        texts = [
            (vr, values)
            for keyword, vr, _, binary in self._elements
            if not binary and (values := entity.get(keyword, ())) and not "".join(values).isascii()
        ]
        return fitting(texts, *candidates) if texts else AnswerCharset(())

    def _value(
        self, element: _Element, values: Sequence[str], charset: AnswerCharset | None
    ) -> bytes:
        """Return length and value; a value that its representation cannot hold is none."""
        _, vr, _, binary = element
        if binary:
            try:
                body = b"".join(struct.pack(self._order + binary, int(value)) for value in values)
            except (ValueError, struct.error):
                body = b""
        elif charset is not None and charset.terms and vr in TEXT_VRS:
            body = charset.encode(vr, values) or b""
        else:
            body = "\\".join(values).encode(self._codec, "replace")
        if len(body) % 2:
            body += b"\0" if vr == "UI" else b" "
        if self._implicit:
            return self._long.pack(len(body)) + body
        if vr in LONG_VRS:
            return b"\0\0" + self._long.pack(len(body)) + body
        if len(body) > _LONGEST:
            body = b""
        return self._short.pack(len(body)) + body

    def _key(self, entity: HeldAttributes) -> bytes:
        """Return length and value of Record Key, an OB (PS3.5 7.1.2): the unique key's text."""
        body = "".join(entity.get(self._record_key, ())).encode(self._codec, "replace")
        body += b"\0" * (len(body) % 2)
        return (b"" if self._implicit else b"\0\0") + self._long.pack(len(body)) + body

    def _head(self, element: _Element) -> bytes:
        _, vr, tag, _ = element
        head = self._tag.pack(tag >> 16, tag & 0xFFFF)
        return head if self._implicit else head + vr.encode()


def _element(keyword: str) -> _Element:
    tag = tag_of(keyword)
    vr = dictionary_VR(tag)
    return keyword, vr, tag, _BINARY.get(vr, "")
