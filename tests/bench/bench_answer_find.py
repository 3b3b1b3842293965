"""Measures C-FIND over 100,000 studies of 400,000 images, beside Orthanc with the same ones.

    python -m tests.bench.bench_answer_find [--studies 100000 --rounds 3 --images 400]

A running `dicom-node` on SQLite and an Orthanc are asked in turn, by a socket that only looks for
the beginning and the end of an answer: for one study, one day, one patient, a prefix of a name,
and all of them, each with the attributes that viewers ask for. Figures are medians: the time to
the first match, matches in a second, and ours to Orthanc's in each round. Then: the most memory
of our process; and how many small images it takes in a second over four associations, alone and
while four clients ask for all studies without end. `dcmqrscp` holds 500 studies at most: with so
many it is asked for all of them, in a table of its own.

Exits with 1 where a mark is missed: half of Orthanc's times at least, under 150 MB, and 0.8 of the
rate alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pydicom.dataset import Dataset

from node.net.dimse.identifiers import write_identifier
from node.upperlayer import Command, CommandField
from node.upperlayer.dimse import DATASET
from schema import Database
from tests.bench.held import fill, template, told
from tests.bench.held_orthanc import fill_orthanc
from tests.bench.receivers import NodeReceiver
from tests.bench.sending import send
from tests.support import rawpeer
from tests.support.answering import keys
from tests.support.cli import CommandLine
from tests.support.images import generate
from tests.support.peers import dcmtk
from tests.support.peers.orthanc import Orthanc
from tests.support.processes import LOOPBACK, Process, free_port
from tests.support.waiting import wait_until

USUAL = (
    *("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "ModalitiesInStudy"),
    *("StudyDescription", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID"),
    *("ReferringPhysicianName", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
)
MOST_OF_DCMQRSCP = 500
MARK, MEMORY, RECEIVING = 2.0, 150, 0.8

QUESTIONS: Mapping[str, Mapping[str, str]] = {
    "one study": {"StudyInstanceUID": told(4242)["StudyInstanceUID"]},
    "one day": {"StudyDate": told(4242)["StudyDate"]},
    "one patient": {"PatientID": told(4242)["PatientID"]},
    "a name's prefix": {"PatientName": "Sato1*"},
    "all": {},
}


@dataclass(frozen=True)
class Answer:
    """How many matches there were, and how many seconds the first and all of them took."""

    matches: int
    first: float
    all: float


class Asker:
    """An association with a query SCP, over a plain socket."""

    def __init__(self, port: int, called: str) -> None:
        self._socket = socket.create_connection((LOOPBACK, port))
        self._stream = self._socket.makefile("rb", buffering=1 << 18)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(
            rawpeer.associate_request(
                (rawpeer.STUDY_FIND,), called=called, calling="VIEWER", maximum_length=131072
            )
        )
        kind, _ = self._pdu()
        if kind != 0x02:
            raise SystemExit(f"{called} refuses the association")

    def ask(self, question: Mapping[str, str]) -> Answer:
        """Put a question for studies."""
        identifier: Dataset = keys("STUDY", **{**dict.fromkeys(USUAL, ""), **question})
        request = rawpeer.command(
            Command(
                field=CommandField.C_FIND_RQ,
                message_id=1,
                affected_sop_class_uid=rawpeer.STUDY_FIND,
                priority=0,
                dataset_type=DATASET,
            )
        )
        began = time.perf_counter()
        asked = write_identifier(identifier, rawpeer.EXPLICIT)
        self._socket.sendall(request + rawpeer.data(asked, last=True))
        matches, first = 0, 0.0
        while True:
            _, body = self._pdu()
            if not body[5] & 1:
                continue
            status = body[body.index(b"\0\0\x00\x09\x02\0\0\0") + 9]
            if status != 0xFF:
                if body[body.index(b"\0\0\x00\x09\x02\0\0\0") + 8] or status:
                    raise SystemExit("the query failed")
                break
            matches += 1
            first = first or time.perf_counter() - began
        return Answer(matches, first, time.perf_counter() - began)

    def close(self) -> None:
        """End the association without a word."""
        self._stream.close()
        self._socket.close()

    def _pdu(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxL", self._stream.read(6))
        return kind, self._stream.read(length)


@contextmanager
def node(folder: Path, studies: int) -> Iterator[tuple[NodeReceiver, Process]]:
    """Run our node over so many studies."""
    folder.mkdir(parents=True)
    database, port, config = folder / "node.db", free_port(), folder / "node.yaml"
    url = f"sqlite:///{database}"
    viewer = {"aetitle": "VIEWER", "host": LOOPBACK, "port": 1, "may_query": ["VIEWER"]}
    config.write_text(
        json.dumps(
            {
                "node": {"aetitle": "NODE", "host": LOOPBACK, "port": port},
                "storage": {"resources": url, "directory": str(folder / "dicom")},
                "peers": {"viewer": viewer},
            }
        )
    )

    async def made() -> None:
        async with Database(url) as db:
            await db.initialize()
            await fill(db, studies)

    asyncio.run(made())
    cli = CommandLine(folder)
    command = cli.args("run", "--config", config)
    with Process(command, log=folder / "node.log", env=cli.env(), cwd=folder) as process:
        process.wait_for_port(port)
        yield NodeReceiver(port, database, process), process


def most_memory(pid: int) -> float:
    """Return the most memory that a process has had, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def compared(
    ours: Asker, theirs: Asker, questions: Mapping[str, Mapping[str, str]], rounds: int
) -> Iterator[tuple[str, list[Answer], list[Answer]]]:
    """Ask both in turn."""
    for name, question in questions.items():
        mine, others = [], []
        for _ in range(rounds):
            mine.append(ours.ask(question))
            others.append(theirs.ask(question))
        if {answer.matches for answer in mine} != {answer.matches for answer in others}:
            raise SystemExit(f"{name}: {mine[0].matches} and {others[0].matches} matches")
        yield name, mine, others


def row(name: str, mine: list[Answer], others: list[Answer], who: str) -> tuple[float, float]:
    """Print a row; return the ratios of the times, theirs to ours: to the first, and to all."""
    first = median(b.first / a.first for a, b in zip(mine, others, strict=True))
    whole = median(b.all / a.all for a, b in zip(mine, others, strict=True))

    def said(answers: list[Answer]) -> str:
        rate = median(answer.matches / answer.all for answer in answers)
        return f"{1000 * median(a.first for a in answers):8.1f} ms {rate:8.0f}/s"

    print(
        f"{name:16} {mine[0].matches:7}   dicom-node {said(mine)}   {who} {said(others)}"
        f"   first x{first:.1f}, all x{whole:.1f}",
        flush=True,
    )
    return first, whole


def receiving(receiver: NodeReceiver, folder: Path, images: int, rounds: int) -> float:
    """Return the rate of receiving while four clients ask for all studies, to that without."""
    ratios, made = [], 0

    def rate() -> float:
        nonlocal made
        made += 1
        place = folder / f"sent-{made}"
        generate(place, studies=4, images=images // 4, seed=made)
        return send(receiver, place, images=images, associations=4, manner="at-once")

    rate()
    for _ in range(rounds):
        alone = rate()
        with asking(receiver.port, 4):
            beside = rate()
        ratios.append(beside / alone)
        print(
            f"receiving: {alone:.0f} images/s alone, {beside:.0f} beside four queries", flush=True
        )
    return median(ratios)


@contextmanager
def asking(port: int, clients: int) -> Iterator[None]:
    """Have several clients ask for all studies without end."""
    code = (
        "import sys; from tests.bench.bench_answer_find import Asker\n"
        "asker = Asker(int(sys.argv[1]), 'NODE')\n"
        "print('asks', flush=True)\n"
        "while True: asker.ask({})"
    )
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        for number in range(clients):
            log = place / f"asker-{number}.log"
            process = stack.enter_context(Process([sys.executable, "-c", code, str(port)], log=log))
            process.wait_for_line("asks")
        yield


def beside_dcmqrscp(folder: Path, rounds: int) -> None:
    """Ask for as many studies as `dcmqrscp` holds."""
    files = folder / "files"
    files.mkdir()
    for number in range(MOST_OF_DCMQRSCP - 1):
        dataset = template()
        for keyword, value in told(number).items():
            setattr(dataset, keyword, value)
        dataset.SeriesInstanceUID = f"{dataset.StudyInstanceUID}.1"
        dataset.SOPInstanceUID = f"{dataset.SeriesInstanceUID}.1"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(files / f"{number}.dcm")
    with ExitStack() as stack:
        pacs = stack.enter_context(dcmtk.DcmQrScp(folder / "dcmqrscp"))
        dcmtk.run("storescu", "-aec", pacs.aetitle, "+sd", LOOPBACK, str(pacs.port), str(files))
        receiver, _ = stack.enter_context(node(folder / "small", 1))
        dcmtk.run("storescu", "-aec", "NODE", "+sd", LOOPBACK, str(receiver.port), str(files))
        wait_until(lambda: receiver.count() >= MOST_OF_DCMQRSCP + 2)
        ours = stack.enter_context(closing(Asker(receiver.port, "NODE")))
        theirs = stack.enter_context(closing(Asker(pacs.port, pacs.aetitle)))
        for name, mine, others in compared(ours, theirs, {"all": {}}, rounds):
            row(name, mine, others, "dcmqrscp")


def main() -> int:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=400, help="sent in a round")
    options = parser.parse_args()
    missed: list[str] = []

    def mark(name: str, value: float, least: float) -> None:
        if value < least:
            missed.append(f"{name}: {value:.2f}, not {least}")

    with tempfile.TemporaryDirectory(prefix="bench-") as place, ExitStack() as stack:
        folder = Path(place)
        fill_orthanc(folder / "orthanc", options.studies)
        receiver, process = stack.enter_context(node(folder / "node", options.studies))
        with Orthanc(folder / "orthanc", peers={"VIEWER": 11113}) as pacs:
            ours = stack.enter_context(closing(Asker(receiver.port, "NODE")))
            theirs = stack.enter_context(closing(Asker(pacs.port, pacs.aetitle)))
            for name, mine, others in compared(ours, theirs, QUESTIONS, options.rounds):
                first, whole = row(name, mine, others, "Orthanc")
                mark(f"{name}, to the first", first, MARK)
                mark(f"{name}, to all", whole, MARK)
        memory = most_memory(process.pid)
        print(f"the most memory of dicom-node: {memory:.0f} MB", flush=True)
        mark("memory", MEMORY / memory, 1)
        beside = receiving(receiver, folder, options.images, options.rounds)
        print(f"receiving beside four queries: x{beside:.2f}", flush=True)
        mark("receiving", beside, RECEIVING)
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        beside_dcmqrscp(Path(place), options.rounds)
    for miss in missed:
        print(f"missed: {miss}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
