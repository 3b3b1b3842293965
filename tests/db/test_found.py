"""Found studies are recorded, refreshed, moved again when they grow, and retrieved once."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from schema import (
    Database,
    InvalidDicom,
    Study,
    StudyFind,
    add_found_study,
    add_images,
    dcm2study_finding,
    get_studies_to_move,
    get_study_uids_to_move,
    record_found,
    update_retrieved_study,
    utcnow,
)
from schema.errors import ValuesRefused
from schema.finding.answer import StudyAnswer
from schema.finding.known import known_at, named_at
from schema.moves import record_move_attempt
from tests.db.records import finding, record


async def stored(db: Database, uid: str) -> StudyFind:
    async with db.session() as session:
        found = await StudyFind.by_uid(session, uid)
        assert found is not None
        return found


async def record_all(db: Database, *identifiers: object, peer: str = "pacs") -> list[tuple]:
    async with db.begin() as session:
        results = await record_found(session, identifiers, peer=peer)  # type: ignore[arg-type]
        return [(one.study_uid, one.outcome) for one in results]


async def retrieve(db: Database, uid: str, images: int) -> None:
    async with db.begin() as session:
        await add_images(session, [record(f"{uid}.{n}", f"{uid}.1", uid) for n in range(images)])
        await update_retrieved_study(session, uid)


def test_an_identifier_becomes_a_row():
    row = dcm2study_finding(
        finding(
            "1.1",
            12,
            ModalitiesInStudy=["CT", "SR"],
            AccessionNumber="A1",
            StudyDescription="Chest",
            NumberOfStudyRelatedSeries=2,
        )
    )
    assert (row.study_uid, row.modalities, row.accession_number) == ("1.1", "CT\\SR", "A1")
    assert (row.expected_series, row.expected_images, row.state) == (2, 12, "pending")
    assert row.study_date.isoformat() == "2024-01-02T00:00:00"
    assert (row.patient_id, row.patient_name) == ("P1", "Doe^Jane")


def test_an_identifier_without_a_study_is_no_finding():
    identifier = finding()
    del identifier.StudyInstanceUID
    with pytest.raises(InvalidDicom, match="StudyInstanceUID"):
        dcm2study_finding(identifier)


async def test_a_found_study_is_added_once(db):
    async with db.begin() as session:
        first = await add_found_study(session, finding("1.1"))
        assert first is not None
        assert first.found_on is not None
        assert await add_found_study(session, finding("1.1", PatientID="other")) is None
    assert (await stored(db, "1.1")).patient_id == "P1"


async def test_responses_are_new_then_known_then_changed(db):
    assert await record_all(db, finding("2"), finding("1", 3)) == [("2", "new"), ("1", "new")]
    assert await record_all(db, finding("1", 3), finding("3")) == [("1", "known"), ("3", "new")]
    assert await record_all(db, finding("1", 4)) == [("1", "changed")]
    assert (await stored(db, "1")).expected_images == 4


async def test_what_a_later_response_leaves_out_stays(db):
    await record_all(db, finding("1", 3, AccessionNumber="A1"))
    identifier = finding("1")
    identifier.PatientName = ""
    assert await record_all(db, identifier, peer="other") == [("1", "known")]
    row = await stored(db, "1")
    assert (row.expected_images, row.accession_number, row.patient_name) == (3, "A1", "Doe^Jane")
    assert row.peer == "other"


@pytest.mark.filterwarnings("ignore")  # pydicom complains about the padded UID
async def test_one_study_answered_twice_counts_once(db):
    second = finding("1", 7)
    second.StudyInstanceUID = "1 "
    assert await record_all(db, finding("1"), second) == [("1", "new")]
    assert (await stored(db, "1")).expected_images == 7


async def test_a_response_without_a_study_uid_is_passed_over(db):
    broken = finding()
    del broken.StudyInstanceUID
    assert await record_all(db, broken, finding("1")) == [("1", "new")]
    assert await record_all(db) == []


async def test_hundreds_of_responses_are_recorded_at_once(db):
    uids = [f"1.{n}" for n in range(700)]
    assert {outcome for _, outcome in await record_all(db, *map(finding, uids))} == {"new"}
    half = [finding(uid, 5 if n % 2 else None) for n, uid in enumerate(uids)]
    outcomes = [outcome for _, outcome in await record_all(db, *half)]
    assert (outcomes.count("known"), outcomes.count("changed")) == (350, 350)


async def test_no_number_of_responses_makes_many_long_statements(db):
    texts: set[str] = set()

    def note(*execution: object) -> None:
        texts.add(str(execution[2]))

    event.listen(db.engine.sync_engine, "before_cursor_execute", note)
    for number, count in enumerate((500, 437, 301, 299, 251, 210, 190)):
        answers = [finding(f"1.{number}.{one}") for one in range(count)]
        async with db.begin() as session:
            assert len(await record_found(session, answers, peer="pacs")) == count
    long = [text for text in texts if len(text) > 5000]
    assert len(long) <= 2, "one for each table: a driver keeps what it has prepared"
    assert max(map(len, texts)) < 20_000


async def test_what_a_peer_says_of_a_few_studies_is_looked_up_by_them(db):
    """SQLite, which knows no numbers of rows, read all that the peer has for each window."""
    asked: list[tuple[str, Any]] = []

    def note(*execution: Any) -> None:
        asked.append((execution[2], execution[3]))

    await record_all(db, finding("1.1"), finding("1.2"))
    event.listen(db.engine.sync_engine, "before_cursor_execute", note)
    async with db.begin() as session:
        since = utcnow() - timedelta(hours=1)
        await record_found(session, [finding("1.1")], peer="pacs", since=since)
        assert await known_at(session, "pacs", ["1.2"])
        assert await named_at(session, "pacs", study_uids=["1.1"], accession_numbers=["A"])
    event.remove(db.engine.sync_engine, "before_cursor_execute", note)
    read = [(sql, values) for sql, values in asked if "study_sources" in sql]
    assert len(read) >= 4
    if db.engine.dialect.name == "sqlite":
        async with db.engine.connect() as connection:
            for sql, values in read:
                plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
                assert "(peer=?" not in str(plan.all()), sql


async def test_a_retrieved_study_that_has_grown_is_to_be_moved_again(db):
    await record_all(db, finding("1", 2), finding("2", 2))
    await retrieve(db, "1", 2)
    await retrieve(db, "2", 2)
    await record_all(db, finding("1", 3), finding("2", 2))
    grown, same = await stored(db, "1"), await stored(db, "2")
    assert (grown.retrieved_on, grown.state, grown.attempts) == (None, "pending", 0)
    assert same.retrieved_on is not None
    assert same.state == "retrieved"


async def test_a_count_that_becomes_known_is_no_growth_when_all_is_here(db):
    await record_all(db, finding("1"), finding("2"))
    await retrieve(db, "1", 3)
    await retrieve(db, "2", 3)
    await record_all(db, finding("1", 3), finding("2", 4))
    assert (await stored(db, "1")).retrieved_on is not None
    assert (await stored(db, "2")).retrieved_on is None


async def test_a_study_that_shrinks_stays_retrieved(db):
    await record_all(db, finding("1", 3))
    await retrieve(db, "1", 3)
    await record_all(db, finding("1", 1))
    assert (await stored(db, "1")).state == "retrieved"


async def test_an_empty_study_that_has_grown_is_tried_again(db):
    await record_all(db, finding("1", 0))
    async with db.begin() as session:
        await record_move_attempt(session, "1", state="empty", error="nothing came")
    await record_all(db, finding("1", 5))
    row = await stored(db, "1")
    assert (row.state, row.attempts, row.last_error) == ("pending", 0, None)


async def test_studies_received_before_they_were_found_are_linked(db):
    async with db.begin() as session:
        await add_images(session, [record("1.1", "1.1", "1"), record("2.1", "2.1", "2")])
    await record_all(db, finding("1"), finding("2"), finding("3"))
    async with db.session() as session:
        for uid in ("1", "2"):
            found, study = await StudyFind.by_uid(session, uid), await Study.by_uid(session, uid)
            assert study.study_find_id == found.id


async def test_studies_to_move_come_by_priority_then_date_and_without_the_retrieved(db):
    done, early, late, undated, urgent = "12345"
    await record_all(
        db,
        finding(undated, StudyDate=""),
        finding(late, StudyDate="20240301"),
        finding(early, StudyDate="20240101"),
        finding(done),
        finding(urgent, StudyDate="20240401"),
    )
    async with db.begin() as session:
        (await StudyFind.by_uid(session, urgent)).priority = 1
        await update_retrieved_study(session, done)
    async with db.session() as session:
        order = [urgent, early, late, undated]
        assert [one.study_uid for one in await get_studies_to_move(session)] == order
        assert await get_study_uids_to_move(session) == order
        few = await get_studies_to_move(session, limit=2)
        assert [one.study_uid for one in few] == order[:2]
        some = await get_studies_to_move(session, study_uids=[late, done, "unknown"])
        assert [one.study_uid for one in some] == [late]


async def test_studies_to_move_can_be_those_of_one_peer(db):
    await record_all(db, finding("1"), peer="a")
    await record_all(db, finding("2"), peer="b")
    async with db.begin() as session:
        await add_found_study(session, finding("3"))
    async with db.session() as session:
        of_a = await get_studies_to_move(session, peer="a")
        assert [one.study_uid for one in of_a] == ["1", "3"]


async def test_a_study_that_is_not_due_waits(db):
    await record_all(db, finding("1"), finding("2"))
    later = utcnow() + timedelta(hours=1)
    async with db.begin() as session:
        await record_move_attempt(
            session, "1", state="partial", error="2 missing", next_attempt_on=later
        )
    async with db.session() as session:
        now = await get_studies_to_move(session, due_at=utcnow())
        then = await get_studies_to_move(session, due_at=later)
        assert [one.study_uid for one in now] == ["2"]
        assert [one.study_uid for one in then] == ["1", "2"]
        assert len(await get_studies_to_move(session)) == 2


async def test_a_study_is_due_when_the_clock_was_set_back_since_its_last_attempt(db):
    await record_all(db, finding("1"))
    now = utcnow()
    async with db.begin() as session:
        later = now + timedelta(hours=5)
        await record_move_attempt(session, "1", state="partial", next_attempt_on=later)
    async with db.session() as session:
        assert await get_studies_to_move(session, due_at=now) == []
        set_back = now - timedelta(hours=1)
        assert len(await get_studies_to_move(session, due_at=set_back)) == 1


async def test_attempts_are_counted_and_forgotten_when_the_study_is_complete(db):
    await record_all(db, finding("1"))
    async with db.begin() as session:
        await record_move_attempt(session, "1", state="moving")
        row = await record_move_attempt(
            session, "1", state="partial", error="1 missing", expected_images=9
        )
        assert (row.attempts, row.state, row.expected_images) == (2, "partial", 9)
        assert row.last_error == "1 missing"
        assert await record_move_attempt(session, "unknown", state="moving") is None
        done = await update_retrieved_study(session, "1")
        assert (done.state, done.last_error) == ("retrieved", None)


async def test_retrieved_on_is_set_once(db):
    await record_all(db, finding("1"))
    async with db.begin() as session:
        first = (await update_retrieved_study(session, "1")).retrieved_on
    async with db.begin() as session:
        again = (await update_retrieved_study(session, "1")).retrieved_on
        assert await update_retrieved_study(session, "unknown") is None
    assert first is not None
    assert again == first


@pytest.mark.parametrize(
    "wrong",
    [{"keys": {"StudyID": "\ud800"}}, {"keys": {1: "x"}}, {"study_date": "no date"}],
    ids=["a surrogate", "a number", "a date"],
)
async def test_a_value_that_no_column_takes_is_refused_alike(db, wrong):
    answer = StudyAnswer(study_uid="1.2", **wrong)
    with pytest.raises(ValuesRefused):
        await db.run(record_found, [answer], peer="pacs")
