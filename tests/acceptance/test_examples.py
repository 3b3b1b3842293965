"""Every script of examples/ is run as it stands, on both databases; what it prints is compared."""

from __future__ import annotations

import io
import json
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.support import hospital
from tests.support.hospital import PROJECT, SERIES, pictures
from tests.support.images import generate
from tests.support.peers.pynetdicom_race import mend

EXAMPLES = Path(__file__).parents[2] / "examples"
CONFIGURATION = 'storage:\n  resources: "{}"\n  resources_meta: ""\n  directory: ""\n'
MEMBERS = {*hospital.MEMBERS, hospital.MEMBER_BY_ACCESSION}
PATIENTS = sorted({one.patient for one in SERIES if one.study in MEMBERS})

mend()

Run = Callable[..., str]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return the function that runs a script with arguments, and returns what it prints."""

    def run(name: str, *arguments: object) -> str:
        path = EXAMPLES / name
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        runpy.run_path(str(path), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_every_example_is_run_and_named_where_people_look():
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    tests = Path(__file__).read_text(encoding="utf-8")
    assert scripts == set(re.findall(r'example\("(\w+\.py)"', tests))
    for page in ("README.md", "docs/querying.md"):
        text = (EXAMPLES.parent / page).read_text(encoding="utf-8")
        assert "examples/" in text, page
    for name in scripts:
        assert f"`{name}`" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
    packaged = (EXAMPLES.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert '"/examples"' in packaged


def test_a_folder_is_indexed_and_listed(example, database_url, tmp_path):
    folder = tmp_path / "dicom-data"
    folder.mkdir()
    shown = list(pictures())[:3]
    for picture in shown:
        hospital.write(picture, folder)
    configuration = tmp_path / "node_conf.yaml"
    configuration.write_text(CONFIGURATION.format(database_url))
    first, *images = example("index_a_folder.py", folder, configuration).splitlines()
    assert first == "3 images indexed"
    assert sorted(re.sub(r"id=\d+, ", "", image) for image in images) == [
        f"Image(image_uid={one.uid!r}, modality='CT')" for one in shown
    ]


def test_found_studies_and_images_are_inserted_by_hand(example, database_url, tmp_path):
    (picture, *_) = pictures()
    path = hospital.write(picture, tmp_path)
    printed = example("insert_by_hand.py", database_url, path, tmp_path / "dump")
    assert printed.splitlines() == [
        "found: True",
        f"to move: ['{picture.series.study_uid}']",
        f"added: Image(id=1, image_uid='{picture.uid}', modality='CT')",
        "again: None",
        "retrieved: True",
        "to move: []",
        "patients.csv 1",
        "images.csv 1",
    ]


def test_a_project_is_walked_down_to_the_pixels(example, hospital_url):
    printed = example("walk_a_project.py", PROJECT, "P-03", hospital_url)
    assert printed.splitlines()[0] == f"P-03 is in {PROJECT}"
    assert re.findall(r"Identifier: (\S+)", printed) == PATIENTS
    here = [one for one in SERIES if one.patient in PATIENTS]
    assert sorted(re.findall(r"Study date: (\S+)", printed)) == sorted(
        str(day) for _, day in {(one.study, one.day) for one in here}
    )
    assert sorted(map(int, re.findall(r"Series ID: \d+, (\d+) images", printed))) == sorted(
        len(one.instances) for one in here
    )
    for path in re.findall(r"Image path: (.+)", printed):
        assert Path(path).is_file()
    assert printed.count("Number 1, 1.2.840.10008.1.2.1\n") == len(here)
    assert printed.count("Pixels: (8, 8)") == sum(one.modality == "CT" for one in here)
    assert example("walk_a_project.py", PROJECT, "P-05", hospital_url).startswith("P-05 is not in")


def test_studies_are_queried_in_either_style(example, hospital_url):
    days = {
        one.study_uid: one.day
        for one in SERIES
        if one.patient == "P-01" and f"{one.day}" >= "2023-04-01"
    }
    assert example("query_studies.py", hospital_url).splitlines() == [
        "patients: P-01, P-02, P-03, P-04, P-05, P-06, P-07, P-08",
        *(f"{uid} {day} 00:00:00" for uid, day in sorted(days.items(), key=lambda item: item[1])),
        *["True"] * 3,
    ]


def test_an_asynchronous_session_walks_what_it_has_loaded(example, hospital_url):
    here = [one for one in SERIES if one.patient in PATIENTS]
    lines = example("query_asynchronously.py", PROJECT, hospital_url).splitlines()
    assert sorted(lines) == sorted(
        f"{one.patient} {hospital.accession(one.study)} {one.modality}" for one in here
    )


def test_a_hook_reads_the_images_of_a_study_once(example, hospital_url, tmp_path, monkeypatch):
    one = SERIES[0]
    images = sum(len(series.instances) for series in SERIES if series.study_uid == one.study_uid)
    event = {"id": "17", "event": "study_complete", "data": {"study_uid": one.study_uid}}
    for said in (f"{images} images, ", "known already\n"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(event)))
        printed = example("on_complete_study.py", hospital_url, tmp_path / "studies.csv")
        assert printed.startswith(said)
    (line,) = (tmp_path / "studies.csv").read_text(encoding="utf-8").splitlines()
    assert line.startswith(f"17,{one.study_uid},{images},")


def test_handlers_of_pynetdicom_are_served(example, tmp_path):
    made = generate(tmp_path / "made", images=2)
    printed = example("serve_handlers.py", tmp_path / "made", tmp_path / "kept").splitlines()
    assert printed[0] == "connection from 127.0.0.1"
    assert sorted(printed[1:]) == sorted(
        ["MR of KEEPER"] * 2 + [f"{image.path.name}: 0x0000" for image in made]
    )
    for image in made:
        kept = tmp_path / "kept" / f"{image.sop_instance_uid}.dcm"
        assert dcmread(kept).PatientID == image.patient_id
