"""The counters of a simulated PACS as JSON, in a file that is always whole."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from node.errors import UsageError
from node.simulator.misbehaving.occasions import Counters
from schema.text.document import to_json

log = logging.getLogger(__name__)

_EVERY = 0.5
"""Seconds from one look at whether something has changed to the next."""


def as_json(counters: Counters) -> str:
    """Return them as one JSON object; `retrieval` and `associations` are objects in it."""
    return to_json(asdict(counters), indent=2) + "\n"


class Report:
    """Keeps a file of counters.

    Parameters
    ----------
    path
        The file; it is replaced by a new one each time.
    counters
        Returns them.
    """

    def __init__(self, path: Path, counters: Callable[[], Counters]) -> None:
        self._path = path
        self._counters = counters
        self._written = ""

    def write(self) -> None:
        """Write them, unless they are as they were.

        Raises
        ------
        UsageError
            The file cannot be written.
        """
        text = as_json(self._counters())
        if text == self._written:
            return
        temporary = self._path.with_name(f".{self._path.name}.part")
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self._path)
        except OSError as error:
            raise UsageError(f"cannot write {self._path}: {error.strerror}") from error
        self._written = text

    async def keep(self) -> None:
        """Write them twice a second while they change, until this is cancelled."""
        while True:
            try:
                self.write()
            except UsageError as error:
                log.warning("%s", error)
            await asyncio.sleep(_EVERY)
