"""The Content-Type of a response or of one of its parts (RFC 9110 8.3)."""

from dataclasses import dataclass
from email.message import Message

DICOM = "application/dicom"
RELATED = "multipart/related"

ACCEPTED = f'{RELATED}; type="{DICOM}"; transfer-syntax=*'
"""What is asked for: files, in whichever transfer syntax they are kept (PS3.18 8.7.3.5.2)."""


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type in lower case, and its boundary; each is empty where there is none."""

    name: str = ""
    boundary: str = ""


def media_type(header: str) -> MediaType:
    """Return what a Content-Type says; whatever it is, nothing is raised."""
    message = Message()
    try:
        message["Content-Type"] = header
        boundary = message.get_boundary("")
        name = message.get_content_type()
    except (ValueError, TypeError, LookupError):  # of the parser, for what is no header at all
        return MediaType()
    if "/" not in header.partition(";")[0]:
        return MediaType()  # the parser makes it text/plain
    return MediaType(name.lower(), boundary)
