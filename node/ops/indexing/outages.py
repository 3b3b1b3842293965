"""What keeps the indexer from its work: said once, remembered, and waited out where it passes."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from schema import SchemaError
from schema.engine.backoff import Backoff
from schema.errors import ValuesRefused

log = logging.getLogger(__name__)

T = TypeVar("T")

BACKOFF = Backoff(first=0.5, longest=30.0)
"""How long what cannot be indexed waits, an image by itself as all of them."""

_LONG = 5.0
"""Seconds without an answer of the database after which somebody should know."""


class Trouble:
    """Why something is not indexed at the moment.

    Attributes
    ----------
    reason
        None when all is well.
    """

    def __init__(self) -> None:
        self.reason: str | None = None

    def say(self, reason: str) -> None:
        """Take note of a reason; the log has the first one."""
        if self.reason is None:
            log.error("Images wait in the spool: %s", reason)
        self.reason = reason

    def is_over(self) -> None:
        """Take note that all is well."""
        if self.reason is not None:
            log.warning("Images are indexed again")
            self.reason = None

    async def insist(self, work: Callable[[], Awaitable[T]], *, watched: bool = True) -> T:
        """Do something, again and again while the database is away.

        Parameters
        ----------
        watched
            Say so when it takes long: the database may be frozen, cut off or locked.
        """
        for failures in itertools.count(1):
            late = asyncio.get_running_loop().call_later(
                _LONG, self.say, f"the database has not answered for {_LONG:g} s"
            )
            try:
                if not watched:
                    late.cancel()
                return await work()
            except ValuesRefused:  # no waiting helps
                raise
            except SchemaError as error:
                self.say(str(error))
            finally:
                late.cancel()
            await asyncio.sleep(BACKOFF.pause(failures))
        raise AssertionError("counting has no end")
