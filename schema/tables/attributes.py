"""Attributes of the header in queries: what `images.meta` holds, as text or as a number.

    select(Image).where(header_number("SliceThickness") < 1.0)

The same expression works on SQLite and on PostgreSQL, and whatever the header says: an
attribute that is absent or empty is NULL, and so is, asked for as a number, one that is none.
A plain cast would end the whole query on PostgreSQL, and be 0 on SQLite. The SQL has no
parameters, so that an index on the expression is used.
"""

import difflib
import re

from pydicom.datadict import dictionary_VR, keyword_dict, tag_for_keyword
from sqlalchemy import literal_column

from schema.errors import UnknownAttribute
from schema.tables.headervalues import HeaderNumber, HeaderText
from schema.tables.models import Image

_TAG = re.compile(r"[0-9A-Fa-f]{8}")


def header_text(keyword: str, item: int = 0, *, image: type[Image] = Image) -> HeaderText:
    """Return the SQL expression for one value of an attribute, as text.

    Of a person's name the alphabetic group (PS3.5 6.2.1.2); of a number its digits.

    Parameters
    ----------
    keyword
        The attribute's DICOM keyword (PS3.6), or its tag as eight hexadecimal digits, for
        private attributes: `"00191002"`.
    item
        Which of several values; the first is 0.
    image
        An alias of `Image`, where a query has several.

    Raises
    ------
    UnknownAttribute
        When there is no attribute with this keyword.
    """
    tag = _tag_of(keyword)
    group = ".Alphabetic" if _is_name(tag) else ""
    return HeaderText(image.meta, literal_column(f"{tag}.{int(item)}{group}"))


def header_number(keyword: str, item: int = 0, *, image: type[Image] = Image) -> HeaderNumber:
    """Return the SQL expression for one value of an attribute, as a number.

    NULL when the value is absent, or no number: `SliceThickness` "n/a" breaks no query.

    Parameters
    ----------
    keyword, item, image
        As `header_text` has them.

    Raises
    ------
    UnknownAttribute
        When there is no attribute with this keyword.
    """
    return HeaderNumber(image.meta, literal_column(f"{_tag_of(keyword)}.{int(item)}"))


def _tag_of(keyword: str) -> str:
    tag = tag_for_keyword(keyword) if keyword else None  # some tags have no keyword
    if tag is not None:
        return f"{tag:08X}"
    if _TAG.fullmatch(keyword):
        return keyword.upper()
    near = difflib.get_close_matches(keyword, keyword_dict, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "write its tag, for example '00180050'"
    raise UnknownAttribute(f"no DICOM attribute has the keyword {keyword!r}; {hint}")


def _is_name(tag: str) -> bool:
    try:
        return dictionary_VR(int(tag, 16)) == "PN"
    except KeyError:
        return False
