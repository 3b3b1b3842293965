"""Other makers' archives with several hundred studies: a find is exact, or says that it is not."""

import asyncio
import random
from contextlib import contextmanager
from datetime import date, timedelta

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from node.net.messages import Peer, Timeouts
from node.net.scu.requestor import associate
from tests.support.node import Node
from tests.support.peers.dcmtk import DcmQrScp
from tests.support.peers.orthanc import Orthanc
from tests.support.peers.qrscp import QrScp

pytestmark = pytest.mark.peers

ROOT = "1.2.826.0.1.3680043.8.498.78"
MR = "1.2.840.10008.5.1.4.1.1.4"
FIRST, LAST = date(2019, 1, 1), date(2023, 12, 31)
DATES = ("--from", str(FIRST), "--to", str(LAST))
BURST = date(2022, 5, 17)
"""A day with 60 studies within ten minutes."""
TIMELESS = 10
"""How many studies have no time, the last ones."""


@pytest.fixture
def cli(inside):
    return inside


def studies():
    """Yield date and time of 320 studies of five years: uneven, a burst, some without a time."""
    drawn = random.Random(11)
    days = (LAST - FIRST).days
    for _ in range(250):
        day = FIRST + timedelta(days=int(days * drawn.random() ** 0.6))
        yield day, f"{drawn.randrange(6, 20):02d}{drawn.randrange(60):02d}{drawn.randrange(60):02d}"
    for number in range(60):
        yield BURST, f"12{number // 6:02d}{number % 6 * 10:02d}"
    for number in range(TIMELESS):
        yield date(2020, 2, 29) + timedelta(days=110 * number), ""


def write(folder):
    """Write an image of each study; return the paths by Study Instance UID."""
    paths = {}
    for number, (day, moment) in enumerate(studies()):
        image = Dataset()
        image.SOPClassUID, image.Modality = MR, "MR"
        image.StudyInstanceUID = f"{ROOT}.{number + 1}"
        image.SeriesInstanceUID = f"{ROOT}.{number + 1}.1"
        image.SOPInstanceUID = f"{ROOT}.{number + 1}.1.1"
        image.PatientID, image.PatientName = f"P{number:04d}", f"Doe^{number}"
        image.PatientBirthDate, image.PatientSex = "19700101", "O"
        image.AccessionNumber, image.StudyID = f"A{number:04d}", f"{number}"
        image.StudyDate, image.StudyTime = f"{day:%Y%m%d}", moment
        image.StudyDescription, image.ReferringPhysicianName = "Brain", "Roe"
        image.SeriesNumber = image.InstanceNumber = "1"
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.file_meta.MediaStorageSOPClassUID = MR
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        paths[image.StudyInstanceUID] = folder / f"{number:04d}.dcm"
        image.save_as(paths[image.StudyInstanceUID], enforce_file_format=True)
    return paths


async def store(server, paths):
    peer = Peer(
        name="pacs",
        aetitle=server.aetitle,
        host=server.host,
        port=server.port,
        calling_aetitle="NODE",
        timeouts=Timeouts(connect=5, acse=10, dimse=20, network=30),
    )
    async with associate(peer, storage=[(MR, ExplicitVRLittleEndian)]) as association:
        for path in paths:
            assert await association.store(path) == 0


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write(tmp_path_factory.mktemp("images"))


@contextmanager
def archive(cli, tmp_path, url, server, images):
    """Have the server run with the images; yield a node whose peer it is."""
    (tmp_path / "archive").mkdir()
    with server(tmp_path / "archive") as running:
        asyncio.run(store(running, images.values()))
        peers = {"pacs": (running.aetitle, running.port)}
        yield Node(cli, tmp_path / "node", url, peers=peers)


def recorded(node):
    return {row["study_uid"] for row in node.rows("SELECT study_uid FROM studies_find")}


def probed(node):
    """Return the profile that a probe brings, with no more questions than it may have."""
    told = node.json("probe", "pacs", "--interval", "0")
    assert told["questions"] <= 60
    return told["profile"]


def gaps(node, code=0):
    """Return what coverage says cannot be said."""
    (scope,) = node.json("coverage", "pacs", code=code)["peers"][0]["scopes"]
    return scope["gaps"]


def profile(**differs):
    """Return that of a peer that does all that the standard asks of it."""
    able = (
        *("dates", "times", "wildcards", "uid_lists", "modalities", "modalities_told", "counts"),
        *("empty_keys", "universal", "study_root", "patient_root", "get"),
    )
    return {
        **dict.fromkeys(able, True),
        **dict.fromkeys(("cap", "cap_kind", "associations"), None),
        "widest": 0,
        "combined": False,
        "repository": False,
        "operations": 0,
        **differs,
    }


@pytest.mark.parametrize(
    ("server", "differs"),
    [
        pytest.param(
            DcmQrScp,
            {"modalities": None, "modalities_told": False, "counts": False},
            id="dcmqrscp",
        ),
        # it accepts every SOP class that is proposed, and answers in every context
        pytest.param(Orthanc, {"repository": None}, id="Orthanc"),
    ],
)
def test_five_years_are_found_exactly_in_a_few_questions(
    cli, tmp_path, migrated_sqlite_url, images, server, differs
):
    with archive(cli, tmp_path, migrated_sqlite_url, server, images) as node:
        found = node.json("find", "pacs", *DATES)
        assert (found["found"], found["failed_windows"]) == (len(images), 0)
        assert recorded(node) == images.keys()
        assert found["windows"] <= 12
        assert probed(node) == profile(**differs)
        again = node.json("find", "pacs", *DATES)
        assert (again["found"], again["new"], again["failed_windows"]) == (len(images), 0, 0)
        assert again["windows"] <= 3
    assert gaps(node) == []


@pytest.mark.long
def test_an_orthanc_that_answers_50_at_most_is_found_exactly(
    cli, tmp_path, migrated_sqlite_url, images
):
    """Its C-FIND ends with 0xFE00 after as many: that is refused, and asked for in parts."""
    timed = dict(list(images.items())[:-TIMELESS])
    assert len(images) - len(timed) == TIMELESS
    with archive(cli, tmp_path, migrated_sqlite_url, limited_orthanc, timed) as node:
        found = node.json("find", "pacs", *DATES)
        assert (found["found"], found["failed_windows"]) == (len(timed), 0)
        assert recorded(node) == timed.keys()
        assert found["windows"] <= 70
        refuses = {"cap": 50, "cap_kind": "refused", "widest": None, "universal": False}
        assert probed(node) == profile(repository=None, **refuses)


@pytest.mark.long
def test_an_orthanc_that_answers_50_at_most_and_has_studies_without_a_time_leaves_one_gap(
    cli, tmp_path, migrated_sqlite_url, images
):
    """No part of the day with 60 studies would show one without a time: that is not vouched for."""
    with archive(cli, tmp_path, migrated_sqlite_url, limited_orthanc, images) as node:
        found = node.json("find", "pacs", *DATES, code=1)
        assert (found["found"], found["failed_windows"]) == (len(images), 1)
        assert recorded(node) == images.keys()
    (gap,) = gaps(node, code=1)
    assert (gap["first_date"], gap["last_date"]) == (str(BURST), str(BURST))


@pytest.mark.long
def test_a_qrscp_that_finds_nothing_is_not_said_to_have_nothing(
    cli, tmp_path, migrated_sqlite_url, images
):
    """pynetdicom's qrscp compares with empty keys: what asks to be told brings no study."""
    with archive(cli, tmp_path, migrated_sqlite_url, QrScp, images) as node:
        found = node.json("find", "pacs", *DATES, code=1)
        assert found["found"] == 0
        assert 0 < found["windows"] <= 40
        unknown = (
            *("widest", "dates", "times", "combined", "wildcards", "uid_lists", "modalities"),
            *("modalities_told", "counts", "universal"),
        )
        differs = {**dict.fromkeys(unknown), "patient_root": False, "empty_keys": False}
        assert probed(node) == profile(**differs)
    assert node.value("SELECT count(*) FROM find_windows WHERE covered_on IS NOT NULL") == 0
    (gap,) = gaps(node, code=1)
    assert (gap["first_date"], gap["last_date"]) == (str(FIRST), str(LAST))
    assert "nothing came for any window" in gap["message"]


def limited_orthanc(folder):
    return Orthanc(folder, settings={"LimitFindResults": 50})
