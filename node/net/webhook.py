"""One HTTP POST, for those who want to be told of events: a status and the beginning of the answer.

Certificates are checked against the system's authorities, no redirection is followed (it would take
what is told to somebody else), and no proxy of the environment is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from node import __version__
from node.errors import PeerUnreachable

_MOST = 16 * 1024
"""Bytes of an answer that are read: what is beyond nobody needs."""

_TO_CONNECT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAnswer:
    """What came back.

    Attributes
    ----------
    status
        Of HTTP.
    text
        The beginning of the body; not harmless yet.
    """

    status: int
    text: str


async def post(
    url: str, body: bytes, headers: Mapping[str, str], *, timeout: float
) -> WebhookAnswer:
    """Send JSON to a URL.

    Parameters
    ----------
    headers
        Beside those that say what is sent, and by whom.
    timeout
        Seconds for all of it: connection, request, and the beginning of the answer.

    Raises
    ------
    PeerUnreachable
        There was no answer in time. The message names neither the URL's path nor its query, which
        may be secret.
    """
    limits = aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, _TO_CONNECT))
    said = {
        **headers,
        "Content-Type": "application/json",
        "User-Agent": f"dicom-node/{__version__}",
    }
    try:
        async with (
            aiohttp.ClientSession(timeout=limits, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(url, data=body, headers=said, allow_redirects=False) as response,
        ):
            answer = await response.content.read(_MOST)
            return WebhookAnswer(status=response.status, text=answer.decode(errors="replace"))
    except TimeoutError as error:
        raise PeerUnreachable(f"no answer within {timeout:g} s") from error
    except aiohttp.ClientConnectorError as error:
        raise PeerUnreachable(f"no connection to {error.host}:{error.port}") from error
    except (aiohttp.ClientError, ValueError, OSError) as error:
        raise PeerUnreachable(f"it broke off: {type(error).__name__}") from error
