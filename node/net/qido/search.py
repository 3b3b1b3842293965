"""What is searched, and with which parameters (PS3.18 8.3.4, 10.6.1)."""

from dataclasses import dataclass
from urllib.parse import quote

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

_NOT_SENT = {"QueryRetrieveLevel", "SpecificCharacterSet"}
"""Of an identifier, what the resource and the encoding of URLs say already."""

_STUDY = "StudyInstanceUID"
_SERIES = "SeriesInstanceUID"

Parameters = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSearch:
    """A search, without its pages.

    Attributes
    ----------
    resource
        Below the base URL (PS3.18 Table 10.6.1-1).
    parameters
        What is matched, and what is to be told.
    key
        The keyword of the UID that each match has to have.
    what
        It brings, in words: studies, series or images.
    """

    resource: str = "studies"
    parameters: Parameters = ()
    key: str = _STUDY
    what: str = "studies"

    @property
    def in_study(self) -> bool:
        """Whether it is about what is in one study, which a service need not answer."""
        return self.key != _STUDY


ANY_STUDY = WebSearch()
"""A search for studies, whichever they are."""


def search_of(identifier: Dataset) -> WebSearch:
    """Return the search that asks for what the identifier of a C-FIND asks for.

    A key with a value is matched, a list of UIDs with commas (PS3.18 8.3.4.1); an empty one is
    asked to be told (`includefield`), also where it is told anyway (PS3.18 Table 10.6.3-3). Below
    the study level the resource names the study, and at the image level the series.
    """
    level = str(identifier.get("QueryRetrieveLevel", "STUDY"))
    if level == "STUDY":
        return WebSearch(parameters=_parameters(identifier, _STUDY))
    study = f"studies/{_segment(identifier, _STUDY)}"
    if level == "SERIES":
        return WebSearch(
            resource=f"{study}/series",
            parameters=_parameters(identifier, _SERIES, named=(_STUDY,)),
            key=_SERIES,
            what="series",
        )
    return WebSearch(
        resource=f"{study}/series/{_segment(identifier, _SERIES)}/instances",
        parameters=_parameters(identifier, "SOPInstanceUID", named=(_STUDY, _SERIES)),
        key="SOPInstanceUID",
        what="images",
    )


def query_string(parameters: Parameters) -> str:
    """Return the query component of a URL (RFC 3986 3.4); text is UTF-8 (PS3.18 8.3.1)."""
    # a comma divides what is a list, and stays; a plus sign would be taken for a space
    return "&".join(f"{name}={quote(value, safe=',*:-')}" for name, value in parameters)


def _segment(identifier: Dataset, keyword: str) -> str:
    return quote(str(identifier[keyword].value), safe="")


def _parameters(identifier: Dataset, key: str, *, named: tuple[str, ...] = ()) -> Parameters:
    """Return the parameters; `named` are the keys that the resource has."""
    matched, told = [], []
    for element in identifier:
        if element.keyword in _NOT_SENT or element.keyword in named:
            continue
        value = element.value
        text = ",".join(map(str, value)) if isinstance(value, MultiValue) else str(value or "")
        if text:
            matched.append((element.keyword, text))
        elif element.keyword != key:
            told.append(element.keyword)
    included = (("includefield", ",".join(told)),) if told else ()
    return (*matched, *included)
