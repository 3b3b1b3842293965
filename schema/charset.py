"""Decoding text in any of the character sets of DICOM, whatever the header claims.

(0008,0005) Specific Character Set (PS3.3 section C.12.1.1.2) says how text is encoded. In
the field it is absent, misspelt, wrong or contradicted by the text. Here a text always
comes out: undecodable bytes become U+FFFD, and nothing raises or warns. pydicom's tables
say which codec belongs to which defined term and escape sequence; its functions are not
used because they warn on every doubtful value and accept any codec that Python has,
including slow ones and ones that expand what they decode.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from encodings.aliases import aliases

from pydicom.charset import CODES_TO_ENCODINGS, STAND_ALONE_ENCODINGS, python_encoding

_ESC = b"\x1b"
_FRAGMENTS = re.compile(rb"(?s)^[^\x1b]+|\x1b[^\x1b]*")
_DEFAULT_TERMS = ("", "ISO_IR 6", "ISO 2022 IR 6")
_LATIN_1 = "latin_1"
_KEEPS_ESCAPES = ("iso2022_jp", "iso2022_jp_2")
"""Codecs that need the escape sequence in front of the bytes that it introduces."""

_TERMS = {
    **python_encoding,
    "ISO_IR 203": "iso8859_15",
    "ISO 2022 IR 203": "iso8859_15",
}
_ESCAPES = {**CODES_TO_ENCODINGS, b"\x1b-b": "iso8859_15"}


def _bare(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


_OTHERS = ("utf_8", "ascii", "cp1250", "cp1251", "cp1252", "big5", "euc_jp", "euc_kr")
_USED = {_bare(name): name for name in (*_TERMS.values(), *_OTHERS)}
_CODECS = {**{_bare(a): to for a, to in aliases.items() if _bare(to) in _USED}, **_USED}
"""Names that codecs go by outside of DICOM, for headers that use those."""

TEXT_DELIMITERS = re.compile(rb"[\\\r\n\f\t]")
"""After one of these the first character set applies again (PS3.5 section 6.1.2.5.3)."""
NAME_DELIMITERS = re.compile(rb"[\\\r\n\f\t^=]")
"""The same in person names, where the delimiters of components and groups count as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charset:
    """How the text of a dataset is encoded.

    Attributes
    ----------
    codec
        The Python codec of the first value: text without escape sequences.
    declared
        False when the header says nothing that can be used. Text is then taken for UTF-8
        where it is valid UTF-8, for no other text looks like it by chance; else for Latin-1.
    """

    codec: str
    declared: bool

    def decode(self, raw: bytes, delimiters: re.Pattern[bytes] = TEXT_DELIMITERS) -> str:
        """Return the text; bytes that mean nothing become U+FFFD."""
        if _ESC in raw:
            parts = _FRAGMENTS.findall(raw)
            return "".join([self._decode_fragment(part, delimiters) for part in parts])
        if raw.isascii():
            return raw.decode("ascii")
        return self._decode_plain(raw)

    def _decode_plain(self, raw: bytes) -> str:
        if not self.declared:
            try:
                return raw.decode("utf_8")
            except UnicodeDecodeError:
                return raw.decode(_LATIN_1)
        return raw.decode(self.codec, "replace")

    def _decode_fragment(self, raw: bytes, delimiters: re.Pattern[bytes]) -> str:
        """Decode what follows one escape sequence (PS3.5 section 6.1.2.5)."""
        if not raw.startswith(_ESC):
            return self._decode_plain(raw)
        length = 4 if raw[1:3] in (b"$(", b"$)") else 3
        codec = _ESCAPES.get(raw[:length])
        if codec is None:
            return self._decode_plain(raw)
        if codec in _KEEPS_ESCAPES:
            return raw.decode(codec, "replace")
        raw = raw[length:]
        delimiter = delimiters.search(raw)
        if delimiter is None:
            return raw.decode(codec, "replace")
        cut = delimiter.start()
        return raw[:cut].decode(codec, "replace") + self._decode_plain(raw[cut:])


DEFAULT_CHARSET = Charset(codec=_LATIN_1, declared=False)
"""The character set of a dataset that names none."""


def charset_of(terms: Sequence[str]) -> Charset:
    """Return the character set that the values of Specific Character Set stand for.

    Spellings that are seen in the field (``ISO-IR 100``, ``ISO 2022-IR 87``, ``UTF-8``) are
    understood; unknown ones count as absent.
    """
    if not terms:
        return DEFAULT_CHARSET
    names = [term.strip() for term in terms]
    first = names[0]
    if first in _DEFAULT_TERMS:
        return DEFAULT_CHARSET
    codec = _codec_of(first)
    if codec is None:
        return DEFAULT_CHARSET
    return Charset(codec=codec, declared=True)


def _codec_of(term: str) -> str | None:
    codec = _TERMS.get(term)
    if codec is None and (match := re.match(r"(?i)iso.?(ir|2022.?ir).?([0-9]+)$", term)):
        prefix = "ISO_IR " if match[1].upper() == "IR" else "ISO 2022 IR "
        codec = _TERMS.get(prefix + match[2])
    if codec is None and term.upper() in STAND_ALONE_ENCODINGS:
        codec = _TERMS[term.upper()]
    return codec or _CODECS.get(_bare(term))
