"""Headers as DICOM JSON: read from encoded bytes, taken from a Dataset, and given back as one.

`read_header` is the way of every received image; it is fast because it goes straight from
the encoded values to JSON. `header_of` does the same for a pydicom Dataset in memory, and
`to_dataset` goes back. What is kept of a header, and how:

- Bulk data is left out: pixel data and what follows it, encapsulated documents, waveforms,
  overlays, curves, audio and spectra; any other binary value above `MAX_INLINE` bytes and
  any value above `MAX_VALUE`. An attribute left out before the pixel data keeps its ``vr``,
  without a value. Shorter binary values stay, as ``InlineBinary``.
- Group lengths, and elements of groups 0000 and 0002 inside of the dataset, are left out
  (PS3.18 section F.2.2).
- Values that are wrong for their VR stay as text, or as UN when they are binary. NaN and
  the infinities, which JSON does not have, are the strings ``NaN``, ``Infinity`` and
  ``-Infinity``.
- Trailing spaces and NULs are padding and go; NUL elsewhere and lone surrogates become
  U+FFFD. Nothing else is changed.

pydicom's `Dataset.to_json_dict` gives the same but for these: it keeps bulk data and group
lengths, writes empty values as ``""`` and empty sequences as ``[]`` where the standard wants
null and no value (F.2.5), keeps the padding of the inner of several values and the empty
groups of names (F.2.2), drops what follows a name's third group, resets the upper half of the
codes with every escape sequence (PS3.5 section 6.1.2.5), takes text without a character set for
Latin-1 even if it is valid UTF-8, leaves UN of 64 KB and more undecoded and the words of big
endian unswapped (F.2.7), writes NaN as no JSON can have it, and raises for numbers that are none.
"""

from schema.header.bulk import MAX_INLINE, MAX_VALUE
from schema.header.dataset import header_of, to_dataset
from schema.header.elements import MAX_DEPTH, MAX_ELEMENTS
from schema.header.encoding import Encoded, read_encoded
from schema.header.header import Header, make_header

__all__ = [
    "MAX_DEPTH",
    "MAX_ELEMENTS",
    "MAX_INLINE",
    "MAX_VALUE",
    "Header",
    "header_of",
    "read_header",
    "to_dataset",
]


def read_header(data: Encoded, transfer_syntax_uid: str | None = None) -> Header:
    """Return the header of an encoded dataset.

    Parameters
    ----------
    data
        The bytes, or a seekable binary file from where it stands. With or without preamble
        and File Meta. Pixel data is neither copied nor, from a file, read; but it is
        checked to be there to its end, except behind a deflated header.
    transfer_syntax_uid
        The transfer syntax of a dataset that came without File Meta, as by C-STORE. None:
        as the File Meta says, else as it looks.

    Raises
    ------
    InvalidDicom
        There is no dataset, it ends early, an element does not fit into what holds it,
        sequences are nested deeper than `MAX_DEPTH`, or there are more than `MAX_ELEMENTS`
        elements and items. Never because of a value.
    """
    attributes, transfer_syntax = read_encoded(data, transfer_syntax_uid)
    return make_header(attributes, transfer_syntax)
