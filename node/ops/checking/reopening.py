"""What is wrong with an image's file is set right: it is set aside, and asked for again.

Only what lies in the storage directory, and is this node's, is touched; and never what cannot be
read, because that says nothing about what is in it. Each step may be done again after a crash:

1. the damaged file gets a name in quarantine as well, durably;
2. in one transaction its row there is made, the image's row names no file any more, and the study
   is opened; only while the image's row says what was seen, for a node that works beside may have
   given it a sound file meanwhile;
3. the file loses its name in the archive.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from node.config import Config
from node.errors import StorageError
from node.ops.checking.home import Holder, Home, still_missing
from node.storage.archive import Archive
from node.storage.condemned import Inode, has_an_image, inode_of, take_away
from node.storage.inspect import Fault, Inspected, inspect, is_own
from schema import AsyncSession, Database
from schema.inventory import Held, lose_files
from schema.quarantine import forget_file, name_file_again, quarantine_file, reopen_study
from schema.tables.ledger import QuarantineKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened:
    """What was done about files that are wrong.

    Attributes
    ----------
    set_aside
        Damaged files that are in quarantine now.
    gone
        Images whose rows name no file now, because it is gone.
    left
        Files that were left alone: unreadable, or not in this node's storage directory.
    studies
        The studies that the next move asks for again, by UID.
    unasked
        The studies that no peer was ever asked for, by UID: their images have to be sent again.
    """

    set_aside: int = 0
    gone: int = 0
    left: int = 0
    studies: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()


class Reopening:
    """Sets right what `verify` finds, file by file.

    Parameters
    ----------
    config
        Whose storage directory and AE title.
    database
        The index.
    """

    def __init__(self, config: Config, database: Database) -> None:
        self._database = database
        self._home = Home(config.storage.directory.absolute(), aetitle=config.node.aetitle)
        self._archive = Archive(config.storage.directory, config.storage.layout)
        self._mounted: bool | None = None
        self._counts: Counter[str] = Counter()
        self._studies: set[str] = set()
        self._unasked: set[str] = set()

    def report(self) -> Reopened:
        """Return what has been done so far."""
        return Reopened(
            set_aside=self._counts["set_aside"],
            gone=self._counts["gone"],
            left=self._counts["left"],
            studies=tuple(sorted(self._studies)),
            unasked=tuple(sorted(self._unasked)),
        )

    def note(self, studies: Iterable[str]) -> None:
        """Take down studies that the next move asks for again, by UID."""
        self._studies.update(studies)

    async def set_right(self, held: Held) -> None:
        """Look at the file of an image once more, and set right what is still wrong with it.

        Raises
        ------
        StorageError
            The disk does not take it; or the storage directory has no image at all.
        DatabaseUnavailable
            When the database is away.
        """
        await asyncio.to_thread(self._home.identify)
        inode, found = await asyncio.to_thread(_look_again, held)
        if found.fault is None:
            return
        if found.fault is Fault.MISSING and self._home.holder(held) is not Holder.ANOTHERS:
            await self._check_mounted(held)
        if found.fault is Fault.UNREADABLE or not self._is_ours(held, found):
            self._counts["left"] += 1
        elif found.fault is Fault.MISSING:
            await self._forget(held)
        elif inode is None:  # a link to a file that is somebody else's
            self._counts["left"] += 1
        else:
            await self._condemn(held, found, inode)

    def _is_ours(self, held: Held, found: Inspected) -> bool:
        """Tell whether a file is this storage directory's; of what is gone only the row tells."""
        holder = self._home.holder(held)
        if holder is not Holder.OURS and (
            holder is not Holder.UNKNOWN or found.fault is Fault.MISSING
        ):
            return False
        if held.filepath is None:
            return True
        return self._home.is_below(held.filepath) and not is_own(
            held.filepath, self._archive.directory
        )

    async def _condemn(self, held: Held, found: Inspected, inode: Inode) -> None:
        path = Path(held.filepath or "")
        aside = await asyncio.to_thread(
            self._archive.set_aside,
            path,
            sop_instance_uid=held.image_uid,
            sha256=found.sha256,
            damaged=True,
        )

        async def condemn(session: AsyncSession) -> bool | None:
            if not await forget_file(session, held, size=found.size):
                return None
            await quarantine_file(
                session,
                held,
                filepath=aside,
                reason=f"it was found damaged, and is asked for again: {found.reason}",
                kind=QuarantineKind.DAMAGED,
                sha256=found.sha256,
                storage_id=self._home.id,
            )
            return await reopen_study(session, held, "a damaged file of it is in quarantine")

        reopened = await self._database.run(condemn)
        if reopened is None:
            return  # the image has got another file meanwhile
        if await asyncio.to_thread(take_away, path, inode, aside):
            self._counts["set_aside"] += 1
            self._note(held, reopened)
        else:
            await self._database.run(name_file_again, held)

    async def _check_mounted(self, held: Held) -> None:
        """Raise where nothing that is said to be gone can be believed to be.

        Raises
        ------
        StorageError
            The storage directory has no image at all.
        """
        if not self._home.is_below(held.filepath):
            return
        if self._mounted is None:
            self._mounted = await asyncio.to_thread(has_an_image, self._archive.directory)
        if not self._mounted:
            raise StorageError(
                f"{self._archive.directory} has no image, but the index names some in it, such as "
                f"{held.filepath}: is it mounted? Its row was left as it is"
            )

    async def _forget(self, held: Held) -> None:
        async def forget(session: AsyncSession) -> bool | None:
            if held.filepath is not None:
                _, lost = await lose_files(session, [held], gone=still_missing)
                if not lost:
                    return None
            return await reopen_study(session, held, "files of it are gone")

        reopened = await self._database.run(forget)
        if reopened is not None:
            self._counts["gone"] += 1
            self._note(held, reopened)

    def _note(self, held: Held, reopened: bool) -> None:
        (self._studies if reopened else self._unasked).add(held.study_uid or "")


def _look_again(held: Held) -> tuple[Inode | None, Inspected]:
    """Read a file once more: what was wrong for a moment is not condemned."""
    inode = inode_of(held.filepath) if held.filepath else None
    return inode, inspect(held)
