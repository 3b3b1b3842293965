"""What a person decides about the quarantine: that an object is the image, or that it may go.

Accepting loses nothing: the object that was the image until then goes to quarantine, as what it is
now, the other one. Only discarding removes an object for ever.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from node.config import Config
from node.errors import StorageError
from node.ops.checking.quarantine import Outcome, Retry, Stays
from node.storage.archive import Placed
from node.storage.condemned import Inode, inode_of, take_away
from node.storage.identity import storage_id
from node.storage.inspect import is_below
from schema import AsyncSession, Database, ImageRecord, Quarantined
from schema.errors import ValuesRefused
from schema.images import replace_image
from schema.inventory import Held, held_at
from schema.judgement import Kept, Lies
from schema.quarantine import quarantine_file, remove_quarantined, reopen_study
from schema.tables.ledger import QuarantineKind


class Acceptance(Retry):
    """Reads objects of the quarantine again, and lets those that conflict be the images.

    Parameters
    ----------
    config, database
        As `Retry` has them.
    replace_lost
        Whether to replace the row of an image whose file is gone: its header is nowhere else.
    """

    def __init__(self, config: Config, database: Database, *, replace_lost: bool = False) -> None:
        super().__init__(config, database)
        self._replace_lost = replace_lost

    async def _settle(
        self, row: Quarantined, record: ImageRecord, placed: Placed | None, *, source: Path
    ) -> Outcome | Stays:
        result = await super()._settle(row, record, placed, source=source)
        if isinstance(result, Outcome) or result.kind is not QuarantineKind.CONFLICT:
            return result
        if row.kind == QuarantineKind.DAMAGED:
            return Stays("it is a damaged file of the image that is indexed")
        held = await self._settlement.held(record)
        if held.storage_id not in (None, record.storage_id):
            return Stays(
                "the image that is indexed is held by another storage directory,"
                f" {held.storage_id}: send the object there, and accept it there"
            )
        kept = await self._settlement.look_at(held, record, placed)
        if kept.lies is Lies.UNREADABLE:
            return Stays(f"the file of the image that is indexed cannot be read: {kept.reason}")
        if kept.lies is Lies.NOTHING and not self._replace_lost:
            return Stays(
                "the file of the image that is indexed is gone, and its header is only in its row;"
                " --yes replaces it"
            )
        return await self._exchange(row, record, held, kept)

    async def _exchange(
        self, row: Quarantined, record: ImageRecord, held: Held, kept: Kept
    ) -> Outcome | Stays:
        """Let an object be the image, and keep the one that was."""
        aside, inode = await asyncio.to_thread(self._keep, held, kept)

        async def exchange(session: AsyncSession) -> bool:
            if not await replace_image(session, held, record):
                return False
            if held.study_uid not in (None, record.study_uid):
                await reopen_study(session, held, "an object of another study was accepted for one")
            await remove_quarantined(session, row.id)
            if aside is not None:
                await quarantine_file(
                    session,
                    held,
                    filepath=aside,
                    reason=f"it was the image until another was accepted, {record.filepath}",
                    kind=QuarantineKind.CONFLICT,
                    sha256=kept.sha256,
                    storage_id=held.storage_id,
                )
            return True

        try:
            done = await self._database.run(exchange)
        except ValuesRefused as error:
            return Stays(str(error), QuarantineKind.UNINDEXABLE)
        if not done:
            return Stays("the image that is indexed was changed meanwhile: try again")
        if aside is not None and inode is not None:
            await asyncio.to_thread(take_away, Path(held.filepath or ""), inode, aside)
        return Outcome.ACCEPTED

    def _keep(self, held: Held, kept: Kept) -> tuple[Path | None, Inode | None]:
        """Give a file its name in quarantine; one that is not ours stays where it is."""
        if kept.lies is Lies.NOTHING:
            return None, None
        path = Path(held.filepath or "")
        if not kept.archived:
            return path, None
        inode = inode_of(path)
        aside = self._archive.set_aside(
            path,
            sop_instance_uid=held.image_uid,
            sha256=kept.sha256,
            damaged=held.sha256 not in (None, kept.sha256),
        )
        return aside, inode


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """What became of an object that was to be discarded; `reason` says why it stays."""

    id: int
    discarded: bool
    filepath: str
    reason: str = ""


async def discard(config: Config, database: Database, row: Quarantined) -> Discarded:
    """Remove an object of the quarantine for ever, file and row.

    A file outside this storage directory is somebody else's and stays, and so does one that the row
    of an image names: only the row of the quarantine goes then.

    Raises
    ------
    DatabaseUnavailable
        When the database is away.
    """
    directory = config.storage.directory.absolute()
    path = row.filepath
    async with database.session() as session:
        named = path in await held_at(session, [path])
    own = await asyncio.to_thread(storage_id, directory)
    if row.storage_id not in (None, own):
        reason = f"another storage directory holds it, {row.storage_id}: discard it there"
        return Discarded(id=row.id, discarded=False, filepath=path, reason=reason)
    if is_below(path, directory) and not named:
        try:
            await asyncio.to_thread(_remove, Path(path))
        except StorageError as error:
            return Discarded(id=row.id, discarded=False, filepath=path, reason=str(error))
    await database.run(remove_quarantined, row.id)
    return Discarded(id=row.id, discarded=True, filepath=path)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"its file cannot be removed: {error.strerror}") from error
