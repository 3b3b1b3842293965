"""What a response means that is no answer: pure, from its status and headers to an error."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from node.dicom.status import Status
from node.errors import NodeError, PeerFailure, PeerRefused
from node.net.qido.place import WebPeer

_BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
_REDIRECTS = {301, 302, 303, 307, 308}
NO_SUCH_SERVICE = {404, 405, 406, 410, 415, 501}
"""What says that there is nothing of this kind, to who asks for a service for the first time."""

_MEDIA = ("application/dicom+json", "application/json")
_HINT = 200
"""Characters of a peer's words that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebResponse:
    """One HTTP response.

    Attributes
    ----------
    media, charset
        Of its Content-Type, in lower case; empty where it says none.
    warnings
        Its Warning headers (RFC 7234 5.5).
    location, retry_after
        Its headers of these names; empty where it has none.
    """

    status: int
    media: str = ""
    charset: str = ""
    warnings: tuple[str, ...] = ()
    location: str = ""
    retry_after: str = ""
    body: bytes = b""

    @property
    def words(self) -> str:
        """Its status, in words."""
        known = {one.value: one.phrase for one in HTTPStatus}
        return f"HTTP {self.status} {known.get(self.status, '')}".rstrip()

    @property
    def is_answer(self) -> bool:
        """Whether it is one to a search (PS3.18 10.6.3.1)."""
        return self.is_empty or (self.status == HTTPStatus.OK and self.media in _MEDIA)

    @property
    def is_empty(self) -> bool:
        """Whether it says that nothing matches, without a word: 204."""
        return self.status == HTTPStatus.NO_CONTENT

    @property
    def is_busy(self) -> bool:
        """Whether it asks to be asked later."""
        return self.status in _BUSY

    @property
    def announced(self) -> str:
        """The warning that there are more matches (PS3.18 8.3.4.4); empty where there is none."""
        return next((one[:_HINT] for one in self.warnings if one.lstrip().startswith("299")), "")


def patience_asked(response: WebResponse, now: datetime) -> float | None:
    """Return how many seconds the server asks for (RFC 9110 10.2.3); None where it does not say."""
    text = response.retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def followed(response: WebResponse, asked: str) -> str | None:
    """Return where a response leads; None where it leads nowhere, or away from this server.

    Parameters
    ----------
    asked
        The URL that it answers: our login is for the server there, and for no other.
    """
    if response.status not in _REDIRECTS or not response.location:
        return None
    try:
        target = urljoin(asked, response.location)
        here, there = urlsplit(asked), urlsplit(target)
        same = (here.scheme, here.hostname, here.port) == (there.scheme, there.hostname, there.port)
    except ValueError:
        return None
    return target if same and "@" not in there.netloc else None


def trouble(peer: WebPeer, response: WebResponse, *, has_answered: bool) -> NodeError:
    """Return what a response that is no answer means.

    Parameters
    ----------
    has_answered
        Whether the service has answered a search before: then it is there, and it is the one
        question that it does not answer.
    """
    if response.status == HTTPStatus.OK:
        media = response.media or "something without a Content-Type"
        why = f"it answered with {media}, where application/dicom+json is needed"
        return no_answer(peer, response, why, has_answered=has_answered)
    if response.status in NO_SUCH_SERVICE:
        return no_answer(peer, response, response.words, has_answered=has_answered)
    if (refusal := why_not_us(peer, response)) is not None:
        return PeerRefused(f"{peer.name}: {response.words}: {refusal}")
    return PeerFailure(
        f"{peer.name} answered the search with {response.words}",
        status=None,
        comment=response.words,
    )


def no_answer(
    peer: WebPeer, response: WebResponse, why: str, *, has_answered: bool
) -> PeerFailure | PeerRefused:
    """Return what says that a search was answered by what is no answer, or by nobody.

    Parameters
    ----------
    has_answered
        As for `trouble`.
    """
    if has_answered:
        words = response.words
        comment = words if words == why else f"{words}, {why}"
        return PeerFailure(f"{peer.name}: {why}", status=None, comment=comment)
    return PeerRefused(
        f"{peer.name}: {why}: there is no QIDO-RS below {peer.url}; {url_wanted(peer)}"
    )


def url_wanted(peer: WebPeer) -> str:
    """Return what to write as its URL."""
    return (
        f"peers.{peer.name}.url has to be the base URL of its DICOMweb service, such as"
        " https://pacs.example.org/dicom-web"
    )


def cut_off(peer: WebPeer, announced: str, what: str = "studies") -> PeerFailure:
    """Return what says that there are more of them than the server lets us have."""
    return PeerFailure(
        f"{peer.name} has more {what} than it gives, and pages that follow are not to be had",
        status=Status.RESPONSE_LIMIT,
        comment=announced,
    )


def why_not_us(
    peer: WebPeer, response: WebResponse, what: str = "search for studies"
) -> str | None:
    """Return why it would not answer any request of ours; None where it is about this one.

    Parameters
    ----------
    what
        We want there.
    """
    if response.status == HTTPStatus.UNAUTHORIZED:
        where = f"peers.{peer.name}.credentials"
        if peer.login is None:
            return f"it wants a login; give {where}"
        return f"it does not accept the login of {where}"
    if response.status == HTTPStatus.FORBIDDEN:
        return f"whom we log in as may not {what} there"
    if response.status in _REDIRECTS:
        return (
            f"{peer.url} leads {_place(response.location)}, which is not followed with our login;"
            f" if that is the service, write it as peers.{peer.name}.url"
        )
    return None


def _place(location: str) -> str:
    """Return where another server is, without what may be secret in a URL."""
    try:
        parts = urlsplit(location)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "nowhere"
    if host is None:
        return "nowhere"
    return f"to {parts.scheme}://{host}" + (f":{port}" if port else "")
