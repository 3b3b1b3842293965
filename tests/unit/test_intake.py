"""What a move sees of a node that runs beside it: the disk, and the spool."""

import os

import pytest

from node.ops.receiving import gate as gates
from node.ops.receiving.intake import IntakeBeside


@pytest.fixture
async def beside(tmp_path, monkeypatch):
    monkeypatch.setattr(gates, "_LOOK_EVERY", 0.0)
    (tmp_path / ".spool" / "1-a").mkdir(parents=True)
    intake = IntakeBeside(tmp_path)
    yield intake
    intake.close()


def receive(folder, *names):
    paths = {folder / ".spool" / "1-a" / name for name in names}
    for path in paths:
        path.touch()
    return paths


async def test_images_can_come_where_there_is_room(beside, tmp_path):
    receive(tmp_path, "1.dcm")
    assert await beside.closed() is None


async def test_what_is_acknowledged_and_not_indexed_is_told(beside, tmp_path):
    waiting = receive(tmp_path, "1.dcm", "2.dcm")
    receive(tmp_path, "3.part")
    assert await beside.arrived() == waiting


async def test_no_images_can_come_while_too_many_wait_in_the_spool(beside, tmp_path, monkeypatch):
    monkeypatch.setattr(gates, "MOST_BACKLOG", 3)
    waiting = receive(tmp_path, *(f"{number}.dcm" for number in range(4)))
    assert await beside.closed() == "4 objects wait to be indexed: the index does not keep up"
    for _ in range(2):
        waiting.pop().unlink()
    assert await beside.closed() is not None  # until half is left
    waiting.pop().unlink()
    assert await beside.closed() is None


async def test_no_images_can_come_while_the_disk_is_nearly_full(beside, monkeypatch):
    monkeypatch.setattr(gates, "FLOOR_BYTES", 1 << 60)
    assert "are free below the storage directory" in await beside.closed()


async def test_a_spool_that_cannot_be_looked_at_lets_nothing_come(beside, monkeypatch):
    def failing(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "statvfs", failing)
    assert "Permission denied" in await beside.closed()


async def test_a_node_that_receives_elsewhere_cannot_be_judged_from_here(tmp_path):
    intake = IntakeBeside(tmp_path / "nothing here")
    assert await intake.closed() is None
    intake.close()
