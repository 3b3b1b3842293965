"""A DICOMweb service that answers searches, or whatever a script says, in a thread."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.support.processes import LOOPBACK

TAGS = {
    "StudyDate": ("00080020", "DA"),
    "StudyTime": ("00080030", "TM"),
    "AccessionNumber": ("00080050", "SH"),
    "ModalitiesInStudy": ("00080061", "CS"),
    "StudyDescription": ("00081030", "LO"),
    "PatientName": ("00100010", "PN"),
    "PatientID": ("00100020", "LO"),
    "StudyInstanceUID": ("0020000D", "UI"),
    "NumberOfStudyRelatedInstances": ("00201208", "IS"),
    "ReferringPhysicianName": ("00080090", "PN"),
    "SOPClassUID": ("00080016", "UI"),
    "SOPInstanceUID": ("00080018", "UI"),
    "Modality": ("00080060", "CS"),
    "SeriesInstanceUID": ("0020000E", "UI"),
    "NumberOfSeriesRelatedInstances": ("00201209", "IS"),
}
DICOM_JSON = "application/dicom+json"

Study = Mapping[str, Any]
"""DICOM keyword to value; a list has several."""


@dataclass(frozen=True)
class Search:
    """A request: `number` counts from 1; `parameters` are what the URL says, decoded."""

    number: int
    path: str
    parameters: dict[str, str]
    headers: dict[str, str]

    @property
    def window(self) -> str:
        return " ".join(self.parameters.get(key, "") for key in ("StudyDate", "StudyTime"))


@dataclass
class Reply:
    """What goes back; `forever` goes on after the body, until nobody reads any more.

    `chunks` follow it as fast as they are read, and then the connection is closed.
    """

    status: int = 200
    body: bytes = b"[]"
    media: str = DICOM_JSON
    headers: dict[str, str] = field(default_factory=dict)
    forever: bytes = b""
    chunks: Iterable[bytes] = ()
    delay: float = 0.0
    pause: float = 0.0


Script = Callable[["QidoServer", Search], "Reply | None"]
"""Answers one search; None closes the connection in the middle of an answer."""


def good(server: QidoServer, search: Search, *, most: int | None = None) -> Reply:
    """Answer as the standard says, with at most `most` studies at once."""
    found = server.matching(search)
    limit, offset = page_of(search)
    size = min(limit, most or limit)
    page = found[offset : offset + size]
    left = len(found) > offset + len(page)
    headers = {"Warning": '299 pacs "There are more; ask for them"'} if left else {}
    return studies_reply(page, headers=headers)


def page_of(search: Search) -> tuple[int, int]:
    """Return the limit and the offset of a search."""
    return int(search.parameters["limit"]), int(search.parameters["offset"])


def studies_reply(studies: Sequence[Study], **more: Any) -> Reply:
    """Return the reply with these studies; 204 when there are none."""
    if not studies:
        return Reply(status=204, body=b"", media="", **more)
    return Reply(body=json.dumps([dicom_json(one) for one in studies]).encode(), **more)


def dicom_json(study: Study) -> dict[str, Any]:
    """Return a study as PS3.18 F writes it."""
    written = {}
    for keyword, value in study.items():
        tag, vr = TAGS[keyword]
        values = value if isinstance(value, list) else [value]
        if vr == "PN":
            values = [{"Alphabetic": one} for one in values]
        written[tag] = {"vr": vr, "Value": values}
    return written


class QidoServer:
    """The service; a context manager. `asked` has every request so far.

    `images` are what searches below the study level find, each with the UIDs of all levels.
    """

    def __init__(
        self,
        studies: Sequence[Study] = (),
        script: Script = good,
        *,
        images: Sequence[Study] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.studies = list(studies)
        self.images = list(images)
        self.script = script
        self.asked: list[Search] = []
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="qido")

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self.port}/dicom-web"

    @property
    def windows(self) -> int:
        """How many different questions were asked, whatever their pages."""
        return len({search.window for search in self.asked})

    def matching(self, search: Search) -> list[Study]:
        """Return the studies, series or images that match, as the standard says."""
        if inside := search.path.partition("/studies/")[2]:
            return self._inside(*inside.split("/")[::2])
        wanted = search.parameters
        return [
            study
            for study in self.studies
            if _in_range(study.get("StudyDate", ""), wanted.get("StudyDate", ""))
            and _in_range(study.get("StudyTime", ""), wanted.get("StudyTime", ""))
            and _in_list(study.get("StudyInstanceUID", ""), wanted.get("StudyInstanceUID", ""))
            and _in_list(study.get("PatientID", ""), wanted.get("PatientID", ""))
            and _has(study.get("ModalitiesInStudy", ["CT"]), wanted.get("ModalitiesInStudy", ""))
        ]

    def _inside(self, study: str, series: str | None = None) -> list[Study]:
        """Return the series of a study, or the images of a series."""
        images = [one for one in self.images if one["StudyInstanceUID"] == study]
        if series is not None:
            return [one for one in images if one["SeriesInstanceUID"] == series]
        counts = Counter(one["SeriesInstanceUID"] for one in images)
        return [
            {
                "StudyInstanceUID": study,
                "SeriesInstanceUID": uid,
                "Modality": "MR",
                "NumberOfSeriesRelatedInstances": count,
            }
            for uid, count in counts.items()
        ]

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, LOOPBACK, 0, ssl=self._tls), self._loop
        )
        self._server = starting.result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # they have hung up, or the test is over
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        target = urlsplit(first.split()[1])
        pairs = [line.split(": ", 1) for line in lines]
        headers = {name.lower(): value for name, value in pairs}
        search = Search(len(self.asked) + 1, target.path, dict(parse_qsl(target.query)), headers)
        self.asked.append(search)
        reply = self.script(self, search)
        if reply is None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[")
            return False
        await asyncio.sleep(reply.delay)
        told = {"Content-Type": reply.media} if reply.media else {}
        if not reply.forever and not reply.chunks and reply.status != 204:
            told["Content-Length"] = str(len(reply.body))
        told |= reply.headers
        lines = [f"HTTP/1.1 {reply.status} Word", *(f"{key}: {text}" for key, text in told.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode() + reply.body)
        while reply.forever:
            writer.write(reply.forever)
            await writer.drain()
            await asyncio.sleep(reply.pause)
        for chunk in reply.chunks:
            writer.write(chunk)
            await writer.drain()
        await writer.drain()
        return not reply.chunks


def _in_range(value: str, wanted: str) -> bool:
    first, dash, last = wanted.partition("-")
    if not wanted:
        return True
    if not value:
        return False
    return (not first or value >= first) and (value <= last if dash else value == first)


def _has(values: Sequence[str], wanted: str) -> bool:
    return not wanted or wanted in values


def _in_list(value: str, wanted: str) -> bool:
    return not wanted or value in wanted.split(",")
