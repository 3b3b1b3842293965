"""`dicom-node explain`: why a study, a series or an image is not here, and what happens next."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.explaining.asking import asked_by_name
from node.cli.explaining.images import of_image, of_series
from node.cli.explaining.studies import in_a_line, several, story_of
from node.cli.shell.options import ConfigOption, JsonOption
from node.cli.shell.output import Output

if TYPE_CHECKING:
    from node.config import Config
    from node.ops.explaining.explain import Explanation
    from schema.explaining.naming import NameKind


def explain(
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="TEXT",
            help="A Study, Series or SOP Instance UID, an accession number or a Patient ID: the "
            "first of these that it is.",
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            metavar="UID",
            help="A study; with TEXT, the study in which to look for a series or an image that is "
            "not here.",
        ),
    ] = None,
    accession: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="All studies of an accession number.")
    ] = None,
    patient_id: Annotated[
        str | None, typer.Option(metavar="ID", help="All studies of a patient.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Tell the story of each of several studies.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Tell why something is not here, what was tried, and what happens next.

    It reads the database, the configuration and the storage directory, and asks no peer. The exit
    code is 0 where all of it is here, and 1 where it is not.
    """
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run

    for named in (text, study, accession, patient_id):
        _refuse_long(named)
    name, kind, of_study = _named(text, study, accession, patient_id)
    settings = configured(config)
    found = run(_ask(settings, name, kind, of_study, whole=everything))
    output = Output(json=json)
    if json:
        output.document(_document(found))
    else:
        for line in _lines(found, whole=everything):
            output.print(line)
    if not found.complete:
        raise typer.Exit(Exit.FAILED)


def _refuse_long(name: str | None) -> None:
    """Refuse what is longer than any name; SQLite searches for no text of any length.

    A UID or a Patient ID has up to 64 characters, an accession number 16 (PS3.5 6.2), and there
    are systems that write more: here, what is longer than `MAX_KEY` has no index.
    """
    from node.errors import UsageError
    from schema.header.values import MAX_KEY

    if name is not None and len(name) > MAX_KEY:
        raise UsageError(
            f"'{name[:20]}...' is no UID, accession number or Patient ID: it has {len(name)} "
            f"characters, {MAX_KEY} are the most"
        )


def _named(
    text: str | None, study: str | None, accession: str | None, patient_id: str | None
) -> "tuple[str, NameKind | None, str | None]":
    from node.errors import UsageError
    from schema.explaining.naming import NameKind

    forced = [
        (value, kind)
        for value, kind in (
            (study if text is None else None, NameKind.STUDY),
            (accession, NameKind.ACCESSION),
            (patient_id, NameKind.PATIENT),
        )
        if value is not None
    ]
    if len(forced) + (text is not None) != 1:
        raise UsageError(
            "explain takes one of these: TEXT (a UID, an accession number or a Patient ID), "
            "--study, --accession or --patient-id; --study goes with TEXT as well"
        )
    if text is not None:
        return text, None, study
    ((value, kind),) = forced
    return value, kind, None


async def _ask(
    settings: "Config", name: str, kind: "NameKind | None", of_study: str | None, *, whole: bool
) -> "Explanation":
    from node.cli.shell.start import database_of
    from node.ops.explaining.explain import explain as tell
    from node.ops.status import TO_ANSWER

    async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
        return await tell(settings, database, name, kind=kind, of_study=of_study, whole=whole)


def _document(found: "Explanation") -> dict[str, object]:
    return {
        "text": found.name.text,
        "kind": found.name.kind,
        "also": found.name.also,
        "complete": found.complete,
        "waiting": found.waiting,
        "heads": found.heads,
        "studies": found.studies,
        "names": found.names,
        "series": found.series,
        "image": found.image,
        "files": found.files,
    }


def _lines(found: "Explanation", *, whole: bool) -> list[str]:
    from schema.explaining.naming import NameKind

    lines: list[str] = []
    if found.name.also is not None:
        lines += [
            f"{found.name.text} is taken for an accession number. It is a Patient ID as well: "
            "--patient-id takes it for that.",
            "",
        ]
    if found.series is not None:
        return lines + of_series(found.series, found.files)
    if found.image is not None:
        return lines + of_image(found.image, found.files)
    if not found.heads:
        return lines + _nobody_knows(found)
    if found.name.kind in (NameKind.ACCESSION, NameKind.PATIENT) and len(found.heads) > 1:
        complete = sum(head.complete for head in found.heads)
        lines.append(f"The {found.name.kind} has {several(len(found.heads), complete)}:")
        lines += [f"- {in_a_line(head)}" for head in found.heads]
        if not whole:
            lines += ["", "--all tells the story of each."]
    for one in found.studies:
        lines += [*([""] if lines else []), *story_of(one, waiting=found.waiting)]
    if found.name.kind is NameKind.NOTHING:
        lines += [
            "",
            "If it is a series or an image that is not here: "
            f"`dicom-node explain {found.name.text} --study UID` looks at what PACSs list of "
            "that study.",
        ]
    return lines


def _nobody_knows(found: "Explanation") -> list[str]:
    from schema.explaining.naming import NameKind

    kinds = {
        NameKind.ACCESSION: "No study with this accession number is known.",
        NameKind.PATIENT: "No study of a patient with this Patient ID is known.",
    }
    said = kinds.get(
        found.name.kind, "No study, accession number or patient of this name is known."
    )
    ask = {
        NameKind.PATIENT: "`dicom-node find PEER --last 30d --patient-id ID`",
    }.get(found.name.kind, "`dicom-node find PEER --accession NUMBER`")
    told = [asked_by_name(one) for one in found.names]
    return [
        said,
        *told,
        f"{ask} asks a PACS for it; `dicom-node coverage` shows which dates were asked.",
    ]
