"""Sending to peers that drop the association: every file has its answer, and the rest goes on."""

import asyncio
import json
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.filereader import read_file_meta_info
from pydicom.uid import CTImageStorage
from pynetdicom import AE, evt

from node.errors import StorageError
from node.net import serve
from node.net.dimse.sendable import Sendable
from node.net.dimse.sinks import whole
from node.net.messages import Peer, Services
from node.ops.send import send
from node.storage.files import identify
from tests.support.acceptors import acceptor
from tests.support.images import dataset_bytes, generate
from tests.support.node import Node
from tests.support.processes import free_port


class Pacs:
    """Takes what it is sent, but drops the association on some objects."""

    def __init__(self, drops):
        self.drops = drops
        self.port = 0
        self.associations = 0
        self.kept = {}
        self._acceptor = None

    async def _store(self, request, dataset):
        self.kept[request.sop_instance_uid] = dataset
        return 0x0000

    def _open(self, request):
        if self.drops(request.sop_instance_uid):
            for visit in list(self._acceptor._visits):
                visit.close()
        return whole(self._store)(request)

    async def _serve(self, ready, over):
        async with acceptor(Services(store=self._open)) as self._acceptor:
            established = self._acceptor._reception.established

            def count(visit, session):
                self.associations += 1
                established(visit, session)

            object.__setattr__(self._acceptor._reception, "established", count)
            self.port = self._acceptor.port
            ready.set()
            await asyncio.to_thread(over.wait)

    @contextmanager
    def running(self):
        ready, over = threading.Event(), threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready, over)))
        thread.start()
        try:
            assert ready.wait(20)
            yield self
        finally:
            over.set()
            thread.join(20)


@pytest.fixture
def images(tmp_path):
    return generate(tmp_path / "images", images=10)


def sender(cli, tmp_path, port):
    return Node(cli, tmp_path / "node", "sqlite:///unused.db", peers={"pacs": ("PACS", port)})


def test_a_file_on_which_the_association_is_lost_is_named_and_the_others_are_sent(
    cli, tmp_path, images
):
    bad = {images[3].sop_instance_uid, images[6].sop_instance_uid}
    with Pacs(lambda uid: uid in bad).running() as pacs:
        result = sender(cli, tmp_path, pacs.port)("send", "pacs", tmp_path / "images")
    assert result.code == 1, result
    assert "pacs: 8 of 10 files sent" in result.stdout
    for image in images:
        line = f"{image.path}: pacs: the association ended before the C-STORE was answered"
        assert (line in result.stderr) == (image.sop_instance_uid in bad)
        there = pacs.kept.pop(image.sop_instance_uid, None)
        assert there == dataset_bytes(image.path) or image.sop_instance_uid in bad
    assert pacs.kept == {}
    assert pacs.associations == 3


def test_after_a_few_losses_in_a_row_the_rest_is_named_as_not_tried(cli, tmp_path, images):
    sound = images[0].sop_instance_uid
    with Pacs(lambda uid: uid != sound).running() as pacs:
        document = sender(cli, tmp_path, pacs.port).json(
            "send", "pacs", tmp_path / "images", code=1
        )
    assert document["sent"] == 1
    messages = {failed["path"]: failed["message"] for failed in document["failed"]}
    assert messages.keys() == {str(image.path) for image in images[1:]}
    assert sum(message.startswith("not tried: ") for message in messages.values()) == 5
    error = document["error"]
    assert (error["kind"], error["exit_code"]) == ("failed", 1)
    assert "the association ended before the C-STORE was answered" in error["message"]
    assert pacs.associations == 4


def test_a_peer_that_is_not_there_is_told_in_the_document_with_every_file(cli, tmp_path, images):
    node = sender(cli, tmp_path, free_port())
    result = node("send", "pacs", tmp_path / "images", "--json")
    document = json.loads(result.stdout)
    assert result.code == 3
    assert (document["sent"], len(document["failed"])) == (0, 10)
    error = document["error"]
    assert (error["kind"], error["exit_code"]) == ("peer", 3)
    assert "nobody answers" in error["message"]
    shown = node("send", "pacs", tmp_path / "images")
    said = f"dicom-node: {error['message']}; 10 files are not sent for this\n"
    assert said in shown.stderr
    assert said in result.stderr
    assert shown.stderr.count("nobody answers") == 1
    assert "send to pacs: 0 files, 10 files not sent, " in shown.stderr
    assert "/s" not in shown.stderr


def test_what_a_peer_takes_nothing_of_is_said_once_with_how_many_files(cli, tmp_path, images):
    ae = AE(ae_title="PACS")
    ae.add_supported_context(CTImageStorage)
    handlers = [(evt.EVT_C_STORE, lambda _: 0x0000)]
    some = [tmp_path / "images", get_testdata_file("CT_small.dcm")]
    with serve(ae, ("127.0.0.1", 0), block=False, evt_handlers=handlers) as pacs:
        node = sender(cli, tmp_path, pacs.server_address[1])
        mixed, none = node("send", "pacs", *some), node("send", "pacs", some[0])
    assert (mixed.code, mixed.stdout) == (1, "pacs: 1 of 11 files sent\n")
    assert mixed.stderr.count("pacs does not take SOP class MR Image Storage") == 1
    assert "10 files are not sent: pacs does not take" in mixed.stderr
    assert "; --json names them\n" in mixed.stderr
    assert (none.code, none.stdout) == (3, "pacs: 0 of 10 files sent\n")
    assert none.stderr.count("accepts none of what we need") == 1
    assert "; 10 files are not sent for this\n" in none.stderr


async def test_a_file_that_cannot_be_read_to_its_end_costs_no_other_one(images, monkeypatch):
    """Whoever sends cannot take back the command: the association is aborted, and made again."""
    kept = []

    async def store(request, dataset):
        kept.append(request.sop_instance_uid)
        return 0x0000

    async def part(sendable, part=Sendable.part):
        if sendable.path == images[2].path:
            raise StorageError("the disk has gone")
        return await part(sendable)

    monkeypatch.setattr(Sendable, "part", part)
    async with acceptor(Services(store=whole(store))) as pacs:
        peer = Peer(
            name="pacs", aetitle="PACS", host="127.0.0.1", port=pacs.port, calling_aetitle="ME"
        )
        report = await send(peer, [image.path for image in images])
    assert report.trouble is None
    assert [(one.path, one.message) for one in report.results if not one.sent] == [
        (images[2].path, "the disk has gone")
    ]
    assert len(kept) == report.sent == 9


def test_a_file_is_named_as_its_dataset_names_it():
    """What is sent is asked to be committed under the name under which it is sent."""
    path = Path(get_testdata_file("rtplan.dcm"))
    assert identify(path).sop_instance_uid == dcmread(path).SOPInstanceUID
    assert read_file_meta_info(path).MediaStorageSOPInstanceUID != dcmread(path).SOPInstanceUID


async def test_what_a_peer_does_not_take_is_named_as_the_standard_does(images):
    ae = AE(ae_title="PACS")
    ae.add_supported_context(CTImageStorage)
    handlers = [(evt.EVT_C_STORE, lambda _: 0x0000)]
    with serve(ae, ("127.0.0.1", 0), block=False, evt_handlers=handlers) as pacs:
        port = pacs.server_address[1]
        peer = Peer(name="pacs", aetitle="PACS", host="127.0.0.1", port=port, calling_aetitle="ME")
        report = await send(peer, [Path(get_testdata_file("CT_small.dcm")), images[0].path])
    assert [one.message for one in report.results if not one.sent] == [
        "pacs does not take SOP class MR Image Storage (1.2.840.10008.5.1.4.1.1.4) in transfer"
        " syntax Explicit VR Little Endian (1.2.840.10008.1.2.1)"
    ]
    assert report.sent == 1
