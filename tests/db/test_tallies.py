"""What `status` counts from indexes is what the rows say, one by one."""

import random
from collections import Counter
from datetime import datetime, timedelta

from sqlalchemy import insert, select

from schema import StudyFind, utcnow
from schema.accounting.rates import rates
from schema.accounting.tallies import one_view, tally_peers
from schema.accounting.tally import PeerTally
from schema.reports import summary
from schema.tables.ledger import Cycle, MoveAttempt
from schema.tables.sources import StudySource
from schema.tables.statements import table_of

STATES = ("pending", "partial", "retrieved", "gone", "held", "failed", "moving", "unwanted")
NOW = utcnow()


async def fill(db, *, studies: int, peers: tuple[str, ...], seed: int) -> None:
    """Put studies into the tables in all combinations, also those that nothing here writes."""
    chance, now = random.Random(seed), utcnow()

    def often(value, share=0.4):
        return value if chance.random() < share else None

    rows, sources = [], []
    for key in range(1, studies + 1):
        rows.append(
            {
                "id": key,
                "study_uid": f"1.{key}",
                "peer": often(chance.choice(["a", "b", "stranger"]), 0.8),
                "state": chance.choice(STATES),
                "retrieved_on": often(now),
                "expected_images": often(chance.randrange(4)),
            }
        )
        for peer in chance.sample(peers, chance.randrange(len(peers) + 1)):
            sources.append(
                {
                    "study_find_id": key,
                    "peer": peer,
                    "state": chance.choice(STATES),
                    "found_on": now,
                    "last_seen_on": now,
                    "gone_on": often(now, 0.2),
                    "verified_on": often(now),
                    "given_up_on": often(now - timedelta(days=1)),
                    "next_attempt_on": often(NOW + timedelta(seconds=key - studies // 3)),
                    "expected_images": often(chance.randrange(5)),
                    "counted_images": often(chance.randrange(5)),
                }
            )
    async with db.begin() as session:
        connection = await session.connection()
        await connection.execute(insert(table_of(StudyFind)), rows)
        if sources:
            await connection.execute(insert(table_of(StudySource)), sources)


async def one_by_one(db) -> dict[str | None, PeerTally]:
    """Count in Python what `tally_peers` counts in the database."""
    async with db.session() as session:
        studies = {one.id: one for one in await session.scalars(select(StudyFind))}
        sources: dict[int, list[StudySource]] = {key: [] for key in studies}
        for source in await session.scalars(select(StudySource)):
            sources[source.study_find_id].append(source)
    counts: dict[str | None, Counter[str]] = {}
    states: dict[str | None, Counter[str]] = {}
    dues: dict[str | None, list[datetime]] = {}
    for key, study in studies.items():
        for source in sources[key]:
            count = counts.setdefault(source.peer, Counter())
            by_state = states.setdefault(source.peer, Counter())
            if source.gone_on is not None:
                count["gone"] += 1
                continue
            count["found"] += 1
            by_state[source.state] += 1
            closed = len(sources[key]) > 1 and study.retrieved_on is not None
            if closed or source.verified_on is not None:
                count["complete"] += 1
                continue
            others = [one for one in sources[key] if one.gone_on is None and one.verified_on]
            if source.state == "unwanted":
                count["unwanted"] += 1
                continue
            count["to_compare"] += bool(others)
            if source.state in ("pending", "partial", "failed", "empty"):
                due = source.next_attempt_on
                waits = source.given_up_on is None and due is not None and due > NOW
                count["given_up"] += source.given_up_on is not None
                count["waiting"] += waits
                count["ready"] += source.given_up_on is None and not waits
                if waits:
                    dues.setdefault(source.peer, []).append(source.next_attempt_on)
            told = source.expected_images or source.counted_images
            count["images"] += told or 0
            count["unknown"] += not told
            if source.given_up_on is None and source.state not in ("held", "retrieved", "gone"):
                count["coming"] += 1
                count["coming_images"] += told or 0
                count["coming_unknown"] += not told
        if not sources[key]:
            count = counts.setdefault(study.peer, Counter())
            states.setdefault(study.peer, Counter())
            count["found"] += 1
            if study.retrieved_on is not None:
                count["complete"] += 1
                continue
            if study.state == "unwanted":
                count["unwanted"] += 1
                continue
            count["images"] += study.expected_images or 0
            count["unknown"] += not study.expected_images
    return {
        peer: PeerTally(
            **{"peer": peer, "found": 0, "complete": 0, **count},
            states=states[peer],
            next_on=min(dues.get(peer, ()), default=None),
        )
        for peer, count in counts.items()
    }


async def test_tallies_are_what_the_rows_say_one_by_one(db):
    before = 0
    for seed, peers in enumerate((("a",), (), ("a", "b", "c"))):
        async with db.begin() as session:
            for table in (StudySource, StudyFind):
                await session.execute(table_of(table).delete())
        await fill(db, studies=150, peers=peers, seed=seed)
        expected = await one_by_one(db)
        async with db.session() as session:
            await one_view(session)
            tallies = {one.peer: one for one in await tally_peers(session, now=NOW)}
            counted = await summary(session)
            some = await tally_peers(session, [f"1.{key}" for key in range(1, 151)])
        assert tallies == expected
        assert {one.peer: one.to_compare for one in some} == {
            peer: one.to_compare for peer, one in expected.items()
        }
        assert list(tallies) == sorted(tallies, key=lambda name: (name is None, name or ""))
        assert counted.found == 150
        assert counted.unwanted > 0
        closed = counted.retrieved + counted.gone + counted.unwanted
        assert counted.to_move == 150 - closed
        before += sum(one.to_compare for one in tallies.values())
    assert before > 0


async def test_rates_are_of_attempts_that_ended_in_the_time_and_of_moves_that_ran(db):
    now = utcnow()

    def ago(minutes: float) -> datetime:
        return now - timedelta(minutes=minutes)

    attempts = [
        ("a", 10, "retrieved", 5, 500),
        ("a", 20, "partial", 3, 300),
        ("a", 90, "retrieved", 7, 700),
        ("b", 10, "retrieved", 1, 100),
        ("a", None, None, None, None),
    ]
    cycles = [
        ("a", "move", 50, 20),
        ("a", "move", 30, None),
        ("a", "find", 60, 1),
        ("b", "move", 99, 70),
    ]
    async with db.begin() as session:
        connection = await session.connection()
        await connection.execute(insert(table_of(StudyFind)), [{"id": 1, "study_uid": "1"}])
        await connection.execute(
            insert(table_of(MoveAttempt)),
            [
                {
                    "study_find_id": 1,
                    "peer": peer,
                    "method": "C-MOVE",
                    "claimed_on": ago(100),
                    "ended_on": None if ended is None else ago(ended),
                    "outcome": outcome,
                    "arrived": images,
                    "arrived_bytes": size,
                }
                for peer, ended, outcome, images, size in attempts
            ],
        )
        await connection.execute(
            insert(table_of(Cycle)),
            [
                {
                    "kind": kind,
                    "peer": peer,
                    "started_on": ago(begin),
                    "finished_on": None if end is None else ago(end),
                    "heard_on": ago(0.2) if end is None else None,
                    "outcome": "running" if end is None else "done",
                }
                for peer, kind, begin, end in cycles
            ],
        )
    async with db.session() as session:
        found = await rates(session, ["a", "b", "c"], since=ago(60), until=now)
    told = {
        name: (one.attempts, one.studies, one.images, one.bytes, one.seconds / 60)
        for name, one in found.items()
    }
    assert told == {"a": (2, 1, 8, 800, 50.0), "b": (1, 1, 1, 100, 0.0), "c": (0, 0, 0, 0, 0.0)}
