"""Moving by C-GET: classes that nobody has named, and what was not agreed upon."""

from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from sqlalchemy import select

from node.config import Config
from node.net.messages import InstanceFile, Services
from node.ops.moving.choice import choose
from node.ops.moving.peers import move_chosen
from schema import Database, Image, record_found
from schema.tables.ledger import MoveAttempt
from tests.db.records import finding
from tests.support.acceptors import acceptor
from tests.support.processes import free_port

pytestmark = pytest.mark.virtual_time

COMMITMENT = "1.2.840.10008.1.20.1"
CT, SELDOM = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.77.1.6"
EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.fixture
async def db(migrated_url):
    async with Database(migrated_url) as database:
        yield database


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """A study with an image of a usual class, and one of a seldom one."""
    folder = tmp_path_factory.mktemp("held")
    dataset = dcmread(get_testdata_file("CT_small.dcm", download=False))
    dataset.StudyInstanceUID = "1.1"
    instances = []
    for number, sop_class in enumerate((CT, SELDOM), 1):
        uid = f"1.1.{number}.1"
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
        dataset.SeriesInstanceUID = f"1.1.{number}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        path = folder / f"{number}.dcm"
        dataset.save_as(path)
        instances.append(instance(uid, sop_class, path))
    return instances


def instance(uid: str, sop_class: str, path: Path) -> InstanceFile:
    return InstanceFile(
        path=path, sop_class_uid=sop_class, sop_instance_uid=uid, transfer_syntax_uid=EXPLICIT
    )


@asynccontextmanager
async def pacs_with(held, folder, **services):
    """Run a PACS that answers each C-GET with these instances; yield a node's configuration."""

    async def get(request):
        return held

    async with acceptor(Services(get=get, **services)) as pacs:
        peer = {"aetitle": "PACS", "host": "127.0.0.1", "port": pacs.port, "retrieve": "get"}
        yield Config(
            node={"host": "127.0.0.1", "port": free_port()},
            storage={"directory": str(folder / "dicom")},
            move={"settle": "0.3s"},
            peers={"pacs": peer},
        )


async def moved(db, config, images):
    """Find the study with so many images, and move it; return its outcome, and the last attempt."""
    async with db.begin() as session:
        await record_found(session, [finding("1.1", images)], peer="pacs")
    tour = await move_chosen(config, db, await choose(db, ["pacs"]))
    ((result,),) = [report.results for report in tour.reports]
    async with db.session() as session:
        attempts = (await session.scalars(select(MoveAttempt).order_by(MoveAttempt.id))).all()
        whose = set(await session.scalars(select(Image.attempt_id)))
    assert whose == {attempts[0].id}
    return result.outcome.value, attempts


async def test_what_nobody_has_named_the_class_of_comes_in_the_same_attempt(db, held, tmp_path):
    async with pacs_with(held, tmp_path) as config:
        outcome, (attempt,) = await moved(db, config, 2)
    assert (outcome, attempt.evidence, attempt.method) == ("complete", "counted", "C-GET")
    assert (attempt.arrived, attempt.completed, attempt.failed) == (2, 2, 0)
    assert (attempt.requests, attempt.failure, attempt.refused) == (2, "none", None)


async def test_an_attempt_names_what_could_not_come_as_nothing_was_agreed_upon_for_it(
    db, held, tmp_path
):
    async def find(request):
        answer = Dataset()
        answer.StudyInstanceUID = "1.1"
        for one in held:
            answer.SeriesInstanceUID = one.sop_instance_uid.rpartition(".")[0]
            if request.identifier.QueryRetrieveLevel == "SERIES":
                yield answer
            elif request.identifier.SeriesInstanceUID == answer.SeriesInstanceUID:
                answer.SOPInstanceUID = one.sop_instance_uid
                answer.SOPClassUID = CT if one.sop_class_uid == CT else COMMITMENT
                yield answer

    async with pacs_with(held[:1], tmp_path, find=find) as config:
        outcome, attempts = await moved(db, config, 2)
    first = attempts[0]
    assert (outcome, first.outcome, first.missing) == ("partial", "partial", ["1.1.2.1"])
    assert first.refused == ["Storage Commitment Push Model SOP Class"]
    assert (first.level, first.arrived) == ("STUDY", 1)
    assert (attempts[1].level, attempts[1].requested) == ("SERIES", 1)


async def test_what_is_chosen_is_left_once_the_time_is_over(db, held, tmp_path):
    async with db.begin() as session:
        await record_found(session, [finding("1.1", 2), finding("1.2", 1)], peer="pacs")
        await record_found(session, [finding("1.3", 1)], peer="other")
    turns = iter([True] * 3)  # before all, before a study is claimed, and just before it is asked
    async with pacs_with(held, tmp_path) as config:
        both = config.model_copy(
            update={
                "peers": {
                    name: config.peer("pacs").model_copy(update={"name": name})
                    for name in ("pacs", "other")
                },
                "move": config.move.model_copy(update={"concurrency": 1}),
            }
        )
        tour = await move_chosen(
            both, db, await choose(db, list(both.peers)), proceed=lambda: next(turns, False)
        )
    assert [(one.peer, len(one.results), one.left) for one in tour.reports] == [
        ("pacs", 1, 1),
        ("other", 0, 1),
    ]
