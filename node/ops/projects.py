"""Projects by their names, for the commands that take one."""

from difflib import SequenceMatcher

from node.errors import UsageError
from schema import Database, Project, list_projects

_SHOWN = 10


async def project_named(database: Database, name: str) -> Project:
    """Return the project of this name.

    Raises
    ------
    UsageError
        There is none; the message lists those that there are, the most similar ones first.
    """
    async with database.session() as session:
        project = await Project.by_name(session, name.strip())
        if project is not None:
            return project
        known = [summary.name for summary in await list_projects(session)]
    if not known:
        raise UsageError(
            f"no project is named {name!r}: there is none yet; make it with "
            "`dicom-node project create NAME`"
        )
    known.sort(key=lambda other: _likeness(name, other), reverse=True)
    listed = ", ".join(map(repr, known[:_SHOWN]))
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    raise UsageError(f"no project is named {name!r}; known are: {listed}{more}")


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one.casefold(), other.casefold()).ratio()
