"""Retrieving studies again, to compare them with what is held: what is told, and what is left."""

import hashlib
from collections import Counter
from contextlib import asynccontextmanager
from shutil import copytree

import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian
from sqlalchemy import func, select, update

from node.config import Config
from node.config.peer.settings import RetrieveWay
from node.errors import Busy, ListenError, PeerUnreachable
from node.ops.moving.choice import choose
from node.ops.moving.peers import move_chosen
from node.ops.receiving.receiver import receiving
from node.ops.sampling.report import ImageOutcome
from node.ops.sampling.sample import SampleWish, sample
from node.simulator.archive import SimulatedArchive
from node.simulator.server import Simulator
from node.storage.locks import exclusive
from schema import Cycle, Image, record_found
from schema.choosing import sampling as choosing
from schema.choosing.sampling import sample_studies
from schema.tables.ledger import MoveAttempt, RepeatedArrival
from schema.tables.models import StudyFind
from schema.tables.sources import StudySource
from tests.db.records import finding
from tests.support.images import generate
from tests.support.processes import free_port

STUDIES, IMAGES = 3, 3


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The images of the PACS."""
    return generate(tmp_path_factory.mktemp("pacs"), studies=STUDIES, images=IMAGES)


@asynccontextmanager
async def pacs(config: Config, folder):
    """Serve a folder; yield the configuration of a node that knows it as `pacs`."""
    archive = SimulatedArchive.load(folder)
    async with Simulator(
        archive=archive,
        incoming=folder / "incoming",
        destinations={"NODE": ("127.0.0.1", config.node.port)},
    ) as simulator:
        peer = config.peer("pacs").model_copy(update={"port": simulator.port})
        yield config.model_copy(update={"peers": {"pacs": peer}})


def configured(folder) -> Config:
    return Config(
        node={"aetitle": "NODE", "host": "127.0.0.1", "port": free_port()},
        storage={"directory": str(folder / "dicom")},
        move={"settle": "0.2s"},
        peers={"pacs": {"aetitle": "PACS", "host": "127.0.0.1", "port": 1}},
    )


@asynccontextmanager
async def moved(db, made, folder):
    """Move all studies to a node; yield its configuration, with the PACS still there."""
    pages = {image.study_uid for image in made}
    async with db.begin() as session:
        await record_found(session, [finding(uid, IMAGES) for uid in pages], peer="pacs")
    async with pacs(configured(folder), made[0].path.parents[1]) as config:
        got = config.model_copy(
            update={
                "peers": {
                    "pacs": config.peer("pacs").model_copy(update={"retrieve": RetrieveWay.GET})
                }
            }
        )
        await move_chosen(got, db, await choose(db, ["pacs"]))
        yield config


async def standing(db, config):
    """Return what must not change: files and rows."""
    directory = config.storage.directory
    files = {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }
    async with db.session() as session:
        rows = [
            (await session.scalar(select(func.count()).select_from(table)))
            for table in (Image, MoveAttempt, Cycle, RepeatedArrival)
        ]
        images = (
            await session.execute(select(Image.image_uid, Image.filepath, Image.sha256))
        ).all()
        states = (
            await session.execute(
                select(StudySource.state, StudyFind.state).join(
                    StudyFind, StudyFind.id == StudySource.study_find_id
                )
            )
        ).all()
    return files, rows, sorted(map(tuple, images)), sorted(map(tuple, states))


def asked(studies=STUDIES, way="get", **more) -> SampleWish:
    return SampleWish(studies=studies, peers=["pacs"], seed=4711, way=RetrieveWay(way), **more)


def changed(folder, study: str, number: int, change, *, syntax=None):
    """Change an image of a study at the PACS; return its SOP Instance UID."""
    path = sorted((folder / study).glob("*.dcm"))[number]
    dataset = dcmread(path)
    change(dataset)
    if syntax is not None:
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(path, implicit_vr=True, little_endian=True)
    else:
        dataset.save_as(path)
    return dataset.SOPInstanceUID


@pytest.fixture
def altered(made, tmp_path):
    """A PACS that has something else by now; with the UIDs of what is another."""
    folder = tmp_path / "altered"
    copytree(made[0].path.parents[1], folder)

    def renamed(dataset):
        dataset.PatientName = "Doe^John"

    def repainted(dataset):
        dataset.PixelData = bytes([dataset.PixelData[0] ^ 1]) + dataset.PixelData[1:]

    def copied(dataset):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.99"

    told = {
        "renamed": changed(folder, "study-0000", 0, renamed),
        "repainted": changed(folder, "study-0000", 1, repainted),
        "recoded": changed(folder, "study-0000", 2, lambda _: None, syntax=ImplicitVRLittleEndian),
        "gone": str(dcmread(folder / "study-0001" / "000-00002.dcm").SOPInstanceUID),
        "new": "2.25.99",
    }
    (folder / "study-0001" / "000-00002.dcm").rename(tmp_path / "gone.dcm")
    another = folder / "study-0002" / "another.dcm"
    another.write_bytes((folder / "study-0002" / "000-00000.dcm").read_bytes())
    changed(folder, "study-0002", -1, copied)
    return folder, told


async def test_a_sample_tells_what_is_another_at_the_pacs_and_leaves_everything_as_it_was(
    db, migrated_url, made, tmp_path, altered
):
    folder, told = altered
    way = "move" if migrated_url.startswith("sqlite") else "get"  # both take their time
    async with moved(db, made, tmp_path) as config:
        before = await standing(db, config)
        for one in ("get", "move"):
            seen = []
            report = await sample(config, db, asked(way=one), watch=seen.append)
            assert report.same, report
            assert report.totals == {ImageOutcome.IDENTICAL: STUDIES * IMAGES}
            assert [study.method for study in report.studies] == [f"C-{one.upper()}"] * STUDIES
            assert (report.there, len(seen)) == (STUDIES, STUDIES + 1)
            assert await standing(db, config) == before
    async with pacs(config, folder) as config:
        report = await sample(config, db, asked(way=way, values=True))
        assert not report.same
        first, second, third = sorted(report.studies, key=lambda study: study.study_uid)
        images = {image.image_uid: image for image in first.images}
        assert images[told["recoded"]].outcome is ImageOutcome.EQUAL
        (name,) = images[told["renamed"]].differences
        assert (name.keyword, name.held, name.peer) == ("PatientName", "Doe^Jane", "Doe^John")
        (pixels,) = images[told["repainted"]].differences
        assert pixels.keyword == "PixelData"
        assert first.outcomes == {ImageOutcome.DIFFERENT: 2, ImageOutcome.EQUAL: 1}
        assert first.attributes == {
            "PatientName (0010,0010): value": 1,
            "PixelData (7FE0,0010): value": 1,
        }
        assert second.outcomes == {ImageOutcome.IDENTICAL: 2, ImageOutcome.MISSING: 1}
        assert [image.image_uid for image in second.images] == [told["gone"]]
        assert third.outcomes == {ImageOutcome.IDENTICAL: 3, ImageOutcome.NEW: 1}
        assert [image.image_uid for image in third.images] == [told["new"]]
        assert not any(study.same for study in report.studies)
        assert await standing(db, config) == before
        of_new = dcmread(folder / "study-0002" / "another.dcm", stop_before_pixels=True)
        for modality, outcome in ((of_new.Modality, "new"), ("XA", "unwanted")):
            want = config.move.want.model_copy(update={"modality": (modality,)})
            move = config.move.model_copy(update={"want": want})
            async with db.begin() as session:
                await session.execute(update(StudySource).values(policy=f"modality {modality}"))
            wanting = config.model_copy(update={"move": move})
            report = await sample(wanting, db, asked(way="get"))
            (third,) = [one for one in report.studies if one.study_uid == third.study_uid]
            assert third.outcomes == {ImageOutcome.IDENTICAL: 3, outcome: 1}
            assert third.same == (outcome == "unwanted")
        tags = [0x00100010, 0x7FE00010]
        ignoring = await sample(config, db, asked(ignored=tags))
        assert ImageOutcome.DIFFERENT not in ignoring.totals


async def test_c_move_needs_the_address_that_a_running_node_has_and_c_get_does_not(
    sqlite, made, tmp_path
):
    async with moved(sqlite, made, tmp_path) as config, receiving(config, sqlite):
        before = await standing(sqlite, config)
        with pytest.raises(ListenError, match="stop it while .* or have them fetched by C-GET"):
            await sample(config, sqlite, asked(1, way="move"))
        assert (await sample(config, sqlite, asked(1))).same
        assert await standing(sqlite, config) == before
    lock = config.storage.directory / ".move-pacs.lock"
    with exclusive(lock, "a move from pacs"), pytest.raises(Busy, match="a move from pacs"):
        await sample(config, sqlite, asked(1, way="move"))
    away = await sample(config, sqlite, asked(2))  # the PACS is down
    assert isinstance(away.trouble, PeerUnreachable)
    assert ([study.same for study in away.studies], away.same) == ([False] * 2, False)
    async with sqlite.begin() as session:
        await session.execute(Image.__table__.update().values(sha256="0" * 64))
    async with pacs(config, made[0].path.parents[1]) as config:
        damaged = await sample(config, sqlite, asked(4))
        assert damaged.totals == {ImageOutcome.NOT_COMPARED: STUDIES * IMAGES}
        assert "the file that is held is changed" in damaged.studies[0].images[0].reason
        assert (damaged.there, len(damaged.studies), damaged.same) == (STUDIES, STUDIES, False)
        assert damaged.trouble is None


async def retrieved(db, counts):
    """Record studies as here: so many from each PACS."""
    async with db.begin() as session:
        for peer, numbers in counts.items():
            await record_found(session, [finding(f"1.{n}", 1) for n in numbers], peer=peer)
        await session.execute(StudySource.__table__.update().values(state="retrieved"))


async def test_each_study_is_as_likely_as_any_other_and_the_same_seed_chooses_the_same(
    db, monkeypatch
):
    await retrieved(db, {"pacs": range(40), "old": range(30, 60)})
    async with db.begin() as session:
        await session.execute(
            StudySource.__table__.update()
            .where(StudySource.peer == "pacs")
            .values(state="partial")
            .where(
                StudySource.study_find_id.in_(
                    select(StudyFind.id).where(StudyFind.study_uid.in_(["1.3", "1.4"]))
                )
            )
        )

    async def drawn(session, seed, peers=("pacs", "old"), count=6):
        there, chosen = await sample_studies(session, count, peers=peers, seed=seed)
        return there, [(one.study_uid, one.peer) for one in chosen]

    async with db.session() as session:
        for few in (10_000, 0):  # all keys are read, or keys are drawn
            monkeypatch.setattr(choosing, "_FEW", few)
            assert await drawn(session, 1) == await drawn(session, 1)
            there, chosen = await drawn(session, 2)
            assert (there, len(set(chosen))) == (58, 6)
            pairs = [
                pair for seed in range(20) for pair in (await drawn(session, seed, count=20))[1]
            ]
            counts = Counter(uid for uid, _ in pairs)
            assert {"1.3", "1.4"}.isdisjoint(counts)
            assert len(counts) == 58, "each comes at some time"
            assert max(counts.values()) < 18, "and none all the time"
            assert {peer for uid, peer in pairs if 30 <= int(uid[2:]) < 40} == {"pacs", "old"}
            there, chosen = await drawn(session, 3, peers=["old"], count=100)
            assert (there, len(chosen), {peer for _, peer in chosen}) == (30, 30, {"old"})
        assert await drawn(session, 1, peers=["nobody"]) == (0, [])
