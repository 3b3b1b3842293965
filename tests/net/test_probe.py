"""A probe of other makers' archives is right, asks little, and keeps a row only at its end."""

import asyncio
from dataclasses import replace
from datetime import date, timedelta

import pytest
from pydicom.dataset import Dataset

from node.dicom.profile import CapKind, PeerProfile
from node.errors import PeerStalled, PeerUnreachable
from node.net.messages import Peer, Timeouts
from node.net.scu.requestor import associate
from node.ops.probing.asking import count_associations
from node.ops.probing.facts import profile_of
from node.ops.probing.probe import probe
from node.ops.stalls import TimeLimits
from schema import Database
from schema.finding.profiles import newest_probes
from tests.support.acceptors import acceptor
from tests.support.images import generate
from tests.support.peers.dcmtk import DcmQrScp
from tests.support.peers.orthanc import Orthanc
from tests.support.peers.qrscp import QrScp
from tests.support.processes import free_port
from tests.support.profiles import HONEST
from tests.support.scripted_pacs import ScriptedPacs

STUDIES = 30
LIMITS = TimeLimits(quiet=20, total=60)
MR = ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1")

HONEST_TO_ALL = replace(
    HONEST, repository=False, study_root=True, patient_root=True, get=True, operations=0
)


OF_STUDIES = (
    *("widest", "dates", "times", "combined", "wildcards", "uid_lists", "modalities"),
    *("modalities_told", "counts", "universal"),
)
"""What only studies can show."""


@pytest.fixture
async def database(migrated_sqlite_url):
    async with Database(migrated_sqlite_url) as database:
        yield database


async def probed(database, peer, **options):
    options = {"limits": LIMITS, "today": date(2024, 3, 1), "pause": 0.0, **options}
    return await probe(database, peer, **options)


def at(server):
    return Peer(
        name="pacs",
        aetitle=server.aetitle,
        host="127.0.0.1",
        port=server.port,
        calling_aetitle="NODE",
        timeouts=Timeouts(connect=5, acse=10, dimse=20, network=30),
    )


async def stored(peer, paths):
    async with associate(peer, storage=[MR]) as association:
        for path in paths:
            assert await association.store(path) == 0


@pytest.mark.peers
@pytest.mark.parametrize(
    ("start", "differs"),
    [
        pytest.param(
            lambda folder, peers: DcmQrScp(folder, peers=peers),
            {"modalities": None, "modalities_told": False, "counts": False},
            id="dcmqrscp",
        ),
        # the tests' Orthanc accepts every SOP class that is proposed, and answers in every context
        pytest.param(
            lambda folder, peers: Orthanc(folder, peers=peers), {"repository": None}, id="Orthanc"
        ),
        # it compares with a key that is empty, so it has no answer that names a study
        pytest.param(
            lambda folder, peers: QrScp(folder, peers=peers),
            {
                **dict.fromkeys(OF_STUDIES, None),
                "patient_root": False,
                "empty_keys": False,
            },
            id="qrscp",
        ),
    ],
)
async def test_the_profile_of_another_maker_s_archive_is_right(database, tmp_path, start, differs):
    images = generate(tmp_path / "images", studies=STUDIES, images=1)
    (tmp_path / "archive").mkdir()
    server = start(tmp_path / "archive", {"NODE": free_port()})
    await asyncio.to_thread(server.__enter__)
    try:
        await stored(at(server), [image.path for image in images])
        report = await probed(database, at(server))
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)
    how = {name: (fact.value, fact.how) for name, fact in report.facts.items()}
    assert profile_of(report.facts) == replace(HONEST_TO_ALL, **differs), how
    assert report.questions <= 40


def finding(number, day):
    study = Dataset()
    study.StudyInstanceUID, study.StudyDate, study.StudyTime = (
        f"1.2.{number}",
        f"{day:%Y%m%d}",
        "1015",
    )
    study.PatientID, study.AccessionNumber = f"P{number}", f"A{number}"
    study.ModalitiesInStudy = "CT"
    return study


def asked_for(asked, day):
    """Tell whether a day is in the range of dates that was asked for, or there is none."""
    first, _, last = str(asked.identifier.get("StudyDate") or "").partition("-")
    return not first or first <= f"{day:%Y%m%d}" <= (last or first)


ARCHIVE = [(number, date(2024, 3, 1) - timedelta(days=number // 2)) for number in range(40)]


async def test_what_a_peer_ignores_cuts_off_and_ends_is_found_with_at_most_60_queries(database):
    """It matches dates alone, answers five studies at most, and one question per association."""

    async def script(asked):
        there = [(number, day) for number, day in ARCHIVE if asked_for(asked, day)]
        for number, day in there[:5]:
            asked.pending(finding(number, day))
        asked.done()
        asked.release()

    async with ScriptedPacs(script) as pacs:
        report = await probed(database, pacs.peer())
    profile = profile_of(report.facts)
    how = {name: (fact.value, fact.how) for name, fact in report.facts.items()}
    assert profile == PeerProfile(
        cap=5,
        cap_kind=CapKind.CUT,
        widest=0,
        dates=True,
        times=False,
        wildcards=False,
        uid_lists=False,
        modalities=False,
        modalities_told=True,
        counts=False,
        empty_keys=True,
        universal=True,
        study_root=True,
        patient_root=True,
        get=True,
        operations=1,
    ), how
    assert report.questions == len(pacs.asked) <= 60
    assert len(pacs.asked) == pacs.associations - 1


async def test_a_peer_that_refuses_what_is_too_much_for_one_association_is_asked_over_the_next(
    database,
):
    async def script(asked):
        if asked.number > 4:
            asked.done(0xA700)
            return
        for number, day in ARCHIVE:
            if asked_for(asked, day):
                asked.pending(finding(number, day))
        asked.done()

    async with ScriptedPacs(script) as pacs:
        report = await probed(database, pacs.peer())
    profile = profile_of(report.facts)
    assert (profile.dates, profile.cap_kind, profile.widest) == (True, None, 0)
    assert profile.operations is None
    assert report.questions == len(pacs.asked) <= 60


async def test_a_probe_that_is_interrupted_or_not_answered_keeps_nothing(database):
    reached = asyncio.Event()

    async def script(asked):
        if len(pacs.asked) < 4:
            asked.done()
        else:
            reached.set()

    async with ScriptedPacs(script) as pacs, asyncio.timeout(30):
        probing = asyncio.create_task(probed(database, pacs.peer()))
        await reached.wait()
        probing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probing
        with pytest.raises(PeerStalled):
            await probed(database, pacs.peer(), limits=TimeLimits(quiet=0.2, total=1))
        gone = pacs.peer()
    with pytest.raises(PeerUnreachable):
        await probed(database, gone)
    async with database.session() as session:
        assert await newest_probes(session) == {}


async def test_how_many_associations_are_taken_at_once_is_tried_only_when_asked_for(database):
    async def nothing(asked):
        asked.done()

    async with ScriptedPacs(nothing) as pacs:
        report = await probed(database, pacs.peer())
        assert report.facts["associations"].value is None
        assert "--load" in report.facts["associations"].how

    async with acceptor(max_associations=3) as server:
        at_once, how = await count_associations(replace(pacs.peer(), port=server.port))
    assert at_once == 3
    assert "one more was not taken" in how
