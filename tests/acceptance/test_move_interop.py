"""Real PACSs, by each way that they have: moved, and repaired by what is missing here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from schema import Database, record_found
from tests.support.images import Generated, dataset_bytes, generate
from tests.support.node import Node
from tests.support.peers.dcmtk import DcmQrScp, storescu
from tests.support.peers.orthanc import Orthanc, dicomweb
from tests.support.peers.qrscp import QrScp
from tests.support.processes import LOOPBACK, free_port

pytestmark = pytest.mark.peers

DATES = ("--from", "2024-01-01", "--to", "2024-01-03")
IMAGES = 3
WAYS = {"C-MOVE": "move", "C-GET": "get", "WADO-RS": "wado"}
ATTEMPTS = (
    "SELECT method, level, requested, arrived, completed, failed, refused, outcome, evidence"
    " FROM move_attempts ORDER BY id"
)


@pytest.fixture
def cli(inside):
    return inside


@dataclass
class Archive:
    """A PACS with the images; `port` is where it sends to, as the AE title NODE.

    One that does not match empty keys finds nothing that is asked to be told.
    """

    settings: dict[str, Any]
    port: int
    finds: bool = True

    def node(self, cli, folder: Path, database_url: str, way: str) -> Node:
        peer = {"host": LOOPBACK, "retrieve": way, **self.settings}
        settings = {"peers": {"pacs": peer}, "move": {"settle": "2s"}}
        return Node(cli, folder / "node", database_url, settings=settings, port=self.port)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Generated]:
    return generate(tmp_path_factory.mktemp("images"), series=2, images=IMAGES)


@pytest.fixture(scope="module")
def archive(request, tmp_path_factory: pytest.TempPathFactory, images) -> Iterator[Archive]:
    maker, port = request.param, free_port()
    folder, paths = tmp_path_factory.mktemp(maker.__name__), [image.path for image in images]
    if maker is Orthanc:
        with Orthanc(folder, peers={"NODE": port}, settings=dicomweb()) as pacs:
            pacs.fill(paths)
            yield Archive({"aetitle": "ORTHANC", "port": pacs.port, "url": pacs.url}, port)
        return
    with maker(folder, peers={"NODE": port}) as pacs:
        assert storescu(pacs.port, *paths, called=pacs.aetitle).code == 0
        yield Archive({"aetitle": pacs.aetitle, "port": pacs.port}, port, finds=maker is not QrScp)


def find(node: Node, archive: Archive, study: str) -> None:
    if archive.finds:
        assert node.json("find", "pacs", *DATES)["found"] == 1
        return

    async def record() -> None:
        answer = Dataset()
        answer.StudyInstanceUID, answer.NumberOfStudyRelatedInstances = study, 2 * IMAGES
        async with Database(node.database_url) as database:
            await database.run(record_found, [answer], peer="pacs")

    asyncio.run(record())


def lose(node: Node, images: list[Generated], *command: str) -> None:
    """Remove files behind the node's back, and have it notice with a command of its own."""
    paths = node.stored()
    for image in images:
        paths[image.sop_instance_uid].unlink()
    node(*command)
    assert node.value("SELECT state FROM studies_find") == "partial"


SLOWLY = pytest.mark.long


@pytest.mark.parametrize(
    ("archive", "method"),
    [
        (Orthanc, "C-MOVE"),
        (Orthanc, "C-GET"),
        (Orthanc, "WADO-RS"),
        (DcmQrScp, "C-GET"),
        (QrScp, "C-GET"),
        pytest.param(DcmQrScp, "C-MOVE", marks=SLOWLY),
        pytest.param(QrScp, "C-MOVE", marks=SLOWLY),
    ],
    indirect=["archive"],
)
def test_a_study_comes_and_what_is_lost_of_it_is_asked_for_by_series_and_by_image(
    cli, tmp_path, migrated_sqlite_url, archive, images, method
):
    node = archive.node(cli, tmp_path, migrated_sqlite_url, WAYS[method])
    find(node, archive, images[0].study_uid)
    first, second = images[:IMAGES], images[IMAGES:]
    assert node.json("move", "pacs")["studies"][0]["outcome"] == "complete"
    lose(node, [*first, second[1]], "verify", "--reopen")
    assert node.json("move", "pacs")["studies"][0]["outcome"] == "complete"
    came = [2 * IMAGES, IMAGES + 1]
    levels = [("STUDY", None, 2 * IMAGES), ("IMAGE", 2, IMAGES + 1)]
    if method == "C-GET":
        lose(node, second, "reconcile", "--fix")
        assert node.json("move", "pacs")["studies"][0]["outcome"] == "complete"
        came.append(IMAGES)
        levels.append(("SERIES", 1, IMAGES))

    for image in images:
        path = node.stored()[image.sop_instance_uid]
        if dataset_bytes(path) != dataset_bytes(image.path):  # dcmqrscp's C-GET writes it anew
            assert (archive.settings["aetitle"], method) == ("DCMQRSCP", "C-GET")
            assert pydicom.dcmread(path) == pydicom.dcmread(image.path)
    told = node.rows(ATTEMPTS)
    assert [(one["arrived"], one["outcome"]) for one in told] == [(n, "retrieved") for n in came]
    assert {one["method"] for one in told} == {method}
    assert [(one["failed"] or 0, one["refused"]) for one in told] == [(0, None)] * len(came)
    if not archive.finds:  # nor does it list images: the whole study is asked for
        levels = [("STUDY", None, 2 * IMAGES)] * len(came)
    assert [(one["level"], one["requested"], one["completed"]) for one in told] == levels
    assert {one["evidence"] for one in told} == {"listed" if archive.finds else "counted"}
