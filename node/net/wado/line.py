"""Retrievals at a DICOMweb service, one after the other (PS3.18 10.4)."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from node.errors import AssociationLost, PeerFailure
from node.net.messages import Caller, StoreHandler
from node.net.qido.client import WebClient, WebStream
from node.net.qido.courtesy import Courtesy
from node.net.qido.place import WebPeer
from node.net.transport.places import place_at
from node.net.wado.media import ACCEPTED, DICOM, media_type
from node.net.wado.multipart import (
    MalformedMultipart,
    MultipartParser,
    PartData,
    PartEnd,
    PartHead,
    TruncatedMultipart,
)
from node.net.wado.objects import Harvest, Objects
from node.net.wado.refusals import incomplete, malformed, refusal

_LONGEST_AE = 16


class WadoLine:
    """Connections to one service.

    Parameters
    ----------
    store
        Takes each object.
    source
        Under which AE title it is taken; the peer's name where it has none.
    answered
        Called when an answer begins that brings images, or says that there are none.
    """

    def __init__(
        self,
        peer: WebPeer,
        *,
        store: StoreHandler,
        source: str = "",
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        place = urlsplit(peer.url)
        self._peer = peer
        self._store = store
        self._caller = Caller(
            aetitle=(source or peer.name)[:_LONGEST_AE],
            address=place.hostname or "",
            port=place.port or (443 if place.scheme == "https" else 80),
        )
        self._answered = answered
        self._courtesy = Courtesy(peer.name)
        self._client: WebClient | None = None
        self._place = AsyncExitStack()
        self._has_answered = False

    async def open(self) -> None:
        """Prepare; it connects when there is something to ask.

        Raises
        ------
        ConfigurationError
            The files for TLS cannot be used.
        """
        if self._client is None:
            await self._place.enter_async_context(place_at(self._peer.name))
            self._client = await WebClient.opened(self._peer)

    async def close(self) -> None:
        """Close the connection, where there is one."""
        client, self._client = self._client, None
        try:
            if client is not None:
                await client.close()
        finally:
            await self._place.aclose()

    async def retrieve(
        self,
        resource: str,
        harvest: Harvest,
        progressed: Callable[[], None] = lambda: None,
        *,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> str:
        """Ask for a resource, and hand what it has to the store; return the words of the answer.

        Parameters
        ----------
        resource
            Below the base URL: see `resource_of`.
        harvest
            What it brings is added there, also where it ends with an error.
        progressed
            Called with each sign of progress.
        before
            Awaited before each request; what it raises is raised here, and nothing is asked for.

        Raises
        ------
        PeerUnreachable, PeerRefused
            Nobody answers there, or nobody who wants to answer us.
        AssociationLost
            The answer did not come to its end; what came before is in the harvest.
        PeerFailure
            It was refused, is not all that was asked for, or objects of it could not be taken.
        StorageError
            The store takes nothing at the moment.
        ConfigurationError
            The file with our password or token cannot be used, or those for TLS.
        """
        await self.open()
        assert self._client is not None, "it was just opened"  # noqa: S101
        self._courtesy.keep_away()
        attempt = 1
        while True:
            if before is not None:
                await before()
            async with self._client.stream(resource, accept=ACCEPTED) as stream:
                response = stream.response
                progressed()
                if not response.is_busy:
                    return await self._answer(stream, harvest, progressed)
            await asyncio.sleep(self._courtesy.pause_after(response, attempt))
            attempt += 1

    async def _answer(
        self, stream: WebStream, harvest: Harvest, progressed: Callable[[], None]
    ) -> str:
        response = stream.response
        error = refusal(self._peer, response, has_answered=self._has_answered)
        if error is not None:
            raise error
        self._answered()
        self._has_answered = True
        failed = harvest.failed
        if not response.is_empty:
            await self._take(stream, harvest, progressed)
        if response.status == HTTPStatus.PARTIAL_CONTENT:
            raise incomplete(self._peer, response)
        if harvest.failed > failed:
            raise PeerFailure(
                f"of what {self._peer.name} sent, {harvest.failed - failed} could not be taken:"
                f" {harvest.reasons[min(failed, len(harvest.reasons) - 1)]}",
                status=None,
                comment=response.words,
            )
        return response.words

    async def _take(
        self, stream: WebStream, harvest: Harvest, progressed: Callable[[], None]
    ) -> None:
        objects = Objects(self._store, self._caller, harvest)
        try:
            if stream.response.media == DICOM:  # one object, as no list of parts
                await self._take_single(stream, objects, progressed)
            else:
                await self._take_parts(stream, objects, progressed)
        except TruncatedMultipart as error:
            raise AssociationLost(
                f"the answer of {self._peer.name} is not whole: {error}"
            ) from error
        except MalformedMultipart as error:
            raise malformed(self._peer, stream.response, str(error)) from error
        finally:
            objects.discard()

    async def _take_parts(
        self, stream: WebStream, objects: Objects, progressed: Callable[[], None]
    ) -> None:
        parser = MultipartParser(media_type(stream.content_type).boundary)
        async for data in stream.parts():
            progressed()
            for event in parser.feed(data):
                await objects.take(event)
        parser.close()

    async def _take_single(
        self, stream: WebStream, objects: Objects, progressed: Callable[[], None]
    ) -> None:
        await objects.take(PartHead({}))
        async for data in stream.parts():
            progressed()
            await objects.take(PartData(data))
        await objects.take(PartEnd())


def resource_of(study_uid: str, series_uid: str = "", sop_uid: str = "") -> str:
    """Return the resource of a study, of a series, or of an image (PS3.18 Table 10.4.1-1)."""
    named = (("studies", study_uid), ("series", series_uid), ("instances", sop_uid))
    return "/".join(f"{name}/{quote(uid, safe='')}" for name, uid in named if uid)
