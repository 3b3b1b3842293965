"""Many associations at once: what memory they cost, and whether others still get an answer.

Memory is the sum of the PSS of the node's processes (`/proc/PID/smaps_rollup`, Linux): what is
shared between them counts once. The figure is the highest of the samples taken while images come.
"""

from __future__ import annotations

import resource
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.bench.receivers import NodeReceiver, node
from tests.bench.sender import VERIFICATION, Association
from tests.bench.sending import send
from tests.support.images import generate

_ROOM = dict.fromkeys(
    ("max_associations", "max_associations_per_address", "max_associations_per_aetitle"), 1200
)
_OF_ONE = 200
"""Idle associations of one address and title: as many as a node takes by default."""

_SAMPLE_EVERY = 0.1


def memory(folder: Path, *, associations: int, sending: int, images: int, seed: int) -> float:
    """Return the most MB that the node needs with so many associations, some of them sending.

    It has the limits that it is shipped with.
    """
    with node(folder / "memory") as receiver:
        sent = folder / "memory-images"
        generate(sent, images=images, size="large", seed=seed)
        with _idle(receiver, associations - sending), _sampled(receiver) as samples:
            send(receiver, sent, images=images, associations=sending, manner="at-once")
        return max(samples)


def echo(folder: Path, *, associations: int, echoes: int) -> tuple[float, float]:
    """Return the p99 of a C-ECHO in ms, beside so many idle associations.

    The first is of C-ECHOs on one association, the second of connecting, associating, C-ECHO and
    release together.
    """
    _allow_files(associations + 256)
    with node(folder / "echo", _ROOM) as receiver, _idle(receiver, associations):
        one = Association(receiver.port, receiver.aetitle, [], abstract_syntax=VERIFICATION)
        alone = [_seconds(one.echo) for _ in range(echoes)]
        one.release()

        def whole() -> int:
            asked = Association(receiver.port, receiver.aetitle, [], abstract_syntax=VERIFICATION)
            status = asked.echo()
            asked.release()
            return status

        return _p99(alone), _p99([_seconds(whole) for _ in range(echoes)])


def _seconds(ask: Callable[[], int]) -> float:
    started = time.perf_counter()
    status = ask()
    seconds = time.perf_counter() - started
    if status != 0x0000:
        raise SystemExit(f"C-ECHO: {status:#06x}")
    return seconds


def _p99(seconds: list[float]) -> float:
    return 1000 * statistics.quantiles(seconds, n=100)[98]


@contextmanager
def _idle(receiver: NodeReceiver, count: int) -> Iterator[None]:
    """Hold so many associations, and release them: none may have been ended meanwhile."""
    held = [
        Association(
            receiver.port,
            receiver.aetitle,
            [],
            abstract_syntax=VERIFICATION,
            source=f"127.0.0.{2 + number // _OF_ONE}",
            calling=f"BENCH{number // _OF_ONE}",
        )
        for number in range(count)
    ]
    yield
    for association in held:
        if association.echo() != 0x0000:
            raise SystemExit("an idle association does not answer any more")
        association.release()


@contextmanager
def _sampled(receiver: NodeReceiver) -> Iterator[list[float]]:
    samples: list[float] = []
    over = threading.Event()

    def sample() -> None:
        while not over.is_set():
            samples.append(proportional_size(receiver.process.pid) / 1e6)
            over.wait(_SAMPLE_EVERY)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


def proportional_size(pid: int) -> int:
    """Return the PSS of a process and all its descendants, in bytes."""
    first = psutil.Process(pid)
    total = 0
    for process in (first, *first.children(recursive=True)):
        with suppress(FileNotFoundError, ProcessLookupError):
            for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))
