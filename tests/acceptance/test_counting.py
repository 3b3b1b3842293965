"""Studies of which a PACS does not say how many images they have: counted, kept, and moved."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import free_port

DATES = ("--from", "2024-01-01", "--to", "2024-01-03")


@pytest.fixture
def port() -> int:
    return free_port()


@contextmanager
def pacs(node: Node, folder: Path, port: int, **behaviour: object) -> Iterator[None]:
    """Serve a folder by a PACS that behaves so."""
    path = node.folder / f"behaviour-{len(list(node.folder.glob('behaviour-*')))}.yaml"
    path.write_text(json.dumps(behaviour), encoding="utf-8")
    destination = f"{node.aetitle}=127.0.0.1:{node.port}"
    process = node.cli.start(
        *("simulate", folder, "--behaviour", path, "--aetitle", "PACS", "--port", str(port)),
        *("--destination", destination),
        log=path.with_suffix(".log"),
    )
    try:
        process.wait_for_port(port)
        yield
    finally:
        process.terminate()


def sources(node: Node) -> list[tuple[object, ...]]:
    names = "expected_images, counted_by, counted_series, counted_images, counted_short"
    rows = node.rows(f"SELECT {names} FROM study_sources ORDER BY study_find_id")
    return [tuple(row.values()) for row in rows]


WITHOUT = {"omit": ["NumberOfStudyRelatedInstances"]}


def test_a_find_counts_what_is_not_told_and_names_what_falls_short(
    cli, tmp_path, migrated_sqlite_url, port
):
    node = Node(
        cli,
        tmp_path / "node",
        migrated_sqlite_url,
        peers={"pacs": ("PACS", port)},
        settings={"find": {"counts": True}, "move": {"settle": "1s"}},
    )
    made = generate(tmp_path / "made", studies=2, series=2, images=2)
    one = min(image.study_uid for image in made)
    folder = tmp_path / "pacs"
    folder.mkdir()
    for number, image in enumerate(made):
        shutil.copy(image.path, folder / f"{number}.dcm")

    with pacs(node, folder, port, **WITHOUT, short={"SERIES": 1}):
        told = node("find", "pacs", *DATES)
        assert "pacs: 2 studies could not be counted: its answers fall short" in told.stderr
        short = "names 1 of the study's 2 series"
        assert sources(node) == [(None, "series", 1, 2, short)] * 2
        assert node.value("SELECT count(expected_images) FROM studies_find") == 0
        node("move", "pacs", "--study", one)
        shown = {study["study_uid"]: study for study in node.json("status")["studies"]}
        assert shown[one]["state"] == "partial"
        assert shown[one]["last_error"] == f"pacs {short}: it has at least 2 images"
        assert shown[one]["received_images"] == 4, "all came, and nobody vouches for it"
        (source,) = shown[one]["sources"]
        assert (source["counted_images"], source["counted_short"]) == (2, short)

    with pacs(node, folder, port, **WITHOUT):
        node.change("UPDATE study_sources SET counted_on = NULL")
        found = node.json("find", "pacs", *DATES)
        assert (found["counted"], found["short"]) == (2, 0)
        assert sources(node) == [(None, "series", 2, 4, None)] * 2
        again = node.json("find", "pacs", *DATES)
        assert again["counted"] == 0, "it is known"
        assert node.value("SELECT count(*) FROM cycles WHERE kind = 'count'") == 2
        moved = node.json("move", "pacs")
        assert [study["outcome"] for study in moved["studies"]] == ["complete"] * 2


def test_a_series_without_a_count_is_counted_image_by_image_when_it_is_moved(
    cli, tmp_path, migrated_sqlite_url, port
):
    node = Node(cli, tmp_path / "node", migrated_sqlite_url, peers={"pacs": ("PACS", port)})
    made = generate(tmp_path / "made", studies=1, series=2, images=2)
    folder = tmp_path / "pacs"
    folder.mkdir()
    for number, image in enumerate(made):
        shutil.copy(image.path, folder / f"{number}.dcm")
    counts = [
        "NumberOfStudyRelatedInstances",
        "NumberOfStudyRelatedSeries",
        "NumberOfSeriesRelatedInstances",
    ]
    with pacs(node, folder, port, omit=counts):
        node.ok("find", "pacs", *DATES)
        assert sources(node) == [(None, None, None, None, None)], "nobody needs it yet"
        node.ok("move", "pacs")
    assert sources(node) == [(None, "image", 2, 4, None)]
    assert node.value("SELECT retrieved_on IS NOT NULL FROM studies_find")
