"""Whatever finds, moves and operators do in whatever order, a study is what its sources make it.

Each seed is a history of its own: what happens, at which PACS and to which studies, is drawn. After
each step the state, the evidence and the events of each study are held against its sources.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection

import pytest
from sqlalchemy import func, select

from schema import Database, StudyFind, add_images, record_found, utcnow
from schema.deciding.holds import hold_studies, release_studies, retry_studies
from schema.deciding.policies import mark_unwanted, reopen_judged
from schema.hierarchy.gone import mark_gone
from schema.hooking.audience import Audience
from schema.hooking.kinds import EventKind
from schema.moving.arrivals import add_unasked, attributed, note_repeated
from schema.moving.attempts import AttemptAnswer, EndedAttempt, begin_attempts, interrupt_attempts
from schema.moving.judging import judge_attempts
from schema.moving.listing import ListedSeries, Listing
from schema.moving.patience import FailureKind, RetryLimits
from schema.moving.senders import Senders
from schema.standing.whole import standings_of, whole
from schema.tables.outbox.events import RecordedEvent
from schema.tables.sources import StudySource
from tests.db.records import finding, record

PEERS = "abc"
STUDIES = ["1", "2", "3"]
SENDERS = Senders(peers={peer.upper(): frozenset({peer}) for peer in PEERS})
LIMITS = RetryLimits(attempts=2)
KINDS = (FailureKind.NONE, FailureKind.NONE, FailureKind.BUSY, FailureKind.CONFIGURATION)


class History:
    """What happens to three studies at three PACSs."""

    def __init__(self, db: Database, seed: int) -> None:
        self._db = db
        self._chance = random.Random(seed)
        self._complete: Counter[str] = Counter()
        self._was: set[str] = set()
        self.steps: list[str] = []

    async def one(self) -> None:
        """Let something happen."""
        steps: list[Callable[[str, list[str]], Awaitable[object]]] = [
            self._find,
            self._find,
            self._move,
            self._move,
            self._move,
            self._miss,
            self._want,
            self._want_all,
            self._decide,
            self._parse,
        ]
        step = self._chance.choice(steps)
        peer = self._chance.choice(PEERS)
        studies = sorted(self._chance.sample(STUDIES, self._chance.randint(1, 2)))
        self.steps.append(f"{step.__name__} {peer} {studies}")
        await step(peer, studies)

    async def _find(self, peer: str, studies: list[str]) -> None:
        found = [finding(uid, self._chance.choice((None, 2, 2, 3, 4))) for uid in studies]
        async with self._db.begin() as session:
            await record_found(session, found, peer=peer)

    async def _miss(self, peer: str, studies: list[str]) -> None:
        await self._db.run(mark_gone, peer=peer, study_uids=studies, asked_on=utcnow())

    async def _want(self, peer: str, studies: list[str]) -> None:
        left = dict.fromkeys(await self._open(peer, studies), "none of it is wanted")
        await self._db.run(mark_unwanted, left, peer=peer, policy="modality MR")

    async def _want_all(self, peer: str, studies: list[str]) -> None:
        await self._db.run(reopen_judged, peer=peer, policy=None)

    async def _decide(self, peer: str, studies: list[str]) -> None:
        where = self._chance.choice((None, peer))
        decide = self._chance.choice(
            (hold_studies, release_studies, release_studies, retry_studies)
        )
        self.steps[-1] += f" {decide.__name__} {where}"
        await self._db.run(decide, studies, peer=where)

    async def _parse(self, peer: str, studies: list[str]) -> None:
        await self._db.run(add_unasked, [self._image(uid) for uid in studies])

    async def _move(self, peer: str, studies: list[str]) -> None:
        free = await self._open(peer, studies)
        keys = await self._db.run(begin_attempts, free, peer=peer, cycle_id=None, node="NODE")
        await self.holds(asked=keys)
        ended = []
        for uid, key in keys.items():
            images = sorted({self._chance.randint(1, 4) for _ in range(self._chance.randint(0, 4))})
            await self._arrive(uid, images, peer)
            if self._chance.random() < 0.15:
                await self._db.run(interrupt_attempts, attempt_ids=[key])
                continue
            listing = None
            if self._chance.random() < 0.5:
                named = {f"{uid}.1.{one}": "" for one in range(1, self._chance.randint(2, 5))}
                listing = Listing(series={f"{uid}.1": ListedSeries(images=named)}, vouched=True)
            answer = AttemptAnswer(started_on=utcnow(), status=0, completed=len(images))
            kind = self._chance.choice(KINDS)
            ended.append(
                EndedAttempt(
                    attempt_id=key, study_uid=uid, answered=answer, kind=kind, listing=listing
                )
            )
        await self._db.run(judge_attempts, ended, peer=peer, senders=SENDERS, limits=LIMITS)

    async def _open(self, peer: str, studies: list[str]) -> list[str]:
        """Return those that a move from a PACS may claim."""
        query = (
            select(StudyFind.study_uid)
            .join(StudySource, StudySource.study_find_id == StudyFind.id)
            .where(StudySource.peer == peer, StudyFind.study_uid.in_(studies))
            .where(StudyFind.retrieved_on.is_(None), StudySource.verified_on.is_(None))
            .where(StudySource.gone_on.is_(None))
            .order_by(StudyFind.study_uid)
        )
        async with self._db.session() as session:
            return list(await session.scalars(query))

    async def _arrive(self, uid: str, numbers: list[int], peer: str) -> None:
        async with self._db.begin() as session:
            images = [
                self._image(uid, one, source=peer.upper(), received_on=utcnow()) for one in numbers
            ]
            records = await attributed(session, [(one, "") for one in images], SENDERS)
            added = await add_images(session, records)
            pairs = [
                (image.id, known.attempt_id)
                for image, known in zip(added, records, strict=True)
                if not image.inserted and known.attempt_id is not None
            ]
            await note_repeated(session, pairs)

    def _image(self, uid: str, number: int | None = None, **values: object):
        image = f"{uid}.1.{number or self._chance.randint(1, 4)}"
        return record(image, f"{uid}.1", uid, filepath=f"/{image}", size=9, **values)

    async def holds(self, asked: Collection[str] = ()) -> None:
        """Hold each study against its sources; what is asked for by name is so, held or not."""
        async with self._db.session() as session:
            studies = (await session.scalars(select(StudyFind))).all()
            standings = await standings_of(session, [one.id for one in studies])
            sources = (await session.scalars(select(StudySource))).all()
            told = Counter(
                data["study_uid"] for data in await session.scalars(select(RecordedEvent.data))
            )
        for one in studies:
            drawn, stood = whole(standings[one.id]), standings[one.id]
            where = f"{one.study_uid} {one.state}: {stood}, after {self.steps}"
            if one.study_uid in asked:
                assert one.state == "moving", where
            elif one.retrieved_on is None:
                assert one.state == drawn.state, where
                assert one.next_attempt_on == drawn.due, where
            else:
                assert (one.state, drawn.complete) == ("retrieved", True), where
                assert one.evidence is not None, where
                assert (one.last_error, one.next_attempt_on) == (None, None), where
        whole_ones = {one.study_uid for one in studies if one.retrieved_on is not None}
        self._complete.update(whole_ones - self._was)
        self._was = whole_ones
        for source in sources:
            held = source.held_on is not None
            where = f"{source.peer} of {source.study_find_id}, after {self.steps}"
            assert held or source.state != "held", where
            assert source.verified_on is None or source.state in {"retrieved", "held"}, where
            assert not held or source.state in {"held", "retrieved", "gone"}, where
        assert told == self._complete, self.steps


@pytest.mark.parametrize("seed", range(2))
async def test_a_study_is_what_its_sources_make_it(migrated_url, seed):
    audience = Audience(hooks={EventKind.STUDY_COMPLETE: ("lab",)})
    async with Database(migrated_url, info=audience.info()) as db:
        history = History(db, seed)
        for _ in range(30):
            await history.one()
            await history.holds()
        async with db.session() as session:
            assert await session.scalar(select(func.count()).select_from(StudySource)) > 2
