"""Decoding text in any of the character sets of DICOM, whatever the header claims.

(0008,0005) Specific Character Set (PS3.3 section C.12.1.1.2) says how text is encoded. In
the field it is absent, misspelt, wrong or contradicted by the text. Here a text always
comes out: undecodable bytes become U+FFFD, and nothing raises or warns. pydicom's tables
say which codec belongs to which defined term and escape sequence; its functions are not
used because they warn on every doubtful value and accept any codec that Python has,
including slow ones and ones that expand what they decode.
"""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from encodings.aliases import aliases

from pydicom.charset import CODES_TO_ENCODINGS, python_encoding

_ESC = b"\x1b"
_FRAGMENTS = re.compile(rb"(?s)^[^\x1b]+|\x1b[^\x1b]*")
_LATIN_1 = "latin_1"
_KEEPS_ESCAPES = ("iso2022_jp", "iso2022_jp_2")
"""Codecs that need the escape sequence in front of the bytes that it introduces."""

_TERMS = {
    **python_encoding,
    "ISO_IR 203": "iso8859_15",
    "ISO 2022 IR 203": "iso8859_15",
}
_ASCII_TO_G0 = b"\x1b(B"
_ESCAPES = {**CODES_TO_ENCODINGS, b"\x1b-b": "iso8859_15"}


def _bare(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


_OTHERS = ("utf_8", "ascii", "cp1250", "cp1251", "cp1252", "big5", "euc_jp", "euc_kr")
_USED = {
    _bare(spelling): name
    for name in (*_TERMS.values(), *_OTHERS)
    for spelling in (name, codecs.lookup(name).name)
}
_CODECS = {
    **{_bare(a): _USED[_bare(to)] for a, to in aliases.items() if _bare(to) in _USED},
    **_USED,
}
"""Names that codecs go by outside of DICOM, for headers that use those."""

_NUMBERED = re.compile(r"(?i)iso[^0-9]?(?:2022[^0-9]?)?(?:ir)?[^0-9]?([0-9]{1,3})")
_SAYS_NOTHING = frozenset(("ascii", "iso8859", *_KEEPS_ESCAPES))
"""Codecs of first values that leave open what a byte above 0x7F is."""

TEXT_DELIMITERS = re.compile(rb"[\\\r\n\f\t]")
"""After one of these the first character set applies again (PS3.5 section 6.1.2.5.3)."""
PROSE_DELIMITERS = re.compile(rb"[\r\n\f\t]")
"""The same in LT, ST and UT, where a backslash is a backslash."""
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
            return self._decode_switched(raw, delimiters)
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

    def _decode_switched(self, raw: bytes, delimiters: re.Pattern[bytes]) -> str:
        """Decode text with escape sequences (PS3.5 section 6.1.2.5).

        A character set goes to the lower (G0) or the upper half (G1) of the codes. What was
        in the upper half stays there while the lower half changes, up to a delimiter.
        """
        upper: str | None = None  # as in the first character set
        texts = []
        for part in _FRAGMENTS.findall(raw):
            start = 4 if part[1:3] in (b"$(", b"$)") else 3
            escape = part[:start]
            codec = _ESCAPES.get(escape)
            if codec is None:
                texts.append(self._decode_plain(part))
                continue
            if codec in _KEEPS_ESCAPES:
                texts.append(part.decode(codec, "replace"))
                continue
            if escape[1:2] in b")-" or escape[1:3] == b"$)":
                upper = codec
            delimiter = delimiters.search(part, start)
            cut = len(part) if delimiter is None else delimiter.start()
            if escape == _ASCII_TO_G0:
                codec = upper
            text = part[start:cut]
            texts.append(
                self._decode_plain(text) if codec is None else text.decode(codec, "replace")
            )
            if delimiter is not None:
                upper = None
                texts.append(self._decode_plain(part[cut:]))
        return "".join(texts)


DEFAULT_CHARSET = Charset(codec=_LATIN_1, declared=False)
"""The character set of a dataset that names none."""


def charset_of(terms: Sequence[str]) -> Charset:
    """Return the character set that the values of Specific Character Set stand for.

    Spellings that are seen in the field (``ISO-IR 100``, ``ISO 2022-IR 87``, ``UTF-8``) are
    understood, and so are the names that Python has for them; unknown ones count as absent.
    """
    codec = _codec_of(terms[0].strip()) if terms else None
    if codec is None or codec in _SAYS_NOTHING:
        return DEFAULT_CHARSET
    return Charset(codec=codec, declared=True)


def _codec_of(term: str) -> str | None:
    codec = _TERMS.get(term) or _TERMS.get(term.upper())
    if codec is None and (match := _NUMBERED.fullmatch(term)):
        codec = _TERMS.get(f"ISO_IR {match[1]}") or _TERMS.get(f"ISO 2022 IR {match[1]}")
    return codec or _CODECS.get(_bare(term))
