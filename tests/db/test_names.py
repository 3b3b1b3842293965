"""The names that the seeds' users type: of relationships, of attributes, of one patient."""

import asyncio
from pathlib import Path

import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import exc, insert, select, update
from sqlalchemy.orm import selectinload

import schema
from schema import (
    Database,
    Image,
    ImageInstance,
    Patient,
    Project,
    ProjectStudy,
    Series,
    Study,
    add_image,
    add_images,
)
from schema.errors import DriverMissing, NoPixels
from schema.header import pixels
from schema.tables.finders import AmbiguousPatient
from tests.db.records import header, record
from tests.support.images import generate


async def project_of(db: Database, name: str, *study_uids: str) -> int:
    async with db.begin() as session:
        project = Project(name=name)
        session.add(project)
        await session.flush()
        session.add_all(ProjectStudy(project_id=project.id, study_uid=uid) for uid in study_uids)
    return project.id


# --- one patient ----------------------------------------------------------------------------------


@pytest.fixture
async def two_hospitals(db: Database) -> Database:
    """P1 is somebody at North, and somebody else at South; P2 has an identifier of digits."""
    async with db.begin() as session:
        await add_images(
            session,
            [
                record("1", "1", "1.1", institution="North"),
                record("2", "2", "1.2", institution="South"),
                record("3", "3", "1.3", patient_id="7", institution="South"),
            ],
        )
    return db


async def test_one_identifier_at_two_institutions_is_an_error_that_says_the_ways_out(two_hospitals):
    db = two_hospitals
    ways = (
        r"2 institutions have a patient with this identifier, 'North', 'South': name one,"
        r" by_identifier\(session, patient_id, institution\), or take all of them, select\("
    )
    async with db.session() as session:
        assert (await Patient.by_identifier(session, "P1", "South")).institution == "South"
        with pytest.raises(exc.MultipleResultsFound):
            await Patient.by_identifier(session, "P1")
        with pytest.raises(AmbiguousPatient, match=ways) as caught:
            await Patient.by_identifier(session, "P1")
        assert "P1" not in str(caught.value)
    with db.sync.session() as session:
        assert Patient.by_identifier(session, "P1", institution="South").institution == "South"
        with pytest.raises(AmbiguousPatient, match=ways):
            Patient.by_identifier(session, patient_id="P1")


async def test_a_patient_of_a_project_is_found_by_project_and_identifier(two_hospitals):
    db = two_hospitals
    south = await project_of(db, "south", "1.2", "1.3")
    both = await project_of(db, "both", "1.1", "1.2")
    with db.sync.session() as session:
        assert Patient.by_identifier(session, south, "P1").institution == "South"
        assert Patient.by_identifier(session, "P1", project_id=south).institution == "South"
        assert Patient.by_identifier(session, "P1", "North", project_id=both).institution == "North"
        assert Patient.by_identifier(session, "P1", "North", project_id=south) is None
        assert Patient.by_identifier(session, both, "7") is None
        assert Patient.by_identifier(session, 999, "P1") is None
        with pytest.raises(AmbiguousPatient, match="2 institutions"):
            Patient.by_identifier(session, both, "P1")
    async with db.session() as session:
        assert (await Patient.by_identifier(session, south, "7")).patient_id == "7"
        assert await Patient.by_identifier(session, both, "7") is None
        for wrong in ((7,), (7, "P1")):
            with pytest.raises(TypeError, match=r"a Patient ID is text: write by_identifier"):
                await Patient.by_identifier(session, *wrong, project_id=both if wrong[1:] else None)


# --- names ----------------------------------------------------------------------------------------


async def test_every_level_is_reached_under_the_capitalised_names_as_well(db):
    async with db.begin() as session:
        await add_images(
            session, [record("1.1.1.1"), record("1.1.1.2", transfer_syntax_uid="1.2.8")]
        )
    await project_of(db, "names", "1.1")
    assert ImageInstance is Image
    assert schema.ImageInstance is Image
    with db.sync.session() as session:
        project = Project.by_name(session, "names")
        (patient,) = project.Patients
        (study,) = patient.Studies
        (series,) = study.Series
        assert series.SeriesID == series.series_id == series.id
        assert [image.SOPInstanceUID for image in series.ImageInstances] == ["1.1.1.1", "1.1.1.2"]
        assert series.ImageInstances[1].TransferSyntaxUID == "1.2.8"
        assert patient.PatientIdentifier == patient.patient_identifier == patient.patient_id == "P1"
    steps = (
        selectinload(Project.Patients)
        .selectinload(Patient.Studies)
        .selectinload(Study.Series)
        .selectinload(Series.ImageInstances)
    )
    async with db.session() as session:
        project = (await session.scalars(select(Project).options(steps))).one()
        images = project.Patients[0].Studies[0].Series[0].ImageInstances
        assert [image.image_uid for image in images] == ["1.1.1.1", "1.1.1.2"]
        assert Study.Series.property.key == "series"
        query = (
            select(Series.SeriesID).join(Study.Series).where(Series.SeriesID == images[0].series_id)
        )
        assert (await session.scalars(query)).all() == [images[0].series_id]


INSTANCE_NUMBERS = {
    "1": ('{"00200013": {"vr": "IS", "Value": [12]}}', 12),
    "2": ('{"00200013": {"vr": "IS", "Value": [-3, 4]}}', -3),
    "3": ('{"00200013": {"vr": "IS", "Value": [9223372036854775807]}}', 2**63 - 1),
    "4": ('{"00200013": {"vr": "IS", "Value": ["n/a"]}}', None),
    "5": ('{"00200013": {"vr": "IS", "Value": [null, 7]}}', None),
    "6": ('{"00200013": {"vr": "IS"}}', None),
    "7": ("{}", None),
    "8": (None, None),
}


async def test_the_instance_number_is_the_header_s_on_a_row_and_in_a_query(db):
    async with db.begin() as session:
        connection = await session.connection()
        await connection.execute(
            insert(Image.__table__),
            [{"image_uid": uid, "meta": meta} for uid, (meta, _) in INSTANCE_NUMBERS.items()],
        )
    truth = [number for _, number in INSTANCE_NUMBERS.values()]
    query = select(Image, Image.InstanceNumber, Image.instance_number).order_by(Image.image_uid)
    least = select(Image.image_uid).where(Image.InstanceNumber < 12)
    async with db.session() as session:
        rows = (await session.execute(query)).all()
        assert [row[0].InstanceNumber for row in rows] == truth
        assert [row[0].instance_number for row in rows] == truth
        assert [row[1] for row in rows] == [row[2] for row in rows] == truth
        assert {type(number) for number in truth} == {int, type(None)}
        assert (await session.scalars(least)).all() == ["2"]
    with db.sync.session() as session:
        assert [row[1] for row in session.execute(query)] == truth
    assert "json_type(images.meta" in str(least)  # a query can be printed


# --- pixels ---------------------------------------------------------------------------------------


async def test_the_pixels_of_an_image_come_from_its_file(db, tmp_path, monkeypatch):
    (file,) = generate(tmp_path / "pixels", images=1)
    async with db.begin() as session:
        image = await add_image(session, file.path)
        assert image.path == str(file.path)
        rows, columns = image.dataset().Rows, image.dataset().Columns
        assert (await asyncio.to_thread(lambda: image.pixel_array)).shape == (rows, columns)
        bare = await add_image(session, header("9"))
    with pytest.raises(NoPixels, match="this image has no file here"):
        _ = bare.pixel_array
    async with db.begin() as session:
        report = tmp_path / "report.dcm"
        document = header("8")
        document.file_meta = FileMetaDataset()
        document.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        document.save_as(report, enforce_file_format=True)
        await session.execute(
            update(Image).where(Image.image_uid == "9").values(filepath=str(report))
        )
    with db.sync.session() as session:
        assert Image.by_uid(session, image.image_uid).pixel_array.shape == (rows, columns)
        with pytest.raises(NoPixels, match=r"there is no image in .*report\.dcm"):
            _ = Image.by_uid(session, "9").pixel_array
    Path(file.path).unlink()
    with pytest.raises(FileNotFoundError):
        _ = image.pixel_array
    monkeypatch.setattr(pixels, "dcmread", lambda _path: Undecodable())
    with pytest.raises(DriverMissing, match=r"pip install 'dicom-node\[notebook\]'"):
        _ = image.pixel_array


class Undecodable:
    """A dataset where numpy is not installed."""

    @property
    def pixel_array(self):
        raise ImportError("NumPy is required")
