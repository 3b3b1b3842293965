r"""Text of foreign origin, made harmless: the one place that decides what may not pass.

Names, comments and paths come from peers and files. They could drive a terminal (the control
characters C0, DEL and C1), forge a line of a log (line breaks, U+2028, U+2029), show something
else than they are (what reorders text), or be run as a formula by a spreadsheet.

Theory of operation: whoever writes text calls the function of the kind of reader. People get
what Python would write (`escape`); programs get JSON in which the same characters are written
with `\u`, so that nothing is lost (`in_json`); spreadsheets get an apostrophe before what they
would run (`in_spreadsheet`). Files of data, which are read back as they were, say so where they
leave it out.
"""

import re

_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))

_REORDERING = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""What changes the direction of text (Unicode Standard Annex 9, explicit formatting)."""

_SEPARATORS = (0x2028, 0x2029)

_ESCAPED = (
    {code: f"\\x{code:02x}" for code in _CONTROLS}
    | {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x1B: "\\e"}
    | {code: f"\\u{code:04x}" for code in (*_REORDERING, *_SEPARATORS)}
)

_SURROGATES = range(0xD800, 0xE000)

_IN_JSON = re.compile(
    f"[\\x7f-\\x9f{''.join(map(chr, (*_REORDERING, *_SEPARATORS)))}"
    f"{chr(_SURROGATES[0])}-{chr(_SURROGATES[-1])}]"
)
"""Without C0: in a text those are escaped already, and between values they are line breaks."""

_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@＝＋－＠]")
"""How a text begins that a spreadsheet may run as a formula, in full width as well."""


def escape(text: str) -> str:
    """Replace what drives a terminal, breaks or reorders a line by what Python would write."""
    return text.translate(_ESCAPED)


def escape_lines(text: str) -> str:
    """Do as `escape` does, and leave the line breaks: for text that has lines of our making."""
    return "\n".join(map(escape, text.split("\n")))


def in_json(text: str) -> str:
    """Return JSON that says the same, without any of the characters that `escape` replaces."""
    return _IN_JSON.sub(_with_escape, text)


def in_json_bytes(data: bytes) -> bytes:
    """Do as `in_json` does for JSON in UTF-8."""
    return in_json(data.decode()).encode()


def in_spreadsheet(text: str) -> str:
    """Return a text that no spreadsheet runs: with an apostrophe in front where it would.

    That is where it begins with ``=``, ``+``, ``-`` or ``@``, also after spaces and in full
    width, with a tab or with a line break.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def in_list(text: str) -> str:
    """Return a cell of a CSV list that people read, in a terminal or in a spreadsheet."""
    return escape(in_spreadsheet(text))


def _with_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
