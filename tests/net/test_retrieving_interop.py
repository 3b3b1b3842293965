"""Studies, series and images from real PACSs and from ours, by each way that they have."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pydicom
import pytest

from node.dicom.status import Status
from node.errors import PeerFailure
from node.net.messages import Peer, Services, Timeouts
from node.net.qido.place import WebPeer
from node.ops.retrieving.c_get import GetRequests
from node.ops.retrieving.c_move import MoveRequests
from node.ops.retrieving.wado_rs import WebRequests
from node.ops.retrieving.wanted import Wanted
from node.ops.stalls import TimeLimits
from node.simulator.archive import SimulatedArchive
from node.simulator.server import Simulator
from tests.support.acceptors import acceptor
from tests.support.images import dataset_bytes, generate
from tests.support.kept import Kept
from tests.support.peers.dcmtk import DcmQrScp, storescu
from tests.support.peers.orthanc import Orthanc, dicomweb
from tests.support.peers.qrscp import QrScp
from tests.support.processes import children, free_port

pytestmark = pytest.mark.peers

LIMITS = TimeLimits(quiet=20.0, total=40.0)
MR, SELDOM = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.77.1.6"
SERIES, IMAGES = 2, 3


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("images"), series=SERIES, images=IMAGES)


@pytest.fixture(scope="module")
def seldom(tmp_path_factory, images):
    """A study with an image of a usual class, and one of a class that is proposed afterwards."""
    folder, study = tmp_path_factory.mktemp("seldom"), "1.2.826.0.1.3680043.8.498.79"
    for number, sop_class in enumerate((MR, SELDOM), 1):
        dataset = pydicom.dcmread(images[0].path)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.{number}"
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
        uid = dataset.SOPInstanceUID = f"{study}.{number}.1"
        dataset.file_meta.MediaStorageSOPInstanceUID = uid
        dataset.save_as(folder / f"{number}.dcm")
    return sorted(folder.iterdir())


@dataclass
class Archive:
    """A PACS that has the images, and sends to a port of ours."""

    peer: Peer
    destination: int
    url: str = ""
    ways: tuple[str, ...] = ("C-MOVE", "C-GET")


def peer_at(port, aetitle):
    timeouts = Timeouts(connect=5, acse=10, dimse=20, network=30)
    return Peer(
        name="pacs",
        aetitle=aetitle,
        host="127.0.0.1",
        port=port,
        calling_aetitle="NODE",
        timeouts=timeouts,
    )


@pytest.fixture(scope="module", params=["dcmqrscp", "Orthanc", "pynetdicom"])
def archive(request, tmp_path_factory, images, seldom, forks, background_pids):
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    paths = [*(image.path for image in images), *seldom]
    if request.param == "Orthanc":
        with Orthanc(folder, peers={"NODE": port}, settings=dicomweb()) as pacs:
            pacs.fill(paths)
            found = Archive(peer_at(pacs.port, pacs.aetitle), port, pacs.url)
            found.ways += ("WADO-RS",)
            yield found
        return
    if request.param == "dcmqrscp":
        maker = DcmQrScp(folder, peers={"NODE": port})
    else:
        maker = QrScp(folder, peers={"NODE": port}, forks=forks)
    with maker as pacs:
        background_pids.update(children(forks.pid) if forks.pid else ())
        assert storescu(pacs.port, *paths, called=pacs.aetitle).code == 0
        yield Archive(peer_at(pacs.port, pacs.aetitle), port)


@asynccontextmanager
async def retriever(archive, way, kept):
    """Yield who asks in this way; where the peer sends by itself, it finds us listening."""
    if way == "C-MOVE":
        receiver = acceptor(Services(store=kept.store), aetitle="NODE", port=archive.destination)
        async with (
            receiver,
            MoveRequests(archive.peer, destination="NODE", limits=LIMITS) as asking,
        ):
            yield asking
    elif way == "C-GET":
        async with GetRequests(archive.peer, store=kept.store, limits=LIMITS) as asking:
            yield asking
    else:
        peer = WebPeer(name="web", url=archive.url)
        async with WebRequests(peer, store=kept.store, limits=LIMITS, source="PACS") as asking:
            yield asking


def unlisted(archive, wanted):
    """Return how many requests more it takes where a list of images is asked for one by one."""
    uids = [uid for named in (wanted.series or {}).values() for uid in named]
    return len(uids) if archive.peer.aetitle == "QRSCP" and len(uids) > 1 else 0


async def brings_each_level(archive, way, images):
    study = images[0].study_uid
    first, second = dict.fromkeys(image.series_uid for image in images)
    of_second = [image for image in images if image.series_uid == second]
    wanted = [
        (Wanted(study_uid=study), images),
        (Wanted(study_uid=study, series={second: ()}, sop_classes=frozenset({MR})), of_second),
        (
            Wanted(study_uid=study, series={first: (), second: (of_second[1].sop_instance_uid,)}),
            [*(image for image in images if image.series_uid == first), of_second[1]],
        ),
        (
            Wanted(
                study_uid=study,
                series={second: tuple(image.sop_instance_uid for image in of_second[1:])},
            ),
            of_second[1:],
        ),
    ]
    kept = Kept()
    async with retriever(archive, way, kept) as asking:
        for one, expected in wanted:
            kept.objects.clear()
            answer = await asking.ask(one, kept)
            assert answer.error is None, answer
            assert set(kept.objects) == {image.sop_instance_uid for image in expected}, answer
            assert (answer.completed, answer.failed or 0) == (len(expected), 0), answer
            assert answer.refused == answer.failed_uids == ()
            if way != "C-MOVE":
                size = sum(len(one) for one in kept.objects.values())
                assert (answer.arrived, answer.bytes) == (len(expected), size)
            if way != "WADO-RS":
                assert answer.status == Status.SUCCESS
                assert answer.requests == len(one.series or [0]) + unlisted(archive, one), answer
    assert asking.method == way
    return kept


async def test_a_pacs_brings_a_study_a_series_and_single_images(archive, images):
    by_uid = {image.sop_instance_uid: image.path for image in images}
    for way in archive.ways:
        kept = await brings_each_level(archive, way, images)
        if way == "WADO-RS":
            assert {one.caller.aetitle for one in kept.requests} == {"PACS"}
            for uid, dataset in kept.objects.items():
                assert dataset == dataset_bytes(by_uid[uid])


async def test_a_get_brings_what_no_list_has_named_the_class_of(archive, seldom):
    kept, study = Kept(), "1.2.826.0.1.3680043.8.498.79"
    wanted = Wanted(study_uid=study, count=len(seldom))
    async with retriever(archive, "C-GET", kept) as asking:
        if archive.url:  # Orthanc ends a C-GET at the first image that it cannot send
            stopped = await asking.ask(wanted, kept)
            assert isinstance(stopped.error, PeerFailure | None), stopped
            wanted = replace(wanted, sop_classes=frozenset({MR, SELDOM}))
        kept.requests.clear()
        answer = await asking.ask(wanted, kept)
        again = await asking.ask(wanted, kept)
    assert len(kept.requests) == 2 * len(seldom), "each came once"
    classes = {one.sop_instance_uid: one.sop_class_uid for one in kept.requests}
    assert classes == {f"{study}.1.1": MR, f"{study}.2.1": SELDOM}
    for one in (answer, again):
        assert (one.error, one.arrived, one.completed, one.failed or 0) == (None, 2, 2, 0), one
        assert one.failed_uids == one.refused == ()
    assert (answer.requests, again.requests) == (1 if archive.url else 2, 1)


@pytest.mark.parametrize("way", ["C-MOVE", "C-GET"])
async def test_our_simulator_brings_each_level(way, images, tmp_path):
    held = await asyncio.to_thread(SimulatedArchive.load, images[0].path.parent)
    port = free_port()
    async with Simulator(
        archive=held, incoming=tmp_path / "in", destinations={"NODE": ("127.0.0.1", port)}
    ) as pacs:
        await brings_each_level(Archive(peer_at(pacs.port, "PACS"), port), way, images)
