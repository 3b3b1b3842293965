"""A small made-up archive that has something to find for every question of docs/querying.md.

    python -m tests.support.hospital sqlite:///example.db example

makes the database of that guide, with its files. Everything is told in `SERIES` and beside it; the
tests compute the right answers from these values, without any database.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit

from schema import (
    Database,
    Project,
    ProjectStudy,
    add_images,
    read_record,
    record_found,
    update_retrieved_study,
    utcnow,
)
from schema.cycles import finish_cycle, start_cycle
from schema.finding.asking import add_window
from schema.moves import record_move_attempt
from schema.quarantine import add_quarantined

ROOT = "2.999"  # the arc for examples
LONG_AGO = datetime(2024, 3, 1, 8, 0)  # noqa: DTZ001 - the columns keep naive UTC
CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The images of one series; `thickness` as the header has it, whatever it is."""

    number: int
    study: int
    patient: str
    age: str | None
    day: date
    modality: str
    manufacturer: str | None
    model: str | None
    station: str
    protocol: str | None
    thickness: str | None
    spacing: tuple[float, float] | None
    instances: tuple[int, ...]
    transfer_syntax: str = ExplicitVRLittleEndian
    received_hours_ago: int | None = None
    taken: str = "1015"

    @property
    def uid(self) -> str:
        """The Series Instance UID."""
        return f"{self.study_uid}.{self.number}"

    @property
    def study_uid(self) -> str:
        """The Study Instance UID."""
        return f"{ROOT}.{self.study}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One image of a series."""

    series: Series
    instance: int
    uid: str
    patient: str

    @property
    def time(self) -> str:
        """The Acquisition Time: hours and minutes of the series, and the instance's second."""
        return f"{self.series.taken}{self.instance:02d}"


_SIEMENS = {"manufacturer": "SIEMENS", "model": "SOMATOM Force", "station": "CT01"}
_GE = {"manufacturer": "GE MEDICAL SYSTEMS", "model": "Revolution CT", "station": "CT02"}

# fmt: off
SERIES = (
    Series(study=101, number=1, patient="P-01", age="067Y", day=date(2023, 3, 14), modality="CT",
           **_SIEMENS, protocol="Thorax HR", thickness="0.6", spacing=(0.64, 0.64),
           instances=(1, 2, 3, 4)),
    Series(study=101, number=2, patient="P-01", age="067Y", day=date(2023, 3, 14), modality="CT",
           **_SIEMENS, protocol="Thorax", thickness="5", spacing=(0.64, 0.64),
           instances=(1, 2), taken="1020"),
    Series(study=102, number=1, patient="P-02", age="045Y", day=date(2023, 5, 2), modality="CT",
           **_SIEMENS, protocol="Thorax HR", thickness="0.75", spacing=(0.7, 0.7),
           instances=(1, 2, 3)),
    Series(study=103, number=1, patient="P-03", age="072Y", day=date(2023, 11, 30), modality="CT",
           **_GE, protocol="Cardiac", thickness="0.625", spacing=(0.488, 0.488),
           instances=(1, 2, 4, 5, 8)),
    Series(study=104, number=1, patient="P-04", age=None, day=date(2023, 6, 10), modality="CT",
           manufacturer="Canon Medical Systems", model="Aquilion ONE", station="CT03",
           protocol="Brain", thickness="0.5", spacing=(0.43, 0.43), instances=(1, 2)),
    Series(study=105, number=1, patient="P-05", age="058Y", day=date(2023, 7, 7), modality="CT",
           **_GE, protocol="Abdomen", thickness="n/a", spacing=(0.78, 0.78), instances=(1, 2)),
    Series(study=106, number=1, patient="P-06", age="061Y", day=date(2023, 2, 1), modality="CT",
           manufacturer="Philips", model="Ingenuity CT", station="CT04", protocol="Abdomen",
           thickness=None, spacing=(0.9, 1.1), instances=(1, 2)),
    Series(study=107, number=1, patient="P-01", age="068Y", day=date(2024, 1, 20), modality="CT",
           **_SIEMENS, protocol="Thorax HR", thickness="0.6", spacing=(0.66, 0.66),
           instances=(1, 2, 3, 4)),
    Series(study=108, number=1, patient="P-01", age="067Y", day=date(2023, 4, 1), modality="MR",
           manufacturer="SIEMENS", model="MAGNETOM Vida", station="MR01", protocol="t1_mprage",
           thickness="1", spacing=(1.0, 1.0), instances=(1, 2, 3)),
    Series(study=109, number=1, patient="P-07", age="033Y", day=date(2023, 9, 9), modality="MR",
           manufacturer="Philips", model="Ingenia", station="MR02", protocol="t2_tse",
           thickness="3", spacing=(0.5, 0.5), instances=(1, 2, 3)),
    Series(study=110, number=1, patient="P-08", age="006M", day=date(2023, 10, 10), modality="US",
           manufacturer="GE MEDICAL SYSTEMS", model="LOGIQ E10", station="US01", protocol=None,
           thickness=None, spacing=None, instances=(1, 2), transfer_syntax=JPEGBaseline8Bit),
    Series(study=111, number=1, patient="P-03", age="072Y", day=date(2024, 2, 5), modality="DX",
           manufacturer=None, model=None, station="DX01", protocol="Chest PA", thickness=None,
           spacing=(0.14, 0.14), instances=(1, 2), received_hours_ago=1),
    # the second series of study 101 once more, under other UIDs
    Series(study=112, number=1, patient="P-01", age="067Y", day=date(2023, 3, 14), modality="CT",
           **_SIEMENS, protocol="Thorax", thickness="5", spacing=(0.64, 0.64),
           instances=(1, 2), taken="1020", received_hours_ago=2),
)
# fmt: on

STRAY = (102, 3)
"""Study and instance of the image whose header names another patient than its study's."""

BIRTHS = {f"P-{number:02d}": f"19{35 + 6 * number}0{number}15" for number in range(1, 8)}
BIRTHS["P-08"] = "20230402"

EXPECTED = {101: 6, 102: 3, 103: 8, 104: 2, 105: 2, 106: None, 107: 4, 108: 3, 109: 3, 110: 2}
"""What the PACS says how many images a study has; those below are found and not here."""
MISSING = {121: 40, 122: 12, 123: 7}
COMPLETE = (101, 102, 104, 105, 107, 108, 109, 110)
ATTEMPTS = (
    (103, "partial", "3 of 8 images are missing"),
    (103, "partial", "3 of 8 images are missing"),
    (106, "partial", "the PACS does not say how many images there are"),
    (122, "empty", "the PACS reported success and sent nothing"),
    (123, "failed", "0xA801: the PACS does not know the move destination NODE"),
)
WINDOWS = (
    (date(2023, 3, 13), "complete", 4, None),
    (date(2023, 3, 14), "failed", None, "no answer within 60 s"),
    (date(2023, 3, 15), "refused", None, "0xA700: out of resources"),
    (date(2023, 3, 16), "complete", 0, None),
    (date(2023, 3, 14), "complete", 2, None),
    (date(2023, 3, 17), "failed", None, "association aborted by the PACS"),
)
"""Days that were asked for, in this order, and what became of each question."""

PROJECT = "thin-slices"
MEMBERS = (101, 103, 104, 121, 999)
"""Studies of the project, named by their UIDs; the last is known to nobody."""
MEMBER_BY_ACCESSION = 107


def study_uid(number: int) -> str:
    """Return the UID of a study."""
    return f"{ROOT}.{number}"


def accession(number: int) -> str:
    """Return the accession number of a study."""
    return f"A{number:05d}"


def pictures() -> Iterator[Picture]:
    """Yield every image of the archive."""
    for series in SERIES:
        for instance in series.instances:
            stray = (series.study, instance) == STRAY
            yield Picture(
                series=series,
                instance=instance,
                uid=f"{series.uid}.{instance}",
                patient=f"{series.patient}-OLD" if stray else series.patient,
            )


def dataset_of(picture: Picture) -> Dataset:
    """Return an image as a dataset with 64 pixels."""
    series = picture.series
    ds = Dataset()
    ds.ImageType = ["ORIGINAL", "PRIMARY" if series.modality == "CT" else "SECONDARY"]
    ds.SOPClassUID = CLASSES[series.modality]
    ds.SOPInstanceUID = picture.uid
    ds.StudyDate = f"{series.day:%Y%m%d}"
    ds.AcquisitionTime = picture.time
    ds.AccessionNumber = accession(series.study)
    ds.Modality = series.modality
    ds.StationName = series.station
    ds.PatientName = f"Example^{series.patient[2:]}"
    ds.PatientID = picture.patient
    ds.PatientBirthDate = BIRTHS[series.patient]
    ds.StudyInstanceUID = series.study_uid
    ds.SeriesInstanceUID = series.uid
    ds.InstanceNumber = picture.instance
    optional = {
        "Manufacturer": series.manufacturer,
        "ManufacturerModelName": series.model,
        "PatientAge": series.age,
        "ProtocolName": series.protocol,
        "PixelSpacing": None if series.spacing is None else list(series.spacing),
    }
    for keyword, value in optional.items():
        if value is not None:
            setattr(ds, keyword, value)
    if series.thickness is not None:
        encoded = series.thickness.encode()
        encoded += b" " * (len(encoded) % 2)
        tag = Tag(0x00180050)
        # raw, because pydicom refuses a thickness that is no number
        ds[tag] = RawDataElement(tag, "DS", len(encoded), encoded, 0, False, True)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = 8, 8
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    pixels = bytes((picture.instance + at) % 256 for at in range(64))
    if series.transfer_syntax == ExplicitVRLittleEndian:
        ds.PixelData = pixels
    else:
        ds.PixelData = encapsulate([pixels])
        ds["PixelData"].VR = "OB"
    ds["PixelData"].VR = "OB"
    return ds


def write(picture: Picture, folder: Path) -> Path:
    """Write an image as a DICOM file."""
    ds = dataset_of(picture)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(picture.series.transfer_syntax)
    meta.ImplementationClassUID = UID(f"{ROOT}.1")
    meta.ImplementationVersionName = "HOSPITAL"  # a fixed length, whatever pydicom's version
    ds.file_meta = meta
    path = folder / f"{picture.uid}.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


def _finding(number: int, expected: int | None) -> Dataset:
    ds = Dataset()
    ds.StudyInstanceUID = study_uid(number)
    ds.AccessionNumber = accession(number)
    series = [one for one in SERIES if one.study == number]
    ds.PatientID = series[0].patient if series else "P-09"
    ds.StudyDate = f"{series[0].day:%Y%m%d}" if series else "20230518"
    ds.ModalitiesInStudy = sorted({one.modality for one in series}) or "CT"
    if expected is not None:
        ds.NumberOfStudyRelatedInstances = expected
    return ds


async def fill(db: Database, folder: Path) -> None:
    """Write the archive's files to a folder, and put all that is known of them into a database."""
    now = utcnow()
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for picture in pictures():
        path = write(picture, folder)
        hours = picture.series.received_hours_ago
        records.append(
            read_record(
                path.absolute(),
                institution="General",
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                source="MODALITY" if hours else "PACS",
                node="NODE",
                received_on=LONG_AGO if hours is None else now - timedelta(hours=hours),
            )
        )
    async with db.begin() as session:
        cycle = await start_cycle(session, "find", "pacs", "NODE")
        for day, outcome, matches, message in WINDOWS:
            await add_window(
                session,
                cycle_id=cycle,
                peer="pacs",
                query={},
                start_date=day,
                end_date=day,
                outcome=outcome,
                matches=matches,
                message=message,
                facts={"covered_on": now if outcome == "complete" else None},
            )
        await finish_cycle(session, cycle, "partial")
        findings = [_finding(number, count) for number, count in (EXPECTED | MISSING).items()]
        await record_found(session, findings, peer="pacs")
        await add_images(session, records)
        for number in COMPLETE:
            await update_retrieved_study(session, study_uid(number))
        for number, state, error in ATTEMPTS:
            await record_move_attempt(session, study_uid(number), state=state, error=error)
        await _quarantine(session)
        project = Project(name=PROJECT, description="CT below 1 mm")
        session.add(project)
        await session.flush()
        entries = [ProjectStudy(study_uid=study_uid(number)) for number in MEMBERS]
        entries.append(ProjectStudy(accession_number=accession(MEMBER_BY_ACCESSION)))
        for entry in entries:
            entry.project_id = project.id
        session.add_all(entries)


async def _quarantine(session) -> None:
    known = next(pictures())
    await add_quarantined(
        session,
        filepath="/var/dicom/.quarantine/1.dcm",
        reason="another object has this SOP Instance UID",
        kind="conflict",
        sop_instance_uid=known.uid,
        study_uid=known.series.study_uid,
        source="PACS",
    )
    for number in (2, 3):
        await add_quarantined(
            session,
            filepath=f"/var/dicom/.quarantine/{number}.dcm",
            reason="the dataset ends early",
            kind="undecodable",
            source="MODALITY",
        )


async def _main(url: str, folder: str) -> None:
    async with Database(url) as db:
        await db.initialize()
        await fill(db, Path(folder))


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:3]))
