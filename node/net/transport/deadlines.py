"""The deadlines of one connection, kept without a clock of their own: times in, verdicts out."""

from dataclasses import dataclass

from node.net.transport.pace import Pace
from node.upperlayer import Association, State

_TO_CLOSE = 2.0
"""Seconds that a peer has to close its side after a release or an abort (ARTIM), and to read what
we have written when we close ours."""

_NEGOTIATING = (
    State.AWAITING_TRANSPORT,
    State.AWAITING_LOCAL_ASSOCIATE_RESPONSE,
    State.AWAITING_ASSOCIATE_RESPONSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long a connection may take, in seconds.

    Attributes
    ----------
    negotiation
        Until the association is established (the ARTIM timer, PS3.8 9.1.5).
    message
        Without a byte, in the middle of a PDU or of a message, in either direction: what we
        write has to be read as well.
    idle
        Without any byte at all while nothing is being done for the peer.
    """

    negotiation: float
    message: float
    idle: float


@dataclass(frozen=True, slots=True)
class Overdue:
    """A deadline has passed.

    Attributes
    ----------
    reason
        Why the association is to be aborted; None closes the connection without a word.
    """

    reason: str | None = None


class Watch:
    """Is told what happens on a connection, and says when that has become too slow.

    Parameters
    ----------
    association
        Whose state says which deadline holds.
    now
        The event loop's time, as everywhere here.

    Attributes
    ----------
    last
        When a byte came or went last, or we began to expect one.
    """

    def __init__(self, association: Association, deadlines: Deadlines, now: float) -> None:
        self.last = now
        self._association = association
        self._deadlines = deadlines
        self._begun = now
        self._artim_since: float | None = None
        self._artim_state = association.state
        self._closing_since: float | None = None
        self._incoming = Pace()
        self._outgoing = Pace()
        self._written = self._left = 0

    def opened(self, now: float) -> None:
        """Take note that the connection has been made."""
        self.last = self._begun = now

    def received(self, count: int, now: float) -> None:
        """Take note of bytes that have come, once the association has taken them."""
        self.last = now
        if self._association.mid_message:
            self._incoming.start(now)
            self._incoming.move(count, now)
        else:
            self._incoming.stop()

    def reading(self, reading: bool, now: float) -> None:
        """Take note that we read again, or no longer: what we do not read cannot be slow."""
        if not reading:
            self._incoming.stop()
            return
        self.last = now
        if self._association.mid_message:
            self._incoming.start(now)

    def written(self, count: int, unsent: int, now: float) -> None:
        """Take note of bytes that were written, and of how many have not left by now."""
        self.last = now
        self._written += count
        if unsent and not self._outgoing.running:
            self._left = self._written - unsent
            self._outgoing.start(now)

    def artim(self, now: float) -> None:
        """Take note of whether the ARTIM timer is to run; it starts anew with each state."""
        if not self._association.artim_running:
            self._artim_since = None
        elif self._artim_since is None or self._artim_state is not self._association.state:
            self._artim_since, self._artim_state = now, self._association.state

    def overdue(self, now: float, *, unsent: int, closing: bool, working: bool) -> Overdue | None:
        """Say what to do now; None is nothing.

        Parameters
        ----------
        unsent
            Bytes that were written and have not left.
        closing
            Whether the connection has been closed on our side, but for those.
        working
            Whether something is being done for the peer, or it is not read from: it may be
            silent meanwhile.
        """
        if closing:
            self._closing_since = now if self._closing_since is None else self._closing_since
            return Overdue() if now - self._closing_since > _TO_CLOSE else None
        state = self._association.state
        if self._artim_since is not None:
            over = state is State.AWAITING_CLOSE
            limit = _TO_CLOSE if over else self._deadlines.negotiation
            return Overdue() if now - self._artim_since > limit else None
        if state in _NEGOTIATING:
            if now - self._begun > self._deadlines.negotiation:
                return Overdue("the association was not established in time")
            return None
        reason = self._too_slow(now, unsent)
        if reason is None and not working and now - self.last > self._deadlines.idle:
            reason = f"nothing happened for {self._deadlines.idle:g} s"
        return Overdue(reason) if reason else None

    def _too_slow(self, now: float, unsent: int) -> str | None:
        if why := self._incoming.too_slow(now, self._deadlines.message):
            return f"in the middle of a message that it sent, {why}"
        if not unsent:
            self._outgoing.stop()
            return None
        if (left := self._written - unsent) > self._left:
            self._outgoing.move(left - self._left, now)
            self._left = left
        if why := self._outgoing.too_slow(now, self._deadlines.message):
            return f"of what it was sent, {why}"
        return None
