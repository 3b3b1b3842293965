"""What several requests came to, summed: from the peer's responses to an `Answer`."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from node.dicom.status import Status
from node.errors import NodeError
from node.net.messages import MoveProgress
from node.ops.retrieving.answer import Answer

_COUNTS = ("completed", "failed", "warning", "remaining")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one request.

    Attributes
    ----------
    last
        The peer's last response, final or not, with the counts that it said before and did not
        repeat; None where none came.
    brought
        How many images it brought, as far as the peer says or we see; None where nobody can tell.
    error
        Why it is not answered with Success.
    """

    last: MoveProgress | None = None
    brought: int | None = None
    error: NodeError | None = None


class Sums:
    """Adds up.

    Attributes
    ----------
    requests
        How many were put.
    """

    def __init__(self) -> None:
        self.requests = 0
        self._counts: dict[str, int] = {}
        self._failed_uids: dict[str, None] = {}
        self._status: int | None = None
        self._comment = ""
        self._error: NodeError | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the peer has said that sub-operations failed."""
        return bool(self._counts.get("failed"))

    @property
    def failed(self) -> int:
        """How many sub-operations failed, as far as the peer says."""
        return self._counts.get("failed", 0)

    @property
    def error(self) -> NodeError | None:
        """What went wrong so far."""
        return self._error

    def add(self, result: Result) -> None:
        """Take note of a request that is over."""
        self.count(result)
        self.judge(result)

    def count(self, result: Result) -> None:
        """Take note of its sub-operations alone."""
        if result.last is not None:
            for name in _COUNTS:
                if (said := getattr(result.last, name)) is not None:
                    self._counts[name] = self._counts.get(name, 0) + said
            self._failed_uids.update(dict.fromkeys(result.last.failed_uids))

    def judge(self, result: Result) -> None:
        """Take note of its verdict alone."""
        last = result.last
        if last is not None and (
            self._status in {None, Status.SUCCESS} or last.status != Status.SUCCESS
        ):
            self._status, self._comment = last.status, last.comment
        self._error = self._error or result.error

    def make_up(self, count: int) -> None:
        """Take note that so many have come after all; where none is left, nothing has failed."""
        had_failed = self.has_failed
        self._counts["completed"] = self._counts.get("completed", 0) + count
        self._counts["failed"] = max(self.failed - count, 0)
        if had_failed and not self.has_failed:
            self._error = None

    def end(self, error: NodeError) -> None:
        """Take note of what ends it all."""
        self._error = error

    def answer(
        self,
        *,
        comment: str = "",
        failed_uids: Iterable[str] = (),
        came: Collection[str] = (),
        refused: tuple[str, ...] = (),
        arrived: int | None = None,
        size: int | None = None,
    ) -> Answer:
        """Return what it comes to.

        Parameters
        ----------
        comment
            In place of the peer's, where that is not there.
        failed_uids
            More of them.
        came
            What of them has come after all.
        size
            The bytes of what came.
        """
        return Answer(
            requests=self.requests,
            status=self._status,
            comment=self._comment or comment,
            failed_uids=tuple(
                uid for uid in self._failed_uids | dict.fromkeys(failed_uids) if uid not in came
            ),
            refused=refused,
            arrived=arrived,
            bytes=size,
            error=self._error,
            **{name: self._counts.get(name) for name in _COUNTS},
        )
