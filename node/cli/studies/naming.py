"""Which studies a command is about: by UID, by accession number, from a list, or of a project."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell import completion
from schema.text.words import are, counted, counted_are

if TYPE_CHECKING:
    from node.cli.shell.output import Output
    from schema.choosing.named import NamedStudies
    from schema.engine.database import Database
    from schema.tables.projects import Project

_SHOWN = 10
"""Lines of a list that are told one by one."""

AccessionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--accession",
        metavar="NUMBER",
        help="The studies of this accession number; may be repeated.",
    ),
]
ProjectOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=completion.projects,
        help="Only the studies of this project that were found.",
    ),
]
ListOption = Annotated[
    Path | None,
    typer.Option(
        "--list",
        metavar="FILE",
        help="The studies of a list: UIDs or accession numbers, one in each line, or CSV with a "
        "heading. Lines that begin with # are comments; - is the standard input.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What names studies on a command line.

    Attributes
    ----------
    study_uids, accession_numbers
        Those of the options, then those of the list.
    options
        Those of the options alone: each of them has to be there.
    lines
        Where in the list each of the others stands, the line counted from 1.
    list_name
        What the list is called in messages; "" without one.
    """

    study_uids: tuple[str, ...] = ()
    accession_numbers: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    lines: dict[str, int] = field(default_factory=dict)
    list_name: str = ""

    def __bool__(self) -> bool:
        return bool(self.study_uids or self.accession_numbers or self.list_name)


def names_of(
    study: Iterable[str] | None,
    accession: Iterable[str] | None,
    listed: Path | None,
    output: "Output",
) -> Names:
    """Return what the options and the list name; say what the list was taken for.

    Raises
    ------
    UsageError
        Something in it names no study, or there is no such list.
    """
    from node.cli.lists.reading import name_of_list, read_list_file
    from node.cli.lists.study_lists import Listed, read_list
    from node.errors import UsageError
    from schema.errors import InvalidProject
    from schema.project.entries import check_accession_number

    found, name = Listed(), ""
    if listed is not None:
        name = name_of_list(listed)
        found = read_list(read_list_file(listed), name=name, comments=True)
        if found.problems:
            lines = [f"{name}, line {one.line}: {one.message}" for one in found.problems[:_SHOWN]]
            if (more := len(found.problems) - _SHOWN) > 0:
                lines.append(f"and {counted(more, 'more line')}")
            raise UsageError("\n".join(lines))
        output.remark(f"{name}: {found.summary}")
    try:
        numbers = tuple(map(check_accession_number, accession or ()))
    except InvalidProject as error:
        raise UsageError(str(error)) from error
    uids = tuple(study or ())
    return Names(
        study_uids=(*uids, *found.study_uids),
        accession_numbers=(*numbers, *found.accession_numbers),
        options=(*uids, *numbers),
        lines=found.lines,
        list_name=name,
    )


async def resolved(
    database: "Database", names: Names, output: "Output", *, strict: bool = False
) -> "NamedStudies":
    """Return the found studies that names stand for; say which of a list nobody has found.

    Parameters
    ----------
    strict
        Whether UIDs of the command line have to be known as well: else it is said later.

    Raises
    ------
    UsageError
        An accession number was named by an option, and no find has recorded a study of it.
    """
    from node.errors import UsageError
    from schema.choosing.named import studies_named
    from schema.project.entries import unless_uid

    async with database.session() as session:
        found = await studies_named(
            session, study_uids=names.study_uids, accession_numbers=names.accession_numbers
        )
    for one in found.unknown:
        if strict and one in names.options and one in names.study_uids:
            raise UsageError(f"no find has recorded the study {one or repr(one)}{unless_uid(one)}")
        if one in names.options and one not in names.study_uids:
            raise UsageError(
                f"no find has recorded a study of the accession number {one}; ask for it first: "
                f"`dicom-node find PEER --accession {shlex.quote(one)}`"
            )
    say_unknown(unknown_lines(found, names), names, output)
    return found


def unknown_lines(found: "NamedStudies", names: Names) -> list[str]:
    """Return what of a list no find has recorded."""
    return [one for one in found.unknown if one not in names.options]


def say_unknown(unknown: Sequence[str], names: Names, output: "Output") -> None:
    """Say which lines of a list name studies that nobody has found."""
    if not unknown:
        return
    for one in unknown[:_SHOWN]:
        output.note(f"{names.list_name}, line {names.lines[one]}: no find has recorded {one}")
    if (more := len(unknown) - _SHOWN) > 0:
        output.note(f"and {counted(more, 'more line')} like these")
    where = "FILE" if names.list_name == "the standard input" else shlex.quote(names.list_name)
    output.note(
        f"{counted_are(len(unknown), 'line')} left out; "
        f"`dicom-node find PEER --list {where}` asks for them"
    )


async def of_project(
    database: "Database", name: str, named: "Sequence[str] | None", output: "Output"
) -> list[str]:
    """Return the studies of a project, or those of them that are named; say how many are unknown.

    Raises
    ------
    UsageError
        There is no such project, it has no studies, or one that is named is not in it.
    """
    from node.ops.moving.choice import studies_of_project
    from node.ops.projects import check_not_empty, project_named, project_summary

    project: Project = await project_named(database, name)
    uids = await studies_of_project(database, project, named or ())
    summary = await project_summary(database, project)
    check_not_empty(summary)
    if summary.missing:
        output.remark(
            f"{project.name}: {summary.missing} of {counted(summary.studies, 'study')} "
            f"{are(summary.missing)} not found anywhere yet; "
            f"`dicom-node project show {shlex.quote(project.name)}` says why"
        )
    return uids
