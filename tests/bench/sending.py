"""The ways in which the receiving benchmark gets images to a receiver, each with its clock.

Each of them returns how many images arrived in a second. The clock starts when the first image may
leave, and stops when the last one is in the receiver's index; where there is no index, when the
last response has come, or the program that sends has ended.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.bench.receivers import OrthancReceiver, Receiver, shipped_environment
from tests.support.peers.orthanc import Orthanc
from tests.support.peers.programs import find_program
from tests.support.processes import LOOPBACK
from tests.support.waiting import wait_until

# One measurement is limited to this many seconds, whatever happens.
LIMIT = 900.0


def send(receiver: Receiver, folder: Path, *, images: int, associations: int, manner: str) -> float:
    """Send with `tests.bench.sender`, which see for `manner`."""
    rate, _ = send_counted(
        receiver, folder, images=images, associations=associations, manner=manner
    )
    return rate


def send_counted(
    receiver: Receiver, folder: Path, *, images: int, associations: int, manner: str
) -> tuple[float, float]:
    """Do as `send`, and return also the seconds of a processor that the sender has used."""
    before = receiver.count()
    names = (str(receiver.port), receiver.aetitle, str(associations), str(folder), manner)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.sender", *names],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as sender:
        assert sender.stdin is not None
        assert sender.stdout is not None
        if sender.stdout.readline().strip() != "ready":
            raise SystemExit(f"the sender cannot send to {receiver.name}")
        started = time.perf_counter()
        sender.stdin.write("go\n")
        sender.stdin.flush()
        line = sender.stdout.readline()
        seconds = _until_indexed(receiver, before, images) - started
    answer = json.loads(line) if line else {"statuses": "no answer", "cpu_seconds": 0}
    statuses = answer["statuses"]
    if statuses != {"0x0000": images}:
        raise SystemExit(f"{receiver.name} did not take every image: {statuses}")
    return images / seconds, float(answer["cpu_seconds"])


def send_with_storescu(receiver: Receiver, folder: Path, *, images: int) -> float:
    """Send with DCMTK's storescu as Debian ships it: it leaves Nagle's algorithm on."""
    before, kept = receiver.count(), receiver.kept()
    names = ("-aec", receiver.aetitle, LOOPBACK, str(receiver.port))
    started = time.perf_counter()
    _run("storescu", "-R", "+sd", "+r", *names, folder)
    rate = images / (_until_indexed(receiver, before, images) - started)
    _all_kept(receiver, kept + images)
    return rate


class Mover:
    """Orthanc as it is delivered, which holds images and is asked to move them."""

    def __init__(self, server: Orthanc) -> None:
        self._server = server

    def fill(self, folder: Path, images: int) -> None:
        """Give it the images of `folder`."""
        source = OrthancReceiver(self._server)
        send(source, folder, images=images, associations=4, manner="at-once")

    def move(self, receiver: Receiver, study_uids: list[str], *, images: int) -> float:
        """Have it move studies to `receiver`, with one C-MOVE request."""
        before, kept = receiver.count(), receiver.kept()
        where = ("-aec", self._server.aetitle, "-aem", receiver.aetitle)
        keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=" + "\\".join(study_uids))
        started = time.perf_counter()
        _run("movescu", "-S", *where, *keys, LOOPBACK, str(self._server.port))
        rate = images / (_until_indexed(receiver, before, images) - started)
        _all_kept(receiver, kept + images)
        return rate


@contextmanager
def mover(folder: Path, destinations: Mapping[str, int]) -> Iterator[Mover]:
    """Run an Orthanc that knows these AE titles and ports."""
    with Orthanc(folder, aetitle="ARCHIVE", peers=destinations, environment={}) as server:
        yield Mover(server)


def _until_indexed(receiver: Receiver, before: int | None, images: int) -> float:
    """Return when the images were in the index, at least that it was asked just now."""
    if before is not None:
        wanted = before + images
        wait_until(lambda: (receiver.count() or 0) >= wanted, LIMIT, interval=0.002)
    return time.perf_counter()


def _all_kept(receiver: Receiver, wanted: int) -> None:
    if (kept := receiver.kept()) != wanted:
        raise SystemExit(f"{receiver.name} has kept {kept} images instead of {wanted}")


def _run(name: str, *args: str | Path) -> None:
    program = find_program(name, "dcmtk")
    assert program is not None
    done = subprocess.run(
        [program, *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=shipped_environment(),
        timeout=LIMIT,
    )
    if done.returncode != 0:
        raise SystemExit(f"{name}: {(done.stdout + done.stderr).decode(errors='replace')[-2000:]}")
