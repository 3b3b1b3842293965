"""A disk that is full: objects are refused until there is room again, and then taken by themselves.

The disk is a tmpfs of 64 MB in a mount namespace of the node's own: nothing is left of it when
the node has ended, however that happens.
"""

import hashlib
import json
import os
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.crash.programme import OUT_OF_RESOURCES, SUCCESS
from tests.faults.programme import ROOT
from tests.faults.stores import make, send
from tests.support.images import dataset_bytes
from tests.support.node import Node
from tests.support.processes import Process
from tests.support.waiting import wait_until

MOUNT = 'mount -t tmpfs -o size=64m tmpfs "$0" && cp "$EMPTY" "$0/node.db" && '
RUN = 'exec "$@" run --config "$CONFIG"'

ALONE = ("unshare", "--user", "--map-root-user", "--mount")
ROWS = """
import json, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30)
print(json.dumps(connection.execute("SELECT image_uid, filepath, sha256 FROM images").fetchall()))
"""


class SmallDisk:
    """A node whose storage directory and database are on a tmpfs that only it sees."""

    def __init__(self, cli, folder, empty, switches):
        self.disk = folder / "disk"
        self.disk.mkdir(parents=True)
        self.database = self.disk / "node.db"
        self.node = Node(cli, folder / "node", f"sqlite:///{self.database}")
        self.node.directory = self.disk / "dicom"
        self.node.configure({})
        program = [sys.executable, "-m", "tests.support.faulty_node", switches]
        self.process = Process(
            [*ALONE, "sh", "-c", MOUNT + RUN, self.disk, *program],
            log=folder / "node.log",
            cwd=ROOT,
            env=cli.env(
                {"PYTHONPATH": str(ROOT), "CONFIG": str(self.node.config), "EMPTY": str(empty)}
            ),
        )

    def inside(self, *command):
        """Run a command where the node's disk is."""
        enter = ["nsenter", "--target", str(self.process.pid), "--user", "--mount"]
        return subprocess.run(
            [*enter, "--preserve-credentials", *map(str, command)],
            capture_output=True,
            text=True,
            timeout=60,
        )

    def resize(self, size):
        done = self.inside("mount", "-o", f"remount,size={size}", self.disk)
        assert done.returncode == 0, done.stderr

    def seen(self, path):
        """Return where we see a file of the node's."""
        return Path(f"/proc/{self.process.pid}/root{path}")

    def files(self):
        found = self.seen(self.node.directory).rglob("*")
        return [path for path in found if path.is_file() and path.name != ".storage-id"]

    def spooled(self):
        return [path for path in self.files() if ".spool" in path.parts]

    def free(self):
        found = os.statvfs(self.seen(self.disk))
        return found.f_bavail * found.f_frsize

    def rows(self):
        # SQLite would follow the way through /proc to a file of this name among ours
        asked = self.inside(sys.executable, "-c", ROWS, self.database)
        assert asked.returncode == 0, asked.stderr
        return json.loads(asked.stdout)

    def send(self, sent):
        return send(self.node.port, sent)


@contextmanager
def small_disk(cli, folder, empty, switches):
    if subprocess.run([*ALONE, "true"]).returncode:
        pytest.skip("no mount namespace can be made here: it takes root, or user namespaces")
    disk = SmallDisk(cli, folder, empty, switches)
    try:
        disk.process.wait_for_line("is listening on")
        yield disk
    except BaseException:
        disk.process.terminate()
        raise
    assert disk.process.terminate(timeout=30) == 0, disk.process.output()


def test_a_disk_that_fills_up_within_a_write_loses_nothing(cli, tmp_path, sqlite_template):
    with small_disk(cli, tmp_path, sqlite_template, "no-floor") as disk:
        ballast = disk.seen(disk.disk) / "ballast"
        acknowledged, refused, number = {}, [], 0

        def fill(size, refusals):
            """Store objects until so many were refused one after the other."""
            nonlocal number
            while refusals:
                number += 1
                sent = make(f"1.2.3.{number}", f"1.2.9.{number % 3}", "x", size=size)
                status = disk.send(sent)
                assert status in (SUCCESS, OUT_OF_RESOURCES)
                if status == SUCCESS:
                    acknowledged[sent.uid] = sent
                else:
                    refused.append(sent)
                    refusals -= 1

        ballast.write_bytes(b"x" * 30_000_000)
        fill(2_500_000, 3)
        fill(30_000, 3)
        assert disk.free() < 100_000
        with ballast.open("ab", buffering=0) as file, suppress(OSError):  # to the last byte
            while True:
                file.write(b"x" * 4096)
        fill(3_000, 3)
        assert disk.process.running
        assert len(acknowledged) > 10

        ballast.unlink()
        for sent in refused:
            assert disk.send(sent) == SUCCESS
            acknowledged[sent.uid] = sent
        wait_until(lambda: not disk.spooled(), 60, describe=disk.process.output)
        rows = disk.rows()
        assert {uid for uid, _, _ in rows} == acknowledged.keys()
        assert len(rows) == len(acknowledged)
        for uid, path, sha256 in rows:
            digest = hashlib.sha256(dataset_bytes(disk.seen(path))).hexdigest()
            assert digest == sha256 == acknowledged[uid].digest
        assert set(disk.files()) == {disk.seen(path) for _, path, _ in rows}
    assert "No space left on device" in disk.process.output()


def test_a_node_takes_nothing_below_its_floor_and_goes_on_when_there_is_room(
    cli, tmp_path, sqlite_template
):
    with small_disk(cli, tmp_path, sqlite_template, "-") as disk:
        numbers = iter(range(1, 1000))

        def becomes(expected):
            """Store until the answer is the expected one: free space is looked at now and then."""

            def answered():
                status = disk.send(make(f"1.2.3.{next(numbers)}", "1.2.9", "x"))
                assert status in (SUCCESS, OUT_OF_RESOURCES)
                taken.append(status)
                return status == expected

            wait_until(answered, 10, interval=0.05)

        taken = []
        becomes(OUT_OF_RESOURCES)
        assert taken == [OUT_OF_RESOURCES]
        assert disk.files() == []
        for size, status in (("1g", SUCCESS), ("128m", OUT_OF_RESOURCES), ("1g", SUCCESS)):
            disk.resize(size)
            becomes(status)
        wait_until(lambda: not disk.spooled(), 20, describe=disk.process.output)
        assert len(disk.rows()) == len(disk.files()) == taken.count(SUCCESS)
    output = disk.process.output()
    assert "No objects are taken: less than 256 MB are free" in output
    assert "Objects are taken again" in output
