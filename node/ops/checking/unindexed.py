"""Files of the storage directory that no row names: indexed where they lie.

They are walked, read and kept in batches as `schema.parser` does it; this is the sink that it
gives them to. Nothing is moved, linked or removed. What cannot become an image gets a row of
the quarantine that names it where it is.
"""

import asyncio
import logging
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from node.ops.checking.home import Home
from node.ops.checking.report import Kind, Ledger
from node.storage.inspect import Spooled, digest_of, is_own, written_header_of
from schema import Database, ImageRecord
from schema.errors import ValuesRefused
from schema.header.values import clean_text
from schema.inventory import Held, held_at, held_by_uid
from schema.parsing.index import IndexSink
from schema.parsing.kept import known_of
from schema.parsing.report import Verdict
from schema.parsing.scan import File, Passed, Why, reason_of
from schema.parsing.seen import Seen
from schema.parsing.sink import same_headers, verdict_on
from schema.quarantine import add_quarantined, quarantined_at
from schema.tables.ledger import QuarantineKind

log = logging.getLogger(__name__)

_KINDS = {
    Verdict.INDEXED: (Kind.UNINDEXED, "no row names it"),
    Verdict.RELOCATED: (Kind.RELOCATED, "its row names a file that is gone"),
    Verdict.KNOWN: (Kind.DUPLICATE, "the same object is indexed, in "),
}


class Unindexed:
    """The sink for `schema.parsing.run.Run`.

    Parameters
    ----------
    database
        The index.
    home
        The storage directory, whose own the files in it become; and the AE title, for
        `images.node` of files whose header says that a node has received them.
    ledger
        Takes down what is found, and says whether to mend it.
    seen
        What a dry run would have indexed, so that the second of two is not new as well.
    """

    def __init__(
        self,
        database: Database,
        home: Home,
        *,
        ledger: Ledger,
        seen: Seen,
    ) -> None:
        self._database = database
        self._home = home
        self._directory = home.directory
        self._ledger = ledger
        self._index = IndexSink(database, storage_id=home.id)
        self._seen = seen
        self._spooled = Spooled(home.directory)
        self._broken: list[Passed] = []

    def failed(self, passed: Passed) -> None:
        """Take note of a file that could not be read; what to do about it comes later."""
        self._broken.append(passed)

    async def known(self, files: Sequence[File]) -> set[str]:
        """Return the paths that a row names, and those that are not to be touched."""
        await self._keep_broken()
        own = {file.path for file in files if is_own(file.path, self._directory)}
        others = [file for file in files if file.path not in own]
        self._ledger.files += len(others)
        # What lies there is compared with its row later, whatever it is: it is nobody else's.
        known = await self._named(file.path for file in others)
        self._ledger.images += len(known)
        unknown = [file.path for file in others if file.path not in known]
        spooled = await asyncio.to_thread(self._spooled.among, unknown)
        self._ledger.waiting += len(spooled)
        async with self._database.session() as session:
            quarantined = await quarantined_at(session, unknown)
        return own | known | spooled | {path for path in unknown if clean_text(path) in quarantined}

    async def add(self, records: Sequence[ImageRecord]) -> list[Verdict | Passed]:
        """Index images, or say what would become of them."""
        await self._keep_broken()
        batch = await asyncio.to_thread(lambda: list(self._readable(records)))
        self._ledger.images += len(batch)
        if self._ledger.fix:
            verdicts = await self._indexed(batch)
        else:
            verdicts = await self._judged(batch)
        fresh = (Verdict.INDEXED, Verdict.RELOCATED)
        pairs = list(zip(batch, verdicts, strict=True))
        before = await self._held(record for record, verdict in pairs if verdict not in fresh)
        for record, verdict in pairs:
            path = record.filepath or ""
            row = before.get(record.image_uid)
            if isinstance(verdict, Passed):
                await self._refused(record, verdict, row)
            elif verdict in fresh:
                self._ledger.add(path, *_KINDS[verdict])
            elif row is None or row.filepath != path:  # else the node has indexed it meanwhile
                known = row or self._seen.get(record.image_uid)
                if row is not None and await asyncio.to_thread(is_damaged, row):
                    self._ledger.add(path, Kind.SPARE, f"keep it: {row.filepath} is damaged")
                    continue
                kind, reason = _KINDS[verdict]
                self._ledger.add(path, kind, reason + ((known and known.filepath) or "its place"))
        told = [Verdict.KNOWN if isinstance(one, Passed) else one for one in verdicts]
        return [*told, *[Verdict.KNOWN] * (len(records) - len(batch))]

    async def finish(self) -> None:
        """Deal with what is left."""
        await self._keep_broken()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the database to whoever opened it."""

    def _readable(self, records: Iterable[ImageRecord]) -> Iterator[ImageRecord]:
        """Yield the records, completed; those whose files cannot be read any more have failed."""
        for record in records:
            try:
                yield self._completed(record)
            except OSError as error:
                self.failed(Passed(record.filepath or "", Why.UNREADABLE, reason_of(error)))

    def _completed(self, record: ImageRecord) -> ImageRecord:
        """Add what our own header says of the reception, and whose the file is."""
        reception = written_header_of(record.filepath or "")
        record = replace(record, storage_id=self._home.identify(make=self._ledger.fix))
        if reception is None:
            return record
        return replace(
            record,
            source=reception.source,
            received_on=reception.received_on,
            node=self._home.aetitle,
        )

    async def _named(self, paths: Iterable[str]) -> set[str]:
        """Return the paths that an image's row names, if it is the file's own name."""
        own = [path for path in paths if clean_text(path) == path]
        if not own:
            return set()
        async with self._database.session() as session:
            return await held_at(session, own)

    async def _held(self, records: Iterable[ImageRecord]) -> dict[str, Held]:
        uids = [record.image_uid for record in records]
        if not uids:
            return {}
        async with self._database.session() as session:
            return await held_by_uid(session, uids)

    async def _indexed(self, batch: Sequence[ImageRecord]) -> list[Verdict | Passed]:
        try:
            return await self._index.add(batch)
        except ValuesRefused as error:
            if len(batch) > 1:  # one of them is the cause: the others go on
                return [one for record in batch for one in await self._indexed([record])]
            return [Passed(batch[0].filepath or "", Why.INVALID, str(error))]

    async def _judged(self, batch: Sequence[ImageRecord]) -> list[Verdict | Passed]:
        held = await self._held(batch)
        same = await same_headers(self._database, batch, held)
        return await asyncio.to_thread(lambda: [self._judge(one, held, same) for one in batch])

    def _judge(
        self, record: ImageRecord, held: Mapping[str, Held], same: Container[str | None]
    ) -> Verdict | Passed:
        known = self._seen.get(record.image_uid)
        if known is None and (row := held.get(record.image_uid)) is not None:
            known = known_of(row, self._home.id)
        verdict: Verdict | Passed = Verdict.INDEXED
        if known is not None:
            verdict = verdict_on(record, known, same_header=record.filepath in same)
        if verdict in (Verdict.INDEXED, Verdict.RELOCATED):
            self._seen.put(record)
        return verdict

    async def _refused(self, record: ImageRecord, passed: Passed, before: Held | None) -> None:
        """Deal with a record that did not become an image."""
        path = record.filepath or ""
        if before is not None and before.filepath == path:
            self._ledger.add(path, Kind.CHANGED, passed.reason)
            return
        conflict = passed.why is Why.CONFLICT
        self._ledger.add(path, Kind.CONFLICT if conflict else Kind.UNINDEXABLE, passed.reason)
        if self._ledger.fix:
            async with self._database.begin() as session:
                await add_quarantined(
                    session,
                    filepath=path,
                    reason=passed.reason,
                    kind=QuarantineKind.CONFLICT if conflict else QuarantineKind.UNINDEXABLE,
                    sop_instance_uid=record.image_uid,
                    study_uid=record.study_uid,
                    sha256=record.sha256,
                    source=record.source,
                    received_on=record.received_on,
                    storage_id=record.storage_id,
                )

    async def _keep_broken(self) -> None:
        broken, self._broken = self._broken, []
        if not broken:
            return
        async with self._database.session() as session:
            named = await held_at(session, [passed.path for passed in broken])
        for passed in broken:
            if passed.path in named and passed.why is Why.UNREADABLE:
                continue  # its row will say so
            if passed.why is Why.UNREADABLE:
                self._ledger.add(passed.path, Kind.UNREADABLE, passed.reason)
                continue
            if clean_text(passed.path) in named:
                self._ledger.add(passed.path, Kind.CHANGED, passed.reason)
                continue
            self._ledger.add(passed.path, Kind.UNDECODABLE, passed.reason)
            if self._ledger.fix:
                await keep_undecodable(self._database, self._home, passed, self._ledger)


async def keep_undecodable(database: Database, home: Home, passed: Passed, ledger: Ledger) -> None:
    """Give a file that is no usable image its row of the quarantine.

    One that cannot be read any more gets none: the next run sees what has become of it.
    """
    try:
        reception = await asyncio.to_thread(written_header_of, passed.path)
        digest = await asyncio.to_thread(digest_of, passed.path)
    except OSError as error:
        ledger.add(passed.path, Kind.UNREADABLE, reason_of(error))
        return
    storage_id = await asyncio.to_thread(home.identify, make=True)
    async with database.begin() as session:
        await add_quarantined(
            session,
            filepath=passed.path,
            reason=passed.reason,
            kind=QuarantineKind.UNDECODABLE,
            sop_instance_uid=reception.sop_instance_uid if reception else None,
            sha256=digest,
            source=reception.source if reception else None,
            received_on=reception.received_on if reception else None,
            storage_id=storage_id,
        )


def is_damaged(held: Held) -> bool:
    """Tell whether the file of an image has other bytes than were received; reads all of it."""
    if held.filepath is None or held.sha256 is None:
        return False
    try:
        return digest_of(held.filepath) != held.sha256
    except OSError:  # then nobody knows
        return False
