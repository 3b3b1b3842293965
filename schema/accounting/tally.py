"""How many studies a PACS has answered, and where they stand: a value."""

from dataclasses import dataclass, field, replace
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTally:
    """How many studies a PACS has answered, and how many of them are complete here.

    Attributes
    ----------
    peer
        Its configured name; None for the studies of which no PACS is known.
    found
        Studies that it has.
    complete
        Those of them of which all that it has is verified to be here, or that are closed without.
    gone
        Studies that it had, and has no more.
    unwanted
        Those that are not complete, and of which the policy wants nothing: they are not open.
    to_compare
        Those of the open ones of which all is here that another PACS has: only its own list of
        images tells whether anything is missing.
    ready, waiting, given_up
        Those of the open ones that may be asked for now, as far as hours, budgets and the state of
        the PACS let anything be, that wait for a next attempt that is still
        to come, and that the daemon does not ask for any more. Others are held, or under way: see
        `states`.
    next_on
        When the first of those that wait is due, naive UTC.
    coming, coming_images, coming_unknown
        Those of the open ones that are asked for, now or later, or are under way: neither given up,
        nor held; how many images these have, and of how many of them nobody knows it.
    images, unknown
        How many images the PACS says, or was counted, to have of the open ones, those that are here
        already among them; and of how many of these nobody knows it.
    states
        The studies that it has, by their state there.
    """

    peer: str | None
    found: int
    complete: int
    gone: int = 0
    unwanted: int = 0
    to_compare: int = 0
    ready: int = 0
    waiting: int = 0
    given_up: int = 0
    next_on: datetime | None = None
    images: int = 0
    unknown: int = 0
    coming: int = 0
    coming_images: int = 0
    coming_unknown: int = 0
    states: dict[str, int] = field(default_factory=dict)

    @property
    def open(self) -> int:
        """Of how many not all that is wanted is verified to be here."""
        return self.found - self.complete - self.unwanted


COUNTS = (
    *("ready", "waiting", "given_up", "images", "unknown", "unwanted"),
    *("coming", "coming_images", "coming_unknown"),
)
"""What of a tally is counted of open sources alone, by name."""


def added(one: PeerTally, other: PeerTally) -> PeerTally:
    """Return two tallies of a PACS as one."""
    states = dict(one.states)
    for state, count in other.states.items():
        states[state] = states.get(state, 0) + count
    names = ("found", "complete", "gone", "to_compare", *COUNTS)
    dues = [due for due in (one.next_on, other.next_on) if due is not None]
    return replace(
        one,
        states=states,
        next_on=min(dues, default=None),
        **{name: getattr(one, name) + getattr(other, name) for name in names},
    )
