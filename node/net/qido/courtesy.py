"""Being asked to come again later (RFC 9110 10.2.3, 15.6.4; RFC 6585 4), and doing so."""

import asyncio

from node.errors import PeerUnreachable
from node.net.qido.verdicts import WebResponse, patience_asked
from schema.tables.columns import present

_ATTEMPTS = 4
"""For a request, at a server that is busy."""

_PAUSE = 1.0
"""Seconds before the second attempt where the server names none; doubled before each other one."""

_LONGEST = 60.0
"""Seconds that we wait because a server asks for it; where it asks for more, it is given up."""


class Courtesy:
    """What one server has asked for.

    Parameters
    ----------
    name
        What the operator calls it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._not_before = 0.0

    def keep_away(self) -> None:
        """Ask nothing while the server wants to be left.

        Raises
        ------
        PeerUnreachable
            It does.
        """
        left = self._not_before - _moment()
        if left > 0:
            raise PeerUnreachable(f"{self._name} is busy, and asks to be left for {left:.0f} s")

    def pause_after(self, response: WebResponse, attempt: int) -> float:
        """Return how many seconds to wait after a response that says that the server is busy.

        Parameters
        ----------
        attempt
            Which one has been answered, counted from 1.

        Raises
        ------
        PeerUnreachable
            It has said so too often, or asks to be left for long.
        """
        if attempt >= _ATTEMPTS:
            raise PeerUnreachable(f"{self._name} is busy: {response.words}, again and again")
        pause = patience_asked(response, present())
        if pause is not None and pause > _LONGEST:
            self._not_before = _moment() + pause
            self.keep_away()
        return _PAUSE * 2 ** (attempt - 1) if pause is None else pause


def _moment() -> float:
    return asyncio.get_running_loop().time()
