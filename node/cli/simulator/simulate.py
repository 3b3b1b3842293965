"""`dicom-node simulate`: a PACS to demonstrate and to test with."""

import contextlib
import signal
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell.options import needs_its_folder
from node.cli.shell.output import Output
from schema.text.words import counted

if TYPE_CHECKING:
    from node.simulator.holdings import Holdings
    from node.simulator.misbehaving.settings import Misbehaviour

_ASSOCIATIONS = 64
"""The most at once, unless the behaviour says another number."""

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
    behaviour: Annotated[
        Path | None,
        typer.Option(
            "--behaviour",
            metavar="FILE",
            help="Misbehave when queried and when images are retrieved, as this YAML file says, "
            "which may also have studies made up: `archive: {studies: 2000000}`. "
            "docs/simulating.md has every key.",
        ),
    ] = None,
    counters: Annotated[
        Path | None,
        typer.Option(
            "--counters",
            metavar="FILE",
            help="With --behaviour: keep in this file, as JSON, what has happened so far, such as "
            "the most associations of each AE title at once. Written twice a second while it "
            "changes, and at the end.",
            dir_okay=False,
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

    Serves C-ECHO, C-FIND, C-MOVE, C-GET and C-STORE over a folder of DICOM files, or all but
    C-STORE over any number of studies that are made up, and misbehaves as it is told. Says
    `listening on HOST:PORT` when it does. Not for patients' images: anybody may ask.
    """
    from node import logs
    from node.cli.shell import start
    from node.config.values import check_aetitle, check_host
    from node.errors import UsageError
    from node.simulator.misbehaving.reading import read_behaviour

    logs.setup(level="debug" if start.debugging() else "info")
    try:
        aetitle = check_aetitle(aetitle)
    except ValueError as error:
        raise UsageError(f"--aetitle: {error}") from error
    try:
        host = check_host(host)
    except ValueError as error:
        raise UsageError(f"--host: {error}") from error
    destinations = dict(map(_destination, destination or ["NODE=127.0.0.1:11112"]))
    day = _day(today)
    settings = None if behaviour is None else read_behaviour(behaviour)
    if settings is not None and settings.archive is not None and (folder or withhold):
        raise UsageError(
            f"{behaviour}: archive: has studies made up, and those are served; leave out "
            + (
                str(folder)
                if folder
                else "--withhold, and say retrieval: {left_out: …} in the file"
            )
        )
    needs_its_folder("--counters", counters)
    if counters is not None and settings is None:
        raise UsageError("--counters needs --behaviour FILE: what becomes of that is counted")
    with _served(folder, day, settings) as (archive, incoming):
        start.run(
            _serve(
                archive,
                incoming=incoming,
                aetitle=aetitle,
                address=(host, port),
                destinations=destinations,
                settings=settings,
                withhold=withhold,
                counters=counters,
            )
        )


def _destination(text: str) -> tuple[str, tuple[str, int]]:
    from node.config.values import check_aetitle, check_host
    from node.errors import UsageError

    aetitle, _, address = text.partition("=")
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"--destination {text}: AET=HOST:PORT is needed, e.g. NODE=10.0.0.5:11112")
    try:
        return check_aetitle(aetitle), (check_host(host.strip("[]")), int(port))
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
def _served(
    folder: Path | None, today: date, settings: "Misbehaviour | None"
) -> "Iterator[tuple[Holdings, Path]]":
    """Return what is served, and the folder for what arrives; temporary ones are removed."""
    import tempfile

    from node.simulator.archive import SimulatedArchive
    from node.simulator.corpus import make_corpus
    from node.simulator.generated.archive import GeneratedArchive

    with contextlib.ExitStack() as stack:
        if folder is None:
            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="dicom-node-"))
            folder = Path(temporary)
            if settings is not None and settings.archive is not None:
                yield GeneratedArchive(settings.archive), folder
                return
            make_corpus(folder, today=today)
        yield SimulatedArchive.load(folder), folder / "received"


async def _serve(
    archive: "Holdings",
    *,
    incoming: Path,
    aetitle: str,
    address: tuple[str, int],
    destinations: dict[str, tuple[str, int]],
    settings: "Misbehaviour | None",
    withhold: int,
    counters: Path | None,
) -> None:
    import asyncio

    from node.simulator.archive import SimulatedArchive
    from node.simulator.behaviour import Honest, Partial
    from node.simulator.misbehaving.pacs import Misbehaving
    from node.simulator.misbehaving.report import Report
    from node.simulator.server import Simulator

    misbehaving: Misbehaving | None = None
    if settings is not None:
        misbehaving = Misbehaving(archive=archive, settings=settings, aetitle=aetitle)
    simulator = Simulator(
        archive=archive,
        incoming=incoming,
        aetitle=aetitle,
        host=address[0],
        port=address[1],
        destinations=destinations,
        behaviour=misbehaving,
        repository=settings is not None and settings.repository,
        most_associations=(settings and settings.capacity.associations) or _ASSOCIATIONS,
        attendance=None if misbehaving is None else misbehaving.counters.associations,
    )
    honest = Honest(archive=archive, aetitle=aetitle)
    if withhold and isinstance(archive, SimulatedArchive):
        simulator.behaviour = Partial(inner=simulator.behaviour, archive=archive, withhold=withhold)

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
    report = None
    if misbehaving is not None and counters is not None:
        report = Report(counters, lambda: misbehaving.counters)
        report.write()
    async with simulator:
        output.print(f"{simulator.aetitle}: {_holds(archive)}")
        for title, (host, port) in destinations.items():
            output.print(f"moves to {title} at {host}:{port}")
        if withhold:
            output.print(f"withholds the last {counted(withhold, 'image')} of each study")
        if settings is not None and (keys := _misbehaves(settings)):
            output.print(f"misbehaves: {', '.join(keys)}")
        output.print(f"listening on {simulator.host}:{simulator.port}")
        output.stdout.flush()
        async with asyncio.TaskGroup() as beside:
            keeping = beside.create_task(report.keep()) if report is not None else None
            await stop.wait()
            if keeping is not None:
                keeping.cancel()
        await simulator.drain(_GRACE)
    if misbehaving is not None:
        done = misbehaving.counters
        output.print(
            f"{counted(done.questions, 'question')}: {counted(done.answers, 'answer')}, "
            f"{done.refused} refused, {done.broken} broken off, {done.silent} never answered"
        )
        moved = done.retrieval
        output.print(
            f"{counted(moved.moves + moved.gets, 'retrieval')}: {counted(moved.images, 'image')}, "
            f"{moved.failures} failed, {moved.empty} empty, {moved.left_out} left out, "
            f"{moved.aborted} aborted, {moved.stalled} stalled; "
            f"{counted(done.associations.most, 'association')} at most at once"
        )
    if report is not None:
        report.write()


def _misbehaves(settings: "Misbehaviour") -> list[str]:
    """Return the keys of a behaviour."""
    keys = settings.model_fields_set - {"archive", "retrieval"}
    return sorted({*keys, *(f"retrieval.{key}" for key in settings.retrieval.model_fields_set)})


def _holds(archive: "Holdings") -> str:
    """Say what an archive has."""
    from node.simulator.archive import SimulatedArchive
    from node.simulator.generated.archive import GeneratedArchive

    if isinstance(archive, GeneratedArchive):
        served, exact = archive.served()
        of_all = f"{served} of " if served != len(archive) else ""
        return f"{'' if exact else 'about '}{of_all}{counted(len(archive), 'study')}, made up"
    if not isinstance(archive, SimulatedArchive):
        return counted(len(archive), "image")
    skipped = f"; {counted(archive.skipped, 'other file')} skipped" if archive.skipped else ""
    return f"{counted(len(archive.studies), 'study')}, {counted(len(archive), 'image')}{skipped}"
