"""The public interface as its guides show it: asynchronous, and synchronous for notebooks."""

import asyncio
import importlib
import inspect
import re
import sqlite3
import sys
import typing
from contextlib import closing
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from pydicom.dataset import Dataset
from sqlalchemy import and_, exc, func, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Synonym, aliased, selectinload

import schema
from schema import (
    Base,
    Database,
    DatabaseUnavailable,
    DBWrapper,
    Image,
    InvalidDatabaseSource,
    NotLoaded,
    Patient,
    Project,
    ProjectStudy,
    SchemaError,
    SchemaMissing,
    Series,
    Study,
    StudyFind,
    SyncDatabase,
    UnknownAttribute,
    add_image,
    add_images,
    get_db_session,
    get_study_uids_to_move,
    header_number,
    header_text,
    initialize_database,
    record_found,
)
from schema.errors import DriverMissing
from tests.db.records import finding, header, record
from tests.support.images import generate

MAPPERS = sorted(Base.registry.mappers, key=lambda mapper: mapper.class_.__name__)
IN_2023, IN_2024 = datetime(2023, 5, 1), datetime(2024, 5, 1)  # noqa: DTZ001 - naive UTC
RELATIONSHIPS = [
    (mapper.class_, name) for mapper in MAPPERS for name in sorted(mapper.relationships.keys())
]


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch, tmp_path):
    """Run in an empty folder and home, without the environment's configuration."""
    monkeypatch.delenv("DICOM_NODE__STORAGE__RESOURCES", raising=False)
    monkeypatch.delenv("DICOM_NODE_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


async def fill(db: Database) -> None:
    """Put two patients, three studies, and a project of two of them into a database."""
    async with db.begin() as session:
        found = [finding("1.1", 2, AccessionNumber="A1"), finding("1.2", 1), finding("1.3", 9)]
        await record_found(session, found, peer="pacs")
        await add_images(
            session,
            [
                record("1.1.1.1", modality="CT", study_date=IN_2024),
                record("1.1.1.2", modality="CT", study_date=IN_2024),
                record("1.2.1.1", series="1.2.1", study="1.2", study_date=IN_2023),
                record("2.1.1.1", series="2.1.1", study="2.1", patient_id="P2"),
            ],
        )
        project = Project(name="My Project")
        session.add(project)
        await session.flush()
        entries = ({"study_uid": "1.1"}, {"study_uid": "1.2"}, {"accession_number": "A1"})
        session.add_all([ProjectStudy(project_id=project.id, **entry) for entry in entries])


@pytest.fixture(scope="module")
def filled_url(shared_url):
    """Return the URL of a filled database, which the tests share and only read."""

    async def make() -> None:
        async with Database(shared_url) as db:
            await fill(db)

    asyncio.run(make())
    return shared_url


@pytest.fixture
async def filled(filled_url):
    """Return the filled database."""
    async with Database(filled_url) as db:
        yield db


# --- the configuration of the guide, and where a database comes from -----------------------------

GUIDE = """\
storage:
  resources: "{url}"
  resources_meta: ""
  directory: ""
"""


async def test_the_guides_configuration_is_enough_to_index_and_to_look(
    database_url, tmp_path, capsys
):
    configuration = tmp_path / "node_conf.yaml"
    configuration.write_text(GUIDE.format(url=database_url))
    files = generate(tmp_path / "dicom-data", images=3)
    await initialize_database(str(configuration), echo=False)
    async with Database(str(configuration)) as db:
        async with db.begin() as session:
            for file in files:
                assert await add_image(session, file.path) is not None
        async with db.session() as session:
            for image in await session.scalars(select(Image)):
                print(image)
        asynchronous = capsys.readouterr().out
        with db.sync.session() as session:
            for image in session.scalars(select(Image)):
                print(image)
    assert asynchronous == capsys.readouterr().out
    assert asynchronous.splitlines() == [
        f"Image(id={number}, image_uid={file.sop_instance_uid!r}, modality='MR')"
        for number, file in enumerate(files, start=1)
    ]


def _in_variable(url, monkeypatch):
    monkeypatch.setenv("DICOM_NODE__STORAGE__RESOURCES", url)


def _in_named_file(url, monkeypatch):
    Path("elsewhere.yaml").write_text(GUIDE.format(url=url))
    monkeypatch.setenv("DICOM_NODE_CONFIG", "elsewhere.yaml")


def _in_working_folder(url, _monkeypatch):
    Path("dicom-node.yaml").write_text(GUIDE.format(url=url))


def _as_path(url, _monkeypatch):
    Path("conf.yaml").write_text(GUIDE.format(url=url))
    return Path("conf.yaml")


def _as_text_of_path(url, monkeypatch):
    return str(_as_path(url, monkeypatch))


def _as_mapping(url, _monkeypatch):
    return {"storage": {"resources": url}}


def _as_url(url, _monkeypatch):
    return url


def _as_parsed_url(url, _monkeypatch):
    return make_url(url)


@pytest.mark.parametrize(
    "way",
    [
        _in_variable,
        _in_named_file,
        _in_working_folder,
        _as_path,
        _as_text_of_path,
        _as_mapping,
        _as_url,
        _as_parsed_url,
    ],
)
async def test_a_database_is_named_in_every_way_of_the_guide(way, sqlite_url, monkeypatch):
    await initialize_database(sqlite_url, echo=False)
    source = way(sqlite_url, monkeypatch)
    async with Database(source) if source else Database() as db:
        async with db.begin() as session:
            await add_image(session, header())
        async with db.session() as session:
            assert await session.scalar(select(func.count(Image.id))) == 1
    with SyncDatabase(source) as sync, sync.session() as session:
        assert session.scalar(select(func.count(Image.id))) == 1


@pytest.mark.parametrize("kind", [Database, SyncDatabase])
@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "no database named: set DICOM_NODE__STORAGE__RESOURCES, or name a configuration"),
        ("missing.yaml", "missing.yaml cannot be read as a configuration: .*No such file"),
        (".", "cannot be read as a configuration: .*Is a directory"),
        ({}, "the configuration has no storage.resources; write for example sqlite:///"),
        ({"storage": "sqlite:///x.db"}, "the configuration has no storage.resources"),
        ({"storage": {"resources": ""}}, "the configuration has no storage.resources"),
        ("mysql://u:secret@h/d", "'mysql' is not supported: use sqlite:///… or postgresql://…"),
        ("postgresql://u:secret@h:port/d", "port of a database is a number from 1 to 65535"),
    ],
)
def test_what_names_no_database_is_told_what_would(kind, source, message):
    with pytest.raises(InvalidDatabaseSource, match=message) as caught:
        kind(source)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("storage: [", r"bad.yaml cannot be read as a configuration"),
        ("", "bad.yaml has no storage.resources"),
        ("- a\n- b\n", "bad.yaml has no storage.resources"),
        ("storage: {directory: var}\n", "bad.yaml has no storage.resources; write for example"),
    ],
)
def test_a_file_that_names_no_database_is_named(content, message):
    Path("bad.yaml").write_text(content)
    with pytest.raises(InvalidDatabaseSource, match=message):
        Database("bad.yaml")


# --- from the project down to the images --------------------------------------------------------

TREE = [
    ("My Project", "P1", "1.1", "1.1.1", "1.1.1.1"),
    ("My Project", "P1", "1.1", "1.1.1", "1.1.1.2"),
    ("My Project", "P1", "1.2", "1.2.1", "1.2.1.1"),
]


def walk(project: Project) -> list[tuple[str, ...]]:
    return sorted(
        (project.name, patient.patient_id, study.study_uid, series.series_uid, image.image_uid)
        for patient in project.patients
        for study in patient.studies
        for series in study.series
        for image in series.images
    )


async def test_a_synchronous_session_walks_from_a_project_to_its_images(filled):
    with filled.sync.session() as session:
        project = Project.by_name(session, "My Project")
        assert walk(project) == TREE
        assert [study.study_uid for study in project.studies] == ["1.1", "1.2"]
        assert [found.study_uid for found in project.found_studies] == ["1.1", "1.2"]
        assert [entry.project for entry in project.entries] == [project] * 3
        image = Image.by_uid(session, "1.2.1.1")
        assert image.series.study.patient.patient_id == "P1"
        assert image.series.study.study_find.study.study_uid == "1.2"


async def test_an_asynchronous_session_walks_what_the_query_has_loaded(filled):
    query = select(Project).options(
        selectinload(Project.patients)
        .selectinload(Patient.studies)
        .selectinload(Study.series)
        .selectinload(Series.images),
        selectinload(Project.found_studies).selectinload(StudyFind.study),
    )
    async with filled.session() as session:
        project = (await session.scalars(query)).one()
        assert walk(project) == TREE
        assert [found.study.study_uid for found in project.found_studies] == ["1.1", "1.2"]


async def test_a_patient_with_several_studies_is_in_a_project_once(filled):
    async with filled.session() as session:
        project = await Project.by_name(session, "My Project")
        await session.refresh(project, ["patients", "studies"])
        assert [patient.patient_id for patient in project.patients] == ["P1"]
        assert [study.study_uid for study in project.studies] == ["1.1", "1.2"]


@pytest.mark.parametrize(
    ("model", "name"),
    RELATIONSHIPS,
    ids=[f"{model.__name__}.{name}" for model, name in RELATIONSHIPS],
)
async def test_what_is_not_loaded_says_what_to_write_and_that_helps(filled, model, name):
    async with filled.session() as session:
        row = (await session.scalars(select(model).limit(1))).one()
        with pytest.raises(NotLoaded) as caught:
            getattr(row, name)
        advice = re.search(
            r"write (select\(.+\)), or (await session\.refresh\(.+\))$", str(caught.value)
        )
        assert advice, str(caught.value)
        assert f"{model.__name__}.{name} is not loaded" in str(caught.value)
        names = {"select": select, "selectinload": selectinload, model.__name__: model}
        query = eval(advice[1], names)
        loaded = (await session.scalars(query.execution_options(populate_existing=True))).first()
        getattr(loaded, name)
    async with filled.session() as session:
        row = (await session.scalars(select(model).limit(1))).one()
        assert advice[2] == f'await session.refresh(row, ["{name}"])'
        await session.refresh(row, [name])
        getattr(row, name)


async def test_an_expired_attribute_is_refused_as_well(filled):
    async with filled.session() as session:
        image = await Image.by_uid(session, "1.1.1.1")
        session.expire(image)
        with pytest.raises(NotLoaded, match=r"expired.*await session\.refresh\(row\)"):
            _ = image.modality
        await session.refresh(image)
        assert image.modality == "CT"


async def test_what_is_loaded_stays_usable_after_the_commit_and_the_session(filled):
    async with filled.begin() as session:
        image = await Image.by_uid(session, "1.1.1.1")
    assert image.modality == "CT"
    with filled.sync.begin() as session:
        image = Image.by_uid(session, "1.1.1.1")
    assert image.modality == "CT"


# --- finders, queries and names -----------------------------------------------------------------


async def test_finders_find_one_row_or_none_in_both_forms(filled):
    async with filled.session() as session:
        asynchronous = [
            await Project.by_name(session, "My Project"),
            await Patient.by_identifier(session, "P1"),
            await StudyFind.by_uid(session, "1.3"),
            await Study.by_uid(session, "2.1"),
            await Series.by_uid(session, "2.1.1"),
            await Image.by_uid(session, "2.1.1.1"),
            await Image.by_id(session, 1),
            await Project.by_name(session, "Other"),
            await Patient.by_identifier(session, "P1", "Nowhere"),
            await Study.by_uid(session, "9"),
            await Image.by_id(session, 999),
        ]
    with filled.sync.session() as session:
        synchronous = [
            Project.by_name(session, "My Project"),
            Patient.by_identifier(session, "P1"),
            StudyFind.by_uid(session, "1.3"),
            Study.by_uid(session, "2.1"),
            Series.by_uid(session, "2.1.1"),
            Image.by_uid(session, "2.1.1.1"),
            Image.by_id(session, 1),
            Project.by_name(session, "Other"),
            Patient.by_identifier(session, "P1", "Nowhere"),
            Study.by_uid(session, "9"),
            Image.by_id(session, 999),
        ]
    assert [repr(row) for row in asynchronous] == [repr(row) for row in synchronous]
    assert [row is None for row in asynchronous] == [False] * 7 + [True] * 4
    assert asynchronous[1].patient_id == "P1"
    assert asynchronous[3].study_uid == "2.1"


async def test_the_guides_queries_answer_in_both_forms(filled):
    patterns = select(Patient).where(Patient.PatientID.like("P_")).order_by(Patient.id)
    joined = (
        select(Study)
        .join(Patient)
        .where(and_(Patient.PatientID == "P1", Study.StudyDate >= IN_2024))
    )
    async with filled.session() as session:
        assert [row.patient_id for row in await session.scalars(patterns)] == ["P1", "P2"]
        assert [row.study_uid for row in await session.scalars(joined)] == ["1.1"]
    with filled.sync.session() as session:
        assert [row.patient_id for row in session.scalars(patterns).all()] == ["P1", "P2"]
        assert [row.study_uid for row in session.scalars(joined).all()] == ["1.1"]


SYNONYMS = [
    (mapper.class_, name)
    for mapper in MAPPERS
    for name, descriptor in mapper.all_orm_descriptors.items()
    if isinstance(getattr(mapper.attrs, name, None), Synonym) and descriptor is not None
    if mapper.synonyms[name].name in mapper.columns
]


async def test_every_keyword_is_its_column_in_a_query_and_on_a_row(filled):
    assert {(Study, "StudyInstanceUID"), (Image, "SOPInstanceUID"), (Patient, "PatientID")} <= set(
        SYNONYMS
    )
    async with filled.session() as session:
        for model, keyword in SYNONYMS:
            column = model.__mapper__.synonyms[keyword].name
            rows = (await session.scalars(select(model).order_by(model.id))).all()
            values = [getattr(row, keyword) for row in rows]
            assert values == [getattr(row, column) for row in rows]
            query = select(getattr(model, keyword)).order_by(model.id)
            assert (await session.scalars(query)).all() == values


async def test_a_keyword_can_be_set_as_well(db):
    async with db.begin() as session:
        await add_image(session, header())
        (await Study.by_uid(session, "1.1")).AccessionNumber = "A7"
    with db.sync.session() as session:
        assert Study.by_uid(session, "1.1").accession_number == "A7"


# --- synchronous sessions -----------------------------------------------------------------------


async def test_synchronous_sessions_read_and_write_as_asynchronous_ones_do(db):
    with db.sync.begin() as session:
        session.add(Project(name="kept"))
    with db.sync.session(write=True) as session:
        session.add(Project(name="never committed"))
        session.flush()
    with pytest.raises(ZeroDivisionError):
        with db.sync.begin() as session:
            session.add(Project(name="rolled back"))
            session.flush()
            _ = 1 / 0
    async with db.session() as session:
        assert (await session.scalars(select(Project.name))).all() == ["kept"]


async def test_asynchronous_functions_run_in_a_notebook(db):
    # this test itself runs in an event loop, as a cell does
    sync = db.sync
    assert sync.run(add_image, header(), institution="North").image_uid == "1.1.1.1"
    assert sync.run(add_image, header()) is None
    assert sync.run(get_study_uids_to_move) == []

    async def fail(session):
        await add_image(session, header("2"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sync.run(fail)
    with sync.session() as session:
        assert session.scalars(select(Image.image_uid)).all() == ["1.1.1.1"]
        assert Patient.by_identifier(session, "P1", "North") is not None


def test_asynchronous_functions_run_in_a_script(sqlite_url):
    asyncio.run(initialize_database(sqlite_url, echo=False))
    with SyncDatabase(sqlite_url) as sync:
        assert sync.run(add_image, header()).image_uid == "1.1.1.1"


async def test_a_disposed_database_opens_again(filled):
    for _ in range(2):
        with filled.sync as sync, sync.session() as session:
            assert Study.by_uid(session, "1.1") is not None


async def test_pandas_reads_a_query(filled):
    query = select(Image.image_uid, Image.study_date, Image.meta).order_by(Image.image_uid)
    frame = pd.read_sql(query, filled.sync.engine)
    assert list(frame["image_uid"]) == ["1.1.1.1", "1.1.1.2", "1.2.1.1", "2.1.1.1"]
    assert frame["study_date"].dt.year.tolist()[:3] == [2024, 2024, 2023]
    assert frame["meta"].tolist() == [{}] * 4


async def test_headers_come_back_as_datasets_in_both_forms(db):
    async with db.begin() as session:
        await add_image(session, header(PatientName="Doe^Jane", SliceThickness="0.5"))
    async with db.session() as session:
        first = (await Image.by_uid(session, "1.1.1.1")).dataset()
    with db.sync.session() as session:
        second = Image.by_uid(session, "1.1.1.1").dataset()
    assert first == second
    assert (second.SOPInstanceUID, second.SliceThickness) == ("1.1.1.1", 0.5)


def test_psycopg_is_asked_for_when_it_is_missing(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "psycopg"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    sync = SyncDatabase("postgresql://u@127.0.0.1/d")
    with pytest.raises(DriverMissing, match=r"pip install 'dicom-node\[notebook\]'"):
        with sync.session():
            pass


def test_a_database_in_memory_is_no_synchronous_one():
    for use in (lambda sync: sync.engine, lambda sync: sync.run(get_study_uids_to_move)):
        with pytest.raises(InvalidDatabaseSource, match="in memory .* name a file"):
            use(Database("sqlite://").sync)


# --- what goes wrong ----------------------------------------------------------------------------


def ask(url: str, statement: str = "SELECT 1", **options: float) -> object:
    with SyncDatabase(url, **options) as sync, sync.session() as session:
        return session.scalar(text(statement))


def test_a_mistyped_path_is_an_error_and_no_new_file(tmp_path):
    for attempt in (ask, lambda url: SyncDatabase(url).run(get_study_uids_to_move)):
        with pytest.raises(
            SchemaMissing, match=r"typo\.db does not exist; run `dicom-node db init`"
        ):
            attempt(f"sqlite:///{tmp_path}/typo.db")
    with pytest.raises(SchemaMissing, match=r"typo\.db does not exist; run `dicom-node db init`"):
        asyncio.run(Database(f"sqlite:///{tmp_path}/typo.db").check())
    assert list(tmp_path.iterdir()) == []


def test_a_locked_database_is_unavailable_to_a_synchronous_session(sqlite_url):
    asyncio.run(initialize_database(sqlite_url, echo=False))
    path = sqlite_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with SyncDatabase(sqlite_url, busy_timeout=0.05) as sync:
            with sync.session() as session:  # readers do not wait
                assert session.scalars(select(Project)).all() == []
            with pytest.raises(DatabaseUnavailable, match="locked") as caught:
                with sync.begin() as session:
                    session.scalars(select(Project)).all()
            assert caught.value.conflict


def test_a_server_that_is_away_refuses_or_gives_up_is_unavailable(postgresql_url, free_port):
    with pytest.raises(DatabaseUnavailable, match="cannot be reached.*refused") as caught:
        ask(f"postgresql://u:secret@127.0.0.1:{free_port()}/d")
    assert "secret" not in str(caught.value)
    port = free_port()
    for user in ("u:secret@", ""):
        with pytest.raises(DatabaseUnavailable) as caught:
            url = f"postgresql://{user}127.0.0.1:{port}/d?password=secret"
            asyncio.run(Database(url).check())
        place = f"postgresql://{user.replace('secret', '***')}127.0.0.1:{port}/d"
        assert str(caught.value) == (
            f"the database cannot be reached: {place}: connection refused; its server may be "
            "down, or `storage.resources` wrong"
        )
    wrong = make_url(postgresql_url).set(password="wrong").render_as_string(hide_password=False)
    with pytest.raises(DatabaseUnavailable, match="password authentication failed"):
        ask(wrong)
    nobody = make_url(wrong).set(username="nobody").render_as_string(hide_password=False)
    with pytest.raises(DatabaseUnavailable, match="nobody"):
        ask(nobody)
    with pytest.raises(DatabaseUnavailable, match="timeout"):
        ask(postgresql_url, "SELECT pg_sleep(20)", statement_timeout=0.1)
    with pytest.raises(DatabaseUnavailable, match="terminating"):
        ask(postgresql_url, "SELECT pg_terminate_backend(pg_backend_pid())")


def test_a_database_that_the_server_does_not_have_is_missing(postgresql_url):
    other = make_url(postgresql_url).set(database="none").render_as_string(hide_password=False)
    with pytest.raises(SchemaMissing, match=r'"none" does not exist; run `dicom-node db init`'):
        ask(other)


async def test_a_mistake_in_a_statement_stays_what_it_is_and_hides_its_values(filled):
    with pytest.raises(exc.SQLAlchemyError) as caught:
        with filled.sync.session() as session:
            session.execute(select(text("nothing")).where(Image.patient_name == "Doe^Jane"))
    assert not isinstance(caught.value, SchemaError)
    assert "nothing" in str(caught.value)
    assert "Doe^Jane" not in str(caught.value)


@pytest.mark.parametrize("options", ["work_mem=5MB&ssl=prefer", "work_mem=5MB&sslmode=prefer"])
async def test_one_url_serves_both_drivers(postgresql_url, options):
    url = (
        f"{postgresql_url}?{options}&application_name=a%20notebook&prepared_statement_cache_size=0"
    )
    question = text("SELECT current_setting('work_mem') || current_setting('application_name')")
    async with Database(url) as db:
        with db.sync.session() as session:
            assert session.scalar(question) == "5MBa notebook"
        async with db.session() as session:
            assert (await session.scalar(question)).startswith("5MB")


async def test_weaknesses_say_what_keeps_a_commit_from_being_durable(database_url):
    async with Database(database_url) as db:
        await db.initialize()
        found = await db.weaknesses()
    if database_url.startswith("sqlite"):
        assert found == []
        return
    # the tests' own server runs without fsync
    assert [sentence.partition(":")[0] for sentence in found] == [
        "PostgreSQL runs with fsync = off",
        "PostgreSQL runs with full_page_writes = off",
    ]


async def test_weaknesses_see_what_the_url_switches_off(postgresql_url):
    async with Database(f"{postgresql_url}?options=-c%20synchronous_commit%3Doff") as db:
        assert [
            sentence for sentence in await db.weaknesses() if "synchronous_commit" in sentence
        ] == [
            "PostgreSQL runs with synchronous_commit = off: the last commits may be lost with the"
            " machine's power"
        ]


# --- without a Database at hand -----------------------------------------------------------------


async def test_a_session_by_url_rolls_back_what_fails(database_url):
    await initialize_database({"storage": {"resources": database_url}}, echo=False)
    with pytest.raises(ZeroDivisionError):
        async with get_db_session(database_url) as session:
            await add_image(session, header())
            _ = 1 / 0
    async with get_db_session(database_url) as session:
        assert await add_image(session, header()) is not None
        await session.commit()
    async with DBWrapper(database_url) as wrapper:
        session = await wrapper.get_session()
        assert await session.scalar(select(func.count(Image.id))) == 1


async def test_initialising_takes_a_configuration_object_and_says_what_it_did(database_url):
    config = SimpleNamespace(storage=SimpleNamespace(resources=database_url))
    assert (await initialize_database(config, echo=False)).changed
    assert not (await initialize_database(config, echo=False)).changed


# --- attributes of the header -------------------------------------------------------------------


async def test_attributes_of_the_header_are_asked_for_by_keyword_or_tag(db):
    image = header(PatientName="Doe^Jane=山田", PixelSpacing=["0.5", "0.7"], SeriesNumber=3)
    image.add_new(0x00191002, "LO", "private")
    async with db.begin() as session:
        await add_image(session, image)
    other = aliased(Image)
    query = select(
        header_text("PatientName"),
        header_number("PixelSpacing", 1),
        header_number("SeriesNumber"),
        header_text("00191002"),
        header_text("ProtocolName"),
        header_number("PatientName"),
        header_text("PatientID", image=other),
    ).join(other, other.id == Image.id)
    truth = ("Doe^Jane", 0.7, 3, "private", None, None, "P1")
    async with db.session() as session:
        assert (await session.execute(query)).one() == truth
    with db.sync.session() as session:
        assert session.execute(query).one() == truth


@pytest.mark.parametrize(
    ("keyword", "message"),
    [
        ("SliceThicknes", "did you mean 'SliceThickness'"),
        ("0018,0050", "write its tag, for example '00180050'"),
        ("x'); DROP TABLE images; --", "no DICOM attribute"),
        ("", "no DICOM attribute"),
    ],
)
def test_an_attribute_that_does_not_exist_is_refused(keyword, message):
    for function in (header_text, header_number):
        with pytest.raises(UnknownAttribute, match=re.escape(message)):
            function(keyword)


# --- the names ----------------------------------------------------------------------------------

SIGNATURES = {
    "add_found_study": ["session", "dcm"],
    "add_image": ["session", "dcm", "institution", "filepath"],
    "get_studies_to_move": ["session"],
    "get_study_uids_to_move": ["session"],
    "update_retrieved_study": ["session", "study_uid"],
    "dcm2dbmodels": ["dcm", "institution", "filepath"],
    "dcm2patient": ["dcm", "institution"],
    "dcm2study": ["dcm"],
    "dcm2series": ["dcm"],
    "dcm2image": ["dcm", "institution", "filepath"],
    "dcm2study_finding": ["dcm"],
    "get_db_session": ["db_uri"],
    "database_url": ["config"],
    "initialize_database": ["config", "echo", "force_init"],
    "DBWrapper": ["conn_uri", "create_tables", "debug"],
    "parse_dir2sql": ["src", "conn_uri", "institution_name", "nb_threads", "create_tables"],
    "dump_database": ["session", "output", "tables"],
}
EITHER = {"add_found_study", "add_image", "get_studies_to_move", "get_study_uids_to_move"} | {
    "update_retrieved_study",
    "dump_database",
}
"""They return what is awaited when their session is asynchronous."""
SYNCHRONOUS = {"dcm2dbmodels", "dcm2patient", "dcm2study", "dcm2series", "dcm2image"} | {
    "dcm2study_finding",
    "get_db_session",
    "database_url",
    "DBWrapper",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_names_of_the_reference_take_the_arguments_that_they_had(name):
    function = getattr(schema, name)
    assert name in schema.__all__
    parameters = inspect.signature(function).parameters.values()
    positional = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert positional == SIGNATURES[name]
    plain = name in SYNCHRONOUS | EITHER
    assert inspect.iscoroutinefunction(inspect.unwrap(function)) == (name not in SYNCHRONOUS)
    assert inspect.iscoroutinefunction(function) == (not plain)


def public_members(name: str) -> list[tuple[str, object]]:
    """Return what a name of the package stands for, and the public methods of a class."""
    thing = getattr(schema, name)
    if not inspect.isclass(thing) or not thing.__module__.startswith("schema"):
        return [(name, thing)]
    members = [(name, thing)]
    for key, member in vars(thing).items():
        if isinstance(member, property):
            function = member.fget
        elif isinstance(member, cached_property):
            function = member.func
        else:
            function = getattr(member, "__func__", member)
        if inspect.isfunction(function) and not key.startswith("_"):
            members.append((f"{name}.{key}", function))
    return members


@pytest.mark.parametrize("name", sorted(schema.__all__))
def test_every_public_name_is_described_and_annotated(name):
    for path, thing in public_members(name):
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), f"{path} has no docstring"
        if inspect.isfunction(thing):
            wanted = {*inspect.signature(thing).parameters} - {"self", "cls"} | {"return"}
            # what pydicom gives is imported by those who use it, not by who asks for rows
            hints = typing.get_type_hints(thing, localns={"Dataset": Dataset})
            assert wanted <= hints.keys(), path


def test_every_public_name_is_listed_and_there():
    module = importlib.import_module("schema")
    assert sorted(set(schema.__all__)) == sorted(schema.__all__)
    assert [name for name in schema.__all__ if not hasattr(module, name)] == []
