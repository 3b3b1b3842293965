"""`dicom-node demo`: the whole way once, with real processes, in front of the user.

A demonstration PACS and the node are started as processes of their own; then the commands
that an operator would type are run and shown. Everything happens in one folder and on
loopback, and what was started is stopped.
"""

import contextlib
import os
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell.output import Output

if TYPE_CHECKING:
    import subprocess

_DEADLINE = 30.0

_CONFIGURATION = """\
# Written by `dicom-node demo`: this node, and the demonstration PACS as its only peer.
node:    {{aetitle: NODE, host: 127.0.0.1, port: {node_port}, institution: "Demo Hospital"}}
storage: {{resources: "sqlite:///node.db", directory: dicom, layout: study}}
peers:
  pacs:  {{aetitle: DEMOPACS, host: 127.0.0.1, port: {pacs_port}}}
move:    {{settle: 5s}}
"""

_QUERY = """\
SELECT modality, manufacturer, count(*) AS images, count(DISTINCT study_uid) AS studies
FROM images GROUP BY modality, manufacturer ORDER BY images DESC, modality LIMIT 8"""


def demo(
    folder: Annotated[
        Path, typer.Option("--folder", metavar="DIR", help="Made anew at every run.")
    ] = Path("var/demo"),
) -> None:
    """Show the whole way: a demonstration PACS is found, moved, received and queried."""
    from node.cli.shell.exits import Exit

    output = Output()
    _clear(folder)
    ports = _free_ports(2)
    configuration = folder / "dicom-node.yaml"
    configuration.write_text(
        _CONFIGURATION.format(node_port=ports[0], pacs_port=ports[1]),
        encoding="utf-8",
    )
    # nothing that configures another node may reach into the demonstration
    ours = {name: value for name, value in os.environ.items() if not name.startswith("DICOM_NODE_")}
    environment = ours | {"DICOM_NODE_CONFIG": str(configuration)}
    destination = f"NODE=127.0.0.1:{ports[0]}"
    failed = 0
    _show(environment, "db", "init")
    with (
        _running(
            environment,
            ports[1],
            folder / "pacs.log",
            "simulate",
            "--aetitle",
            "DEMOPACS",
            "--port",
            str(ports[1]),
            "--destination",
            destination,
        ),
        _running(environment, ports[0], folder / "node.log", "run"),
    ):
        for command in (
            ("echo", "pacs"),
            ("find", "pacs", "--last", "30d"),
            ("move", "pacs"),
            ("status",),
        ):
            failed += _show(environment, *command) != 0
        _ask(output, folder / "node.db")
    output.print(f"\nThe images are in {folder / 'dicom'}, their index is {folder / 'node.db'};")
    output.print("both processes have stopped. Run it again, or look around with sqlite3.")
    if failed:
        raise typer.Exit(Exit.FAILED)


def _clear(folder: Path) -> None:
    """Make the folder anew; refuse to empty one that a demonstration has not made."""
    from node.errors import UsageError

    if folder.exists():
        configuration = folder / "dicom-node.yaml"
        mark = _CONFIGURATION.splitlines()[0]
        made_by_us = configuration.is_file() and configuration.read_text(
            encoding="utf-8", errors="replace"
        ).startswith(mark)
        if any(folder.iterdir()) and not made_by_us:
            raise UsageError(f"{folder} has something else in it: give another --folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _show(environment: dict[str, str], *arguments: str) -> int:
    """Run one of our commands as a user would, its line first."""
    import subprocess

    sys.stdout.write(f"\n$ dicom-node {shlex.join(arguments)}\n")
    sys.stdout.flush()
    return subprocess.run(  # noqa: S603 - our own commands
        [sys.executable, "-m", "node", *arguments], env=environment, check=False
    ).returncode


@contextlib.contextmanager
def _running(environment: dict[str, str], port: int, log: Path, *arguments: str) -> Iterator[None]:
    """Run one of our commands in the background until the block ends."""
    import subprocess

    sys.stdout.write(f"\n$ dicom-node {shlex.join(arguments)} &\n")
    sys.stdout.flush()
    with log.open("wb") as stream:
        process = subprocess.Popen(  # noqa: S603 - our own commands
            [sys.executable, "-m", "node", *arguments],
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        _await_port(process, port, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_port(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    from node.errors import ListenError

    deadline = time.monotonic() + _DEADLINE
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.05)
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    raise ListenError(f"nothing listens on port {port}: {' '.join(last) or 'see'} ({log})")


def _ask(output: Output, database: Path) -> None:
    """Show what this is for: a question to the index, in SQL."""
    import sqlite3

    output.print(f'\n$ sqlite3 {database} "{_QUERY}"')
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute(_QUERY)]
    output.table(list(rows[0]) if rows else [], rows)
