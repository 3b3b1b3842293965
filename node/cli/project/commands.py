"""`dicom-node project`: named cohorts of studies."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.project import entries as project_entries
from node.cli.project.entries import NameArgument
from node.cli.shell.options import (
    LARGEST_PRIORITY,
    ConfigOption,
    ForceOption,
    JsonOption,
    QuietOption,
    leave_what_is_there,
)
from node.cli.shell.output import Column, Output
from schema.text.words import counted

if TYPE_CHECKING:
    from node.config import Config
    from node.ops.projects import ProjectDetails
    from schema.project.export import Exported
    from schema.project.members import Member
    from schema.project.reports import ProjectSummary

app = typer.Typer(help="Named cohorts of studies: projects.", no_args_is_help=True)
app.command()(project_entries.add)
app.command()(project_entries.remove)

_FOUND_ONCE = 5
_CHANGES_SHOWN = 10


@app.command()
def create(
    name: NameArgument,
    description: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What it is for.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a project without studies. The exit code is 1 when there is one of this name."""
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run
    from node.errors import UsageError
    from schema.errors import InvalidProject
    from schema.project.entries import check_project_name

    try:
        name = check_project_name(name)
    except InvalidProject as error:
        raise UsageError(str(error)) from error
    made = run(_create(configured(config), name, description))
    output = Output(json=json, quiet=quiet)
    if json:
        output.document({"name": name, "created": made})
    elif made:
        add = f"dicom-node project add {shlex.quote(name)} --csv FILE"
        output.print(f"{name}: created; `{add}` puts studies into it")
    else:
        output.note(f"dicom-node: there is a project {name!r} already; it is left as it is")
    if not made:
        raise typer.Exit(Exit.FAILED)


async def _create(settings: "Config", name: str, description: str | None) -> bool:
    from node.cli.shell.start import database_of
    from schema.project.entries import create_project

    async with database_of(settings) as database, database.begin() as session:
        return await create_project(session, name, description=description) is not None


@app.command("list")
def list_(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the projects, with how many of their studies are found, here, and complete."""
    from node.cli.shell.start import configured, run

    projects = run(_list(configured(config)))
    output = Output(json=json)
    if json:
        output.document({"projects": projects})
        return
    if not projects:
        output.print("There is no project; `dicom-node project create NAME` makes one.")
        return
    counts = ("studies", "found", "received", "complete", "images")
    output.table(
        [Column(key="name", title="project"), *(Column(key=key, right=True) for key in counts)],
        [{key: getattr(project, key) for key in ("name", *counts)} for project in projects],
    )


async def _list(settings: "Config") -> "list[ProjectSummary]":
    from node.cli.shell.start import database_of
    from schema.project.reports import list_projects

    async with database_of(settings) as database, database.session() as session:
        return await list_projects(session)


@app.command()
def show(
    name: NameArgument,
    missing: Annotated[
        bool, typer.Option("--missing", help="Only the studies that are not complete here.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show each study of a project: whether it is here, and if not, why not."""
    from node.cli.project.reasons import found_at, messages, why, why_in_short
    from node.cli.shell.start import configured, run

    settings = configured(config)
    details = run(_show(settings, name))
    summary = details.summary
    wanted = [member for member in details.members if not (missing and member.complete)]
    said = why if json else why_in_short
    rows = [
        _row(member) | {"found_at": found_at(member), "why": said(member, settings.peers)}
        for member in wanted
    ]
    output = Output(json=json)
    if json:
        output.document(
            {
                "project": summary,
                "members": rows,
                "ambiguous": details.ambiguous,
                "ambiguous_patients": details.patients,
            }
        )
        return
    output.print(
        f"{summary.name}: {counted(summary.studies, 'study')}, {summary.found} found, "
        f"{summary.received} received, {summary.complete} complete; "
        f"{counted(summary.images, 'image')}"
    )
    if summary.description:
        output.print(summary.description)
    if rows:
        output.print("")
        output.table(
            [
                Column(key="study_uid", title="study"),
                Column(key="accession_number", title="accession"),
                "date",
                "modalities",
                "found_at",
                "state",
                Column(key="received_images", title="received", right=True),
                Column(key="expected_images", title="expected", right=True),
                "why",
            ],
            [row | {"date": row["study_date"] and row["study_date"].date()} for row in rows],
        )
    for told in messages(wanted):
        output.note(told)
    changes = [(member.study_uid, one) for member in wanted for one in member.changes]
    for uid, one in changes[:_CHANGES_SHOWN]:
        output.note(
            f"{uid}: {one.peer} said {one.field} {one.was!r} until {one.seen_on:%Y-%m-%d}, "
            f"and {one.became!r} since"
        )
    if len(changes) > _CHANGES_SHOWN:
        output.note(f"and {len(changes) - _CHANGES_SHOWN} more, in the table study_changes")
    for number, uids in details.ambiguous.items():
        shown = ", ".join(uids[:_FOUND_ONCE])
        patients = len(details.patients.get(number, ()))
        of_several = f" of {counted(patients, 'patient')}" if patients else ""
        if patients > len(uids):  # a patient has an ID at each PACS
            of_several = f", with {patients} Patient IDs in all at the PACSs that have them"
        output.note(
            f"accession number {number} names {counted(len(uids), 'study')}{of_several}, and all "
            f"are in the project: {shown}{' …' if len(uids) > _FOUND_ONCE else ''}"
        )


def _row(member: "Member") -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(member)


async def _show(settings: "Config", name: str) -> "ProjectDetails":
    from node.cli.shell.start import database_of
    from node.ops.projects import project_details, project_named

    async with database_of(settings) as database:
        return await project_details(database, await project_named(database, name))


@app.command()
def priority(
    name: NameArgument,
    value: Annotated[
        int,
        typer.Argument(
            min=-LARGEST_PRIORITY,
            max=LARGEST_PRIORITY,
            metavar="N",
            help="The highest is moved first; 0 is usual. One below 0 goes after --.",
        ),
    ],
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Let a project's found studies be moved before others, or after them."""
    from node.cli.shell.start import configured, run

    changed, missing = run(_prioritise(configured(config), name, value))
    output = Output(json=json, quiet=quiet)
    if json:
        output.document({"name": name, "priority": value, "studies": changed, "not_found": missing})
    what = f"{counted(changed, 'study')} {'has' if changed == 1 else 'have'}"
    output.print(f"{name}: {what} priority {value}")
    if missing:
        output.note(
            f"{missing} of its studies are not found anywhere yet; say it again when they are"
        )


async def _prioritise(settings: "Config", name: str, value: int) -> tuple[int, int]:
    from node.cli.shell.start import database_of
    from node.ops.moving.choice import studies_of_project
    from node.ops.moving.priority import prioritise
    from node.ops.projects import project_named, project_summary

    async with database_of(settings) as database:
        project = await project_named(database, name)
        changed = await prioritise(database, await studies_of_project(database, project), value)
        summary = await project_summary(database, project)
    return changed, summary.studies - summary.found


@app.command()
def export(
    name: NameArgument,
    directory: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="The folder to write into.", show_default=False
        ),
    ],
    meta: Annotated[
        bool, typer.Option("--meta", help="Write the headers as well, as DICOM JSON.")
    ] = False,
    safe: Annotated[
        bool,
        typer.Option(
            "--safe",
            help="For spreadsheets: put an apostrophe before texts that they would run as "
            "formulas. This changes the data.",
        ),
    ] = False,
    force: ForceOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a project's studies and images to studies.csv and images.csv."""
    from node.cli.shell.start import configured, run
    from schema.project.export import IMAGES, STUDIES

    settings = configured(config)
    leave_what_is_there((directory / STUDIES, directory / IMAGES), force=force)
    output = Output(json=json, quiet=quiet)
    files = run(_export(settings, name, directory, output, meta=meta, safe=safe))
    if json:
        output.document({"files": files})
    for file in files:
        output.print(f"{file.path}: {counted(file.rows, 'row')}")


async def _export(
    settings: "Config", name: str, directory: Path, output: Output, *, meta: bool, safe: bool
) -> "tuple[Exported, Exported]":
    from node.cli.shell.start import database_of
    from node.ops.projects import project_named, project_summary
    from schema.project.export import export_project

    async with database_of(settings) as database:
        project = await project_named(database, name)
        summary = await project_summary(database, project)
        with output.progress(f"export {name}", unit="images", total=summary.images) as progress:
            async with database.session() as session:
                return await export_project(
                    session, project.id, directory, meta=meta, safe=safe, watch=progress.advance
                )


@app.command()
def delete(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, nothing is done.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Delete a project: its name and its list, never studies or images."""
    from node.cli.shell.start import configured, run

    entries = run(_delete(configured(config), name, really=yes))
    output = Output(json=json, quiet=quiet)
    if json:
        output.document({"name": name, "entries": entries})
    output.print(
        f"{name}: deleted, with its list of {counted(entries, 'entry')}; no image was touched"
    )


async def _delete(settings: "Config", name: str, *, really: bool) -> int:
    from node.cli.shell.start import database_of
    from node.errors import UsageError
    from node.ops.projects import project_named
    from schema.project.entries import delete_project

    async with database_of(settings) as database:
        project = await project_named(database, name)
        if not really:
            raise UsageError(
                f"--yes deletes the project {project.name!r} and its list; images and studies stay"
            )
        async with database.begin() as session:
            return await delete_project(session, project.id)
