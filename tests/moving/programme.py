"""Moves from a PACS until nothing is to be done any more, and what is recorded afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from node.daemon.schedule import Schedule
from node.simulator.chance import fraction
from schema import Database
from schema.tables.columns import present
from tests.moving.node import EVERY, MovingNode, StudyStand, moving_node
from tests.moving.oracle import OF_THE_PEER, Truth, trips, unbounded, wrong_with
from tests.support.misbehaving import MisbehavingPacs, misbehaving_pacs
from tests.support.processes import LOOPBACK

ARCHIVE = {
    "studies": 60,
    "start_date": "2024-01-01",
    "end_date": "2024-01-05",
    "image_bytes": [8, 32],
}
"""Some days of studies with very small images."""

LONGEST = 120 * 86_400.0
"""Seconds in which each study has to come to an end."""

_IN_VAIN = 12
"""Cycles in which a PACS cannot be asked at all, until that counts as how it stays."""

_AFTERWARDS = 8
"""Cycles that follow when nothing is to be done any more."""

OF_ANSWERS = ("omit", "blank", "miscount")
"""What a PACS does to each of its answers, and so has done to those that were found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveCase:
    """A PACS, and how often it is asked.

    Attributes
    ----------
    name
        Of the peer.
    settings
        Of the simulated PACS.
    seed
        Of its studies.
    part
        What some of the studies suffer and others do not, and what share of them: `(purpose,
        share)`, as the simulator draws it.
    storers
        AE titles under which it may store, beside its own.
    peer
        Further settings of the peer.
    least, most
        Images of each of its studies.
    """

    name: str
    settings: Mapping[str, Any]
    seed: int = 1
    part: tuple[str, float] | None = None
    storers: tuple[str, ...] = ()
    peer: Mapping[str, Any] = field(default_factory=dict)
    studies: int = 4
    least: int = 4
    most: int = 9
    series: int = 1


@dataclass(kw_only=True)
class MoveVerdict:
    """What moves came to.

    Attributes
    ----------
    wrong
        What must not be, in words; none when all is well.
    unfounded
        Studies that are called retrieved and are not all here, because the PACS has said nothing
        that would tell: their evidence, by UID.
    stands
        What the database says, by UID.
    concerned
        The studies that suffer what only a part does; all of them where all do.
    cycles, asked
        How many cycles of the daemon there were until nothing was to be done any more, and how
        many retrievals the PACS was asked for.
    seconds, longest
        How long that took, and the longest cycle, in the loop's time.
    """

    case: MoveCase
    wrong: list[str] = field(default_factory=list)
    unfounded: dict[str, str] = field(default_factory=dict)
    stands: dict[str, StudyStand] = field(default_factory=dict)
    truth: dict[str, Truth] = field(default_factory=dict)
    concerned: frozenset[str] = frozenset()
    cycles: int = 0
    asked: int = 0
    seconds: float = 0.0
    longest: float = 0.0


async def played(case: MoveCase, node: MovingNode) -> MoveVerdict:
    """Move from a PACS until all is here or nothing comes any more, and judge what is recorded."""
    said = {name: case.settings[name] for name in OF_ANSWERS if name in case.settings}
    archive = {**ARCHIVE, "seed": case.seed}
    verdict = MoveVerdict(case=case)
    destinations = {"NODE": (LOOPBACK, node.port)}
    capacity = {k: v for k, v in case.settings.items() if k == "capacity"}
    async with misbehaving_pacs(
        archive=archive, destinations=destinations, **said, **capacity
    ) as pacs:
        verdict.truth = _chosen(pacs, case)
        await node.find(case.name, pacs, verdict.truth)
        pacs.behave(**case.settings)
        cycles = Cycles(verdict, node, pacs)
        await cycles.walk()
        verdict.asked = _asked(pacs)
        await _nothing_comes(pacs, node)
        for _ in range(_AFTERWARDS):
            await cycles.one()
        if _asked(pacs) != verdict.asked and all(one.ended for one in verdict.stands.values()):
            verdict.wrong.append("what is retrieved, or given up, is asked for again")
    verdict.stands = await node.stands(case.name)
    verdict.concerned = frozenset(uid for uid in verdict.truth if _suffers(uid, case))
    failed = trips(verdict.stands.values())
    for uid, truth in verdict.truth.items():
        stand = verdict.stands[uid]
        verdict.wrong += [
            f"{uid}: {what}"
            for what in (
                *wrong_with(truth, stand, case.settings),
                *unbounded(stand, node.limits, slack=EVERY + 2 * verdict.longest, trips=failed),
            )
        ]
        if stand.evidence and truth.images - stand.images:
            verdict.unfounded[uid] = stand.evidence
    return verdict


class Cycles:
    """The daemon's cycles of moves from a PACS, one after the other."""

    def __init__(self, verdict: MoveVerdict, node: MovingNode, pacs: MisbehavingPacs) -> None:
        self._verdict = verdict
        self._node = node
        self._pacs = pacs
        self._loop = asyncio.get_running_loop()
        self._began: float | None = None

    async def walk(self) -> None:
        """Let them pass until nothing is to be done any more, or the PACS takes nothing.

        While it cannot be asked at all, it is tried in each cycle; that has no end.
        """
        verdict, began, in_vain = self._verdict, self._loop.time(), 0
        while in_vain < _IN_VAIN:
            attempts = _attempts(verdict)
            something = await self.one()
            verdict.cycles += 1
            if not something:
                continue
            verdict.stands = await self._node.stands(verdict.case.name)
            verdict.seconds = self._loop.time() - began
            if all(one.ended for one in verdict.stands.values()):
                return
            in_vain = 0 if _attempts(verdict) != attempts else in_vain + 1
            if verdict.seconds > LONGEST:
                verdict.wrong.append(f"it has no end in {LONGEST / 86_400:.0f} days")
                return

    async def one(self) -> bool:
        """Have one when it is due; tell whether there was anything to be done."""
        since = None if self._began is None else self._loop.time() - self._began
        await asyncio.sleep(Schedule(every=EVERY).wait(since, present()))
        self._began = self._loop.time()
        case = self._verdict.case
        something = await self._node.move(case.name, self._pacs.port, **case.peer)
        took = self._loop.time() - self._began
        self._verdict.longest = max(self._verdict.longest, took)
        return something


def _attempts(verdict: MoveVerdict) -> int:
    """Return how many have said something of their study."""
    return sum(
        one.failure not in OF_THE_PEER
        for stand in verdict.stands.values()
        for one in stand.attempts
    )


async def all_played(
    cases: Sequence[MoveCase], database: Database, folder: Path, **settings: Any
) -> list[MoveVerdict]:
    """Move from several PACSs to one node, side by side; `settings` are of `move`."""
    peers = {case.name: case.storers for case in cases}
    async with moving_node(database, folder, peers, **settings) as node:
        return list(await asyncio.gather(*(played(case, node) for case in cases)))


async def shrunk(verdict: MoveVerdict, folder: Path) -> MoveVerdict:
    """Leave out behaviours as long as something stays wrong."""
    folder.mkdir()
    for tries, name in enumerate(_names(verdict.case.settings)):
        case = replace(verdict.case, settings=_without(verdict.case.settings, name))
        async with Database(f"sqlite:///{folder / f'{tries}.sqlite'}") as database:
            await database.initialize()
            (again,) = await all_played([case], database, folder / f"{tries}")
        if again.wrong:
            verdict = again
    return verdict


def described(verdict: MoveVerdict) -> str:
    """Return what is wrong, and at which PACS."""
    case = verdict.case
    attempts = [
        f"{uid[-6:]}: {stand.state} {stand.evidence} "
        f"{len(stand.images)}/{len(verdict.truth[uid].images)}; "
        + "; ".join(
            f"{len(list(alike))} x {text}"
            for text, alike in groupby(
                f"{one.level} {one.outcome} {one.failure} {one.images} ({one.message})"
                for one in stand.attempts
            )
        )
        for uid, stand in verdict.stands.items()
    ]
    head = f"{case.name}: {case.settings} {case.storers} {case.peer}"
    return "\n  ".join([head, *verdict.wrong, *attempts])


def _names(settings: Mapping[str, Any]) -> list[tuple[str, ...]]:
    retrieval = [("retrieval", name) for name in settings.get("retrieval", {})]
    return [(name,) for name in settings if name != "retrieval"] + retrieval


def _without(settings: Mapping[str, Any], name: tuple[str, ...]) -> dict[str, Any]:
    first, *rest = name
    fewer = {key: value for key, value in settings.items() if key != first}
    if rest:
        fewer[first] = _without(settings[first], tuple(rest))
    return fewer


def _suffers(uid: str, case: MoveCase) -> bool:
    return case.part is None or fraction(uid, case.part[0]) < case.part[1]


def _chosen(pacs: MisbehavingPacs, case: MoveCase) -> dict[str, Truth]:
    """Return some studies with what the PACS has of them; of a part of them, half suffer."""
    fit: dict[bool, list[tuple[str, Truth]]] = {True: [], False: []}
    for uid in pacs.truth():
        series: dict[str, set[str]] = {}
        for image in pacs.images(uid):
            series.setdefault(image.series_uid, set()).add(image.sop_instance_uid)
        truth = Truth(series={name: frozenset(images) for name, images in series.items()})
        if case.least <= len(truth.images) <= case.most and len(series) >= case.series:
            fit[_suffers(uid, case)].append((uid, truth))
    half = case.studies if case.part is None else case.studies // 2
    others = case.studies - half
    chosen = dict(fit[True][:half] + fit[False][:others])
    assert len(chosen) == case.studies, f"the archive of {case.name} has no such studies"
    return chosen


def _asked(pacs: MisbehavingPacs) -> int:
    done = pacs.counters.retrieval
    return done.moves + done.gets


async def _nothing_comes(pacs: MisbehavingPacs, node: MovingNode) -> None:
    """Wait until nothing has come for an hour: some send when the retrieval is long over."""
    before = -1
    while (now := pacs.counters.retrieval.images) != before:
        before = now
        await asyncio.sleep(3600)
    await node.settled()
