"""What watches a cycle's row: an operator's wishes come in there, and signs of life go out."""

import asyncio
import contextlib
import logging

from node.errors import Busy, CycleCancelled, NodeError
from node.ops.cycling.running import RunningCycle
from node.ops.holding import PeerHold
from schema import SchemaError
from schema.tables.ledger import Wish

log = logging.getLogger(__name__)

_LOOK = 1.0
"""Seconds from one look into the row to the next."""

TO_BE_HEARD = 10.0
"""Seconds from one sign of life in the row to the next."""


class Steering:
    """What watches the row of a cycle for as long as it runs, beside the task that it runs in."""

    def __init__(
        self, record: RunningCycle, owner: "asyncio.Task[None]", hold: PeerHold | None
    ) -> None:
        self._owner = owner
        self._error: NodeError | None = None
        self._tasks = [
            asyncio.create_task(self._watch(record), name=f"watch cycle {record.id}"),
            asyncio.create_task(
                self._be_heard(record, hold), name=f"cycle {record.id} is heard of"
            ),
        ]
        for task in self._tasks:
            task.add_done_callback(_say_why)

    async def _watch(self, record: RunningCycle) -> None:
        while record.wish is not Wish.CANCEL:
            await asyncio.sleep(_LOOK)
            await record.look()
        self._stop(
            CycleCancelled(
                f"cycle {record.id} was cancelled by an operator; what it had recorded is kept"
            )
        )

    async def _be_heard(self, record: RunningCycle, hold: PeerHold | None) -> None:
        """Give signs of life, as long as nobody else has the peer."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TO_BE_HEARD):
                    await record.doubted.wait()
            record.doubted.clear()
            with contextlib.suppress(SchemaError):
                if hold is not None and not await hold.lasts(record.id):
                    break
            await record.be_heard()
            await record.renew_statistics()
        self._stop(
            Busy(
                f"cycle {record.id} has ended: the connection to the database was lost for a "
                "while, and another find asks this peer since; what it had recorded is kept"
            )
        )

    def _stop(self, error: NodeError) -> None:
        self._error = error
        self._owner.cancel()

    async def end(self) -> NodeError | None:
        """Watch no more; return why the cycle was ended from here, and by nobody else."""
        for task in self._tasks:
            task.cancel()
        if self._error is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)  # ours comes here, when it has not come before
        await asyncio.wait(self._tasks, timeout=1.0)
        return self._error if self._error is not None and not self._owner.uncancel() else None


def _say_why(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("The task '%s' died: %s: %s", task.get_name(), type(error).__name__, error)
