"""In which character set a question goes out (PS3.5 6.1, PS3.4 C.4.1.1.3.1)."""

_REPERTOIRES = (
    ("ISO_IR 100", "iso8859-1"),
    ("ISO_IR 101", "iso8859-2"),
    ("ISO_IR 109", "iso8859-3"),
    ("ISO_IR 110", "iso8859-4"),
    ("ISO_IR 144", "iso8859-5"),
    ("ISO_IR 127", "iso8859-6"),
    ("ISO_IR 126", "iso8859-7"),
    ("ISO_IR 138", "iso8859-8"),
    ("ISO_IR 148", "iso8859-9"),
    ("ISO_IR 166", "tis-620"),
)
"""Single-byte character sets without code extensions (PS3.3 Table C.12-2), by Python's names."""

UTF_8 = "ISO_IR 192"


def charset_for(text: str) -> str:
    """Return the Specific Character Set (0008,0005) of a question: the narrowest that has its text.

    Peers compare bytes more often than characters, and most hold one of the older sets.

    Returns
    -------
    str
        "" where it is ASCII, and none is named.
    """
    if text.isascii():
        return ""
    for name, codec in _REPERTOIRES:
        try:
            text.encode(codec)
        except UnicodeEncodeError:
            continue
        return name
    return UTF_8
