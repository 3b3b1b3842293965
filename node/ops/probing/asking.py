"""Putting a probe's questions to a peer: paced, over an association that is made again."""

import asyncio
import logging
import time
from collections import Counter
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from typing import Self

from node.errors import (
    AssociationLost,
    PeerFailure,
    PeerRefused,
    PeerStalled,
    PeerUnreachable,
)
from node.net.dimse.contexts import Service
from node.net.messages import Peer
from node.net.scu.requestor import ServiceUser, associate
from node.ops.line import Line
from node.ops.probing.questions import (
    ProbeAnswer,
    ProbeOutcome,
    ProbeQuestion,
    SeenStudy,
    identifier_of,
    seen_in,
)
from node.ops.stalls import TimeLimits, limited
from schema.text.words import counted

log = logging.getLogger(__name__)

AT_ONCE = 10
"""The most associations that we have at once, to see how many a peer takes."""

_MORE = 0xB001
"""Repository Query: the limit was reached, there is more (PS3.4 C.6.4)."""

_IN_VAIN = 3
"""Questions without an answer, one after the other, after which no more are asked."""

_MANY = 10
"""Operations over one association that go for any number."""

_LONGEST_PAUSE = 10.0
"""Times the pause that was asked for."""


class Asker:
    """Who asks a peer, question after question; a context manager.

    Parameters
    ----------
    limits
        Of each question.
    pause
        Seconds between two questions; longer where the peer took longer for the last one.
    """

    def __init__(self, peer: Peer, limits: TimeLimits, *, pause: float) -> None:
        self._peer = peer
        self._limits = limits
        self._pause = pause
        self._line = Line(peer, Service.FIND)
        self._took = 0.0
        self._in_vain = 0
        self._operations = 0
        self._most = 0
        self._ended_after: Counter[int] = Counter()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await (self._line.close() if kind is None else self._line.abort())

    async def ask(self, question: ProbeQuestion) -> ProbeAnswer:
        """Put a question; once more where a used association was lost with it.

        Raises
        ------
        PeerUnreachable, PeerRefused
            There is no association.
        AssociationLost, PeerStalled
            Several questions in a row were not answered.
        """
        await asyncio.sleep(min(max(self._pause, self._took), self._pause * _LONGEST_PAUSE))
        began = time.monotonic()
        answer = await (self._ask_apart(question) if question.repository else self._ask(question))
        self._took = time.monotonic() - began
        return answer

    async def _ask(self, question: ProbeQuestion) -> ProbeAnswer:
        studies: dict[str, SeenStudy] = {}
        outcome, message, stopped, attempts = ProbeOutcome.ANSWERED, "", False, 0
        while True:
            attempts += 1
            used = await self._used()
            try:
                association = await self._line.get()
                stopped = await self._take(association, question, studies)
            except (AssociationLost, PeerStalled) as error:
                await self._line.abort()
                if used and isinstance(error, AssociationLost):
                    self._ended()
                    studies.clear()
                    if attempts == 1:
                        continue
                self._operations = 0
                self._in_vain += 1
                if self._in_vain == _IN_VAIN:
                    raise
                outcome, message = ProbeOutcome.FAILED, str(error)
            except PeerFailure as error:
                outcome = ProbeOutcome.ANNOUNCED if error.status == _MORE else ProbeOutcome.REFUSED
                message = str(error)
            break
        if outcome is not ProbeOutcome.FAILED:
            self._in_vain = 0
        if outcome is ProbeOutcome.REFUSED:
            await self._line.close()  # perhaps it was one too many over this association
            self._operations = 0
        elif outcome is not ProbeOutcome.FAILED:
            self._operations += 1
            self._most = max(self._most, self._operations)
        if stopped:
            await self._line.abort()  # it was told to stop (C-CANCEL), which many do not
            self._operations = 0
        return ProbeAnswer(
            answered_on=datetime.now(UTC),
            outcome=outcome,
            studies=tuple(studies.values()),
            stopped=stopped,
            message=message,
            attempts=attempts,
            fresh=not used,
        )

    async def _ask_apart(self, question: ProbeQuestion) -> ProbeAnswer:
        """Put a Repository Query, over an association of its own."""
        studies: dict[str, SeenStudy] = {}
        outcome, message, stopped = ProbeOutcome.ANSWERED, "", False
        try:
            async with associate(self._peer, Service.REPOSITORY) as association:
                stopped = await self._take(association, question, studies)
        except PeerFailure as error:
            outcome = ProbeOutcome.ANNOUNCED if error.status == _MORE else ProbeOutcome.REFUSED
            message = str(error)
        except (AssociationLost, PeerStalled, PeerRefused) as error:
            outcome, message = ProbeOutcome.FAILED, str(error)
        return ProbeAnswer(
            answered_on=datetime.now(UTC),
            outcome=outcome,
            studies=tuple(studies.values()),
            stopped=stopped,
            message=message,
        )

    def operations(self) -> tuple[int | None, str]:
        """Return how many operations the peer takes over one association, and how that is known."""
        most = counted(self._most, "question")
        if self._most >= _MANY:
            return 0, f"{most} went over one association"
        [(after, times)] = self._ended_after.most_common(1) or [(0, 0)]
        if times > 1 and len(self._ended_after) == 1:
            return after, f"it ended {times} associations, each after {after}"
        if times:
            after_each = (counted(number, "question") for number in sorted(self._ended_after))
            return None, f"it ended associations after {' or '.join(after_each)}"
        return None, f"at most {most} went over one association"

    async def _used(self) -> bool:
        """Tell whether there is an association that has been used; note where the peer ended it."""
        if self._operations and not self._line.is_open:
            self._ended()
        return self._operations > 0

    def _ended(self) -> None:
        self._ended_after[self._operations] += 1
        self._operations = 0

    async def _take(
        self,
        association: ServiceUser,
        question: ProbeQuestion,
        studies: dict[str, SeenStudy],
    ) -> bool:
        """Take the answer; return whether it was cut short."""
        service = Service.REPOSITORY if question.repository else Service.FIND
        found = association.find(identifier_of(question), service=service)
        what = f"the C-FIND at {self._peer.name}"
        async with limited(what, self._limits) as progressed, aclosing(found) as answers:
            async for answer in answers:
                if question.bare:
                    return True
                try:
                    study = seen_in(answer)
                except Exception as error:  # noqa: BLE001 - decoding is lazy, its errors are many
                    log.warning("An undecodable answer: %s", type(error).__name__)
                    continue
                if not study.uid or study.uid in studies:
                    continue
                studies[study.uid] = study
                progressed()
                if len(studies) >= question.enough:
                    return True
        return False


async def count_associations(peer: Peer) -> tuple[int | None, str]:
    """See how many associations a peer takes at once; return that, and how it is known.

    Raises
    ------
    PeerUnreachable, PeerRefused
        It takes none.
    """
    async with AsyncExitStack() as stack:
        for number in range(AT_ONCE):
            try:
                association = await stack.enter_async_context(associate(peer, Service.ECHO))
                await association.echo()
            except (PeerUnreachable, PeerRefused, AssociationLost, PeerFailure) as error:
                if not number:
                    raise
                return number, f"one more was not taken: {error}"
    return None, f"{AT_ONCE} at once were taken, no more were tried"
