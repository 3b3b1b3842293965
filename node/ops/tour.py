"""Several peers, one after the other or some at once: one peer's trouble is not another's."""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, TypeVar

from node.errors import NodeError

Report = TypeVar("Report")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTrouble:
    """A peer with which nothing could be done, and why."""

    peer: str
    error: NodeError

    def __str__(self) -> str:
        said = str(self.error)
        return said if said.startswith(f"{self.peer} ") else f"{self.peer}: {said}"


@dataclass(slots=True)
class Tour(Generic[Report]):
    """What came of peers that were visited.

    Attributes
    ----------
    reports
        What the visits came to that came to anything, in their order.
    troubles
        The others.
    """

    reports: list[Report] = field(default_factory=list)
    troubles: list[PeerTrouble] = field(default_factory=list)

    async def visit(self, peer: str, work: Awaitable[Report]) -> Report | PeerTrouble:
        """Do the work at a peer, and keep what it comes to; return that as well."""
        try:
            report = await work
        except NodeError as error:
            raise_if_cancelled(error)
            trouble = PeerTrouble(peer=peer, error=error)
            self.troubles.append(trouble)
            return trouble
        self.reports.append(report)
        return report

    async def visit_all(
        self,
        visits: "Sequence[tuple[str, Callable[[], Awaitable[Report]]]]",
        *,
        at_once: int | asyncio.Semaphore = 1,
        told: "Callable[[Report | PeerTrouble], None]",
    ) -> None:
        """Visit peers, some of them at once; what it comes to is kept in the order of the visits.

        Parameters
        ----------
        visits
            The name of each peer, and what begins the work there.
        at_once
            At how many peers there is work at the same time; or the turns that visits wait for,
            where other tours wait for them too.
        told
            Told what each visit comes to, as they end; it must not wait.
        """
        # first come, first served
        turns = asyncio.Semaphore(at_once) if isinstance(at_once, int) else at_once
        parts = [Tour[Report]() for _ in visits]

        async def visit(number: int) -> None:
            async with turns:
                peer, work = visits[number]
                told(await parts[number].visit(peer, work()))

        try:
            async with Tasks() as tasks:
                for number, (peer, _) in enumerate(visits):
                    tasks.create_task(visit(number), name=f"visit {peer}")
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        for part in parts:
            self.reports += part.reports
            self.troubles += part.troubles

    def raise_if_vain(self) -> None:
        """Raise the first trouble when no visit has come to anything.

        Raises
        ------
        NodeError
        """
        if self.troubles and not self.reports:
            raise self.troubles[0].error


async def news(event: asyncio.Event, seconds: float) -> None:
    """Wait until an event is set from now on, and no longer than so many seconds."""
    event.clear()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class Tasks(asyncio.TaskGroup):
    """A task group after which its task is not marked as cancelled, unless somebody has.

    When one of its tasks fails while it waits for the last ones, a group cancels its own task to
    wake it, and before Python 3.13 it leaves that mark behind: `raise_if_cancelled` would take the
    error for a cancellation.
    """

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        before = self._has_marked
        try:
            await super().__aexit__(kind, error, traceback)
        except BaseExceptionGroup:
            task = asyncio.current_task()
            if sys.version_info < (3, 13) and task and self._has_marked and not before:
                task.uncancel()
            raise

    @property
    def _has_marked(self) -> bool:
        """Whether it has cancelled its own task; nothing public tells that from anybody else."""
        return bool(getattr(self, "_parent_cancel_requested", False))


def _marks() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def raise_if_cancelled(error: Exception) -> None:
    """Let a cancellation through whose clean-up failed: it must not look like a peer's trouble.

    Raises
    ------
    asyncio.CancelledError
    """
    if _marks():
        raise asyncio.CancelledError from error
