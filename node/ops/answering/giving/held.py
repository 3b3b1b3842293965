"""In which transfer syntaxes the objects here are, kept in memory: negotiation cannot wait."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence

from schema import Database, SchemaError
from schema.retrieving.syntaxes import sampled_syntaxes

log = logging.getLogger(__name__)

_LOOK_EVERY = 60.0
"""Seconds for which what was seen is good enough."""

_LOOK_FOR_NEW = 5.0
"""The same, where a class is asked for that was not seen: objects of it may have come since."""


class HeldSyntaxes:
    """The transfer syntaxes of each SOP class, as far as they were seen.

    Parameters
    ----------
    database
        Is looked at in the beginning, and when somebody asks, but at most once a minute, or for a
        class that is new every five seconds; and nobody waits for it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: dict[str, list[str]] = {}
        self._looked = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    def of(self, sop_class_uid: str) -> Sequence[str]:
        """Return the transfer syntaxes of a SOP class, those of most objects first."""
        found = self._held.get(sop_class_uid, ())
        self._begin(_LOOK_EVERY if found else _LOOK_FOR_NEW)
        return found

    def note(self, sop_class_uid: str, transfer_syntax_uid: str) -> None:
        """Take note of an object that comes: one of its class may be asked for at once."""
        if transfer_syntax_uid not in self._held.get(sop_class_uid, ()):
            self._held.setdefault(sop_class_uid, []).append(transfer_syntax_uid)

    def begin(self) -> None:
        """Look for the first time: the first who asks would be told nothing otherwise."""
        self._begin(0.0)

    async def look(self) -> None:
        """Look at the database now."""
        async with self._database.session() as session:
            found = await sampled_syntaxes(session)
        held: dict[str, list[str]] = defaultdict(list)
        for (sop_class, syntax), _ in found.most_common():
            held[sop_class].append(syntax)
        self._held = dict(held)

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    def _begin(self, every: float) -> None:
        now = asyncio.get_running_loop().time()
        if self._looking is None and now - self._looked > every:
            self._looked = now
            self._looking = asyncio.create_task(self._look(), name="held syntaxes")
            self._looking.add_done_callback(self._done)

    async def _look(self) -> None:
        try:
            await self.look()
        except SchemaError as error:
            log.debug("Nobody knows how objects are encoded here: %s", error)

    def _done(self, looking: "asyncio.Task[None]") -> None:
        self._looking = None
        if not looking.cancelled() and (error := looking.exception()) is not None:
            log.error("Cannot see how objects are encoded here: %s", type(error).__name__)
