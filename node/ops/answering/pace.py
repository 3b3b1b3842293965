"""Queries let receiving go first: after some work they rest, while objects come."""

import asyncio
from collections.abc import Callable

_SHARE = 0.1
"""Of the time, that a query may work while objects come."""


def _never() -> bool:
    return False


class QueryPace:
    """How long a query rests after some work.

    Parameters
    ----------
    is_receiving
        Tells whether objects come at the moment.
    """

    def __init__(self, is_receiving: Callable[[], bool] = _never) -> None:
        self._is_receiving = is_receiving

    async def rest(self, worked: float) -> None:
        """Rest after so many seconds of work: not at all while nothing comes."""
        if self._is_receiving():
            await asyncio.sleep(worked * (1 / _SHARE - 1))
