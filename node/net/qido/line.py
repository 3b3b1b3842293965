"""Searches at a DICOMweb service, in the place of an association (PS3.18 10.6)."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Self

from pydicom.dataset import Dataset

from node.errors import AssociationLost, NodeError, PeerFailure
from node.net.qido.client import WebClient
from node.net.qido.courtesy import Courtesy
from node.net.qido.page import NoDicomJson, identity, read_page, to_study
from node.net.qido.paging import Pages, PageVerdict, ServerPaging
from node.net.qido.place import WebPeer
from node.net.qido.search import STUDIES, Parameters, query_string, study_search
from node.net.qido.verdicts import WebResponse, cut_off, no_answer, trouble

PAGE = 500
"""Studies that are asked for at once."""

_STUDY_UID = "0020000D"


class WebLine:
    """What `node.ops.line.Line` is for associations: one search at a time, at one service."""

    operation = "QIDO-RS search"
    """What is asked over it."""

    def __init__(self, peer: WebPeer) -> None:
        self._peer = peer
        self._client: WebClient | None = None
        self._server = ServerPaging()
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
            self._client = await WebClient.opened(self._peer)
        return self

    async def abort(self) -> None:
        """Close the connection, where there is one."""
        await self.close()

    async def close(self) -> None:
        """Close the connection, where there is one."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def echo(self) -> None:
        """Search for one study at most: raises what `matches` does unless the service answers."""
        self._read(await self._page((), limit=1, offset=0))

    async def matches(self, identifier: Dataset) -> AsyncGenerator[Dataset, None]:
        """Search for studies: yields each one that matches, page after page.

        What is not as DICOM JSON is (PS3.18 F), or has no UID, is an empty dataset.

        Parameters
        ----------
        identifier
            As for a C-FIND in the Study Root model, at the study level.

        Raises
        ------
        PeerUnreachable, PeerRefused
            Nobody answers there, or nobody who wants to answer us.
        AssociationLost
            A response did not come to its end in time.
        PeerFailure
            A search was refused, or the answer to it is not whole. What was yielded before is
            then an incomplete answer. Its status is 0xB001 where the service has more studies
            than it gives, else None.
        """
        parameters = study_search(identifier)
        wanted = {f"{element.tag:08X}" for element in identifier} | {_STUDY_UID}
        pages = Pages(server=self._server, limit=PAGE)
        verdict = PageVerdict.MORE
        announced = ""
        while verdict is PageVerdict.MORE:
            offset = pages.offset
            response = await self._page(parameters, limit=PAGE, offset=offset)
            studies = self._read(response)
            announced = response.announced or announced
            verdict = pages.take(
                [identity(study) for study in studies], announced=bool(response.announced)
            )
            if pages.offset == offset:
                break  # nothing, or what came before
            for study in studies:
                try:
                    dataset = to_study(study, wanted)
                except NoDicomJson:
                    dataset = Dataset()  # it names no study, and is one
                else:
                    self._has_answered = True
                yield dataset
                await asyncio.sleep(0)  # what has come already is not waited for
            if not self._has_answered:
                raise self._not_understood(response, "none of its studies is as DICOM JSON is")
        self._raise_unless_whole(verdict, announced)

    def _raise_unless_whole(self, verdict: PageVerdict, announced: str) -> None:
        name = self._peer.name
        if verdict is PageVerdict.CUT:
            raise cut_off(self._peer, announced)
        if verdict is PageVerdict.SHIFTED:
            raise PeerFailure(
                f"{name}: the order of its studies changed from one page to the next",
                status=None,
                comment="pages have studies in common",
            )

    def _read(self, response: WebResponse) -> list[object]:
        if response.is_empty:
            studies: list[object] = []
        else:
            try:
                studies = read_page(response.body, response.charset)
            except NoDicomJson as error:
                why = f"its answer is not DICOM JSON: {error}"
                raise self._not_understood(response, why) from error
        self._has_answered = self._has_answered or not studies
        return studies

    def _not_understood(self, response: WebResponse, why: str) -> NodeError:
        return no_answer(self._peer, response, why, has_answered=self._has_answered)

    async def _page(self, parameters: Parameters, *, limit: int, offset: int) -> WebResponse:
        """Ask for a page until the service is not busy; what comes is an answer."""
        client = self._client
        if client is None:
            raise AssociationLost("given up")
        paged = (*parameters, ("limit", str(limit)), ("offset", str(offset)))
        query = query_string(paged)
        self._courtesy.keep_away()
        attempt = 1
        while (response := await client.get(STUDIES, query)).is_busy:
            await asyncio.sleep(self._courtesy.pause_after(response, attempt))
            attempt += 1
        if not response.is_answer:
            raise trouble(self._peer, response, has_answered=self._has_answered)
        return response
