"""Images go into the index with their patients, studies and series, in constant statements."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, time
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from sqlalchemy import event, func, select
from sqlalchemy.orm import selectinload

from schema import (
    Database,
    Image,
    InvalidDicom,
    NotLoaded,
    Patient,
    Series,
    Study,
    StudyFind,
    add_found_study,
    add_image,
    add_images,
    count_images,
    image_uids,
    manufacturers,
    read_record,
    record_found,
    study_metadata,
)
from schema.record import record_from_bytes
from tests.db.records import finding, header, record
from tests.support.images import dataset_bytes


async def rows(db: Database, model: type) -> int:
    async with db.session() as session:
        return await session.scalar(select(func.count()).select_from(model)) or 0


@contextmanager
def statements(db: Database) -> Iterator[list[str]]:
    """Collect the statements that reach the database."""
    seen: list[str] = []

    def note(_c: object, _cu: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(db.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine.sync_engine, "before_cursor_execute", note)


async def test_an_image_is_indexed_at_all_four_levels(db):
    path = get_testdata_file("CT_small.dcm")
    async with db.begin() as session:
        image = await add_image(session, path, institution="General")
    assert image is not None
    assert image.image_uid == "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322"
    assert (image.patient_id, image.institution) == ("1CT1", "General")
    assert image.patient_name == "CompressedSamples^CT1"
    assert image.study_date == datetime.fromisoformat("2004-01-19")
    assert image.acquisition_time == time(11, 29, 36)
    assert image.manufacturer == "GE MEDICAL SYSTEMS"
    assert image.filepath == path
    assert image.transfer_syntax_uid == "1.2.840.10008.1.2.1"
    assert image.flag is None
    async with db.session() as session:
        stored = await Image.by_uid(session, image.image_uid)
        assert stored is not None
        assert stored.meta["00080060"] == {"vr": "CS", "Value": ["CT"]}
        assert stored.dataset().SOPInstanceUID == image.image_uid
        series = await Series.by_uid(session, image.series_uid)
        study = await Study.by_uid(session, image.study_uid)
        patient = await Patient.by_identifier(session, "1CT1")
        assert series is not None
        assert study is not None
        assert patient is not None
        assert (series.study_id, study.patient_id) == (study.id, patient.id)
        assert stored.series_id == series.id


async def test_an_image_that_is_known_is_none_and_changes_nothing(db):
    async with db.begin() as session:
        first = await add_image(session, header(Manufacturer="A"), filepath="first")
    async with db.begin() as session:
        assert await add_image(session, header(Manufacturer="B"), filepath="second") is None
    async with db.session() as session:
        stored = await Image.by_id(session, first.id)
        assert (stored.manufacturer, stored.filepath) == ("A", "first")
    assert await rows(db, Image) == 1


async def test_of_two_equal_uids_in_a_batch_the_first_wins(db):
    batch = [record("1", sha256="a"), record("2"), record("1", sha256="b")]
    async with db.begin() as session:
        added = await add_images(session, batch)
    assert [one.inserted for one in added] == [True, True, False]
    assert [one.sha256 for one in added] == ["a", None, "a"]
    assert added[0].id == added[2].id
    assert await rows(db, Image) == 2


async def test_a_known_image_reports_the_digest_and_path_of_the_row_that_is_there(db):
    async with db.begin() as session:
        await add_images(session, [record("1", sha256="a", filepath="here")])
    async with db.begin() as session:
        (again,) = await add_images(session, [record("1", sha256="b", filepath="there")])
    assert (again.inserted, again.sha256, again.filepath) == (False, "a", "here")


async def test_results_come_in_the_order_of_the_records(db):
    batch = [record(uid) for uid in ("9", "3", "7", "1")]
    async with db.begin() as session:
        added = await add_images(session, batch)
    assert [one.image_uid for one in added] == ["9", "3", "7", "1"]


async def test_an_empty_batch_is_no_work(db):
    async with db.begin() as session:
        assert await add_images(session, []) == []


async def test_one_id_at_two_institutions_is_two_patients(db):
    batch = [
        record("1", "1.1", "1", institution="A"),
        record("2", "2.1", "2", institution="B"),
        record("3", "3.1", "3", institution="A"),
        record("4", "4.1", "4"),
    ]
    async with db.begin() as session:
        await add_images(session, batch)
    assert await rows(db, Patient) == 3


@pytest.mark.parametrize("known", ["new", "known", "half", "found", "disagreeing"])
async def test_the_number_of_statements_does_not_depend_on_the_size_of_the_batch(db, known):
    def batch(size: int, offset: int, patients: str = "P") -> list:
        return [
            record(f"{n}", f"{n // 2}", f"{n // 4}", patient_id=f"{patients}{n // 8}")
            for n in range(offset, offset + size)
        ]

    async def count(size: int, offset: int) -> int:
        given = batch(size, offset)
        async with db.begin() as session:
            if known == "found":
                await record_found(session, [finding(one.study_uid) for one in given], peer="pacs")
            elif known == "disagreeing":
                await add_images(session, batch(size, offset, "Q")[::2])
            else:
                before = given[:: {"new": size + 1, "known": 1, "half": 2}[known]]
                await add_images(session, before if known != "new" else [])
        async with db.begin() as session:
            with statements(db) as seen:
                added = await add_images(session, given)
        assert len(added) == size
        return len([one for one in seen if "BEGIN" not in one])

    few, many = await count(8, 0), await count(800, 1000)
    assert many == few
    assert few <= 9


async def test_studies_that_were_found_meanwhile_are_linked_with_one_statement(db):
    def batch(size: int, first: int, image: str) -> list:
        studies = range(first, first + size)
        return [record(f"{image}.{n}", f"{n}.{image}", f"{n}") for n in studies]

    async def count(size: int, first: int) -> int:
        async with db.begin() as session:
            await add_images(session, batch(size, first, "1"))
            session.add_all(StudyFind(study_uid=f"{n}") for n in range(first, first + size))
        async with db.begin() as session:
            with statements(db) as seen:
                await add_images(session, batch(size, first, "2"))
        return len([one for one in seen if "BEGIN" not in one])

    few, many = await count(3, 0), await count(150, 1000)
    assert many == few
    async with db.session() as session:
        unlinked = select(func.count(Study.id)).where(Study.study_find_id.is_(None))
        assert await session.scalar(unlinked) == 0


async def test_a_batch_larger_than_any_parameter_limit_is_put_in(db):
    batch = [record(f"1.{n}", f"s{n % 700}", f"t{n % 70}") for n in range(3000)]
    async with db.begin() as session:
        added = await add_images(session, batch)
        again = await add_images(session, batch)
    assert all(one.inserted for one in added)
    assert not any(one.inserted for one in again)
    assert await rows(db, Image) == 3000


async def test_known_rows_burn_no_ids(db):
    for n in range(10):
        async with db.begin() as session:
            await add_images(session, [record(f"{n}"), record("0")])
    async with db.session() as session:
        for model in (Patient, Study, Series):
            assert await session.scalar(select(func.max(model.id))) == 1
        assert await session.scalar(select(func.max(Image.id))) == 10


async def test_an_image_of_a_study_under_another_patient_is_flagged_and_kept_there(db):
    async with db.begin() as session:
        await add_images(session, [record("1")])
    async with db.begin() as session:
        await add_images(session, [record("2", patient_id="P2")])
    async with db.session() as session:
        image = await Image.by_uid(session, "2")
        assert image.flag is not None
        assert "'P1'" in image.flag
        assert image.patient_id == "P2"
        assert (await Image.by_uid(session, "1")).flag is None
    assert await rows(db, Patient) == 1
    assert await rows(db, Study) == 1


async def test_an_image_of_a_series_under_another_study_is_flagged_and_kept_there(db):
    async with db.begin() as session:
        await add_images(session, [record("1"), record("2", "1.1.1", "9.9")])
    async with db.begin() as session:
        await add_images(session, [record("3", "1.1.1", "9.9")])
    async with db.session() as session:
        images = {one.image_uid: one for one in await session.scalars(select(Image))}
        assert len({one.series_id for one in images.values()}) == 1
        assert images["1"].flag is None
        assert "1.1" in images["2"].flag
        assert images["2"].flag == images["3"].flag
        assert images["3"].study_uid == "9.9"
    assert await rows(db, Study) == 1


async def test_a_study_that_was_found_is_linked(db):
    async with db.begin() as session:
        found = await add_found_study(session, finding("1.1"))
        await add_images(session, [record("1")])
    async with db.session() as session:
        assert (await Study.by_uid(session, "1.1")).study_find_id == found.id


async def test_a_study_that_is_found_later_is_linked_then(db):
    async with db.begin() as session:
        await add_images(session, [record("1")])
    async with db.begin() as session:
        found = await add_found_study(session, finding("1.1"))
    async with db.session() as session:
        assert (await Study.by_uid(session, "1.1")).study_find_id == found.id


async def test_a_link_that_was_missed_is_made_with_the_next_image(db):
    async with db.begin() as session:
        await add_images(session, [record("1")])
        session.add(StudyFind(study_uid="1.1"))
    async with db.begin() as session:
        await add_images(session, [record("2", "1.1.2")])
    async with db.session() as session:
        assert (await Study.by_uid(session, "1.1")).study_find_id is not None


async def test_images_are_counted_by_what_their_header_says(db):
    async with db.begin() as session:
        await add_images(session, [record("1"), record("2"), record("3", "5.1", "5")])
        assert await count_images(session, ["1.1", "5", "7"]) == {"1.1": 2, "5": 1, "7": 0}
        assert await image_uids(session, "1.1") == {"1", "2"}
        assert await image_uids(session, "7") == set()


async def test_a_rolled_back_transaction_leaves_nothing(db):
    async def fail() -> None:
        async with db.begin() as session:
            await add_images(session, [record("1")])
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    for model in (Patient, Study, Series, Image):
        assert await rows(db, model) == 0


async def test_encoded_json_is_stored_as_a_document_and_not_as_a_string(db):
    meta = b'{"00100020":{"vr":"LO","Value":["P1"]}}'
    async with db.begin() as session:
        await add_images(session, [record("1", meta=meta)])
    async with db.session() as session:
        found = await session.scalar(
            select(Image.image_uid).where(Image.meta[("00100020", "Value", 0)].as_string() == "P1")
        )
        assert found == "1"


async def test_the_views_answer_on_both_databases(db):
    async with db.begin() as session:
        await add_images(
            session,
            [
                record("1", manufacturer="A", patient_age=40),
                record("2", manufacturer="B", patient_age=40),
                record("3", "5.1", "5"),
            ],
        )
        studies = (await session.execute(select(study_metadata).order_by("study_uid"))).all()
        makers = (await session.execute(select(manufacturers))).all()
    assert [(one.study_uid, one.manufacturer, one.image_count) for one in studies] == [
        ("1.1", "A", 2),
        ("5", None, 1),
    ]
    assert sorted((str(name), count) for name, count in makers) == [
        ("A", 1),
        ("B", 1),
        ("None", 1),
    ]


async def test_keywords_are_synonyms_in_select(db):
    async with db.begin() as session:
        await add_images(session, [record("1", modality="CT")])
        query = (
            select(Image)
            .join(Image.series)
            .join(Series.study)
            .join(Study.patient)
            .where(
                Study.StudyInstanceUID == "1.1", Image.Modality == "CT", Patient.PatientID == "P1"
            )
        )
        assert (await session.scalars(query)).one().SOPInstanceUID == "1"


async def test_a_relationship_that_was_not_asked_for_raises_and_one_that_was_is_there(db):
    async with db.begin() as session:
        await add_images(session, [record("1")])
    async with db.session() as session:
        study = await Study.by_uid(session, "1.1")
        with pytest.raises(NotLoaded, match=r"Study\.series is not loaded.*selectinload"):
            _ = study.series
    async with db.session() as session:
        query = select(Study).options(selectinload(Study.series).selectinload(Series.images))
        study = (await session.scalars(query)).one()
        assert study.series[0].images[0].image_uid == "1"


def _incompressible(length: int) -> str:
    """Return digits that no index can make short by compressing them."""
    return "".join(str(n * n) for n in range(length))[:length]


HOSTILE: dict[str, Callable[[], dict[str, object]]] = {
    "NUL in a name": lambda: {"PatientName": "A\x00B"},
    "a lone surrogate": lambda: {"PatientName": "A\ud800B"},
    "a date that is none": lambda: {"StudyDate": "20241399", "PatientBirthDate": "yesterday"},
    "empty dates and times": lambda: {
        "StudyDate": "",
        "PatientBirthDate": "",
        "AcquisitionTime": "",
    },
    "an age that is none": lambda: {"PatientAge": "old"},
    "a very long identifier": lambda: {
        "PatientID": "".join(chr(33 + n * n % 90) for n in range(99999))
    },
    "a very long UID": lambda: {
        "StudyInstanceUID": "1." + "".join(str(n * n) for n in range(9999))
    },
    "several patient identifiers": lambda: {"PatientID": ["A", "B"]},
    "SQL": lambda: {"PatientID": "'; DROP TABLE images; --", "Manufacturer": "%_\\"},
    "no patient": lambda: {"PatientID": None, "PatientName": None},
}


@pytest.mark.filterwarnings("ignore")  # pydicom complains about what the test is made of
@pytest.mark.parametrize("name", HOSTILE)
async def test_nothing_in_a_header_stops_an_image_from_being_indexed(db, name):
    dataset = header(**HOSTILE[name]())
    async with db.begin() as session:
        image = await add_image(session, dataset)
    assert image is not None
    async with db.session() as session:
        stored = await Image.by_uid(session, "1.1.1.1")
        assert "\x00" not in (stored.patient_name or "")
        assert stored.patient_id is not None
        assert stored.dataset().SOPInstanceUID == "1.1.1.1"
    assert await rows(db, Image) == 1


@pytest.mark.filterwarnings("ignore")  # pydicom complains about what the test is made of
async def test_long_identifiers_that_begin_alike_stay_apart(db):
    async with db.begin() as session:
        one = await add_image(
            session, header("1", StudyInstanceUID="1.8", PatientID="x" * 5000 + "1")
        )
        two = await add_image(
            session, header("2", StudyInstanceUID="1.9", PatientID="x" * 5000 + "2")
        )
    assert one.patient_id != two.patient_id


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_a_dataset_without_its_uids_is_no_image(keyword):
    dataset = header()
    del dataset[keyword]
    with pytest.raises(InvalidDicom, match=keyword):
        read_record(dataset)


def test_bytes_as_received_give_the_same_record_as_the_file():
    path = get_testdata_file("MR_small.dcm")
    encoded = dataset_bytes(Path(path))
    received = record_from_bytes(encoded, "1.2.840.10008.1.2.1", source="MODALITY")
    read = read_record(path)
    assert received.sha256 == hashlib.sha256(encoded).hexdigest()
    assert received.meta == read.meta
    assert received.image_uid == read.image_uid
    assert received.source == "MODALITY"
    assert read.filepath == path
