"""`dicom-node project add` and `remove`: which studies a project names."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell import completion
from node.cli.shell.dates import FromOption, LastOption, ToOption, window_of
from node.cli.shell.options import ConfigOption, JsonOption, QuietOption
from node.cli.shell.output import Output
from node.cli.shell.queries import checked
from schema.text.words import counted

if TYPE_CHECKING:
    from node.cli.lists.study_lists import Listed
    from node.config import Config
    from schema.project.entries import Entries
    from schema.project.selection import Criteria

_SHOWN = 10

NameArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The project's name.", autocompletion=completion.projects),
]

_StudyOption = Annotated[
    list[str] | None,
    typer.Option("--study", metavar="UID", help="A Study Instance UID; may be repeated."),
]
_AccessionOption = Annotated[
    list[str] | None,
    typer.Option("--accession", metavar="NUMBER", help="An accession number; may be repeated."),
]
_CsvOption = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        metavar="FILE",
        help="A list of UIDs or accession numbers; - is the standard input.",
        show_default=False,
    ),
]
_ColumnOption = Annotated[
    str | None,
    typer.Option(
        "--column",
        metavar="NAME",
        help="The column of the list: its heading, or its number from 1.",
        show_default=False,
    ),
]
_SkipOption = Annotated[
    bool,
    typer.Option(
        "--skip-invalid", help="Leave out the lines that name no study, instead of stopping."
    ),
]


def add(
    name: NameArgument,
    study: _StudyOption = None,
    accession: _AccessionOption = None,
    csv: _CsvOption = None,
    column: _ColumnOption = None,
    skip_invalid: _SkipOption = False,
    first: FromOption = None,
    to: ToOption = None,
    last: LastOption = None,
    modality: Annotated[
        list[str] | None,
        typer.Option(metavar="CT", help="Known studies that have this modality; may be repeated."),
    ] = None,
    patient_id: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Known studies of this patient; may be repeated."),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PEER",
            autocompletion=completion.peers,
            help="Known studies that this peer has answered; may be repeated.",
        ),
    ] = None,
    manufacturer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="Known studies with an image from this manufacturer; may be repeated.",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All known studies: found, or with images here.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Add studies to a project: by UID, by accession number, from a list, or by criteria.

    Criteria (dates, modality, patient, peer, manufacturer) choose from what was found and
    what is here; all of them have to hold. Nothing is added when anything is wrong.
    """
    from node.cli.shell.start import configured, run
    from node.errors import UsageError

    listed = _listed(study, accession, csv, column, skip_invalid=skip_invalid)
    criteria = _criteria(first, to, last, modality, patient_id, peer, manufacturer)
    if everything and criteria is not None:
        raise UsageError("--all goes without other criteria")
    if everything:
        from schema.project.selection import Criteria

        criteria = Criteria()
    if criteria is None and not _given(study, accession, csv):
        raise UsageError(
            "say what to add: --study UID, --accession NUMBER, --csv FILE, or criteria "
            "(--last 7d, --from DATE, --modality CT, --patient-id ID, --peer PEER, "
            "--manufacturer TEXT), or --all"
        )
    settings = configured(config)
    output = Output(json=json, quiet=quiet)
    _sum_up(listed, csv, output)
    for one in peer or ():
        settings.peer(one)
    added = run(_add(settings, name, listed, criteria))
    _report(name, added, listed, output, "new", "known already")


def remove(
    name: NameArgument,
    study: _StudyOption = None,
    accession: _AccessionOption = None,
    csv: _CsvOption = None,
    column: _ColumnOption = None,
    skip_invalid: _SkipOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Take studies off a project, by the key by which they were added. Images stay.

    The exit code is 1 when a key was not in the project; the others are taken off all the same.
    """
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run
    from node.errors import UsageError

    listed = _listed(study, accession, csv, column, skip_invalid=skip_invalid)
    if not _given(study, accession, csv):
        raise UsageError("say what to remove: --study UID, --accession NUMBER, or --csv FILE")
    output = Output(json=json, quiet=quiet)
    settings = configured(config)
    _sum_up(listed, csv, output)
    removed = run(_remove(settings, name, listed))
    _report(name, removed, listed, output, "removed", "were not in it")
    if removed.unchanged:
        raise typer.Exit(Exit.FAILED)


def _sum_up(listed: "Listed", csv: Path | None, output: Output) -> None:
    """Say what a list was taken for, before anything is done with it."""
    if csv is not None:
        from node.cli.lists.reading import name_of_list

        output.remark(f"{name_of_list(csv)}: {listed.summary}")


def _given(*options: object) -> bool:
    return any(option is not None for option in options)


def _listed(
    study: list[str] | None,
    accession: list[str] | None,
    csv: Path | None,
    column: str | None,
    *,
    skip_invalid: bool,
) -> "Listed":
    """Return what the options and the list name.

    Raises
    ------
    UsageError
        Something in it names no study, or there is no such list.
    """
    from node.cli.lists.reading import name_of_list, read_list_file
    from node.cli.lists.study_lists import Listed, read_list
    from node.errors import UsageError
    from schema.errors import InvalidProject
    from schema.project.entries import check_accession_number, check_study_uid

    if column is not None and csv is None:
        raise UsageError("--column says which column of --csv FILE it is")
    if csv is None:
        listed, name = Listed(), ""
    else:
        name = name_of_list(csv)
        listed = read_list(read_list_file(csv), name=name, column=column, by_option=True)
    if listed.problems and not skip_invalid:
        lines = [f"{name}, line {one.line}: {one.message}" for one in listed.problems[:_SHOWN]]
        if (more := len(listed.problems) - _SHOWN) > 0:
            lines.append(f"and {counted(more, 'more line')}")
        lines.append("nothing is changed; --skip-invalid leaves these lines out")
        raise UsageError("\n".join(lines))
    try:
        listed.study_uids += map(check_study_uid, study or ())
        listed.accession_numbers += map(check_accession_number, accession or ())
    except InvalidProject as error:
        raise UsageError(str(error)) from error
    return listed


def _criteria(
    first: datetime | None,
    to: datetime | None,
    last: str | None,
    modality: list[str] | None,
    patient_id: list[str] | None,
    peer: list[str] | None,
    manufacturer: list[str] | None,
) -> "Criteria | None":
    from schema.project.keys import check_modality, check_patient_id
    from schema.project.selection import Criteria

    window = window_of(first, to, last)
    criteria = Criteria(
        first=window.start,
        last=window.end,
        modality=tuple(checked("--modality", modality, check_modality)) or None,
        patient_id=tuple(checked("--patient-id", patient_id, check_patient_id)) or None,
        peer=tuple(peer or ()) or None,
        manufacturer=tuple(manufacturer or ()) or None,
    )
    return None if criteria == Criteria() else criteria


async def _add(
    settings: "Config", name: str, listed: "Listed", criteria: "Criteria | None"
) -> "Entries":
    from node.cli.shell.start import database_of
    from node.ops.projects import add_studies, project_named

    async with database_of(settings) as database:
        return await add_studies(
            database,
            await project_named(database, name),
            study_uids=listed.study_uids,
            accession_numbers=listed.accession_numbers,
            criteria=criteria,
        )


async def _remove(settings: "Config", name: str, listed: "Listed") -> "Entries":
    from node.cli.shell.start import database_of
    from node.ops.projects import project_named
    from schema.project.entries import remove_from_project

    async with database_of(settings) as database:
        project = await project_named(database, name)
        async with database.begin() as session:
            return await remove_from_project(
                session,
                project.id,
                study_uids=listed.study_uids,
                accession_numbers=listed.accession_numbers,
            )


def _report(
    name: str, entries: "Entries", listed: "Listed", output: Output, changed: str, unchanged: str
) -> None:
    skipped = len(listed.problems)
    if output.json:
        counts = {changed: entries.changed, unchanged: entries.unchanged, "skipped": skipped}
        document = {key.replace(" ", "_"): value for key, value in counts.items()}
        output.document({**document, "left_out": listed.problems})
    if entries.unchanged == 1:
        unchanged = unchanged.replace("were ", "was ")
    output.print(f"{name}: {entries.changed} {changed}, {entries.unchanged} {unchanged}")
    for problem in listed.problems[:_SHOWN]:
        output.note(f"line {problem.line} is left out: {problem.message}")
    if skipped > _SHOWN:
        output.note(f"and {counted(skipped - _SHOWN, 'more line')}")
