"""What is to be done about files that are not as they should be."""

from collections.abc import Collection, Iterator

_REMEDIES = {
    frozenset({"missing", "changed"}): (
        "`dicom-node verify --reopen` puts damaged files aside and opens their studies, and"
        " `dicom-node move` gets them again"
    ),
    frozenset({"outside"}): (
        "--directory names a folder that has all of them; what another node keeps, that node lists"
    ),
}
"""By what is wrong."""


def remedies(wrong: Collection[str]) -> Iterator[str]:
    """Say what is to be done, by the kinds of what is wrong."""
    for kinds, what in _REMEDIES.items():
        if kinds & set(wrong):
            yield what
