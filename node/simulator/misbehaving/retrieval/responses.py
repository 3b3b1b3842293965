"""What the responses to a retrieval say: what is so, and what is not."""

from node.dicom.status import Status
from node.net.messages import MoveProgress
from node.net.scp.services.suboperations import Counts
from node.simulator.misbehaving.retrieval.settings import Last, ListOfFailed, Retrievals

NOBODY_S = "2.25.321096443507821436098435720941375612"
"""An image that nobody has."""


class Responses:
    """Writes the responses to one retrieval.

    Parameters
    ----------
    last
        What the last one says, where that is not what has happened.
    """

    def __init__(self, settings: Retrievals, last: Last | None) -> None:
        self._settings = settings
        self._last = last

    def pending(self, counts: Counts) -> MoveProgress:
        """Return one that tells how far it is."""
        return self._numbered(counts, Status.PENDING, remaining=counts.remaining)

    def final(self, counts: Counts) -> MoveProgress:
        """Return the last one when all is done."""
        if self._last is not None:
            return self._numbered(counts, self._last.status, comment=self._last.comment)
        return self._numbered(counts, counts.final_status())

    def ended(self, counts: Counts, status: int, comment: str) -> MoveProgress:
        """Return the last one when it ended before all was done."""
        remaining = counts.remaining if status == Status.CANCEL else None
        return self._numbered(counts, status, remaining=remaining, comment=comment)

    def failed_uids(self, counts: Counts) -> tuple[str, ...] | None:
        """Return the Failed SOP Instance UID List of the last one; None where it has none."""
        kind = self._settings.failed_uids
        if kind is ListOfFailed.WRONG:
            return (NOBODY_S,)
        if kind is ListOfFailed.EMPTY:
            return ()
        if kind is ListOfFailed.ABSENT or not counts.failed_uids:
            return None
        return tuple(counts.failed_uids)

    def _numbered(
        self, counts: Counts, status: int, *, remaining: int | None = None, comment: str = ""
    ) -> MoveProgress:
        numbers: dict[str, int | None] = {
            "remaining": remaining,
            "completed": counts.completed,
            "failed": counts.failed,
            "warning": counts.warning,
        }
        for name, difference in self._settings.miscount.items():
            if (number := numbers[name]) is not None:
                numbers[name] = max(number + difference, 0)
        for name in self._settings.omit:
            numbers[name] = None
        return MoveProgress(
            status=status,
            comment=comment,
            remaining=numbers["remaining"],
            completed=numbers["completed"],
            failed=numbers["failed"],
            warning=numbers["warning"],
        )
