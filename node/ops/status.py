"""What is here, what is missing, and whether the node is running."""

import asyncio
from dataclasses import dataclass

from node.config import Config
from node.errors import StorageError
from node.ops.running import is_running_here
from node.storage.folders import count_spooled
from schema.engine.database import Database
from schema.reports import StudySummary, Summary, recent_studies, summary

TO_ANSWER = 60.0
"""Seconds that the database has to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """What can be said without the database.

    Attributes
    ----------
    running
        Whether a node answers under our AE title at our address.
    waiting
        Objects that were received and wait to be indexed; None when nobody can tell.
    trouble
        Why nobody can; else empty.
    """

    running: bool
    waiting: int | None
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexState:
    """What the database says: its numbers, and the latest studies."""

    summary: Summary
    studies: list[StudySummary]


async def node_state(config: Config) -> NodeState:
    """Ask the node, and count what lies in its spool."""
    running = await is_running_here(config)
    try:
        waiting = await asyncio.to_thread(count_spooled, config.storage.directory)
    except StorageError as error:
        return NodeState(running=running, waiting=None, trouble=str(error))
    return NodeState(running=running, waiting=waiting)


async def index_state(database: Database, *, limit: int) -> IndexState:
    """Count what is in the database, and list its latest studies.

    Parameters
    ----------
    limit
        How many studies, the latest first.

    Raises
    ------
    DatabaseUnavailable
    """
    async with database.session() as session:
        return IndexState(
            summary=await summary(session), studies=await recent_studies(session, limit=limit)
        )
