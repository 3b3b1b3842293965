"""Where records go, and what it means when an image is there already."""

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from schema.engine.database import Database
from schema.images import have_headers
from schema.inventory import Held
from schema.judgement import Came, Judgement, Kept, Known, Lies, judge, why_conflict
from schema.parsing.kept import look_at
from schema.parsing.report import Verdict
from schema.parsing.scan import File, Passed, Why
from schema.record import ImageRecord


class Sink(Protocol):
    """Takes what was read: the index of a database, or a stream of text."""

    async def known(self, files: Sequence[File]) -> set[str]:
        """Return the paths of the files that need not be read again."""

    async def add(self, records: Sequence[ImageRecord]) -> list[Verdict | Passed]:
        """Keep records; return what became of each, in their order."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


async def same_headers(
    db: Database, records: Iterable[ImageRecord], held: Mapping[str, Held]
) -> set[str | None]:
    """Return the paths of the records that have the headers of their rows, which have no digest.

    Parameters
    ----------
    held
        The rows, by SOP Instance UID.
    """
    pairs = [
        (row.id, record)
        for record in records
        if (row := held.get(record.image_uid)) is not None and row.sha256 is None
    ]
    if not pairs:
        return set()
    async with db.session() as session:
        same = await have_headers(session, pairs)
    return {record.filepath for (_, record), agrees in zip(pairs, same, strict=True) if agrees}


def verdict_on(record: ImageRecord, known: Known, *, same_header: bool = False) -> Verdict | Passed:
    """Say what an image is whose SOP Instance UID is kept already; looks at the kept file.

    A kept file whose row has a digest is not read again: nothing is given up here. One that
    another storage directory holds cannot be seen from here, and its row is believed.

    Parameters
    ----------
    same_header
        Whether its header is known to be the row's; see `same_headers`.
    """
    path = record.filepath or ""
    if known.elsewhere:
        kept = Kept(lies=Lies.UNREAD, size=known.size)
    elif known.filepath == path:
        kept = Kept(lies=Lies.ITSELF)
    else:
        read = known.sha256 is None and record.sha256 is not None
        kept = look_at(known.filepath, read=read)
    came = Came(sha256=record.sha256, size=record.size, same_header=same_header)
    judgement = judge(known, kept, came)
    if judgement is Judgement.CHANGED:
        return Passed(path, Why.CONFLICT, "the file has changed since it was indexed")
    if judgement is Judgement.CONFLICT:
        return Passed(path, Why.CONFLICT, why_conflict(known, kept))
    return Verdict.RELOCATED if judgement is Judgement.RESTORE else Verdict.KNOWN
