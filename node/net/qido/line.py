"""Searches at a DICOMweb service, in the place of an association (PS3.18 10.6)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Self

from pydicom.dataset import Dataset

from node.errors import AssociationLost, NodeError, PeerFailure
from node.net.qido.client import WebClient
from node.net.qido.courtesy import Courtesy
from node.net.qido.page import NoDicomJson, identity, read_page, tag_of, to_match
from node.net.qido.paging import Pages, PageVerdict, ServerPaging
from node.net.qido.place import WebPeer
from node.net.qido.search import ANY_STUDY, WebSearch, query_string, search_of
from node.net.qido.verdicts import WebResponse, cut_off, no_answer, trouble
from node.net.transport.places import place_at
from schema.text.words import counted

PAGE = 500
"""Matches that are asked for at once."""


class WebLine:
    """What `node.ops.line.Line` is for associations: one search at a time, at one service."""

    operation = "QIDO-RS search"
    """What is asked over it."""

    def __init__(self, peer: WebPeer) -> None:
        self._peer = peer
        self._client: WebClient | None = None
        self._place = AsyncExitStack()
        self._paging: dict[str, ServerPaging] = {}
        self._has_answered = False
        self._courtesy = Courtesy(peer.name)

    @property
    def is_open(self) -> bool:
        """Whether there is a client, connected or not."""
        return self._client is not None

    async def get(self) -> Self:
        """Return what searches; it connects when there is something to ask.

        Raises
        ------
        ConfigurationError
            The files for TLS cannot be used.
        """
        if self._client is None:
            await self._place.enter_async_context(place_at(self._peer.name))
            self._client = await WebClient.opened(self._peer)
        return self

    async def abort(self) -> None:
        """Close the connection, where there is one."""
        await self.close()

    async def close(self) -> None:
        """Close the connection, where there is one."""
        client, self._client = self._client, None
        try:
            if client is not None:
                await client.close()
        finally:
            await self._place.aclose()

    async def echo(self) -> None:
        """Search for one study at most: raises what `matches` does unless the service answers."""
        self._read(await self._page(ANY_STUDY, limit=1, offset=0), ANY_STUDY)

    async def matches(self, identifier: Dataset) -> AsyncGenerator[Dataset, None]:
        """Search for studies, series or images: yields each that matches, page after page.

        What is not as DICOM JSON is (PS3.18 F), or has no UID, is an empty dataset.

        Parameters
        ----------
        identifier
            As for a C-FIND in the Study Root model.

        Raises
        ------
        PeerUnreachable, PeerRefused
            Nobody answers there, or nobody who wants to answer us.
        AssociationLost
            A response did not come to its end in time.
        PeerFailure
            A search was refused, or the answer to it is not whole. What was yielded before is
            then an incomplete answer. Its status is 0xB001 where the service has more than it
            gives, else None.
        """
        search = search_of(identifier)
        wanted = {f"{element.tag:08X}" for element in identifier} | {tag_of(search.key)}
        pages = Pages(server=self._paging.setdefault(search.key, ServerPaging()), limit=PAGE)
        verdict = PageVerdict.MORE
        announced = ""
        while verdict is PageVerdict.MORE:
            offset = pages.offset
            response = await self._page(search, limit=PAGE, offset=offset)
            matches = self._read(response, search)
            announced = response.announced or announced
            verdict = pages.take(
                [identity(match, search.key) for match in matches],
                announced=bool(response.announced),
            )
            if pages.offset == offset:
                break  # nothing, or what came before
            for match in matches:
                try:
                    dataset = to_match(match, wanted, search.key)
                except NoDicomJson:
                    dataset = Dataset()  # it names nothing, and is a match
                else:
                    self._has_answered = True
                yield dataset
                await asyncio.sleep(0)  # what has come already is not waited for
            if not self._has_answered:
                why = f"none of its {search.what} is as DICOM JSON is"
                raise self._not_understood(response, why, search)
        self._raise_unless_whole(verdict, announced, search)

    async def find(self, identifier: Dataset) -> AsyncGenerator[Dataset, None]:
        """Search as `matches`; what is not as DICOM JSON is, is not yielded: it ends in an error.

        Raises
        ------
        PeerFailure
            As for `matches`, or a match was not as it has to be.
        """
        undecodable = 0
        async with aclosing(self.matches(identifier)) as matches:
            async for match in matches:
                if match:
                    yield match
                else:
                    undecodable += 1
        if undecodable:
            raise PeerFailure(
                f"{self._peer.name}: {counted(undecodable, 'match', 'matches')} of the search could"
                " not be decoded",
                status=None,
                comment="not as DICOM JSON is",
            )

    def _raise_unless_whole(self, verdict: PageVerdict, announced: str, search: WebSearch) -> None:
        name = self._peer.name
        if verdict is PageVerdict.CUT:
            raise cut_off(self._peer, announced, search.what)
        if verdict is PageVerdict.SHIFTED:
            raise PeerFailure(
                f"{name}: the order of its {search.what} changed from one page to the next",
                status=None,
                comment=f"pages have {search.what} in common",
            )

    def _read(self, response: WebResponse, search: WebSearch) -> list[object]:
        if response.is_empty:
            matches: list[object] = []
        else:
            try:
                matches = read_page(response.body, response.charset)
            except NoDicomJson as error:
                why = f"its answer is not DICOM JSON: {error}"
                raise self._not_understood(response, why, search) from error
        self._has_answered = self._has_answered or not matches
        return matches

    def _not_understood(self, response: WebResponse, why: str, search: WebSearch) -> NodeError:
        return no_answer(self._peer, response, why, has_answered=self._is_there(search))

    def _is_there(self, search: WebSearch) -> bool:
        """Tell whether there is a service, whatever it answers: it may search studies alone."""
        return self._has_answered or search.in_study

    async def _page(self, search: WebSearch, *, limit: int, offset: int) -> WebResponse:
        """Ask for a page until the service is not busy; what comes is an answer."""
        client = self._client
        if client is None:
            raise AssociationLost("given up")
        paged = (*search.parameters, ("limit", str(limit)), ("offset", str(offset)))
        query = query_string(paged)
        self._courtesy.keep_away()
        attempt = 1
        while (response := await client.get(search.resource, query)).is_busy:
            await asyncio.sleep(self._courtesy.pause_after(response, attempt))
            attempt += 1
        if not response.is_answer:
            raise trouble(self._peer, response, has_answered=self._is_there(search))
        return response
