"""Records into the index of a database."""

import asyncio
from collections.abc import Container, Sequence
from types import TracebackType
from typing import Self

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.database import Database
from schema.header.values import clean_text
from schema.images import Added, replace_file
from schema.inventory import Held, held_by_uid
from schema.judgement import Known
from schema.moving.arrivals import add_unasked
from schema.parsing.kept import known_of
from schema.parsing.report import Verdict
from schema.parsing.scan import File, Passed
from schema.parsing.sink import same_headers, verdict_on
from schema.record import ImageRecord
from schema.tables.models import Image
from schema.tables.statements import among

Move = tuple[Added, ImageRecord, Known]
"""An image's row, the record of its file as it is now, and what the row said before."""


class IndexSink:
    """Puts images into a database, a transaction for each batch.

    Parameters
    ----------
    db
        The database, with its tables.
    storage_id
        Of the node's storage directory on this machine: what another one holds keeps its row as it
        is. None where there is none.
    """

    def __init__(self, db: Database, *, storage_id: str | None = None) -> None:
        self._db = db
        self._storage_id = storage_id

    async def known(self, files: Sequence[File]) -> set[str]:
        """Return the paths that the index has with the same size.

        A path that a database cannot hold as it is may stand for several files: those are
        read again each time.
        """
        sizes = {file.path: file.size for file in files if clean_text(file.path) == file.path}
        if not sizes:
            return set()
        async with self._db.session() as session:
            query = select(Image.filepath, Image.size).where(
                among(session, Image.filepath, list(sizes))
            )
            rows = (await session.execute(query)).all()
        return {path for path, size in rows if path is not None and sizes[path] == size}

    async def add(self, records: Sequence[ImageRecord]) -> list[Verdict | Passed]:
        """Index images; return what became of each."""
        added = await self._db.run(add_unasked, records)
        uids = {one.image_uid for one in added if not one.inserted}
        if not uids:
            return [Verdict.INDEXED] * len(added)
        held = await self._held(uids)
        known = {uid: known_of(one, self._storage_id) for uid, one in held.items()}
        same = await same_headers(self._db, records, held)
        verdicts, moves = await asyncio.to_thread(_judged, records, added, known, same)
        if not moves:
            return verdicts
        moved = await self._relocate(moves)
        return [
            Verdict.KNOWN if one is Verdict.RELOCATED and row.image_uid not in moved else one
            for one, row in zip(verdicts, added, strict=True)
        ]

    async def _held(self, uids: set[str]) -> dict[str, Held]:
        async with self._db.session() as session:
            return await held_by_uid(session, uids)

    async def _relocate(self, moves: Sequence[Move]) -> set[str]:
        """Let rows name other files; return those that do, and had not been changed before."""

        async def replace(session: AsyncSession) -> set[str]:
            return {
                row.image_uid
                for row, record, before in sorted(moves, key=lambda move: move[0].id)
                if await replace_file(
                    session,
                    row.id,
                    filepath=record.filepath or "",
                    sha256=record.sha256 or before.sha256,
                    size=record.size,
                    transfer_syntax_uid=record.transfer_syntax_uid,
                    storage_id=record.storage_id,
                    seen=before,
                )
            }

        return await self._db.run(replace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the database to whoever opened it."""


def _judged(
    records: Sequence[ImageRecord],
    added: Sequence[Added],
    known: dict[str, Known],
    same: Container[str | None],
) -> tuple[list[Verdict | Passed], list[Move]]:
    """Return what each record is, and which rows are to name another file.

    Parameters
    ----------
    known
        What the rows say, by SOP Instance UID; brought up to date.
    same
        The files whose header is that of their row.
    """
    verdicts: list[Verdict | Passed] = []
    moves = []
    for record, row in zip(records, added, strict=True):
        before = known.get(row.image_uid)
        if row.inserted or before is None:
            verdicts.append(Verdict.INDEXED)
            continue
        verdict = verdict_on(record, before, same_header=record.filepath in same)
        verdicts.append(verdict)
        if verdict is Verdict.RELOCATED:
            moves.append((row, record, before))
            known[row.image_uid] = Known(
                filepath=record.filepath, sha256=record.sha256 or before.sha256, size=record.size
            )
    return verdicts, moves
