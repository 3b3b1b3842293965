"""What a verification has found is written down, study by study, as soon as all of one was read.

A few hundred studies go into one short transaction, beside the reading, which waits for none. A
database that does not take it is no reason not to read: what is left is tried again, up to a bound,
and at the end it is said how much was not written down, and why.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from schema import Database
from schema.errors import DatabaseReadOnly, SchemaError
from schema.inventory import Held
from schema.tables.columns import utcnow
from schema.verifying.files import FilesRead, IndexRows, holder_of, keep_readings

_BATCH = 500
"""Studies of one transaction."""
_EVERY = 5.0
"""Seconds between two of them at most: what a crash may cost."""
_WAITING = 10_000
"""Studies that wait at most while the database does not take them."""
_GRACE = 5.0
"""Seconds for the last of them where the verification was ended early."""


@dataclass(slots=True)
class _Place:
    """The files of a study in one place, as far as they have been read."""

    images: int = 0
    id_sum: int = 0
    revision_sum: int = 0
    newest_on: datetime | None = None
    chosen: int = 0
    unseen: int = 0
    sound: int = 0
    unsound: int = 0

    def add(self, held: Held) -> None:
        self.images += 1
        self.id_sum += held.id
        self.revision_sum += held.revision
        came = held.received_on
        if came is not None and (self.newest_on is None or came > self.newest_on):
            self.newest_on = came

    def rows(self) -> IndexRows:
        return IndexRows(
            images=self.images,
            id_sum=self.id_sum,
            revision_sum=self.revision_sum,
            newest_on=self.newest_on,
        )


@dataclass(slots=True)
class _Open:
    """A study of which not all is read."""

    places: dict[str, _Place] = field(default_factory=dict)
    left: int = 0
    listed: bool = False


@dataclass(frozen=True, slots=True)
class _Study:
    """A study to write down: what was found in some of its places."""

    uid: str
    places: int
    read: tuple[FilesRead, ...]


class Readings:
    """Collects what is found, and writes it down from `start` to `finish`.

    Parameters
    ----------
    database
        The index.
    all_of_each
        Whether all images of each study are listed: not where some are left out by their dates.

    Attributes
    ----------
    recorded, verified
        Studies of which something was written down, and those of them whose files are all sound.
    unrecorded, refusal
        Studies of which it was not, and why.
    """

    def __init__(self, database: Database, *, all_of_each: bool) -> None:
        self._database = database
        self._all = all_of_each
        self._open: dict[str, _Open] = {}
        self._last: str | None = None
        self._ready: deque[_Study] = deque()
        self._due = asyncio.Event()
        self._ended = False
        self._task: asyncio.Task[None] | None = None
        self.recorded = 0
        self.verified = 0
        self.unrecorded = 0
        self.refusal = ""

    def list(self, page: Sequence[Held], chosen: Sequence[Held]) -> None:
        """Take note of images, in the order of their studies, and of those that are to be read."""
        wanted = {held.id for held in chosen}
        for held in page:
            if held.study_uid != self._last:
                self._close()
                self._last = held.study_uid
            if held.study_uid is None:
                continue
            if (study := self._open.get(held.study_uid)) is None:
                study = self._open[held.study_uid] = _Open()
            if (place := study.places.get(holder := holder_of(held))) is None:
                place = study.places[holder] = _Place()
            place.add(held)
            if held.id in wanted:
                study.left += 1
                place.chosen += 1

    def end(self) -> None:
        """Take note that these were all."""
        self._close()
        self._last = None

    def note(self, held: Held, *, sound: bool | None, seen: bool = True) -> None:
        """Take note of what became of an image.

        Parameters
        ----------
        sound
            Whether its file is as its row says; None where there is nothing to compare it with.
        seen
            Whether it could be looked at from here.
        """
        if held.study_uid is None:
            return
        study = self._open[held.study_uid]
        place = study.places[holder_of(held)]
        place.unseen += not seen
        place.sound += sound is True
        place.unsound += sound is False
        study.left -= 1
        self._settle(held.study_uid, study)

    def start(self) -> None:
        """Write down what is ready, now and then, beside the reading."""
        self._task = asyncio.create_task(self._run(), name="verify-record")

    async def _run(self) -> None:
        while not self._ended:
            try:
                async with asyncio.timeout(_EVERY):
                    await self._due.wait()
            except TimeoutError:
                pass
            self._due.clear()
            await self._write()

    async def finish(self, *, early: bool) -> None:
        """Write down what is ready, and say what is not written down.

        Parameters
        ----------
        early
            Whether the verification did not come to its end: then it takes a few seconds at most,
            and what was read in part is told where it is not sound.
        """
        if early:
            for uid, study in list(self._open.items()):
                self._add(uid, study, in_part=True)
        self._ended = True
        self._due.set()
        try:
            async with asyncio.timeout(_GRACE if early else None):
                if self._task is not None:
                    await self._task  # which is not to be cut off within a transaction
                await self._write()
        except TimeoutError:
            self.refusal = self.refusal or f"the database has not taken it in {_GRACE:.0f} s"
        self.unrecorded += len(self._ready)
        self._ready.clear()

    def _close(self) -> None:
        study = self._open.get(self._last or "")
        if study is not None and self._last is not None:
            study.listed = True
            self._settle(self._last, study)

    def _settle(self, uid: str, study: _Open) -> None:
        if study.listed and not study.left:
            self._add(uid, study)
            del self._open[uid]

    def _add(self, uid: str, study: _Open, *, in_part: bool = False) -> None:
        now = utcnow()
        read = []
        for holder, place in study.places.items():
            whole = not in_part and not place.unseen and place.chosen == place.images
            if not whole and not place.unsound:
                continue
            read.append(
                FilesRead(
                    study_uid=uid,
                    holder=holder,
                    read_on=now,
                    rows=place.rows(),
                    all=whole and self._all,
                    sound=place.sound,
                    unsound=place.unsound,
                )
            )
        if read:
            self._ready.append(_Study(uid, len(study.places), tuple(read)))
        if len(self._ready) >= _BATCH:
            self._due.set()

    async def _write(self) -> None:
        while self._ready:
            batch = [self._ready.popleft() for _ in range(min(_BATCH, len(self._ready)))]
            try:
                async with self._database.begin() as session:
                    kept = await keep_readings(
                        session, [one for each in batch for one in each.read]
                    )
            except BaseException as error:
                self._ready.extendleft(reversed(batch))
                if not isinstance(error, SchemaError):
                    raise
                self._refused(error)
                return
            self._count(batch, kept)

    def _count(self, batch: Sequence[_Study], kept: Sequence[FilesRead]) -> None:
        by_study: dict[str, list[FilesRead]] = {}
        for one in kept:
            by_study.setdefault(one.study_uid, []).append(one)
        self.recorded += len(by_study)
        for study in batch:
            written = by_study.get(study.uid, [])
            sound = sum(one.is_sound for one in written)
            self.verified += sound == study.places

    def _refused(self, error: SchemaError) -> None:
        """Keep what may be written down later, and drop the rest."""
        self.refusal = str(error)
        most = 0 if isinstance(error, DatabaseReadOnly) else _WAITING
        while len(self._ready) > most:
            self._ready.popleft()
            self.unrecorded += 1
