"""Moving from a PACS that has a DICOMweb service alone: found, fetched, verified, and repaired."""

from __future__ import annotations

import pytest

from tests.support.images import Generated, dataset_bytes, generate
from tests.support.node import Node
from tests.support.qido_server import QidoServer, Reply, good
from tests.support.wado_server import web_archive

DATES = ("--from", "2024-01-01", "--to", "2024-01-05")
ATTEMPTS = (
    "SELECT a.method, a.level, a.requested, a.requests, a.outcome, a.evidence, a.arrived, a.missing"
    " FROM move_attempts a ORDER BY a.id"
)


@pytest.fixture
def cli(inside):
    return inside


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Generated]:
    return generate(tmp_path_factory.mktemp("images"), studies=2, series=2, images=3)


def node_at(cli, folder, database_url, server, **node) -> Node:
    settings = {"peers": {"web": {"url": server.url}}, "node": {"aetitle": "NODE", **node}}
    settings["move"] = {"settle": "2s"}
    return Node(cli, folder / "node", database_url, settings=settings)


def retrieved(server: QidoServer) -> list[str]:
    """Return what was fetched, below the service's URL."""
    fetched = [one for one in server.asked if one.headers["accept"].startswith("multipart")]
    return [one.path.removeprefix("/dicom-web/") for one in fetched]


def lose(node: Node, images: list[Generated]) -> None:
    """Remove files behind the node's back, and have it notice."""
    paths = node.stored()
    for image in images:
        paths[image.sop_instance_uid].unlink()
    told = node.json("verify", "--reopen", code=1)
    assert told["reopened"]["gone"] == len(images)


def test_studies_are_fetched_and_verified_by_name_and_only_what_is_lost_is_fetched_again(
    cli, tmp_path, migrated_url, images
):
    first = images[0].study_uid
    one, *_, of_other = (image for image in images if image.study_uid == first)
    with web_archive(images) as server:
        node = node_at(cli, tmp_path, migrated_url, server)
        node.ok("find", "web", *DATES)
        moved = node.json("move", "web")
        assert [study["outcome"] for study in moved["studies"]] == ["complete"] * 2
        assert sorted(retrieved(server)) == sorted({f"studies/{i.study_uid}" for i in images})
        lose(node, [one, *(i for i in images if i.series_uid == of_other.series_uid)])
        server.asked.clear()
        with node.running():
            again = node.json("move", "web")
        assert [study["outcome"] for study in again["studies"]] == ["complete"]
        assert retrieved(server) == [
            f"studies/{first}/series/{one.series_uid}/instances/{one.sop_instance_uid}",
            f"studies/{first}/series/{of_other.series_uid}",
        ]
    stored = {uid: dataset_bytes(path) for uid, path in node.stored().items()}
    assert stored == {i.sop_instance_uid: dataset_bytes(i.path) for i in images}
    whole = {"method": "WADO-RS", "outcome": "retrieved", "evidence": "listed", "missing": None}
    study = whole | {"level": "STUDY", "requested": None, "requests": 1, "arrived": 6}
    repair = whole | {"level": "IMAGE", "requested": 2, "requests": 2, "arrived": 4}
    assert node.rows(ATTEMPTS) == [study, study, repair]
    whose = "SELECT DISTINCT i.source, a.peer FROM images i LEFT JOIN move_attempts a ON {}"
    assert node.rows(whose.format("a.id = i.attempt_id")) == [{"source": "web", "peer": "web"}]


def studies_alone(server, search):
    """Search studies, and nothing below."""
    return good(server, search) if search.path.endswith("/studies") else Reply(status=404)


@pytest.mark.parametrize(
    ("beside", "known_only"),
    [(False, False), (True, False), (True, True)],
    ids=["here", "beside", "beside one that takes from known peers only"],
)
def test_where_no_images_are_listed_those_that_it_has_sent_are_counted(
    cli, tmp_path, migrated_sqlite_url, images, beside, known_only
):
    few = [image for image in images if image.study_uid == images[0].study_uid]
    with web_archive(few, studies_alone) as server:
        node = node_at(cli, tmp_path, migrated_sqlite_url, server, known_peers_only=known_only)
        node.ok("find", "web", *DATES)
        if beside:
            with node.running():
                moved = node.json("move", "web")
        else:
            moved = node.json("move", "web")
    assert [study["outcome"] for study in moved["studies"]] == ["complete"], moved
    assert node.value("SELECT evidence FROM study_sources") == "counted"
    whose = "SELECT DISTINCT i.source, a.peer FROM images i LEFT JOIN move_attempts a ON {}"
    assert node.rows(whose.format("a.id = i.attempt_id")) == [{"source": "web", "peer": "web"}]
