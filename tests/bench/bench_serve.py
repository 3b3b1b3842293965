"""Images per second of one handler, on `node.net.serve` and on `AE.start_server`.

    python -m tests.bench.bench_serve [--rounds 5] [--images 400] [--json]

The same pynetdicom application entity with the same handler, which writes each image to a file and
syncs nothing, runs on both, each in a process of its own. The same files go to both from the same
sender in interleaved rounds, over one association and over four, by senders of both manners of
`tests.bench.sender`. The figures are medians; the ratios are what to look at.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt

from node.net import serve
from tests.bench.receivers import FolderReceiver
from tests.bench.sending import send
from tests.support.images import generate
from tests.support.processes import Process, free_port

AETITLE = "HANDLER"
SERVERS = ("serve", "start_server")
ROWS = [(manner, number) for manner in ("at-once", "ordinary") for number in (1, 4)]


def keep(event: evt.Event, folder: Path) -> int:
    """Write an image to a file, and return the status."""
    uid = event.request.AffectedSOPInstanceUID
    (folder / f"{uid}.dcm").write_bytes(event.encoded_dataset())
    return 0x0000


def run_server(kind: str, port: str, folder: str) -> None:
    """Serve until the process is ended."""
    ae = AE(ae_title=AETITLE)
    ae.maximum_associations = 16
    ae.add_supported_context(MRImageStorage, ExplicitVRLittleEndian)
    address, handlers = ("127.0.0.1", int(port)), [(evt.EVT_C_STORE, keep, [Path(folder)])]
    if kind == "serve":
        serve(ae, address, evt_handlers=handlers)
    else:
        ae.start_server(address, evt_handlers=handlers)


@contextmanager
def running(kind: str, folder: Path) -> Iterator[FolderReceiver]:
    """Run one of the two servers in a process of its own."""
    received = folder / "received"
    received.mkdir(parents=True)
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.bench_serve", "--server", kind]
    with Process([*command, str(port), str(received)], log=folder / "server.log") as process:
        process.wait_for_port(port)
        yield FolderReceiver(kind, AETITLE, port, received)


def measure(rounds: int, images: int) -> dict[str, dict[str, list[float]]]:
    """Return the images per second of every round, by row and server."""
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory(prefix="bench-") as place, ExitStack() as stack:
        root = Path(place)
        servers = [stack.enter_context(running(kind, root / kind)) for kind in SERVERS]
        folder = root / "images"
        generate(folder, images=images, seed=7100)
        for server in servers:
            send(server, folder, images=images, associations=4, manner="at-once")
        for turn in range(rounds):
            for manner, associations in ROWS:
                row = figures[f"{manner}, {associations} associations"]
                for server in servers[:: -1 if turn % 2 else 1]:
                    os.sync()
                    rate = send(
                        server, folder, images=images, associations=associations, manner=manner
                    )
                    row[server.name].append(rate)
    return {label: dict(row) for label, row in figures.items()}


def table(figures: dict[str, dict[str, list[float]]]) -> str:
    """Return the medians in images per second, and the ratio."""
    lines = [f"{'images/s':28}{'serve':>10}{'start_server':>14}{'ratio':>8}"]
    for label, row in figures.items():
        ours, theirs = (statistics.median(row[name]) for name in SERVERS)
        lines.append(f"{label:28}{ours:10.0f}{theirs:14.0f}{ours / theirs:8.1f}")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each row is measured")
    parser.add_argument("--images", type=int, default=400, help="how many are sent")
    parser.add_argument("--json", action="store_true", help="print every round's figures as JSON")
    parser.add_argument("--server", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.server:
        run_server(*options.server)
        return
    figures = measure(options.rounds, options.images)
    print(json.dumps(figures, indent=2) if options.json else table(figures))


if __name__ == "__main__":
    main()
