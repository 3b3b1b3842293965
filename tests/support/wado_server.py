"""WADO-RS, as `QidoServer` is told to answer it: multipart answers, whole or not; and a PACS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tests.support.images import Generated
from tests.support.qido_server import QidoServer, Reply, Script, Search, Study, good

BOUNDARY = "0123456789-the boundary"
RELATED = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'


def part(content: bytes, head: str = "Content-Type: application/dicom") -> bytes:
    """Return a part of an answer, its boundary before it."""
    lines = f"{head}\r\n" if head else ""
    return f"\r\n--{BOUNDARY}\r\n{lines}\r\n".encode() + content


END = f"\r\n--{BOUNDARY}--\r\n".encode()


def related(contents: Iterable[bytes], *, end: bytes = END, **more: object) -> Reply:
    """Return an answer of several parts; with another `end`, one that is not whole."""
    body = b"".join(map(part, contents)) + end
    return Reply(**{"body": body, "media": RELATED} | more)  # type: ignore[arg-type]


def holding(images: Sequence[Generated]) -> Script:
    """Return what answers like a service that has these images, and no others."""

    def answer(_: QidoServer, search: Search) -> Reply:
        path = search.path.removeprefix("/dicom-web/").split("/")
        named = dict(zip(path[::2], path[1::2], strict=True))
        found = [
            image.path.read_bytes()
            for image in images
            if image.study_uid == named["studies"]
            and image.series_uid == named.get("series", image.series_uid)
            and image.sop_instance_uid == named.get("instances", image.sop_instance_uid)
        ]
        return related(found) if found else Reply(status=404)

    return answer


MR = "1.2.840.10008.5.1.4.1.1.4"


def described(images: Sequence[Generated]) -> list[Study]:
    """Return images as searches at image level find them."""
    return [
        {
            "StudyInstanceUID": one.study_uid,
            "SeriesInstanceUID": one.series_uid,
            "SOPInstanceUID": one.sop_instance_uid,
            "SOPClassUID": MR,
        }
        for one in images
    ]


def web_archive(images: Sequence[Generated], search: Script = good) -> QidoServer:
    """Return a PACS with these images that has a DICOMweb service alone."""
    retrieve = holding(images)

    def answer(server: QidoServer, asked: Search) -> Reply | None:
        retrieves = asked.headers["accept"].startswith("multipart")
        return (retrieve if retrieves else search)(server, asked)

    counts = Counter(one.study_uid for one in images)
    dates = {one.study_uid: one.study_date for one in images}
    studies = [
        {
            "StudyInstanceUID": uid,
            "StudyDate": dates[uid],
            "StudyTime": "101500",
            "ModalitiesInStudy": ["MR"],
            "NumberOfStudyRelatedInstances": count,
        }
        for uid, count in counts.items()
    ]
    return QidoServer(studies, answer, images=described(images))
