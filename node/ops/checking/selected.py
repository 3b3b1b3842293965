"""Which images a check is about; what names none of them is an error, not an empty selection."""

from collections.abc import Sequence
from datetime import datetime

from node.errors import UsageError
from node.ops.projects import project_named
from schema import Database, get_project_study_uids
from schema.inventory import Selection, studies_held
from schema.project.entries import unless_uid


async def selected(
    database: Database,
    *,
    study_uids: Sequence[str] = (),
    project: str | None = None,
    since: datetime | None = None,
) -> Selection:
    """Return the selection that a study, a project and a day come to.

    Parameters
    ----------
    study_uids
        Of these studies; empty means any.
    project
        The name of a project.
    since
        Received then (naive UTC) or later.

    Raises
    ------
    UsageError
        There is no such project, a study is not in it, or the index has no image of a study.
    """
    named = None if project is None else await project_named(database, project)
    uids = [uid.strip() for uid in study_uids]
    async with database.session() as session:
        if named is not None:
            members = set(await get_project_study_uids(session, named.id))
            for uid in uids:
                if uid not in members:
                    raise UsageError(f"the study {uid} is not in the project {named.name!r}")
        held = await studies_held(session, uids)
    if missing := [uid for uid in uids if uid not in held]:
        listed = ", ".join(f"{uid!r}{unless_uid(uid)}" for uid in missing)
        raise UsageError(f"the index has no image of the study {listed}")
    return Selection(
        study_uids=tuple(uids), project_id=None if named is None else named.id, since=since
    )
