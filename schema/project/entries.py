"""Projects are made, filled, emptied and removed: what writes `projects`, `project_studies`.

An entry names a study by its UID or by its accession number; nothing is looked up when it is
added, because the view `project_members` finds the studies whenever it is asked.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.errors import InvalidProject
from schema.header.values import clean_or_none, clean_text
from schema.project.keys import shown
from schema.tables.columns import utcnow
from schema.tables.projects import Project, ProjectStudy
from schema.tables.statements import among, insert_new, table_of

NAME_LENGTH = 200
"""Characters that a project's name may have."""

_KEY_LENGTH = 300
_UID = re.compile(r"[0-2](?:\.[0-9]+)+")
_LOOKS_LIKE_UID = r"(?:2\.25|[0-2](?:\.[0-9]+){2,})\.[0-9]+"
"""Four numbers and more with dots between them, or 2.25 and one (PS3.5 B.2)."""
_UID_INSIDE = re.compile(rf"(?<![0-9A-Za-z.]){_LOOKS_LIKE_UID}(?![0-9A-Za-z.])")
_UID_LENGTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """What became of entries that were added or removed.

    Attributes
    ----------
    changed
        Those that are new, or that are gone now.
    unchanged
        Those that were there already, or that were never there.
    """

    changed: int
    unchanged: int


def check_project_name(name: str) -> str:
    """Return a project's name without the spaces around it.

    Raises
    ------
    InvalidProject
        It is empty, too long, has characters that cannot be printed, or looks like an option.
    """
    name = name.strip()
    if not name:
        raise InvalidProject("a project needs a name that is not only spaces")
    if len(name) > NAME_LENGTH:
        raise InvalidProject(
            f"a project's name has up to {NAME_LENGTH} characters; this one has {len(name)}"
        )
    if not name.isprintable():
        raise InvalidProject(f"a project's name has no control characters: {name!r}")
    if name.startswith("-"):
        raise InvalidProject(f"a project's name does not begin with a hyphen: {name!r}")
    return name


def check_study_uid(uid: str) -> str:
    """Return a Study Instance UID without its padding (PS3.5 section 9.1).

    Leading zeros of a component are let through, since there are devices that write them.

    Raises
    ------
    InvalidProject
        It is none.
    """
    uid = uid.strip(" \0\t\r\n\xa0")
    if not is_study_uid(uid):
        raise InvalidProject(
            f"{shown(uid)} is no Study Instance UID: that is numbers with dots between them, "
            f"the first 0, 1 or 2, in up to {_UID_LENGTH} characters (PS3.5 9.1)"
        )
    return uid


def is_study_uid(uid: str) -> bool:
    """Tell whether a PACS can be asked for this UID."""
    return _UID.fullmatch(uid) is not None and len(uid) <= _UID_LENGTH


def unless_uid(uid: str) -> str:
    """Return what is added to a message about a study that nobody knows: that it is no UID."""
    return "" if is_study_uid(uid) else ", which is no Study Instance UID"


def check_accession_number(number: str) -> str:
    """Return an accession number without its padding (PS3.5 6.2, value representation SH).

    More than the standard's 16 characters are let through, since there are systems that
    write them.

    Raises
    ------
    InvalidProject
        It is none, has a UID in it, or would name many studies when a PACS is asked for it.
    """
    number = number.strip(" \0\t\r\n\xa0")
    if not number:
        raise InvalidProject("an accession number is not empty")
    if len(number) > _KEY_LENGTH:
        raise InvalidProject(
            f"{shown(number)} is no accession number: it has {len(number)} characters"
        )
    if not number.isprintable():
        raise InvalidProject(f"{shown(number)} is no accession number: it has control characters")
    if _UID_INSIDE.search(number):
        raise InvalidProject(
            f"{shown(number)} is no accession number: there is a UID in it; columns are separated"
            " by commas, semicolons or tabs"
        )
    if set(number) & set("*?\\"):
        raise InvalidProject(
            f"{shown(number)} is no accession number: *, ? and \\ stand for others in a query"
        )
    return number


@either
async def create_project(
    session: AsyncSession, name: str, *, description: str | None = None
) -> Project | None:
    """Make a project without studies.

    Parameters
    ----------
    session
        The caller's; it is the caller who commits.
    name
        As people call it; checked by `check_project_name`.
    description
        What it is for, in words.

    Returns
    -------
    Project | None
        None when there is one of this name; it is left as it is.

    Raises
    ------
    InvalidProject
        The name cannot be one.
    """
    name = check_project_name(name)
    row = {
        "name": name,
        "description": clean_or_none(description),
        "created_on": utcnow(),
    }
    if not await insert_new(session, table_of(Project), [row], key=["name"], returning=["id"]):
        return None
    return await Project.by_name(session, name)


@either
async def add_to_project(
    session: AsyncSession,
    project_id: int,
    *,
    study_uids: Iterable[str] = (),
    accession_numbers: Iterable[str] = (),
) -> Entries:
    """Name studies that belong to a project, whether anybody has them yet or not.

    Parameters
    ----------
    session
        The caller's; it is the caller who commits.
    project_id
        The project's key.
    study_uids, accession_numbers
        Any number; what is named twice counts once.

    Returns
    -------
    Entries
        How many are new, and how many the project had.

    Raises
    ------
    InvalidProject
        One of them cannot be what it should be, or there is no such project. Nothing is added.
    """
    uids = sorted({check_study_uid(uid) for uid in study_uids})
    numbers = sorted({check_accession_number(number) for number in accession_numbers})
    await _keep(session, project_id)
    new = await _insert(session, project_id, "study_uid", uids)
    new += await _insert(session, project_id, "accession_number", numbers)
    return Entries(changed=new, unchanged=len(uids) + len(numbers) - new)


@either
async def add_known_studies(
    session: AsyncSession, project_id: int, study_uids: Iterable[str]
) -> Entries:
    """Add studies that the database has, whatever their UIDs look like; see `add_to_project`."""
    uids = sorted({clean_text(uid) for uid in study_uids})
    await _keep(session, project_id)
    new = await _insert(session, project_id, "study_uid", uids)
    return Entries(changed=new, unchanged=len(uids) - new)


@either
async def remove_from_project(
    session: AsyncSession,
    project_id: int,
    *,
    study_uids: Iterable[str] = (),
    accession_numbers: Iterable[str] = (),
) -> Entries:
    """Take entries off a project; what was found or received stays.

    A study that was added by its accession number is removed by its accession number.

    Returns
    -------
    Entries
        How many are gone, and how many were no entries.
    """
    uids, numbers = set(study_uids), set(accession_numbers)
    gone = 0
    for column, keys in ((ProjectStudy.study_uid, uids), (ProjectStudy.accession_number, numbers)):
        if keys:
            statement = (
                delete(ProjectStudy)
                .where(ProjectStudy.project_id == project_id, among(session, column, sorted(keys)))
                .returning(ProjectStudy.id)
                .execution_options(synchronize_session=False)
            )
            gone += len((await session.execute(statement)).all())
    return Entries(changed=gone, unchanged=len(uids) + len(numbers) - gone)


@either
async def delete_project(session: AsyncSession, project_id: int) -> int:
    """Remove a project and its entries; what was found or received stays.

    Returns
    -------
    int
        How many entries it had.
    """
    await session.execute(select(Project.id).where(Project.id == project_id).with_for_update())
    entries = (
        delete(ProjectStudy)
        .where(ProjectStudy.project_id == project_id)
        .returning(ProjectStudy.id)
        .execution_options(synchronize_session=False)
    )
    count = len((await session.execute(entries)).all())
    await session.execute(
        delete(Project).where(Project.id == project_id).execution_options(synchronize_session=False)
    )
    return count


async def _keep(session: AsyncSession, project_id: int) -> None:
    """Make sure that the project is there until the transaction ends."""
    there = (
        select(Project.id)
        .where(Project.id == project_id)
        .with_for_update(read=True, key_share=True)
    )
    if await session.scalar(there) is None:
        raise InvalidProject(f"there is no project {project_id} any more")


async def _insert(session: AsyncSession, project_id: int, column: str, keys: Sequence[str]) -> int:
    now = utcnow()
    rows = [{"project_id": project_id, column: key, "added_on": now} for key in keys]
    returned = await insert_new(
        session,
        table_of(ProjectStudy),
        rows,
        key=["project_id", column],
        returning=["id"],
    )
    return len(returned)
