"""One HTTP request after the other to a DICOMweb service, within limits of time and size.

The library's exceptions are translated here, and nothing of it is known elsewhere.
"""

import asyncio
import errno
import logging
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Self

import aiohttp
from yarl import URL

from node import __version__
from node.errors import AssociationLost, NodeError, PeerFailure, PeerRefused, PeerUnreachable
from node.net.qido.login import authorization
from node.net.qido.place import WebPeer
from node.net.qido.verdicts import WebResponse, followed, url_wanted
from node.net.transport.pace import Pace

log = logging.getLogger(__name__)

LARGEST_BODY = 16 * 1024 * 1024
"""Bytes of one response, decompressed: some 5,000 studies, or ten times what a page has."""

_REDIRECTS = 3
"""How many are followed, one after the other."""

_ACCEPT = "application/dicom+json, application/json;q=0.9"

_HELD_UP = 0.1
"""Seconds that we take for a part of a body before they count as ours, and not as the server's."""

_LOCAL = {"localhost", "127.0.0.1", "::1"}


class WebStream:
    """A response whose body is read as it comes.

    Attributes
    ----------
    response
        Its status and headers; no body.
    content_type
        The header of that name, as it is; empty where there is none.
    """

    def __init__(
        self, client: "WebClient", response: aiohttp.ClientResponse, answer: WebResponse
    ) -> None:
        self.response = answer
        self.content_type = response.headers.get("Content-Type", "")
        self._client = client
        self._open = response

    def parts(self) -> AsyncGenerator[bytes, None]:
        """Yield the body; see `WebClient.parts`."""
        return self._client.parts(self._open)


class WebClient:
    """Connections to one service; closed with `close`.

    No proxy of the environment is used, no cookie kept, no redirect to another server followed.

    Parameters
    ----------
    tls
        For TLS; None where the URL is no https.
    """

    def __init__(self, peer: WebPeer, tls: ssl.SSLContext | None) -> None:
        self._peer = peer
        if peer.login is not None and tls is None and URL(peer.url).host not in _LOCAL:
            log.warning(
                "%s: its URL is no https: whoever is on the way can read the login", peer.name
            )
        self._server_name = None if tls is None else peer.tls.server_name or None
        connect = peer.timeouts.connect
        self._endless = aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect)
        self._limits = aiohttp.ClientTimeout(
            total=None, connect=connect, sock_connect=connect, sock_read=peer.timeouts.dimse
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=True if tls is None else tls, limit=1),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "Accept": _ACCEPT,
                "Cache-Control": "no-cache",  # an old answer proves nothing of today
                "User-Agent": f"dicom-node/{__version__}",
            },
        )

    @classmethod
    async def opened(cls, peer: WebPeer) -> Self:
        """Return a client; it connects when there is something to ask.

        Raises
        ------
        ConfigurationError
            The files for TLS cannot be used.
        """
        encrypted = URL(peer.url).scheme == "https"
        return cls(peer, await asyncio.to_thread(peer.tls.context) if encrypted else None)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def get(self, path: str, query: str) -> WebResponse:
        """Ask for a resource below the base URL.

        Parameters
        ----------
        query
            The query component of its URL, encoded.

        Raises
        ------
        PeerUnreachable, PeerRefused
            There is no connection, or it is not the server's that we want.
        AssociationLost
            The response did not come to its end in time.
        PeerFailure
            It is longer than it may be.
        ConfigurationError
            The file with our password or token cannot be used.
        """
        where = f"{URL(self._peer.url)}/{path}?{query}"
        response = await self._get(where)
        for _ in range(_REDIRECTS):
            there = followed(response, where)
            if there is None:
                break
            where = there
            response = await self._get(where)
        return response

    @asynccontextmanager
    async def stream(self, path: str, *, accept: str) -> "AsyncIterator[WebStream]":
        """Ask for a resource below the base URL, and read its body as it comes.

        The headers are waited for as long as it takes: whoever asks sets a limit.

        Parameters
        ----------
        accept
            The media types that are wanted, as the Accept header has them.

        Raises
        ------
        PeerUnreachable, PeerRefused, AssociationLost, ConfigurationError
            See `get`.
        """
        where = f"{URL(self._peer.url)}/{path}"
        for left in range(_REDIRECTS, -1, -1):
            wanted = {"Accept": accept, "Accept-Encoding": "identity"}
            response = await self._ask(where, wanted, self._endless)
            try:
                answer = _answer_of(response)
                there = followed(answer, where) if left else None
                if there is None:
                    yield WebStream(self, response, answer)
                    return
                where = there
            finally:
                response.close()  # what is left of the body is not waited for

    async def _get(self, where: str) -> WebResponse:
        async with self._translated(), await self._ask(where) as response:
            answer = _answer_of(response)
            if response.status != 200:
                return answer
            return replace(answer, body=await self._body(response))

    async def _ask(
        self,
        where: str,
        wanted: Mapping[str, str] | None = None,
        limits: aiohttp.ClientTimeout | None = None,
    ) -> aiohttp.ClientResponse:
        """Ask, and return the response whose body is still to be read."""
        login = self._peer.login
        headers = {} if login is None else {"Authorization": authorization(login)}
        async with self._translated():
            return await self._session.get(
                URL(where, encoded=True),
                headers={**headers, **(wanted or {})},
                allow_redirects=False,
                server_hostname=self._server_name,
                timeout=limits or self._limits,
            )

    async def parts(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
        """Yield a body as it comes; whoever reads slowly is not sent more meanwhile.

        Raises
        ------
        AssociationLost
            It did not come to its end, or came too slowly.
        """
        loop = asyncio.get_running_loop()
        patience = self._peer.timeouts.dimse
        pace = Pace()
        while True:
            pace.start(asked := loop.time())
            async with self._translated():
                try:
                    async with asyncio.timeout(patience):
                        part = await response.content.readany()
                except TimeoutError as error:
                    raise self._error(aiohttp.ServerTimeoutError()) from error
            if not part:
                return
            now = loop.time()
            pace.move(len(part), now)
            if why := pace.too_slow(now, patience):
                raise AssociationLost(f"{self._peer.name}: in the middle of an answer, {why}")
            yield part
            if loop.time() - now > max(now - asked, _HELD_UP):
                pace.stop()  # it was us

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        loop = asyncio.get_running_loop()
        pace = Pace()
        pace.start(loop.time())
        async for part in response.content.iter_any():
            body += part
            if len(body) > LARGEST_BODY:
                raise PeerFailure(
                    f"{self._peer.name} answers with more than {LARGEST_BODY >> 20} MB at once",
                    status=None,
                    comment="more than is taken at once",
                )
            now = loop.time()
            pace.move(len(part), now)
            if why := pace.too_slow(now, self._peer.timeouts.dimse):
                raise AssociationLost(f"{self._peer.name}: in the middle of an answer, {why}")
        return bytes(body)

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        """Translate what the library raises."""
        try:
            yield
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> NodeError:
        peer = self._peer
        where = f"{peer.name} at {URL(peer.url).authority}"
        match error:
            case aiohttp.ClientConnectorError():
                return _no_connection(where, error)
            case aiohttp.ConnectionTimeoutError():
                return PeerUnreachable(f"{where}: no connection within {peer.timeouts.connect:g} s")
            case aiohttp.ServerTimeoutError():
                return AssociationLost(f"{where}: no answer for {peer.timeouts.dimse:g} s")
            case aiohttp.ClientResponseError():
                return PeerRefused(
                    f"{where}: what answers there does not speak HTTP as it should; "
                    f"{url_wanted(peer)}"
                )
        return AssociationLost(f"{where}: the connection ended before the answer was complete")


def _answer_of(response: aiohttp.ClientResponse) -> WebResponse:
    """Return a response without its body."""
    return WebResponse(
        status=response.status,
        media=response.content_type.lower() if "Content-Type" in response.headers else "",
        charset=response.charset or "",
        warnings=tuple(response.headers.getall("Warning", ())),
        location=response.headers.get("Location", ""),
        retry_after=response.headers.get("Retry-After", ""),
    )


def _no_connection(where: str, error: aiohttp.ClientConnectorError) -> NodeError:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", "it is not valid")
        return PeerRefused(f"{where}: its certificate is not accepted: {why}")
    over = " with TLS" if isinstance(error, aiohttp.ClientSSLError) else ""
    cause = error.os_error
    if cause.errno == errno.ECONNREFUSED:
        return PeerUnreachable(f"{where}: nobody answers at that address and port")
    # asyncio has words of its own for an error of the system, with the address as Python has it
    number = cause.errno or 0
    system = os.strerror(number) if number > 0 else cause.strerror
    why = getattr(cause, "reason", None) or system
    return PeerUnreachable(f"{where}: no connection{over}: {why or cause}")
