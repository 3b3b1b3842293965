"""What the upper layer's core costs alone: bytes in, events out, in memory, on one core.

    python -m tests.bench.bench_upperlayer [--rounds 5] [--json]

C-STORE requests of 10 KB and of 512 KB, in PDUs of several lengths, go into an acceptor's core in
pieces of 256 KB, as the network layer reads them; it answers each of them. And the other way: a
requestor's core writes them and reads the answers. The figures are the best of the rounds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator

from node.upperlayer import (
    AssociateAccept,
    AssociateRequest,
    Association,
    Command,
    CommandField,
    ContextResult,
    ProposedContext,
    Role,
    UserInformation,
    response_to,
)
from node.upperlayer.dimse import DATASET
from node.upperlayer.events import CommandReceived, DatasetFragment

_PIECE = 1 << 18
_SYNTAX = "1.2.840.10008.1.2.1"
_MR = "1.2.840.10008.5.1.4.1.1.4"
_ASKED = (ProposedContext(id=1, abstract_syntax=_MR, transfer_syntaxes=(_SYNTAX,)),)
_GIVEN = (ContextResult(id=1, result=0, transfer_syntax=_SYNTAX),)


def pair(maximum: int) -> tuple[Association, Association]:
    """Return an established requestor and acceptor."""
    user = UserInformation(maximum_length=maximum)
    names = {"called_aetitle": "NODE", "calling_aetitle": "BENCH", "user": user}
    asks, answers = (Association(role, maximum_length=maximum) for role in Role)
    asks.request(AssociateRequest(contexts=_ASKED, **names))  # type: ignore[arg-type]
    asks.transport_opened()
    answers.transport_opened()
    answers.receive(b"".join(asks.take_output()))
    answers.accept(AssociateAccept(contexts=_GIVEN, **names))  # type: ignore[arg-type]
    asks.receive(b"".join(answers.take_output()))
    return asks, answers


def request(number: int) -> Command:
    """Return a C-STORE request."""
    return Command(
        field=CommandField.C_STORE_RQ,
        message_id=number % 65536,
        affected_sop_class_uid=_MR,
        affected_sop_instance_uid=f"1.2.826.0.1.3680043.8.498.77.{number}",
        priority=0,
        dataset_type=DATASET,
    )


def received(messages: int, size: int, maximum: int) -> float:
    """Return the seconds that an acceptor's core needs to take and answer C-STOREs."""
    asks, answers = pair(maximum)
    streams = []
    for number in range(messages):
        asks.send(1, request(number), bytes(size))
        streams.append(memoryview(b"".join(asks.take_output())))
    taken, responses, current = 0, 0, None
    started = time.perf_counter()
    for stream in streams:
        for piece in _pieces(stream):
            for event in answers.receive(piece):
                if isinstance(event, DatasetFragment):
                    taken += len(event.data)
                    if event.last and current is not None:
                        answers.send(1, response_to(current, 0))
                        responses += len(answers.take_output()) // 2
                elif isinstance(event, CommandReceived):
                    current = event.command
    seconds = time.perf_counter() - started
    assert taken == messages * size
    assert responses == messages
    return seconds


def sent(messages: int, size: int, maximum: int) -> float:
    """Return the seconds that a requestor's core needs to write C-STOREs and read the answers."""
    asks, answers = pair(maximum)
    data, seconds, done = bytes(size), 0.0, 0
    for number in range(messages):
        started = time.perf_counter()
        asks.send(1, request(number), data)
        b"".join(asks.take_output())
        seconds += time.perf_counter() - started
        answers.send(1, response_to(request(number), 0))
        answer = b"".join(answers.take_output())
        started = time.perf_counter()
        done += len(asks.receive(answer))
        seconds += time.perf_counter() - started
    assert done == messages
    return seconds


def _pieces(stream: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(stream), _PIECE):
        yield stream[start : start + _PIECE]


WAYS: dict[str, Callable[[int, int, int], float]] = {"received": received, "sent": sent}
CASES = [
    (label, messages, size, maximum)
    for label, messages, size in (("10 KB", 4000, 10_000), ("512 KB", 100, 1 << 19))
    for maximum in (16384, 65536, 131072)
]


def measure(rounds: int) -> list[dict[str, object]]:
    """Return a row for each way, size and length of PDU."""
    rows: list[dict[str, object]] = []
    for label, messages, size, maximum in CASES:
        for way, run in WAYS.items():
            seconds = min(run(messages, size, maximum) for _ in range(rounds))
            rows.append(
                {
                    "way": way,
                    "size": label,
                    "maximum": maximum,
                    "messages_per_second": round(messages / seconds),
                    "megabytes_per_second": round(messages * size / seconds / 1e6),
                }
            )
    return rows


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each row is measured")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    rows = measure(options.rounds)
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'C-STOREs':18}{'PDU':>8}{'messages/s':>14}{'MB/s':>10}")
    for row in rows:
        what = f"{row['size']} {row['way']}"
        figures = f"{row['messages_per_second']:14}{row['megabytes_per_second']:10}"
        print(f"{what:18}{row['maximum']:8}{figures}")


if __name__ == "__main__":
    main()
