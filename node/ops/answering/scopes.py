"""What a caller is shown and given of the index: what any of the peers is that it calls as.

Those count that may do what it does: a peer that only stores adds nothing to what a query shows.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping

from node.config import Config
from schema import Database, Project, SchemaError
from schema.answering.scope import AnswerScope

log = logging.getLogger(__name__)

_TO_LOOK = 2.0
"""Seconds that the database has to say which projects there are, when the node starts."""

_LIMITS = ("only_projects", "only_modalities", "hide_incomplete")
"""What makes a scope less than everything, in `PeerSettings`."""


class Scopes:
    """The scope of each configured peer, by its name."""

    def __init__(self, config: Config) -> None:
        self._keys = {
            name: [f"peers.{name}.{key}" for key in _LIMITS if getattr(peer, key)]
            for name, peer in config.peers.items()
        }
        self._of_peer: Mapping[str, AnswerScope] = {
            name: AnswerScope(
                projects=peer.only_projects or None,
                modalities=peer.only_modalities or None,
                complete_only=peer.hide_incomplete,
            )
            for name, peer in config.peers.items()
        }

    def of_peer(self, name: str) -> tuple[AnswerScope, ...]:
        """Return the scope of a configured peer, which is given nothing else either."""
        return (self._of_peer[name],)

    def of(self, names: Iterable[str]) -> tuple[AnswerScope, ...]:
        """Return the scopes of who asks; without any, nothing is shown.

        Parameters
        ----------
        names
            The peers as which it may ask: `Caller.querying` or `Caller.retrieving`.
        """
        return tuple(self._of_peer[name] for name in names if name in self._of_peer)

    def limits_of(self, names: Iterable[str]) -> list[str]:
        """Return the settings by which less than everything is shown to who is these peers."""
        keys = [self._keys[name] for name in names if name in self._keys]
        return [key for of_one in keys for key in of_one] if all(keys) else []


async def note_unknown_projects(config: Config, database: Database) -> None:
    """Log which projects of `only_projects` there are not: nothing is shown of them.

    A database that is away is asked no second time: it is no mistake, for one may be made later.
    """
    peers: dict[str, list[str]] = {}
    for name, peer in config.peers.items():
        for project in peer.only_projects:
            peers.setdefault(project, []).append(name)
    if not peers:
        return
    try:
        async with asyncio.timeout(_TO_LOOK), database.session() as session:
            for project, names in peers.items():
                if await Project.by_name(session, project) is None:
                    keys = ", ".join(f"peers.{name}.only_projects" for name in names)
                    log.warning("%s: no project is named %r: it has no studies", keys, project)
    except (SchemaError, TimeoutError) as error:
        log.debug("Whether there are the projects of only_projects is not known: %s", error)
