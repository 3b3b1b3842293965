"""Of which studies the policy of now wants nothing, as far as that is known before they are asked.

Which series and images are wanted is decided when a PACS has listed them: it is not known here.
"""

from collections.abc import Collection, Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.choosing.policy import Policy
from schema.finding.standing import TOLD
from schema.moving.senders import peer_key
from schema.standing.states import TRANSITIONS, StudyEvent, StudyState
from schema.tables.models import StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among

_MAY_BE = [state.value for state in (*TRANSITIONS[StudyEvent.CLAIMED], StudyState.UNWANTED)]


async def refused_studies(
    session: AsyncSession, study_uids: Collection[str], policies: Mapping[str, Policy]
) -> dict[str, dict[str, str]]:
    """Return why nothing of studies is wanted, by Study Instance UID and the name of the PACS.

    Both of those that were judged by their policy of now, and of those that it would refuse when
    they are claimed. What is complete, held or gone at a PACS is left out.

    Parameters
    ----------
    policies
        What is wanted from each PACS, by its name.
    """
    of_peers = {peer_key(peer): (peer, policy) for peer, policy in policies.items() if policy}
    if not of_peers or not study_uids:
        return {}
    query = (
        select(
            StudyFind.study_uid,
            StudyFind.modalities,
            StudyFind.study_description,
            StudySource.peer,
            StudySource.state,
            StudySource.policy,
            StudySource.last_error,
            TOLD.label("told"),
        )
        .join(StudySource, StudySource.study_find_id == StudyFind.id)
        .where(
            among(session, StudyFind.study_uid, sorted(study_uids)),
            StudySource.peer.in_(sorted(of_peers)),
            StudySource.state.in_(_MAY_BE),
            StudySource.gone_on.is_(None),
            StudySource.verified_on.is_(None),
        )
    )
    found: dict[str, dict[str, str]] = {}
    for row in await session.execute(query):
        peer, policy = of_peers[row.peer]
        if row.state == StudyState.UNWANTED and row.policy == str(policy):
            why = row.last_error or "the policy does not want it"
        else:
            why = policy.refuses(
                modalities=row.modalities, description=row.study_description, images=row.told
            )
        if why:
            found.setdefault(row.study_uid, {})[peer] = why
    return found
