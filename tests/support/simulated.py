"""The demonstration PACS, as a peer of a node under test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.node import Node
from tests.support.processes import Process


@contextmanager
def simulated(
    node: Node,
    folder: Path,
    port: int,
    *,
    aetitle: str = "PACS",
    options: Sequence[str | Path] = (),
) -> Iterator[Process]:
    """Serve the images of a folder at a port, for the length of the block.

    The PACS knows the node as a destination; that the node knows the PACS is the caller's part.
    """
    process = node.cli.start(
        "simulate",
        folder,
        "--aetitle",
        aetitle,
        "--port",
        str(port),
        "--destination",
        f"{node.aetitle}=127.0.0.1:{node.port}",
        *options,
        log=node.folder / f"simulate-{port}.log",
    )
    try:
        process.wait_for_port(port)
        yield process
    finally:
        process.terminate()
