"""`dicom-node simulate`: a PACS to demonstrate and to test with."""

import contextlib
import signal
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell.output import Output
from schema.text.words import counted

if TYPE_CHECKING:
    from node.simulator.archive import SimulatedArchive
    from node.simulator.server import Simulator

_GRACE = 5.0
"""Seconds that running associations have to end when it is stopped."""


def simulate(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            help="A folder of DICOM files to serve. Without one, a small collection is made "
            "and removed again at the end.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    aetitle: Annotated[
        str, typer.Option("--aetitle", metavar="AET", help="Its own AE title.")
    ] = "PACS",
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            "--port", metavar="PORT", min=0, max=65535, help="Where to listen; 0 takes a free one."
        ),
    ] = 11113,
    destination: Annotated[
        list[str] | None,
        typer.Option(
            "--destination",
            metavar="AET=HOST:PORT",
            help="Who may be a C-MOVE's destination, and where it listens; may be repeated. "
            "NODE=127.0.0.1:11112 unless said.",
        ),
    ] = None,
    withhold: Annotated[
        int,
        typer.Option(
            "--withhold",
            metavar="N",
            min=0,
            help="Misbehave: do not deliver the last N images of each study, and say nothing "
            "of it. SIGUSR1 ends this.",
        ),
    ] = 0,
    today: Annotated[
        str | None,
        typer.Option(
            "--today",
            metavar="DATE",
            help="The day of the newest study that is made, as YYYY-MM-DD; today unless said.",
        ),
    ] = None,
) -> None:
    """Be a PACS for demonstrations and tests, until SIGTERM or Control-C.

    Serves C-ECHO, C-FIND, C-MOVE, C-GET and C-STORE over a folder of DICOM files. Says
    `listening on HOST:PORT` when it does. Not for patients' images: anybody may ask.
    """
    from node import logs
    from node.cli.shell import start
    from node.config.values import check_aetitle
    from node.errors import UsageError

    logs.setup(level="debug" if start.debugging() else "info")
    try:
        aetitle = check_aetitle(aetitle)
    except ValueError as error:
        raise UsageError(f"--aetitle: {error}") from error
    destinations = dict(map(_destination, destination or ["NODE=127.0.0.1:11112"]))
    day = _day(today)
    with _served(folder, day) as (archive, incoming):
        start.run(
            _serve(
                archive,
                incoming=incoming,
                aetitle=aetitle,
                address=(host, port),
                destinations=destinations,
                withhold=withhold,
            )
        )


def _destination(text: str) -> tuple[str, tuple[str, int]]:
    from node.config.values import check_aetitle
    from node.errors import UsageError

    aetitle, _, address = text.partition("=")
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"--destination {text}: AET=HOST:PORT is needed, e.g. NODE=10.0.0.5:11112")
    try:
        return check_aetitle(aetitle), (host.strip("[]"), int(port))
    except ValueError as error:
        raise UsageError(f"--destination {text}: {error}") from error


def _day(text: str | None) -> date:
    from node.config.values import parse_day
    from node.errors import UsageError

    try:
        return parse_day(text) or datetime.now().astimezone().date()
    except ValueError as error:
        raise UsageError(f"--today {text}: {error}") from error


@contextlib.contextmanager
def _served(folder: Path | None, today: date) -> "Iterator[tuple[SimulatedArchive, Path]]":
    """Return what is served, and the folder for what arrives; temporary ones are removed."""
    import tempfile

    from node.simulator.archive import SimulatedArchive
    from node.simulator.corpus import make_corpus

    with contextlib.ExitStack() as stack:
        if folder is None:
            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="dicom-node-"))
            folder = Path(temporary)
            make_corpus(folder, today=today)
        yield SimulatedArchive.load(folder), folder / "received"


async def _serve(
    archive: "SimulatedArchive",
    *,
    incoming: Path,
    aetitle: str,
    address: tuple[str, int],
    destinations: dict[str, tuple[str, int]],
    withhold: int,
) -> None:
    import asyncio

    from node.simulator.behaviour import Honest, Partial
    from node.simulator.server import Simulator

    simulator = Simulator(
        archive=archive,
        incoming=incoming,
        aetitle=aetitle,
        host=address[0],
        port=address[1],
        destinations=destinations,
    )
    honest = Honest(archive=archive, aetitle=aetitle)
    if withhold:
        simulator.behaviour = Partial(inner=honest, archive=archive, withhold=withhold)

    def be_honest() -> None:
        simulator.behaviour = honest
        output.print("honest from now on")
        output.stdout.flush()

    output = Output()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, be_honest)
    async with simulator:
        _announce(output, simulator, destinations, withhold)
        await stop.wait()
        await simulator.drain(_GRACE)


def _announce(
    output: Output,
    simulator: "Simulator",
    destinations: dict[str, tuple[str, int]],
    withhold: int,
) -> None:
    archive = simulator.archive
    skipped = f"; {counted(archive.skipped, 'other file')} skipped" if archive.skipped else ""
    output.print(
        f"{simulator.aetitle}: {counted(len(archive.studies), 'study')}, "
        f"{counted(len(archive), 'image')}{skipped}"
    )
    for aetitle, (host, port) in destinations.items():
        output.print(f"moves to {aetitle} at {host}:{port}")
    if withhold:
        output.print(f"withholds the last {counted(withhold, 'image')} of each study")
    output.print(f"listening on {simulator.host}:{simulator.port}")
    output.stdout.flush()
