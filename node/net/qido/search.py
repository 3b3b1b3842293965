"""The parameters of a search for studies (PS3.18 8.3.4, 10.6.1)."""

from urllib.parse import quote

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

STUDIES = "studies"
"""The resource that is searched, below the base URL (PS3.18 Table 10.6.1-1)."""

_NOT_SENT = {"QueryRetrieveLevel", "SpecificCharacterSet"}
"""Of an identifier, what the resource and the encoding of URLs say already."""

Parameters = tuple[tuple[str, str], ...]


def study_search(identifier: Dataset) -> Parameters:
    """Return the parameters that say what the identifier of a study-level C-FIND says.

    A key with a value is matched, a list of UIDs with commas (PS3.18 8.3.4.1); an empty one is
    asked to be told (`includefield`), also where it is told anyway (PS3.18 Table 10.6.3-3).
    """
    matched, told = [], []
    for element in identifier:
        if element.keyword in _NOT_SENT:
            continue
        value = element.value
        text = ",".join(map(str, value)) if isinstance(value, MultiValue) else str(value or "")
        if text:
            matched.append((element.keyword, text))
        elif element.keyword != "StudyInstanceUID":
            told.append(element.keyword)
    included = (("includefield", ",".join(told)),) if told else ()
    return (*matched, *included)


def query_string(parameters: Parameters) -> str:
    """Return the query component of a URL (RFC 3986 3.4); text is UTF-8 (PS3.18 8.3.1)."""
    # a comma divides what is a list, and stays; a plus sign would be taken for a space
    return "&".join(f"{name}={quote(value, safe=',*:-')}" for name, value in parameters)
