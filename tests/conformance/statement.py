"""The document, and the marks between which its tables are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

STATEMENT = Path(__file__).parents[2] / "docs" / "conformance.md"

_MARKED = re.compile(
    r"(?P<begin><!-- table (?P<name>[a-z-]+), by python -m tests\.conformance -->\n)"
    r".*?"
    r"(?P<end><!-- end of table -->\n)",
    re.DOTALL,
)


def renewed(text: str, tables: Mapping[str, str]) -> str:
    """Return a document with each table between its marks in place of what is there.

    Raises
    ------
    LookupError
        The document marks a table that there is not, or lacks one.
    """
    marked = [found["name"] for found in _MARKED.finditer(text)]
    if sorted(marked) != sorted(tables):
        raise LookupError(f"the document has the tables {marked}, and should have {[*tables]}")
    return _MARKED.sub(
        lambda found: f"{found['begin']}\n{tables[found['name']]}\n{found['end']}", text
    )
