"""The studies of a move in their order: claimed and looked up shortly before they are asked for."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from node.ops.moving.report import StudyOutcome, StudyProgress, StudyResult
from schema import Database, StudyFind
from schema.engine.claims import Claims
from schema.finding.verdict import MoveState
from schema.moves import claim_of, get_move_states

_AT_ONCE = 8
"""Studies that are claimed and looked up together: one question to the database, not one each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStudy:
    """A study that is ours to ask for.

    Attributes
    ----------
    place
        Which study of how many this is.
    study
        As it was when it was chosen.
    state
        As it is since it is claimed.
    """

    place: StudyProgress
    study: StudyFind
    state: MoveState


class StudyQueue:
    """Gives the studies one by one, to several who ask at once.

    Parameters
    ----------
    peer
        The configured name of the PACS that is to be asked.
    skip
        Told of each study that is not to be asked for, with its result: it is another node's,
        or here already.
    """

    def __init__(
        self,
        database: Database,
        claims: Claims,
        peer: str,
        studies: Sequence[StudyFind],
        skip: Callable[[StudyProgress], None],
    ) -> None:
        self._database = database
        self._claims = claims
        self._peer = peer
        self._skip = skip
        self._waiting = deque(
            (
                StudyProgress(
                    study_uid=study.study_uid or "",
                    study=number,
                    studies=len(studies),
                    received=0,
                    expected=study.expected_images,
                ),
                study,
            )
            for number, study in enumerate(studies, 1)
        )
        self._ready: deque[NextStudy] = deque()
        self._renewals = 0
        self._preparing = asyncio.Lock()

    @property
    def left(self) -> bool:
        """Whether there may be another one."""
        return bool(self._ready or self._waiting)

    async def next(self) -> NextStudy | None:
        """Return the next study that is ours; None when there is none any more.

        Raises
        ------
        SchemaError
            Nobody can tell whose it is.
        """
        async with self._preparing:
            while self.left:
                if not self._ready:
                    await self._prepare()
                elif await self._is_ours(self._ready[0]):
                    return self._ready.popleft()
                else:
                    await self._unprepare()
            return None

    def put_back(self, chosen: NextStudy) -> None:
        """Let a study that is ours be the next one again."""
        self._ready.appendleft(chosen)

    async def let_go(self) -> None:
        """Leave to other nodes what is claimed and not asked for yet: that may take a while."""
        async with self._preparing:
            await self._unprepare()

    async def _is_ours(self, turn: NextStudy) -> bool:
        """Tell whether a study is still ours, and has been since it was looked up."""
        ours = await self._claims.confirm(claim_of(turn.place.study_uid))
        return ours and self._claims.renewals == self._renewals

    async def _unprepare(self) -> None:
        while self._ready:
            turn = self._ready.pop()
            self._waiting.appendleft((turn.place, turn.study))
            await self._give_back(turn.place)

    async def _prepare(self) -> None:
        claimed: list[tuple[StudyProgress, StudyFind]] = []
        while self._waiting and len(claimed) < _AT_ONCE:
            place, study = self._waiting.popleft()
            if await self._claims.take(claim_of(place.study_uid)):
                claimed.append((place, study))
            else:
                self._pass_over(place, StudyOutcome.SKIPPED, "another node is moving it")
        self._renewals = self._claims.renewals
        async with self._database.session() as session:
            states = await get_move_states(
                session, [place.study_uid for place, _ in claimed], peer=self._peer
            )
        for chosen, study in claimed:
            state = states[chosen.study_uid]
            place = replace(chosen, expected=state.expected)
            if not state.retrieved and state.attempts == (study.attempts or 0):
                self._ready.append(NextStudy(place=place, study=study, state=state))
                continue
            await self._give_back(place)
            here = replace(place, received=state.images)
            if state.retrieved:
                self._pass_over(here, StudyOutcome.COMPLETE)
            else:
                self._pass_over(here, StudyOutcome.SKIPPED, "another node has moved it just now")

    async def _give_back(self, place: StudyProgress) -> None:
        await self._claims.give_back(claim_of(place.study_uid))

    def _pass_over(self, place: StudyProgress, outcome: StudyOutcome, message: str = "") -> None:
        result = StudyResult(
            study_uid=place.study_uid,
            outcome=outcome,
            expected=place.expected,
            received=place.received,
            message=message,
        )
        self._skip(replace(place, result=result))
