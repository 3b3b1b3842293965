"""What a response to a retrieval means that brings no images, or not all: pure."""

from http import HTTPStatus

from node.errors import NodeError, PeerFailure, PeerRefused
from node.net.qido.place import WebPeer
from node.net.qido.verdicts import NO_SUCH_SERVICE, WebResponse, url_wanted, why_not_us
from node.net.wado.media import DICOM, RELATED

_WORDS = {
    404: "has nothing under that UID, or no WADO-RS",
    410: "has it no more",
    406: f"does not give it as {DICOM}",
}
"""What a response means that is about what was asked for."""


def refusal(peer: WebPeer, response: WebResponse, *, has_answered: bool) -> NodeError | None:
    """Return what a response means; None where its body has what was asked for, or is empty.

    Parameters
    ----------
    has_answered
        Whether the service has given images before: then it is there, and it is the one request
        that it does not answer.
    """
    has_body = response.status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}
    if response.is_empty or (has_body and response.media in {RELATED, DICOM}):
        return None
    if has_body:
        media = response.media or "something without a Content-Type"
        why = f"it answered with {media}, where {RELATED} of {DICOM} is needed"
        return _nobody(peer, response, why, has_answered=has_answered)
    if (why_not := why_not_us(peer, response, "retrieve images")) is not None:
        return PeerRefused(f"{peer.name}: {response.words}: {why_not}")
    if response.status in NO_SUCH_SERVICE - set(_WORDS):
        return _nobody(peer, response, response.words, has_answered=has_answered)
    words = _WORDS.get(response.status, "does not answer the retrieval")
    return _failure(response, f"{peer.name} {words}")


def incomplete(peer: WebPeer, response: WebResponse) -> PeerFailure:
    """Return what says that the answer has not all that was asked for."""
    return _failure(response, f"{peer.name} gives only a part of it")


def malformed(peer: WebPeer, response: WebResponse, why: str) -> PeerFailure:
    """Return what says that the body is not what it should be."""
    return _failure(response, f"the answer of {peer.name} is malformed: {why}")


def _failure(response: WebResponse, why: str) -> PeerFailure:
    return PeerFailure(f"{why} ({response.words})", status=None, comment=response.words)


def _nobody(
    peer: WebPeer, response: WebResponse, why: str, *, has_answered: bool
) -> PeerFailure | PeerRefused:
    if has_answered:
        return PeerFailure(f"{peer.name}: {why}", status=None, comment=response.words)
    return PeerRefused(
        f"{peer.name}: {why}: there is no WADO-RS below {peer.url}; {url_wanted(peer)}"
    )
