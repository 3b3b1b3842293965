"""The character set of an answer (PS3.3 C.12.1.1.2): one that the requestor can read.

What the requestor wrote its own question in it understands, so that comes first; then the one of
the image, and at last UTF-8, which has everything. A set is used only where nothing is lost in it,
and one with code extensions only where the requestor may know these.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.charset import convert_encodings, decode_bytes, encode_string, python_encoding
from pydicom.valuerep import PersonName

UTF_8 = ("ISO_IR 192",)

_KATAKANA = ("ISO_IR 13",)

_DESIGNATED = re.compile(rb"\x1b(?:\$\)|[-)]).[^\\^=\r\n\t\f]*")
"""An escape sequence that designates G1, and what it holds for (PS3.5 6.1.2.5.3)."""

_DELIMITERS = {0x0D, 0x0A, 0x09, 0x0C}


@dataclass(frozen=True, slots=True)
class AnswerCharset:
    """A Specific Character Set, by its defined terms; none of them is ASCII."""

    terms: tuple[str, ...]

    def encode(self, vr: str, values: Sequence[str]) -> bytes | None:
        """Return values as encoded, a backslash between them; None where something is lost."""
        if len(self.terms) == 1 and "2022" not in self.terms[0]:
            text = "\\".join(values)
            codec = codec_of(self.terms)
            try:
                if self.terms == _KATAKANA:
                    encoded = text.encode("shift_jis")
                    return encoded if len(encoded) == len(text) else None
                return None if codec is None else text.encode(codec)
            except UnicodeEncodeError:
                return None
        parts = [self._extended(vr, value) for value in values]
        return None if None in parts else b"\\".join(part for part in parts if part is not None)

    def _extended(self, vr: str, value: str) -> bytes | None:
        """Encode with code extensions (PS3.5 6.1.2.5), and see that it reads the same."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                codecs = convert_encodings(list(self.terms))
                if vr == "PN":
                    encoded = PersonName(value).encode(codecs)
                    same = str(PersonName(encoded, codecs)) == value
                else:
                    encoded = encode_string(value, codecs)
                    same = decode_bytes(encoded, codecs, _DELIMITERS) == value
                return encoded if same and self._is_announced(encoded) else None
        except (LookupError, UnicodeError, UserWarning, ValueError):
            return None

    def _is_announced(self, encoded: bytes) -> bool:
        """Tell whether no byte beyond ASCII comes before its set was designated to be G1.

        An empty first value, or ISO 2022 IR 6, has no G1 of its own (PS3.3 C.12.1.1.2), though
        the codec that stands for it has.
        """
        if self.terms[0] not in ("", "ISO_IR 6", "ISO 2022 IR 6"):
            return True
        return _DESIGNATED.sub(b"", encoded).isascii()


def codec_of(terms: Sequence[str]) -> str | None:
    """Return Python's name of a character set without code extensions; None of others.

    That of half-width katakana has none of its own: its codec has far more.
    """
    if tuple(terms) == _KATAKANA:
        return None
    return python_encoding.get(terms[0]) if len(terms) == 1 and "2022" not in terms[0] else None


def charsets_to_try(asked: tuple[str, ...], own: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the sets that an answer may be in, those to be tried first before the others.

    Who says that it writes in one set, without code extensions, is answered in none that has them:
    Orthanc 1.10 takes not one answer of a query when the set of one has several terms. UTF-8 is
    left, which such requestors know. Who names none may know any.

    Parameters
    ----------
    asked, own
        Specific Character Set of the question, and of the image; empty where there is none.
    """
    plain = len(asked) == 1 and asked[0] != "" and "2022" not in asked[0]
    extended = len(own) > 1 or any("2022" in term for term in own)
    return (asked,) if plain and extended else (asked, own)


def fitting(
    values: Sequence[tuple[str, Sequence[str]]], *candidates: tuple[str, ...]
) -> AnswerCharset:
    """Return the first of several sets in which nothing is lost; UTF-8 where none is.

    Parameters
    ----------
    values
        Value representation and values of each attribute that is text beyond ASCII.
    """
    for terms in candidates:
        charset = AnswerCharset(terms)
        if any(terms) and all(charset.encode(vr, texts) is not None for vr, texts in values):
            return charset
    return AnswerCharset(UTF_8)
