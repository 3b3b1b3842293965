"""The power fails under `dicom-node run`: at each of its calls, on the worst disk there is."""

import asyncio
import os
import shutil
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from node.config import load_config
from node.ops.receiving.receiver import receiving
from schema import Database
from tests.crash.programme import SUCCESS, Association
from tests.faults.power import TRACED, PowerLoss, digest_of
from tests.faults.programme import ROOT
from tests.faults.stores import make, requests
from tests.support.node import Node
from tests.support.strace import Traced

START_EVERY = [25, pytest.param(3, marks=pytest.mark.long)]
if asked := os.environ.get("POWER_LOSS_START_EVERY"):
    START_EVERY = [int(asked)]
"""At how many of the moments a node is started on what would be left: it takes half a second."""


def objects(number):
    """Return what one sender stores, in its order."""
    study = f"1.2.9.{number}"
    made = [
        make(f"1.2.3.{number}.{n}", study, "first", size=400_000 if n == 2 else 2_000)
        for n in range(5)
    ]
    other = make(made[0].uid, study, "second", size=100)
    return [*made, made[1], other]


class Sender(threading.Thread):
    """Stores objects over one association, one after the other."""

    def __init__(self, port, sent):
        super().__init__()
        self.port = port
        self.sent = sent
        self.statuses = []

    def run(self):
        association = Association(self.port)
        try:
            for number, one in enumerate(self.sent, start=1):
                self.statuses.append(association.request(requests(number, one)))
            association.release()
        finally:
            association._socket.close()


async def initialize(url):
    async with Database(url) as database:
        await database.initialize()


def traced(cli, folder, switches, *, from_the_start=False):
    """Run a node under strace, store some objects, and stop it.

    From the start is from where there is no database yet; else it is made, and durable.
    """
    root = folder / "node"
    node = Node(cli, root, f"sqlite:///{root}/var/index/node.db")
    sent = [objects(number) for number in range(2)]
    env = cli.env({"PYTHONPATH": str(ROOT)})
    lines = []

    def start(name, *args):
        program = [sys.executable, "-m", "tests.support.faulty_node", switches, *args]
        log = folder / f"{name}.trace"
        options = {"calls": TRACED, "log": log, "output": folder / f"{name}.log", "env": env}
        return Traced([*program, "--config", node.config], cwd=ROOT, **options)

    scratch = folder / "scratch"
    scratch.mkdir()
    digests = {}
    for one in (one for some in sent for one in some):
        digests.setdefault(one.uid, []).append(one.digest)
    power = PowerLoss(root, digests, scratch)
    if from_the_start:
        initializing = start("init", "db", "init")
        assert initializing.wait() == 0, initializing.output()
        lines += initializing.log.read_text().splitlines()
    else:
        asyncio.run(initialize(node.database_url))
        power.disk.adopt()
    running = start("run", "run")
    try:
        running.wait_for_line("is listening on")
        senders = [Sender(node.port, some) for some in sent]
        for one in senders:
            one.start()
        for one in senders:
            one.join()
            assert one.statuses == [SUCCESS] * len(one.sent)
        assert running.stop() == 0, running.output()
    finally:
        running.kill()
    return node, lines + running.log.read_text().splitlines(), power


async def index_what_is_left(config):
    """Be a node for as long as it takes to index what is in the spool."""
    async with Database(config.storage.resources) as database:
        await database.check()
        async with receiving(config, database) as receiver:
            async with asyncio.timeout(20):
                await receiver.indexer.wait_idle()


def start_again(node, power):
    """Let a node start on what would be left, and compare what it has with what was promised."""
    for name in ("dicom", "var"):
        shutil.rmtree(node.folder / name)
    power.write_out()
    asyncio.run(index_what_is_left(load_config(node.config)))
    images = node.rows("SELECT image_uid, filepath, sha256 FROM images")
    assert len({row["image_uid"] for row in images}) == len(images)
    rows = images + node.rows("SELECT filepath, sha256 FROM quarantine")
    kept = Counter()
    for row in rows:
        content = Path(row["filepath"]).read_bytes()
        assert digest_of(content) == row["sha256"], row
        kept[row["sha256"]] += 1
    assert max(kept.values()) == 1
    assert kept.keys() >= {digest for _, digest in power.acknowledged}
    # what a node began to place, and did not acknowledge, is not there either
    assert set(node.files()) == {Path(row["filepath"]) for row in rows}


@pytest.mark.parametrize("every", START_EVERY)
def test_at_every_call_what_was_acknowledged_is_on_the_worst_disk(cli, tmp_path, every):
    node, lines, power = traced(cli, tmp_path, "wal=20", from_the_start=True)
    moments, started = 0, 0
    for _ in power.follow(lines):
        moments += bool(power.acknowledged)
        if moments and moments % every == 0:
            start_again(node, power)
            started += 1
    assert power.failures == []
    assert len(power.acknowledged) == 14
    assert moments > 150
    assert started > 3
    assert power.databases > 50


@pytest.mark.parametrize(
    ("switch", "finding"),
    [
        pytest.param("no-file-fsync", "lost: ", marks=pytest.mark.long),
        pytest.param("no-directory-fsync", "lost: ", marks=pytest.mark.long),
        ("no-sqlite-sync", "the database is damaged: "),
    ],
)
def test_a_node_that_leaves_out_a_sync_is_found(cli, tmp_path, switch, finding):
    _, lines, power = traced(cli, tmp_path, f"wal=20,{switch}")
    for _ in power.follow(lines):
        if any(finding in failure for failure in power.failures):
            break
    assert any(finding in failure for failure in power.failures)
