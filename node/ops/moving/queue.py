"""The studies of a move in their order: claimed and looked up shortly before they are asked for."""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from node.ops.counting.keeping import ToldCounts
from node.ops.moving.listing import Lister
from node.ops.moving.report import StudyOutcome, StudyProgress, StudyResult
from node.ops.moving.supply import Supply
from schema import Database, StudyFind
from schema.choosing.policy import ALL, Policy
from schema.engine.claims import Claims
from schema.moves import MoveState, claim_of, get_move_states
from schema.moving.attempts import interrupt_attempts
from schema.moving.evidence import Here
from schema.moving.holding import look_at
from schema.moving.listing import Listing
from schema.moving.policies import mark_unwanted
from schema.moving.senders import Senders

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
    here
        What was of it, then.
    attempt_id
        The row of the attempt.
    listing
        What the peer lists of it, as soon as that is known; None: it is to be asked before.
    repairs
        How often it was asked for in this move before.
    """

    place: StudyProgress
    study: StudyFind
    state: MoveState
    attempt_id: int
    listing: "asyncio.Task[Listing | None] | None"
    here: Here
    repairs: int = 0


class StudyQueue:
    """Gives the studies one by one, to several who ask at once.

    Parameters
    ----------
    begin
        Begins attempts for studies, by their UIDs; returns the keys of their rows.
    lister
        Asks the PACS what it has of them.
    senders
        Who sends for which PACS.
    peer
        The configured name of the PACS that is to be asked.
    skip
        Told of each study that is not to be asked for, with its result: it is another node's,
        or here already.
    policy
        What of studies is wanted.
    """

    def __init__(
        self,
        database: Database,
        claims: Claims,
        peer: str,
        studies: Supply,
        *,
        begin: Callable[[Sequence[str]], Awaitable[Mapping[str, int]]],
        lister: Lister,
        senders: Senders,
        skip: Callable[[StudyProgress], None],
        policy: Policy = ALL,
    ) -> None:
        self._database = database
        self._claims = claims
        self._peer = peer
        self._begin = begin
        self._lister = lister
        self._senders = senders
        self._repairs: Counter[str] = Counter()
        self._skip = skip
        self._policy = policy
        self._supply = studies
        self._given = 0
        self._waiting: deque[tuple[StudyProgress, StudyFind]] = deque()
        self._ready: deque[NextStudy] = deque()
        self._renewals = 0
        self._preparing = asyncio.Lock()

    @property
    def left(self) -> bool:
        """Whether there may be another one."""
        return bool(self._ready or self._waiting or self._supply.left)

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

    def done_with(self, chosen: NextStudy) -> None:
        """Ask for a study no more in this move, though it may be asked for."""
        self._supply.done_with(chosen.place.study_uid)

    def ask_again(self, chosen: NextStudy) -> None:
        """Let a study that was given back be asked for once more: some of it has come."""
        self._repairs[chosen.place.study_uid] += 1
        self._supply.done_with(chosen.place.study_uid)  # it is ready, and comes from here
        study = chosen.study
        self._waiting.append((chosen.place, study))

    async def let_go(self) -> None:
        """Leave to other nodes what is claimed and not asked for yet: that may take a while."""
        async with self._preparing:
            await self._unprepare()

    async def rest(self) -> None:
        """Hold no association: nothing will be asked for a while."""
        await self._lister.close()

    async def _is_ours(self, turn: NextStudy) -> bool:
        """Tell whether a study is still ours, and has been since it was looked up."""
        ours = await self._claims.confirm(claim_of(turn.place.study_uid))
        return ours and self._claims.renewals == self._renewals

    async def _unprepare(self) -> None:
        while self._ready:
            turn = self._ready.pop()
            if turn.listing is not None:
                turn.listing.cancel()
            await self._database.run(interrupt_attempts, attempt_ids=[turn.attempt_id])
            self._waiting.appendleft((turn.place, turn.study))
            await self._give_back(turn.place)

    async def _prepare(self) -> None:
        for study in await self._supply.take(_AT_ONCE - len(self._waiting)):
            self._given += 1
            self._waiting.append((self._place_of(study), study))
        claimed: list[tuple[StudyProgress, StudyFind]] = []
        while self._waiting and len(claimed) < _AT_ONCE:
            place, study = self._waiting.popleft()
            if await self._claims.take(claim_of(place.study_uid)):
                claimed.append((place, study))
            else:
                self._pass_over(place, StudyOutcome.SKIPPED, "another node is moving it")
        self._renewals = self._claims.renewals
        async with self._database.session() as session:
            uids = [place.study_uid for place, _ in claimed]
            states = await get_move_states(session, uids, peer=self._peer)
            here = await look_at(session, uids, peer=self._peer, senders=self._senders)
        ours: list[tuple[StudyProgress, StudyFind]] = []
        for chosen, study in claimed:
            state = states[chosen.study_uid]
            place = replace(chosen, expected=state.told)
            asked = (study.attempts or 0) + self._repairs[chosen.study_uid]
            if state.held and not state.retrieved and not self._supply.held:
                await self._give_back(place)
                self._pass_over(place, StudyOutcome.CANCELLED, "an operator holds it")
                continue
            if not state.retrieved and await self._is_unwanted(study, state):
                await self._give_back(place)
                continue
            if not state.retrieved and state.attempts == asked:
                ours.append((place, study))
                continue
            await self._give_back(place)
            told = replace(place, received=state.images)
            if state.retrieved:
                self._pass_over(told, StudyOutcome.COMPLETE)
            else:
                self._pass_over(told, StudyOutcome.SKIPPED, "another node has moved it just now")

        attempts = await self._begin([place.study_uid for place, _ in ours])
        for place, study in ours:
            if (attempt := attempts.get(place.study_uid)) is None:
                await self._give_back(place)
                self._pass_over(place, StudyOutcome.SKIPPED, "it was removed from the database")
                continue
            self._ready.append(
                NextStudy(
                    place=place,
                    study=study,
                    state=states[place.study_uid],
                    attempt_id=attempt,
                    listing=self._lister.begin(place.study_uid, told_of(states[place.study_uid])),
                    here=here[place.study_uid],
                    repairs=self._repairs[place.study_uid],
                )
            )

    async def _is_unwanted(self, study: StudyFind, state: MoveState) -> bool:
        """Tell whether nothing of a study is wanted; take that down."""
        why = self._policy.refuses(
            modalities=study.modalities, description=study.study_description, images=state.told
        )
        if not why or not state.known:
            return False
        uid = study.study_uid
        policy = str(self._policy)
        await self._database.run(mark_unwanted, {uid: why}, peer=self._peer, policy=policy)
        place = replace(self._place_of(study), received=state.images, expected=state.told)
        self._pass_over(place, StudyOutcome.UNWANTED, why)
        return True

    def _place_of(self, study: StudyFind) -> StudyProgress:
        return StudyProgress(
            study_uid=study.study_uid,
            study=self._given,
            studies=max(self._supply.studies, self._given),
            received=0,
            expected=study.expected_images,
        )

    async def _give_back(self, place: StudyProgress) -> None:
        await self._claims.give_back(claim_of(place.study_uid))

    def _pass_over(self, place: StudyProgress, outcome: StudyOutcome, message: str = "") -> None:
        self._supply.done_with(place.study_uid)
        result = StudyResult(
            study_uid=place.study_uid,
            outcome=outcome,
            expected=place.expected,
            received=place.received,
            message=message,
        )
        self._skip(replace(place, result=result))


def told_of(state: MoveState) -> ToldCounts:
    """Return a peer's own numbers of a study, as far as they are recorded."""
    return ToldCounts(images=state.said_images, series=state.said_series, known=state.known)
