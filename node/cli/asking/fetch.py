"""`dicom-node get` and `dicom-node fetch`: bring studies of a peer into a folder of files."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell.options import (
    ConfigOption,
    JsonOption,
    PeerArgument,
    QuietOption,
    WayChoice,
)
from node.cli.shell.output import Output

if TYPE_CHECKING:
    from node.config import Config
    from node.ops.fetching.report import FetchReport
    from node.ops.fetching.wish import FetchWish


class FolderLayout(StrEnum):
    """Where files lie in the folder."""

    FLAT = "flat"
    STUDY = "study"


StudyOption = Annotated[
    list[str] | None,
    typer.Option("--study", metavar="UID", help="A Study Instance UID; may be repeated."),
]
SeriesOption = Annotated[
    list[str] | None,
    typer.Option("--series", metavar="UID", help="Only this series of the study; may be repeated."),
]
ImageOption = Annotated[
    list[str] | None,
    typer.Option(
        "--image",
        metavar="UID",
        help="Only this image of the study, a SOP Instance UID; may be repeated.",
    ),
]
PatientOption = Annotated[
    list[str] | None,
    typer.Option(
        "--patient-id",
        metavar="ID",
        help="In place of --study: all studies of this patient that the peer lists.",
    ),
]
FolderOption = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="DIR", file_okay=False, help="The folder; made when missing."
    ),
]
LayoutOption = Annotated[
    FolderLayout,
    typer.Option("--layout", help="All files in one folder, or one for each study and series."),
]


def get(
    peer: PeerArgument,
    output: FolderOption,
    study: StudyOption = None,
    series: SeriesOption = None,
    image: ImageOption = None,
    patient_id: PatientOption = None,
    layout: LayoutOption = FolderLayout.FLAT,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bring studies of a peer into a folder of DICOM files, by C-GET.

    As `dicom-node fetch --retrieve get`: the archive and the index are left alone. Exit code 0 only
    when all came that the peer lists.
    """
    from node.config.peer.settings import RetrieveWay
    from node.ops.fetching.wish import FetchWish

    wish = FetchWish(
        folder=output,
        studies=_uids("--study", study),
        series=_uids("--series", series),
        images=_uids("--image", image),
        patient_ids=_patients(patient_id),
        by_study=layout is FolderLayout.STUDY,
        way=RetrieveWay.GET,
    )
    _run(peer, wish, config, Output(json=json, quiet=quiet))


def fetch(
    peer: PeerArgument,
    output: FolderOption,
    study: StudyOption = None,
    series: SeriesOption = None,
    image: ImageOption = None,
    patient_id: PatientOption = None,
    layout: LayoutOption = FolderLayout.FLAT,
    retrieve: Annotated[
        WayChoice,
        typer.Option(help="How: C-MOVE, C-GET or WADO-RS; auto is what the peer has, in turn."),
    ] = WayChoice.AUTO,
    aetitle: Annotated[
        str | None,
        typer.Option(
            metavar="AET",
            help="For C-MOVE: the title that the peer is to send to; else the node's.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=1,
            max=65535,
            help="For C-MOVE: the port where the peer knows that title; else the node's.",
        ),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bring studies of a peer into a folder of DICOM files, by whichever way the peer has.

    The archive, the index and the database are left alone. What came is held against what the peer
    lists, and what is missing after C-GET is asked for by the next way. Exit code 0 only when all
    came.
    """
    from node.config.peer.settings import RetrieveWay
    from node.ops.fetching.wish import FetchWish

    wish = FetchWish(
        folder=output,
        studies=_uids("--study", study),
        series=_uids("--series", series),
        images=_uids("--image", image),
        patient_ids=_patients(patient_id),
        by_study=layout is FolderLayout.STUDY,
        way=RetrieveWay(retrieve.value),
        aetitle=_title(aetitle),
        port=port,
    )
    _run(peer, wish, config, Output(json=json, quiet=quiet))


def _uids(option: str, values: Sequence[str] | None) -> tuple[str, ...]:
    from node.cli.shell.queries import checked
    from schema.project.entries import check_study_uid

    return tuple(checked(option, values, check_study_uid))


def _patients(values: Sequence[str] | None) -> tuple[str, ...]:
    from node.cli.shell.queries import checked
    from node.errors import UsageError
    from schema.project.keys import check_patient_id

    ids = checked("--patient-id", values, check_patient_id)
    if pattern := next((one for one in ids if {"*", "?"} & set(one)), None):
        raise UsageError(f"--patient-id {pattern}: name one patient, without wildcards")
    return tuple(ids)


def _title(text: str | None) -> str | None:
    from node.errors import UsageError

    if text is None:
        return None
    title = text.strip()
    if not title or len(title) > 16 or not title.isascii() or "\\" in title:
        raise UsageError(f"--aetitle {text!r} is no AE title: 1 to 16 ASCII characters (PS3.5 6.2)")
    return title


def _run(peer: str, wish: "FetchWish", path: Path | None, output: Output) -> None:
    from node.cli.shell.start import configured

    wish.check()
    settings = configured(path)
    settings.peer(peer)
    command = _Fetch(output, wish, peer)
    try:
        command.run(settings)
    finally:
        command.print()
    command.exit()


class _Fetch:
    """One run: its progress, its end."""

    def __init__(self, output: Output, wish: "FetchWish", peer: str) -> None:
        self._output = output
        self._wish = wish
        self._peer = peer
        self._report: FetchReport | None = None

    def run(self, settings: "Config") -> None:
        from node.cli.asking.brought import asked
        from node.cli.shell.start import run
        from node.ops.fetching.fetch import fetch
        from node.ops.fetching.report import Fetched

        with self._output.progress(f"fetch from {self._peer}", unit="images") as bar:

            def watch(report: "FetchReport") -> None:
                self._report = report
                known = [study.selected.expected for study in report.studies]
                there = sum(study.count(Fetched.THERE) for study in report.studies)
                total = None if None in known else sum(len(one or ()) for one in known) - there
                count = sum(len(study.images) for study in report.studies) - there
                text = asked(report, self._wish) + (f", {there} there already" * bool(there))
                bar.update(count, total=total or None, text=text)

            run(fetch(settings, self._peer, self._wish, watch=watch))

    def print(self) -> None:
        """Print what came, whatever ended it."""
        from node.cli.asking.brought import columns, details, document, row, summary

        report = self._report
        if report is None:
            return
        if self._output.json:
            self._output.document(document(report, self._peer, self._wish))
            return
        if report.studies:
            self._output.table(columns(report), [row(study) for study in report.studies])
            self._output.print("")
        for study in report.studies:
            for line in details(study, self._peer):
                self._output.print(line)
        self._output.print(summary(report, self._peer, self._wish))

    def exit(self) -> None:
        """End the command: with what ended it, or with the exit code that its report asks for."""
        from node.cli.shell.exits import Exit, code_of

        report = self._report
        if report is None or report.whole:
            return
        if report.error is not None:
            raise report.error
        raise typer.Exit(Exit.FAILED if report.trouble is None else code_of(report.trouble))
