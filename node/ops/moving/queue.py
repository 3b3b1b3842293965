"""The studies of a move in their order: claimed and looked up shortly before they are asked for."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from node.ops.cycling.running import RunningCycle
from node.ops.moving.listing import Lister
from node.ops.moving.report import StudyOutcome, StudyProgress, StudyResult
from node.ops.moving.supply import Supply
from schema import AsyncSession, Database, StudyFind
from schema.choosing.policy import ALL, Policy
from schema.deciding.policies import mark_unwanted
from schema.moves import MoveState, get_move_states
from schema.moving.attempts import begin_attempts, interrupt_attempts
from schema.moving.evidence import Here
from schema.moving.holding import look_at
from schema.moving.leases import claims_on, is_claimed
from schema.moving.listing import Listing
from schema.moving.senders import Senders

_AT_ONCE = 8
"""Studies that are claimed and looked up together: one question to the database, not one each."""

_LOW = 4
"""So few are left when the next ones are claimed meanwhile: nobody waits for that."""


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
    doubts
        How often others could have taken our cycle for dead when it was claimed.
    """

    place: StudyProgress
    study: StudyFind
    state: MoveState
    attempt_id: int
    listing: "asyncio.Task[Listing | None] | None"
    here: Here
    repairs: int = 0
    doubts: int


class StudyQueue:
    """Gives the studies one by one, to several who ask at once.

    Parameters
    ----------
    record
        The cycle: what it has claimed is ours as long as it lives.
    node, method
        Who asks for them, and how.
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
        record: RunningCycle,
        peer: str,
        studies: Supply,
        *,
        node: str,
        method: str,
        lister: Lister,
        senders: Senders,
        skip: Callable[[StudyProgress], None],
        policy: Policy = ALL,
    ) -> None:
        self._database = database
        self._record = record
        self._peer = peer
        self._node = node
        self._method = method
        self._lister = lister
        self._senders = senders
        self._repairs: Counter[str] = Counter()
        self._skip = skip
        self._policy = policy
        self._supply = studies
        self._given = 0
        self._waiting: deque[tuple[StudyProgress, StudyFind]] = deque()
        self._ready: deque[NextStudy] = deque()
        self._taking = asyncio.Lock()
        self._preparing: asyncio.Task[None] | None = None

    @property
    def left(self) -> bool:
        """Whether there may be another one."""
        return bool(self._ready or self._preparing or self._waiting or self._supply.left)

    async def next(self) -> NextStudy | None:
        """Return the next study that is ours; None when there is none any more.

        Raises
        ------
        SchemaError
            Nobody can tell whose it is.
        """
        async with self._taking:
            while self.left:
                if self._preparing is not None and self._preparing.done():
                    await self._prepared()
                elif not self._ready:
                    self._prepare_some()
                    await self._prepared()
                elif await self.is_ours(self._ready[0]):
                    chosen = self._ready.popleft()
                    if len(self._ready) <= _LOW and (self._waiting or self._supply.left):
                        self._prepare_some()
                    return chosen
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
        self._waiting.append((chosen.place, chosen.study))

    async def let_go(self) -> None:
        """Leave to other nodes what is claimed and not asked for yet: that may take a while."""
        async with self._taking:
            await self._unprepare()

    async def close(self) -> None:
        """Claim no more; what is claimed and not asked for yet is the cycle's to let go."""
        if self._preparing is not None:  # waited for: it may be committed already
            await asyncio.gather(self._preparing, return_exceptions=True)
        for turn in self._ready:
            if turn.listing is not None:
                turn.listing.cancel()

    async def rest(self) -> None:
        """Hold no association: nothing will be asked for a while."""
        await self._lister.close()

    async def is_ours(self, turn: NextStudy) -> bool:
        """Tell whether a study is ours still: nobody can have taken us for dead meanwhile."""
        if self._record.is_heard_of and self._record.doubts == turn.doubts:
            return True
        async with self._database.session() as session:
            return await is_claimed(session, [turn.attempt_id])

    def _prepare_some(self) -> None:
        if self._preparing is None:
            self._preparing = asyncio.create_task(self._prepare(), name="claim studies")

    async def _prepared(self) -> None:
        """Wait for the studies that are being claimed.

        Raises
        ------
        SchemaError
            They are not.
        """
        try:
            if self._preparing is not None:
                await asyncio.shield(self._preparing)
        finally:
            if self._preparing is not None and self._preparing.done():
                self._preparing = None

    async def _unprepare(self) -> None:
        await self._prepared()
        while self._ready:
            turn = self._ready.pop()
            if turn.listing is not None:
                turn.listing.cancel()
            await self._database.run(interrupt_attempts, attempt_ids=[turn.attempt_id])
            self._waiting.appendleft((turn.place, turn.study))

    async def _prepare(self) -> None:
        for study in await self._supply.take(_AT_ONCE - len(self._waiting)):
            self._waiting.append((self._place_of(study), study))
        next_ones = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
        room = _AT_ONCE - len(next_ones)
        doubts = self._record.doubts
        claimed = await self._database.run(self._claim, next_ones, room)
        self._supply.drawn(claimed.drawn, room)
        next_ones += [(self._place_of(study), study) for study in claimed.drawn]
        uids = list(claimed.attempts)
        async with self._database.session() as session:
            here = await look_at(session, uids, peer=self._peer, senders=self._senders)
        for place, study in next_ones:
            uid = place.study_uid
            state = claimed.states[uid]
            if (attempt := claimed.attempts.get(uid)) is None:
                self._pass_over(place, state, claimed)
                continue
            self._ready.append(
                NextStudy(
                    place=replace(place, expected=state.told),
                    study=study,
                    state=state,
                    attempt_id=attempt,
                    listing=self._lister.begin(uid, state),
                    here=here[uid],
                    repairs=self._repairs[uid],
                    doubts=doubts,
                )
            )

    async def _claim(
        self, session: AsyncSession, listed: Sequence[tuple[StudyProgress, StudyFind]], room: int
    ) -> "_Claimed":
        """Begin attempts of those that are listed, and of others that may be asked for."""
        drawn = await self._supply.draw(session, room) if room else []
        studies = [study for _, study in listed] + drawn
        uids = [study.study_uid for study in studies]
        taken = await claims_on(session, uids, cycle_id=self._record.id)
        states = await get_move_states(session, uids, peer=self._peer)
        free = [
            (study, state)
            for study in studies
            if study.study_uid not in taken
            and not (state := states[study.study_uid]).retrieved
            and (self._supply.held or not state.held)
        ]
        unwanted = {
            study.study_uid: why for study, state in free if (why := self._unwanted(study, state))
        }
        policy = str(self._policy)
        await mark_unwanted(session, unwanted, peer=self._peer, policy=policy)
        attempts = await begin_attempts(
            session,
            [
                study.study_uid
                for study, state in free
                if study.study_uid not in unwanted and self._is_as_chosen(study, state)
            ],
            peer=self._peer,
            cycle_id=self._record.id,
            node=self._node,
            method=self._method,
        )
        return _Claimed(
            drawn=drawn, taken=taken, unwanted=unwanted, states=states, attempts=attempts
        )

    def _is_as_chosen(self, study: StudyFind, state: MoveState) -> bool:
        """Tell whether nobody else has asked for a study since it was chosen."""
        return state.attempts == (study.attempts or 0) + self._repairs[study.study_uid]

    def _unwanted(self, study: StudyFind, state: MoveState) -> str:
        """Return why nothing of a study is wanted; "" where something is, or nobody knows."""
        if not state.known:
            return ""
        return self._policy.refuses(
            modalities=study.modalities, description=study.study_description, images=state.told
        )

    def _place_of(self, study: StudyFind) -> StudyProgress:
        self._given += 1
        return StudyProgress(
            study_uid=study.study_uid,
            study=self._given,
            studies=max(self._supply.studies, self._given),
            received=0,
            expected=study.expected_images,
        )

    def _pass_over(self, place: StudyProgress, state: MoveState, claimed: "_Claimed") -> None:
        """Say of a study that is not asked for why not."""
        uid = place.study_uid
        outcome, message = StudyOutcome.SKIPPED, "it was removed from the database"
        if state.retrieved:
            outcome, message = StudyOutcome.COMPLETE, ""
        elif uid in claimed.taken:
            message = "another node is moving it" if claimed.taken[uid] else "it is being moved"
        elif uid in claimed.unwanted:
            outcome, message = StudyOutcome.UNWANTED, claimed.unwanted[uid]
        elif state.held and not self._supply.held:
            outcome, message = StudyOutcome.CANCELLED, "an operator holds it"
        elif state.found:
            message = "another node has moved it just now"
        self._supply.done_with(uid)
        result = StudyResult(
            study_uid=uid,
            outcome=outcome,
            expected=state.told if state.found else place.expected,
            received=state.images,
            message=message,
        )
        self._skip(replace(place, expected=result.expected, received=state.images, result=result))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claimed:
    """Studies that were to be claimed, and which of them are ours.

    Attributes
    ----------
    drawn
        Those of them that no list had.
    taken
        Those that somebody is at, and whether that is another cycle.
    unwanted
        Why those are not wanted that are not.
    states
        Where each stands.
    attempts
        The keys of the attempts of those that are ours.
    """

    drawn: list[StudyFind]
    taken: Mapping[str, bool]
    unwanted: Mapping[str, str]
    states: Mapping[str, MoveState]
    attempts: Mapping[str, int]
