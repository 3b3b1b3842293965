"""The folder that takes what is fetched: names, partial files, and what nobody asked for."""

from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from node.dicom.status import Status
from node.net.messages import Caller, StoreRequest
from node.ops.fetching.folder import FetchFolder
from node.ops.fetching.report import Fetched, StudyFetch
from node.ops.fetching.wish import Selected
from schema.moving.senders import Senders
from tests.support.images import dataset_bytes, generate

MR = "1.2.840.10008.5.1.4.1.1.4"
SENDERS = Senders(peers={"PACS": frozenset({"pacs"})}, ours=frozenset({"NODE"}))


@pytest.fixture
def made(tmp_path):
    return generate(tmp_path / "images", studies=2, images=2)


@pytest.fixture
async def folder(tmp_path):
    taking = FetchFolder(tmp_path / "out", by_study=False, senders=SENDERS)
    await taking.start()
    yield taking
    await taking.close()
    out = tmp_path / "out"
    assert not out.exists() or {path.suffix for path in out.iterdir()} == {".dcm"}


def request(uid, *, caller="PACS", originator=""):
    return StoreRequest(
        caller=Caller(aetitle=caller, address="127.0.0.1", port=104),
        sop_class_uid=MR,
        sop_instance_uid=uid,
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        originator=originator,
    )


async def stored(folder, data, uid, **options):
    sink = folder.open(request(uid, **options))
    sink.write(data)
    return await sink.finish()


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_file())


async def test_a_name_of_the_network_is_never_a_path(folder, made, tmp_path):
    study = StudyFetch(selected=Selected(study_uid=made[0].study_uid))
    folder.expect(study, only_from=None)
    for uid in ("../../evil", "/etc/evil", "", "." * 3, "a\0b"):
        assert await stored(folder, dataset_bytes(made[0].path), uid) == Status.SUCCESS
    await folder.finish()
    assert len(names(tmp_path)) == 5
    assert all(name.startswith("uid-") for name in names(tmp_path))
    remarks = [one.remark for one in study.images.values()]
    assert all("names another SOP Instance UID" in remark for remark in remarks)


async def test_what_is_not_sent_to_its_end_leaves_nothing(folder, made, tmp_path):
    study = StudyFetch(selected=Selected(study_uid=made[0].study_uid))
    folder.expect(study, only_from=None)
    sink = folder.open(request(made[0].sop_instance_uid))
    sink.write(dataset_bytes(made[0].path)[:100])
    await sink.drained()
    sink.discard()
    await folder.finish()
    assert (names(tmp_path), study.images) == ([], {})


async def test_what_nobody_asked_for_is_left_with_its_sender(folder, made, tmp_path):
    one, other = made[0], made[-1]
    study = StudyFetch(selected=Selected(study_uid=one.study_uid))
    data = dataset_bytes(one.path)
    assert await stored(folder, data, one.sop_instance_uid) == Status.OUT_OF_RESOURCES
    folder.expect(study, only_from="pacs")
    for options, status in (
        ({"caller": "STRANGER"}, Status.OUT_OF_RESOURCES),
        ({"caller": "STRANGER", "originator": "NODE"}, Status.SUCCESS),
        ({}, Status.SUCCESS),
    ):
        assert await stored(folder, data, one.sop_instance_uid, **options) == status
    foreign = await stored(folder, dataset_bytes(other.path), other.sop_instance_uid)
    assert foreign == Status.OUT_OF_RESOURCES
    folder.expect(study, only_from=None)
    foreign = await stored(folder, dataset_bytes(other.path), other.sop_instance_uid)
    assert foreign == Status.DATASET_MISMATCH
    assert study.unasked == 2
    assert names(tmp_path) == [f"{one.sop_instance_uid}.dcm"]


async def test_a_file_that_is_there_is_never_replaced(folder, made, tmp_path):
    one, other = made[:2]
    study = StudyFetch(selected=Selected(study_uid=one.study_uid))
    folder.expect(study, only_from=None)
    uid = one.sop_instance_uid
    (tmp_path / "out" / f"{uid}.dcm").write_bytes(b"a note")
    for _ in range(2):
        assert await stored(folder, dataset_bytes(one.path), uid) == Status.SUCCESS
    assert await stored(folder, dataset_bytes(other.path), uid) == Status.SUCCESS
    await folder.finish()
    assert names(tmp_path) == [f"{uid}-2.dcm", f"{uid}-3.dcm", f"{uid}.dcm"]
    assert (tmp_path / "out" / f"{uid}.dcm").read_bytes() == b"a note"
    assert study.images[uid].placed is Fetched.APART


async def test_what_a_dead_process_has_left_is_removed(made, tmp_path):
    left = tmp_path / "out" / ".fetch.dead.part"
    left.mkdir(parents=True)
    (left / "half.part").write_bytes(b"half")
    taking = FetchFolder(tmp_path / "out", by_study=True, senders=SENDERS)
    await taking.start()
    assert not left.exists()
    await taking.close()
    assert list((tmp_path / "out").iterdir()) == []
