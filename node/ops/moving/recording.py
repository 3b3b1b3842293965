"""Recording what became of studies: those that end while one is written share a transaction."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from node.ops.retrieving.answer import Answer
from node.ops.retrieving.wanted import Wanted
from schema import AsyncSession, Database
from schema.choosing.policy import ALL, Policy
from schema.guarding.breakers import Turned, note_tried, opening_of
from schema.guarding.breaking import BreakerEvent, Tried, tried
from schema.moving.attempts import AttemptAnswer, EndedAttempt, note_answers
from schema.moving.judging import Judged, judge_attempts
from schema.moving.patience import RetryLimits
from schema.moving.senders import Senders
from schema.tables.columns import utcnow

log = logging.getLogger(__name__)

_REPAIRS = 3
"""How often a study is asked for once more in the same move, as long as more of it comes."""


class Recorder:
    """Writes attempts in the order in which they come, as many at once as there are.

    Parameters
    ----------
    peer
        The configured name of the PACS that is asked.
    senders
        Who sends for which PACS.
    limits
        When what is not whole is due again.
    policy
        What of studies is wanted.
    alone
        Whether what becomes of the one study says whether others are moved after it.
    """

    def __init__(
        self,
        database: Database,
        peer: str,
        *,
        senders: Senders,
        limits: RetryLimits,
        policy: Policy = ALL,
        alone: bool = False,
    ) -> None:
        self._alone = alone
        self._database = database
        self._peer = peer
        self._senders = senders
        self._limits = limits
        self._policy = policy
        self._answers: dict[int, datetime] = {}
        self._waiting: list[tuple[EndedAttempt, asyncio.Future[Judged | None]]] = []
        self._writing: asyncio.Task[None] | None = None

    def answered(self, attempt_id: int, since: datetime) -> None:
        """Note that the peer has answered an attempt that began then.

        It is written with the next one that ends: nothing depends on it.
        """
        self._answers[attempt_id] = since

    async def record(self, ended: EndedAttempt) -> Judged | None:
        """Return when an attempt is judged and committed, with what it came to.

        Returns
        -------
        Judged or None
            None when its study is not in the database any more.

        Raises
        ------
        SchemaError
            It is not.
        """
        done: asyncio.Future[Judged | None] = asyncio.get_running_loop().create_future()
        self._answers.pop(ended.attempt_id, None)
        self._waiting.append((ended, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="record what was moved")
        return await done

    async def end(self) -> None:
        """Write no more; what is not committed yet is rolled back."""
        if self._writing is not None:
            self._writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writing

    async def _write(self) -> None:
        try:
            while self._waiting:
                together, self._waiting = self._waiting, []
                answers, self._answers = self._answers, {}
                error: Exception | None = None
                judged: dict[str, Judged] = {}
                try:
                    judged, turned = await self._database.run(
                        self._record, [ended for ended, _ in together], answers
                    )
                    self._log(turned)
                except Exception as caught:  # noqa: BLE001 - it is raised where it is waited for
                    error = caught
                for ended, done in together:
                    if done.done():  # who waited was cancelled
                        continue
                    if error is None:
                        done.set_result(judged.get(ended.study_uid))
                    else:
                        done.set_exception(error)
        finally:
            self._writing = None

    async def _record(
        self, session: AsyncSession, together: list[EndedAttempt], answers: dict[int, datetime]
    ) -> tuple[dict[str, Judged], list[Turned]]:
        judged = await judge_attempts(
            session,
            together,
            peer=self._peer,
            senders=self._senders,
            limits=self._limits,
            policy=self._policy,
        )
        await note_answers(session, answers)
        turned = [
            await note_tried(session, what, peer=self._peer, limits=self._limits)
            for what in self._tried(together, judged)
        ]
        return judged, turned

    def _tried(self, together: Sequence[EndedAttempt], judged: Mapping[str, Judged]) -> list[Tried]:
        """Return what attempts say of the PACS; of those that say the same, the last one."""
        found: dict[BreakerEvent, Tried] = {}
        for ended in together:
            one = judged.get(ended.study_uid)
            if one is None or one.overtaken:
                continue
            why = "; ".join(filter(None, (one.verdict.reason, ended.impersonal)))
            what = tried(
                ended.kind,
                asked_on=ended.answered.started_on,
                came=one.arrived > 0 or one.again or one.verdict.complete,
                alone=self._alone,
                now=utcnow(),
                message=ended.impersonal,
                in_vain=f"study {ended.study_uid}: {why}",
            )
            if what is not None:
                found[what.event] = what
        return list(found.values())

    def _log(self, turned: Sequence[Turned]) -> None:
        for one in turned:
            if one.opened:
                log.error(
                    "No study is moved from %s by itself until %s UTC, when one is tried: %s",
                    self._peer,
                    f"{one.after.retry_on:%Y-%m-%d %H:%M:%S}",
                    opening_of(one.after),
                )
            elif one.closed:
                log.warning("Studies are moved from %s by themselves again", self._peer)


def attempt_answer(wanted: Wanted, answer: Answer, *, since: datetime) -> AttemptAnswer:
    """Return what is recorded of a peer's answer to what it was asked for then (naive UTC)."""
    series = wanted.series
    return AttemptAnswer(
        started_on=since,
        level=wanted.level.value,
        requested=None if series is None else sum(len(uids) or 1 for uids in series.values()),
        requests=answer.requests,
        status=answer.status,
        comment=answer.comment,
        completed=answer.completed,
        failed=answer.failed,
        warning=answer.warning,
        remaining=answer.remaining,
        failed_uids=answer.failed_uids,
        refused=answer.refused,
    )


def is_ready(judged: Judged) -> bool:
    """Tell whether a study may be asked for again at once."""
    return judged.next is not None and judged.next.on is None


def is_worth_another(judged: Judged | None, repairs: int) -> bool:
    """Tell whether to ask for what is missing at once: some of it has come.

    Parameters
    ----------
    judged
        None: somebody else has the study by now.
    repairs
        How often it was asked for in this move before.
    """
    if judged is None or judged.verdict.complete:
        return False
    return judged.arrived > 0 and is_ready(judged) and repairs < _REPAIRS


@asynccontextmanager
async def recording(
    database: Database,
    peer: str,
    *,
    senders: Senders,
    limits: RetryLimits,
    policy: Policy = ALL,
    alone: bool = False,
) -> AsyncIterator[Recorder]:
    """Record for the length of the block."""
    recorder = Recorder(database, peer, senders=senders, limits=limits, policy=policy, alone=alone)
    try:
        yield recorder
    finally:
        await recorder.end()
