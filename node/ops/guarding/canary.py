"""The study that is moved alone, before the rest: where a PACS has failed, or its hours open."""

from collections.abc import Awaitable, Callable, Collection

from node.config import Config
from node.ops.guarding.entering import PeerAdmission, PeerEntry, PeerWait, admission
from schema import Database, StudyFind
from schema.engine.claims import claiming
from schema.guarding.breakers import note_try
from schema.moving.ready import next_ready

_AMONG = 50
"""Studies that are next, from which one is chosen."""

_MANY = 1 << 31
"""Images of a study of which nobody knows how many it has."""

_MOST = 10
"""Studies that are tried one after the other as long as none of them was asked for in the end."""


async def canary_of(
    database: Database, peer: str, *, without: Collection[str] = ()
) -> StudyFind | None:
    """Return a study that a PACS should be able to send; None where none is ready.

    Among those that are next: one that has never failed, with few images. What is left of a
    campaign is often what a PACS cannot send, and says nothing of the rest.

    Parameters
    ----------
    without
        Study Instance UIDs of those that were tried just now.
    """
    async with database.session() as session:
        page = await next_ready(session, peer=peer, limit=_AMONG, without=without)
    return min(
        page,
        key=lambda study: ((study.attempts or 0) > 0, study.expected_images or _MANY),
        default=None,
    )


async def entered(
    config: Config,
    database: Database,
    peer: str,
    move_alone: Callable[[StudyFind], Awaitable[bool]],
) -> PeerWait | None:
    """Return when what is due may be moved from a PACS, or with what has to be waited for.

    Where a study has to be tried before, this node does, unless another one is at it.

    Parameters
    ----------
    move_alone
        Moves one study, and says whether it came to its end; what the PACS has done is recorded.
    """

    async def look() -> PeerAdmission:
        async with database.session() as session:
            return await admission(config, session, peer)

    tried: set[str] = set()
    async with claiming(database) as claims:
        while True:
            found = await look()
            if found.entry is PeerEntry.GO or found.wait is None:
                return None
            if found.entry is PeerEntry.WAIT or len(tried) >= _MOST:
                return found.wait
            if not claims.holds(name_of(peer)):
                if not await claims.take(name_of(peer)):
                    return found.wait  # another node tries one
                continue  # which may have come to its end since we looked
            study = await canary_of(database, peer, without=tried)
            if study is None:
                return found.wait
            tried.add(study.study_uid)
            await database.run(note_try, peer)
            if not await move_alone(study):
                return (await look()).wait or found.wait


def name_of(peer: str) -> str:
    """Return under which name a node claims to be the one that tries a study."""
    return f"try {peer}"
