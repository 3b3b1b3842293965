"""Measures the simulated PACS itself: `python -m tests.bench.bench_simulator [--studies 2000000]`.

`dicom-node simulate --behaviour` serves so many made-up studies, in a process of its own. Printed
are: how long it takes until it listens, what a question takes on an association that is open, how
many answers a second it gives to DCMTK's `findscu`, to this node's own requestor, and to a socket
that only looks for the last response, which is the simulator's own limit, and what memory it has at
the end. Figures are medians of several rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import BinaryIO

import psutil
from pydicom.dataset import Dataset

from node.dicom.query import STUDY_KEYS
from node.net.dimse.contexts import Service
from node.net.dimse.identifiers import write_identifier
from node.net.messages import Peer
from node.net.scu.requestor import associate
from node.upperlayer import Command, CommandField
from node.upperlayer.dimse import DATASET
from tests.support import rawpeer
from tests.support.cli import CommandLine
from tests.support.peers import dcmtk
from tests.support.processes import LOOPBACK, Process, free_port

DAY, MONTH = "20230315", "20230301-20230331"

_BEHAVIOUR = """\
archive:
  studies: {studies}
  undated: {few}
  migrations: [{{date: 1900-01-01, studies: {some}}}]
  bursts: {{days: 12, studies: {few}}}
"""


def identifier(**keys: str) -> Dataset:
    """Return a question about studies, with all that a find asks for."""
    asked = Dataset()
    asked.QueryRetrieveLevel = "STUDY"
    for keyword in ("StudyInstanceUID", *STUDY_KEYS):
        setattr(asked, keyword, keys.get(keyword, ""))
    return asked


@contextmanager
def serving(behaviour: str) -> Iterator[tuple[Process, int, float]]:
    """Serve what a behaviour says; yield the process, its port, and the seconds until it listened.

    Parameters
    ----------
    behaviour
        The text of the file.
    """
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "pacs.yaml")
        file.write_text(behaviour, encoding="utf-8")
        cli, port = CommandLine(Path(name)), free_port()
        command = cli.args("simulate", "--behaviour", file, "--port", str(port))
        begun = time.perf_counter()
        with Process(command, log=Path(name, "pacs.log"), env=cli.env(), cwd=Path(name)) as process:
            process.wait_for_port(port, timeout=60)
            yield process, port, time.perf_counter() - begun


def by_socket(port: int) -> int:
    """Ask for a month over a plain socket; return how many responses there were."""
    return counted_by_socket(port, [identifier(StudyDate=MONTH)])


def counted_by_socket(port: int, questions: Sequence[Dataset]) -> int:
    """Put questions over a plain socket; return how many matches there were in all."""
    request = rawpeer.command(
        Command(
            field=CommandField.C_FIND_RQ,
            message_id=1,
            affected_sop_class_uid=rawpeer.STUDY_FIND,
            priority=0,
            dataset_type=DATASET,
        )
    )
    with closing(socket.create_connection((LOOPBACK, port))) as sock, sock.makefile("rb") as stream:
        sock.sendall(rawpeer.associate_request((rawpeer.STUDY_FIND,), maximum_length=131072))
        _next_pdu(stream)
        responses = 0
        for question in questions:
            asked = write_identifier(question, rawpeer.EXPLICIT)
            sock.sendall(request + rawpeer.data(asked, last=True))
            while not _is_last(body := _next_pdu(stream)):
                responses += body[5] & 1  # a command (PS3.8 E.2)
        return responses


def _next_pdu(stream: BinaryIO) -> bytes:
    _, length = struct.unpack(">BxL", stream.read(6))
    return stream.read(length)


def _is_last(body: bytes) -> bool:
    """Tell whether this PDU is a command whose status is no Pending (PS3.4 C.4.1.1.4)."""
    if not body[5] & 1:
        return False
    at = body.index(b"\0\0\x00\x09\x02\0\0\0") + 8  # Status (0000,0900)
    return body[at + 1] != 0xFF


def by_findscu(port: int) -> int:
    """Ask for a month with `findscu`, which prints; return how many responses there were."""
    keys = [part for word in STUDY_KEYS if word != "StudyDate" for part in ("-k", word)]
    done = dcmtk.run(
        "findscu", "-v", "-S", "-aec", "PACS", "-k", "QueryRetrieveLevel=STUDY",
        "-k", "StudyInstanceUID", *keys, "-k", f"StudyDate={MONTH}", LOOPBACK, str(port),
    )  # fmt: skip
    return done.output.count("Find Response: ")


def by_requestor(port: int) -> int:
    """Ask for a month with our own requestor; return how many responses there were."""

    async def asked() -> int:
        async with associate(peer(port), Service.FIND) as association:
            answers = association.find(identifier(StudyDate=MONTH))
            return len([answer async for answer in answers])

    return asyncio.run(asked())


def peer(port: int) -> Peer:
    """Return the simulator as a peer."""
    return Peer(name="pacs", aetitle="PACS", host=LOOPBACK, port=port, calling_aetitle="NODE")


async def latencies(port: int, rounds: int) -> dict[str, float]:
    """Return the milliseconds that questions take, by what they ask."""
    found: dict[str, float] = {}
    async with associate(peer(port), Service.FIND) as association:
        day = [answer async for answer in association.find(identifier(StudyDate=DAY))]
        one = day[0]
        for name, keys in (
            ("one study by its UID", {"StudyInstanceUID": str(one.StudyInstanceUID)}),
            ("one by its accession number", {"AccessionNumber": str(one.AccessionNumber)}),
            ("a patient's", {"PatientID": str(one.PatientID)}),
            ("a day without a study", {"StudyDate": "19990101"}),
            ("ten minutes of a day", {"StudyDate": DAY, "StudyTime": "1000-1009"}),
            (f"a day ({len(day)} studies)", {"StudyDate": DAY}),
        ):
            took = []
            for _ in range(rounds):
                begun = time.perf_counter()
                _ = [answer async for answer in association.find(identifier(**keys))]
                took.append(time.perf_counter() - begun)
            found[name] = median(took) * 1000
    return found


def rate(asking: Callable[[int], int], port: int, rounds: int) -> tuple[int, float]:
    """Return how many answers there are, and how many of them come in a second."""
    took = []
    count = 0
    for _ in range(rounds):
        begun = time.perf_counter()
        count = asking(port)
        took.append(time.perf_counter() - begun)
    return count, count / median(took)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    numbers = {"studies": given.studies, "few": given.studies // 1000, "some": given.studies // 100}
    with serving(_BEHAVIOUR.format(**numbers)) as (process, port, start):
        print(f"{given.studies} studies: listening after {start:.1f} s")
        for name, milliseconds in asyncio.run(latencies(port, given.rounds)).items():
            print(f"  {name:32}{milliseconds:10.1f} ms")
        for name, asking in (
            ("findscu, printing", by_findscu),
            ("our requestor, decoding", by_requestor),
            ("a socket", by_socket),
        ):
            count, a_second = rate(asking, port, given.rounds)
            print(f"  {name:32}{a_second:10.0f} answers/s ({count} at once)")
        memory = psutil.Process(process.pid).memory_info().rss
        print(f"  {'memory at the end':32}{memory / 2**20:10.0f} MB")


if __name__ == "__main__":
    main()
