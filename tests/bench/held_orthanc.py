"""The same studies in an Orthanc: its index is multiplied from one study that it was given.

To send 400,000 images to an Orthanc takes a quarter of an hour; its tables (version 6, of Orthanc
1.4 to 1.12) are filled in half a minute. The files of all images are those of the first study:
a query for what Orthanc has in its tables reads none.
"""

from __future__ import annotations

import io
import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

from pydicom import config

from tests.bench.held import IMAGES_OF_A_STUDY, PATIENTS_SHARE, study_uid, template, told
from tests.support.peers.orthanc import Orthanc

_VERSION = "6"
_PATIENT, _STUDY, _SERIES, _INSTANCE = 1, 2, 3, 4


def fill_orthanc(folder: Path, studies: int) -> None:
    """Make an Orthanc's folder that has so many studies; it is stopped in the end."""
    files = []
    with config.disable_value_validation():
        for series in (1, 2):
            for image in (1, 2):
                dataset = template()
                for keyword, value in told(0).items():
                    setattr(dataset, keyword, value)
                dataset.SeriesInstanceUID = f"{dataset.StudyInstanceUID}.{series}"
                dataset.SOPInstanceUID = f"{dataset.SeriesInstanceUID}.{image}"
                dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
                buffer = io.BytesIO()
                dataset.save_as(buffer)
                files.append(folder / f"{series}{image}.dcm")
                folder.mkdir(parents=True, exist_ok=True)
                files[-1].write_bytes(buffer.getvalue())
    with Orthanc(folder) as pacs:
        pacs.fill(files)
    assert len(files) == IMAGES_OF_A_STUDY
    with sqlite3.connect(folder / "storage" / "index") as index:
        _multiply(index, studies)


def _multiply(index: sqlite3.Connection, studies: int) -> None:
    (version,) = index.execute("SELECT value FROM GlobalProperties WHERE property = 1").fetchone()
    assert version == _VERSION, f"Orthanc's tables are of version {version}"
    resources = index.execute("SELECT internalId, resourceType, publicId, parentId FROM Resources")
    first = {row[0]: row[1:] for row in resources.fetchall()}
    tables = {
        name: _by_resource(index, name)
        for name in ("MainDicomTags", "DicomIdentifiers", "Metadata", "AttachedFiles")
    }
    new: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    next_id, patient_id = max(first) + 1, next(i for i, r in first.items() if r[0] == _PATIENT)
    for number in range(1, studies):
        ids: dict[int, int] = {}
        is_new_patient = number % PATIENTS_SHARE == 0
        for old, (kind, _, _) in sorted(first.items(), key=lambda one: one[1][0]):
            if kind == _PATIENT and not is_new_patient:
                ids[old] = patient_id
                continue
            ids[old], next_id = next_id, next_id + 1
            if kind == _PATIENT:
                patient_id = ids[old]
        for old, (kind, public, parent) in first.items():
            if kind == _PATIENT and not is_new_patient:
                continue
            own = f"{ids[old]:08x}{public[8:]}"
            new["Resources"].append((ids[old], kind, own, ids.get(parent)))
            for name, rows in tables.items():
                new[name] += (_renamed(row, ids[old], number) for row in rows.get(old, ()))
        if number % 2_000 == 0 or number == studies - 1:
            for name, rows in new.items():
                marks = ",".join("?" * len(rows[0]))
                index.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
            new.clear()


def _by_resource(index: sqlite3.Connection, name: str) -> dict[int, list[tuple[Any, ...]]]:
    rows: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in index.execute(f"SELECT * FROM {name}").fetchall():
        rows[row[0]].append(row)
    return rows


_BASE = told(0)


def _renamed(row: tuple[Any, ...], resource: int, number: int) -> tuple[Any, ...]:
    """Return a row of the first study as it is of another one."""
    said = told(number)
    rest = list(row[1:])
    for position, value in enumerate(rest):
        if not isinstance(value, str) or not value:
            continue
        for keyword, old in _BASE.items():
            if value == old:
                rest[position] = said[keyword]
            elif value == old.upper():
                rest[position] = said[keyword].upper()
        if value.startswith(study_uid(0) + "."):
            rest[position] = study_uid(number) + value[len(study_uid(0)) :]
    return (resource, *rest)
