"""Warnings about whoever connects, not more of them than a log bears.

A modality that is set up wrongly tries again every few seconds, and an enemy thousands of times:
the first warnings say what is the matter, and what is left out is counted.
"""

import asyncio
import logging
from collections import Counter

_EACH = 10
"""Warnings about one address in an interval."""

_ALL = 100
"""Warnings in an interval, about whomever."""

_INTERVAL = 60.0
"""Seconds."""


class Complaints:
    """Warns about addresses, as often as there is room for; the rest is for debugging.

    Parameters
    ----------
    log
        Where the warnings go.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: Counter[str] = Counter()
        self._left_out = 0
        self._end: asyncio.TimerHandle | None = None

    def about(self, address: str, message: str, *args: object) -> None:
        """Warn about an address; parameters behind it as those of `logging.Logger.warning`."""
        if self._end is None:
            self._end = asyncio.get_running_loop().call_later(_INTERVAL, self._begin_anew)
        if self._said[address] < _EACH and self._said.total() < _ALL:
            self._said[address] += 1
            self._log.warning(message, *args)
        else:
            self._left_out += 1
            self._log.debug(message, *args)

    def close(self) -> None:
        """Say what has been left out, and wait for nothing more."""
        if self._end is not None:
            self._end.cancel()
            self._begin_anew()

    def _begin_anew(self) -> None:
        self._end = None
        if self._left_out:
            self._log.warning("%d more warnings like these were left out", self._left_out)
        self._said.clear()
        self._left_out = 0
