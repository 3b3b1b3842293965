"""Studies that several PACSs have: the order of asking changes nothing, nothing is forgotten."""

import asyncio
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import permutations

import pytest
from sqlalchemy import delete, func, select, update

from schema import (
    Database,
    StudyFind,
    add_found_study,
    add_images,
    get_studies_to_move,
    record_found,
    update_retrieved_study,
    utcnow,
)
from schema.accounting.tallies import tally_peers
from schema.deciding.holds import hold_studies, release_studies
from schema.finding.drawing import SourceAnswer
from schema.hierarchy import gone
from schema.hierarchy.gone import (
    MissedDates,
    Unseen,
    last_source_key,
    mark_all_gone,
    mark_gone,
    missed_days,
    missed_studies,
)
from schema.hierarchy.sources import get_source_changes, get_sources
from schema.moves import get_move_states, record_move_attempt
from schema.reports import recent_studies, summary
from schema.tables.sources import StudyChange, StudySource
from tests.db.records import finding, on_both, record

LATER = timedelta(seconds=5)


async def say(db: Database, peer: str, *identifiers: object) -> list[tuple[str, str]]:
    async with db.begin() as session:
        found = await record_found(session, identifiers, peer=peer)  # type: ignore[arg-type]
    return [(one.study_uid, one.outcome) for one in found]


async def study(db: Database, uid: str = "1") -> StudyFind:
    async with db.session() as session:
        found = await StudyFind.by_uid(session, uid)
    assert found is not None
    return found


async def sources(db: Database, uid: str = "1") -> dict[str, SourceAnswer]:
    async with db.session() as session:
        return {one.peer: one for one in (await get_sources(session, [uid])).get(uid, [])}


async def here(db: Database, uid: str, *images: str) -> None:
    async with db.begin() as session:
        await add_images(session, [record(f"{uid}.{one}", f"{uid}.1", uid) for one in images])


async def complete(db: Database, uid: str, peer: str | None = None) -> StudyFind:
    async with db.begin() as session:
        found = await update_retrieved_study(session, uid, peer=peer)
    assert found is not None
    return found


async def tallies(db: Database) -> dict[str | None, tuple[int, int, int, int]]:
    async with db.session() as session:
        return {
            one.peer: (one.found, one.complete, one.open, one.gone)
            for one in await tally_peers(session)
        }


def facts(row: StudyFind) -> dict[str, object]:
    names = ("patient_name", "patient_id", "study_date", "accession_number", "modalities")
    return {
        name: getattr(row, name)
        for name in (*names, "study_description", "expected_series", "expected_images")
    }


# what each PACS says of one study: the images, and other keywords
SAID = {
    "equal": {"a": (4, {}), "b": (4, {}), "c": (4, {})},
    "overlapping": {"a": (4, {"AccessionNumber": "A"}), "b": (6, {}), "c": (5, {"PatientID": "C"})},
    "disjoint": {
        "a": (2, {"ModalitiesInStudy": "CT", "NumberOfStudyRelatedSeries": 1}),
        "b": (2, {"ModalitiesInStudy": ["SR", "CT"], "NumberOfStudyRelatedSeries": 2}),
        "c": (2, {"ModalitiesInStudy": "PR", "PatientName": "Doe^J"}),
    },
    "silent": {"a": (None, {"PatientID": ""}), "b": (None, {"StudyDescription": "Head"})},
    "contradicting": {
        "a": (3, {"PatientID": "A", "StudyDate": "20240201"}),
        "b": (3, {"PatientID": "B", "AccessionNumber": "7"}),
        "c": (None, {"PatientID": "C", "AccessionNumber": "8", "StudyDescription": "c"}),
    },
}
DRAWN = {
    "equal": {"expected_images": 4, "patient_id": "P1"},
    "overlapping": {"expected_images": 6, "patient_id": "P1", "accession_number": "A"},
    "disjoint": {"expected_images": 2, "modalities": "CT\\PR\\SR", "expected_series": 2},
    "silent": {"expected_images": None, "patient_id": "P1", "study_description": "Head"},
    "contradicting": {
        "patient_id": "A",
        "study_date": datetime(2024, 2, 1),  # noqa: DTZ001 - as the columns keep dates
        "accession_number": "7",
        "study_description": "c",
    },
}


@on_both("case", *SAID, both=["disjoint", "silent"])
async def test_a_study_is_drawn_alike_in_whichever_order_its_peers_are_asked(db, case):
    said = SAID[case]
    for order in permutations(said):
        for peer in (*order, order[0]):  # the first one twice: that changes nothing
            images, more = said[peer]
            await say(db, peer, finding("1", images, **more))
        row = await study(db)
        assert facts(row) == facts(row) | DRAWN[case], order
        kept = await sources(db)
        assert {name: one.expected_images for name, one in kept.items()} == {
            name: images for name, (images, _) in said.items()
        }
        async with db.begin() as session:
            assert await session.scalar(select(func.count(StudyChange.id))) == 0
            await session.execute(delete(StudyFind))
            assert await session.scalar(select(func.count(StudySource.id))) == 0


async def test_what_a_peer_says_and_leaves_out_is_kept_for_itself(db):
    more = {"PatientBirthDate": "19700101", "StudyTime": "101112", "AccessionNumber": "A1"}
    await say(db, "a", finding("1", 3, **more))
    await say(db, "b", finding("1", 5, StudyDescription="b"))
    await say(db, "a", finding("1"))
    kept = await sources(db)
    assert (kept["a"].expected_images, kept["a"].accession_number) == (3, "A1")
    assert kept["a"].patient_birth_date.date() == date(1970, 1, 1)
    assert kept["a"].study_time.isoformat() == "10:11:12"
    assert (kept["b"].accession_number, kept["b"].study_description) == (None, "b")
    assert kept["a"].last_seen_on > kept["b"].last_seen_on > kept["a"].found_on
    assert (await study(db)).peer == "a", "the one that answered last"


async def test_changed_facts_keep_their_history_for_each_peer(db):
    await say(db, "a", finding("1", 3, PatientID="OLD", ModalitiesInStudy=["CT", "SR"]))
    await say(db, "b", finding("1", 3, PatientID="OTHER"))
    assert await say(db, "a", finding("1", 3, PatientID="NEW", ModalitiesInStudy=["SR", "CT"])) == [
        ("1", "changed")
    ]
    assert await say(db, "a", finding("1", 4, PatientID="NEW", AccessionNumber="1")) == [
        ("1", "changed")
    ]
    assert await say(db, "a", finding("1", 4, PatientID="NEW")) == [("1", "known")]
    async with db.session() as session:
        changes = (await get_source_changes(session, ["1"]))["1"]
    assert [(one.peer, one.field, one.was, one.became) for one in changes] == [
        ("a", "patient_id", "OLD", "NEW"),
        ("a", "expected_images", "3", "4"),
    ]


async def test_a_peer_that_says_one_thing_and_another_in_turn_does_not_fill_the_table(
    db, monkeypatch
):
    monkeypatch.setattr("schema.hierarchy.sources._KEPT_CHANGES", 4)
    await say(db, "b", finding("1", 1))
    await say(db, "b", finding("1", 2))
    for turn in range(9):
        await say(db, "a", finding("1", PatientID=f"P{turn}"))
    async with db.session() as session:
        changes = (await get_source_changes(session, ["1"]))["1"]
    assert [one.became for one in changes] == ["2", "P5", "P6", "P7", "P8"]


async def test_a_study_is_complete_when_all_that_each_of_its_peers_has_is_here(db):
    await say(db, "a", finding("1", 2), finding("2", 2))
    await say(db, "b", finding("1", 2))
    await here(db, "1", "1", "2")
    assert (await complete(db, "1", "a")).retrieved_on is None
    assert (await tallies(db))["a"] == (2, 1, 1, 0)
    async with db.session() as session:
        assert [one.study_uid for one in await get_studies_to_move(session, peer="a")] == ["2"]
        assert [one.study_uid for one in await get_studies_to_move(session, peer="b")] == ["1"]
        at_b = (await get_move_states(session, ["1"], peer="b"))["1"]
    assert (at_b.retrieved, at_b.told) == (False, 2)
    done = await complete(db, "1", "b")
    assert (done.state, done.retrieved_on is None) == ("retrieved", False)
    assert (await tallies(db))["b"] == (1, 1, 0, 0)


async def test_a_study_that_an_administrator_opens_is_asked_for_at_all_its_peers(db):
    await say(db, "a", finding("1", 2))
    await say(db, "b", finding("1", 2))
    await here(db, "1", "1", "2")
    await complete(db, "1")
    async with db.begin() as session:
        await session.execute(update(StudyFind).values(retrieved_on=None))
    async with db.session() as session:
        for peer in "ab":
            assert len(await get_studies_to_move(session, peer=peer)) == 1
            assert not (await get_move_states(session, ["1"], peer=peer))["1"].retrieved
    assert (await complete(db, "1", "a")).retrieved_on is not None, "b was, before"


@pytest.mark.parametrize(
    ("peer", "count", "reopened"),
    [("a", 2, False), ("a", 3, True), ("b", 4, False), ("b", 5, True), ("b", None, False)],
)
async def test_a_retrieved_study_that_has_grown_at_any_peer_is_reopened(db, peer, count, reopened):
    await say(db, "a", finding("1", 2))
    await say(db, "b", finding("1", 4))
    await here(db, "1", *"123456")
    await complete(db, "1")
    await say(db, peer, finding("1", count))
    row = await study(db)
    assert (row.retrieved_on is None) == reopened
    assert row.expected_images == 6
    other = "b" if peer == "a" else "a"
    async with db.session() as session:
        assert bool(await get_studies_to_move(session, peer=peer)) == reopened
        assert await get_studies_to_move(session, peer=other) == []


async def test_a_retrieved_study_that_another_peer_has_as_well_is_looked_at_there(db):
    await say(db, "a", finding("1", 2))
    await here(db, "1", "1", "2")
    await complete(db, "1")
    await say(db, "b", finding("1", 2))
    assert (await study(db)).retrieved_on is None, "its two may be two others"
    async with db.session() as session:
        assert await get_studies_to_move(session, peer="a") == []
        assert len(await get_studies_to_move(session, peer="b")) == 1


async def test_a_peer_that_fails_does_not_make_the_others_wait(db):
    await say(db, "a", finding("1", 2))
    await say(db, "b", finding("1", 9))
    later = utcnow() + timedelta(hours=1)
    async with db.begin() as session:
        row = await record_move_attempt(
            session,
            "1",
            state="failed",
            error="down",
            next_attempt_on=later,
            expected_images=2,
            peer="a",
        )
        assert (row.next_attempt_on, row.expected_images) == (None, 9)
    async with db.session() as session:
        assert await get_studies_to_move(session, peer="a", due_at=utcnow()) == []
        assert len(await get_studies_to_move(session, peer="b", due_at=utcnow())) == 1


async def missed(
    db, peer: str, start: date | None, end: date | None, **unseen: object
) -> list[str]:
    async with db.session() as session:
        last_key = await last_source_key(session)
        known = Unseen(**{"since": utcnow() + LATER, "last_key": last_key, **unseen})  # type: ignore[arg-type]
        dates = MissedDates(peer=peer, start=start, end=end, unseen=known)
        found = await missed_studies(session, dates, limit=100)
        counted = await missed_days(session, dates)
        assert sum(counted.values()) == len(found)
        assert set(counted) == {one.study_date for one in found}
        first = await missed_studies(session, dates, limit=1)
        assert first == found[:1]
    return [one.study_uid for one in found]


async def test_what_a_complete_window_leaves_out_may_be_gone_until_it_is_seen_again(db):
    dated = {"1": "20240101", "2": "20240102", "3": "20240103", "4": ""}
    await say(db, "a", *(finding(uid, 2, StudyDate=day) for uid, day in dated.items()))
    await say(db, "b", finding("1", 5, StudyDate="20240101"))
    asked = utcnow()

    async def gone_of(*study_uids: str) -> list[str]:
        async with db.begin() as session:
            return await mark_gone(session, peer="a", study_uids=study_uids, asked_on=asked)

    assert await missed(db, "a", date(2023, 1, 1), date(2023, 12, 31)) == []
    assert await missed(db, "a", date(2024, 1, 1), date(2024, 1, 2)) == ["1", "2"]
    assert await gone_of("1") == ["1"]
    assert await missed(db, "a", date(2024, 1, 1), date(2024, 1, 2)) == ["2"], "it was before"
    assert await gone_of("1") == []
    lost = (await sources(db))["a"]
    assert (lost.gone_on, lost.expected_images) == (asked, 2)
    assert await tallies(db) == {"a": (3, 0, 3, 1), "b": (1, 0, 1, 0)}
    async with db.session() as session:
        to_move = [one.study_uid for one in await get_studies_to_move(session, peer="a")]
        assert to_move == ["2", "3", "4"]
        assert (await study(db)).peer == "b"
    open_window = await missed(db, "a", None, None)
    assert set(open_window) == {"2", "3", "4"}, "an open window has those without a date"
    assert await gone_of("3", "4") == ["3", "4"]
    async with db.session() as session:
        counted = await summary(session)
        assert (counted.found, counted.to_move, counted.gone) == (4, 2, 2)
    assert await say(db, "a", finding("1", 2, StudyDate="20240101")) == [("1", "changed")]
    assert (await sources(db))["a"].gone_on is None
    assert (await tallies(db))["a"] == (2, 0, 2, 2)


async def test_what_one_find_meets_again_is_passed_over_and_what_is_back_is_not(db):
    await say(db, "b", finding("1", 2))
    began = utcnow()

    async def meet(*identifiers: object) -> list[tuple[str, str]]:
        found = await db.run(record_found, identifiers, peer="a", since=began)
        return [(one.study_uid, one.outcome) for one in found]

    assert await meet(finding("1", 3), finding("2", 1)) == [("1", "changed"), ("2", "new")]
    assert await meet(finding("2", 1), finding("3", 1), finding("1", 3)) == [("3", "new")]
    assert {(await study(db, uid)).expected_images for uid in "12"} == {3, 1}
    async with db.begin() as session:
        later = utcnow() + LATER
        await mark_gone(session, peer="a", study_uids=["2"], answered=[], asked_on=later)
    assert await meet(finding("2", 1)) == [("2", "changed")]
    assert (await sources(db, "2"))["a"].gone_on is None
    assert await say(db, "a", finding("2", 7)) == [("2", "changed")], "who asks alone is told all"


async def test_the_last_word_of_one_find_counts_and_is_told_as_another_one(db):
    began = utcnow()

    async def meet(*identifiers: object) -> list[tuple[str, str, bool]]:
        found = await db.run(record_found, identifiers, peer="a", since=began)
        return [(one.study_uid, one.outcome, one.again) for one in found]

    assert await meet(finding("1", 3)) == [("1", "new", False)]
    assert await meet(finding("1", 3)) == []
    assert await meet(finding("1", 4), finding("1", 10)) == [("1", "changed", True)]
    assert (await study(db)).expected_images == 10
    async with db.session() as session:
        changes = (await get_source_changes(session, ["1"]))["1"]
    assert [(one.field, one.was, one.became) for one in changes] == [("expected_images", "3", "10")]


async def test_what_was_seen_since_a_find_began_or_found_since_is_not_missed(db):
    await say(db, "a", finding("1", 1, StudyDate="20240101"))
    began = utcnow()
    async with db.session() as session:
        last_key = await last_source_key(session)
    await say(db, "a", finding("2", 1, StudyDate="20240101"))
    assert await missed(db, "a", None, None, since=began) == ["1"]
    assert await missed(db, "a", None, None, last_key=last_key) == ["1"], "whatever the clock says"


async def test_all_that_a_peer_had_is_gone_when_somebody_says_so(db, monkeypatch):
    monkeypatch.setattr(gone, "_AT_ONCE", 2)
    await say(db, "a", *(finding(str(n)) for n in range(5)))
    await say(db, "b", finding("1"))
    async with db.begin() as session:
        assert await mark_all_gone(session, peer="a", on=utcnow() + LATER) == 5
        assert await mark_all_gone(session, peer="a", on=utcnow() + LATER) == 0
    assert (await tallies(db))["a"][3] == 5
    assert (await tallies(db))["b"][3] == 0


async def test_only_what_was_not_seen_since_the_question_is_gone(db):
    asked = utcnow()
    await say(db, "a", finding("1"))
    async with db.begin() as session:
        for uids in (["1"], ["1", "unknown"]):
            assert (
                await mark_gone(session, peer="a", study_uids=uids, answered=[], asked_on=asked)
                == []
            )
        later = utcnow() + LATER
        assert await mark_gone(
            session, peer="a", study_uids=["1"], answered=[], asked_on=later
        ) == ["1"]


async def test_a_study_of_which_only_a_peer_that_lost_it_had_more_is_complete(db):
    await say(db, "a", finding("1", 2))
    await say(db, "b", finding("1", 3))
    await here(db, "1", "1", "2")
    await complete(db, "1", "a")
    async with db.begin() as session:
        await mark_gone(session, peer="b", study_uids=["1"], answered=[], asked_on=utcnow() + LATER)
    row = await study(db)
    assert (row.state, row.expected_images, row.retrieved_on is None) == ("retrieved", 2, False)


async def test_finds_of_several_peers_at_once_neither_lose_nor_wait_crosswise(db):
    uids = [f"1.{number}" for number in range(40)]
    await say(db, "old", *(finding(uid, 1) for uid in uids[::3]))

    async def find(peer: int) -> None:
        for turn in range(3):
            ordered = uids[peer * 7 :] + uids[: peer * 7]
            said = [finding(uid, peer + turn + 2) for uid in ordered]
            await db.run(record_found, said, peer=f"pacs{peer}")

    async def lose() -> None:
        asked = utcnow() + LATER
        await db.run(mark_gone, peer="old", study_uids=uids, answered=uids[:20], asked_on=asked)

    await asyncio.gather(*map(find, range(4)), lose())
    async with db.session() as session:
        everything = await get_sources(session, uids)
        rows = await session.execute(select(StudyFind.study_uid, StudyFind.expected_images))
        assert dict(rows.all()) == dict.fromkeys(uids, 7)
    for number, uid in enumerate(uids):
        named = {one.peer: one for one in everything[uid]}
        assert [named[f"pacs{peer}"].expected_images for peer in range(4)] == [4, 5, 6, 7]
        assert ("old" in named) == (number % 3 == 0)
        if "old" in named:
            assert (named["old"].gone_on is not None) == (number >= 20)


async def test_the_latest_studies_name_all_their_peers(db):
    await say(db, "a", finding("1", 1))
    await say(db, "b", finding("1", 1))
    async with db.begin() as session:
        await add_found_study(session, finding("2"))
        await session.execute(update(StudyFind).values(updated_on=utcnow()))
    async with db.session() as session:
        latest = await recent_studies(session, peer="a")
        assert [[one.peer for one in row.sources] for row in latest] == [["a", "b"]]
        everything = await recent_studies(session)
    assert [len(row.sources) for row in everything] == [0, 2]
    assert replace(everything[1], sources=()).peer == "b"


@pytest.mark.parametrize("peer", ["Zürich ÄPÜ", "P" * 700, "p\0acs"])
async def test_a_study_is_moved_from_a_peer_whatever_that_is_called(db, peer):
    async with db.begin() as session:
        await record_found(session, [finding("1", 1)], peer=peer)
        await record_found(session, [finding("1", 1)], peer=peer.upper())
        assert [one.study_uid for one in await get_studies_to_move(session, peer=peer)] == ["1"]
        await record_move_attempt(session, "1", state="partial", peer=peer)
        study = await update_retrieved_study(session, "1", peer=peer)
        others = {peer.upper()} - {peer}
        assert (study.retrieved_on is None) == bool(others)
        assert await get_studies_to_move(session, peer=peer) == []
        for other in others:
            assert len(await get_studies_to_move(session, peer=other)) == 1


async def test_a_study_that_no_peer_has_any_more_is_gone_until_one_answers_it(db):
    await say(db, "a", finding("1", 2))
    await say(db, "b", finding("1", 2))
    for peer, state in (("a", "pending"), ("b", "gone")):
        async with db.begin() as session:
            await mark_gone(session, peer=peer, study_uids=["1"], asked_on=utcnow())
        assert (await study(db)).state == state
    async with db.session() as session:
        assert (await summary(session)).gone == 1
        assert await get_studies_to_move(session, peer="a") == []
    await say(db, "a", finding("1", 2))
    assert (await study(db)).state == "pending"
    async with db.session() as session:
        assert (await summary(session)).gone == 0
        assert len(await get_studies_to_move(session, peer="a")) == 1


async def test_a_find_leaves_a_study_the_state_that_its_sources_make(db):
    """Whatever of it is new at one of them: the first of what they say, as its table has it."""
    await say(db, "a", finding("1", 2))
    await say(db, "b", finding("1", 2))
    async with db.begin() as session:
        values = {"state": "partial", "given_up_on": utcnow(), "last_error": "1 of 2 is missing"}
        await session.execute(update(StudySource).where(StudySource.peer == "a").values(**values))
        there = update(StudySource).where(StudySource.peer == "b")
        await session.execute(there.values(state="retrieved", verified_on=utcnow()))
        await session.execute(
            update(StudyFind).values(state="partial", last_error="1 of 2 is missing")
        )
    await say(db, "b", finding("1", 3))
    found = await study(db)
    assert (found.state, found.last_error) == ("partial", "1 of 2 is missing")
    async with db.begin() as session:
        await hold_studies(session, ["1"], peer="a")
        await session.execute(update(StudyFind).values(state="failed"))
    await say(db, "c", finding("1", 4))
    assert (await study(db)).state == "held"
    async with db.begin() as session:
        await release_studies(session, ["1"])
        await mark_gone(session, peer="c", study_uids=["1"], asked_on=utcnow())
    assert (await study(db)).state == "pending", "all is as new"
