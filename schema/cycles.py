"""The node's own book-keeping: its cycles, and what becomes of them when a process dies."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, case, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.coverage.asked import AskedDates
from schema.engine.either import either
from schema.header.values import clean_or_none
from schema.hooking.ends import outcomes_before, record_ends
from schema.moving.attempts import interrupt_attempts
from schema.moving.interrupted import last_signs
from schema.tables.columns import utcnow
from schema.tables.ledger import (
    CANCELLED,
    INTERRUPTED,
    PAUSED,
    RUNNING,
    UNFINISHED,
    Cycle,
    FindWindow,
    Wish,
)
from schema.tables.statements import shared_now

SILENT = timedelta(seconds=35)
"""After so long without a sign of life, the process of a cycle has ended, or cannot reach the
database: it gives one each ten seconds."""

LEASE = timedelta(minutes=2)
"""How long a move without a sign of life keeps what it has claimed from the nodes of other AE
titles. A sign that is later than now by more says nothing: the clock has been set since."""


@either
async def start_cycle(
    session: AsyncSession,
    kind: str,
    peer: str | None = None,
    node: str | None = None,
    pid: int | None = None,
    *,
    process: str | None = None,
    asked: Sequence[AskedDates] | None = None,
) -> int:
    """Begin the row of a cycle, and return its id.

    Where the last one of its kind, at its peer, by its node was to pause when its process ended,
    this one is to pause in its place; a move also while that one is paused, or may be.

    Parameters
    ----------
    kind
        `find` or `move`.
    peer
        The configured name of the PACS.
    node, pid
        Who does it: the node's AE title, and its process.
    process
        What tells this process from others that have its number, at other times or elsewhere.
    asked
        What a find of dates is to cover; None: it is none.
    """
    now = utcnow()
    cycle = Cycle(
        kind=kind,
        peer=peer,
        node=node,
        pid=pid,
        process=process,
        outcome=RUNNING,
        started_on=now,
        heard_on=await shared_now(session),
        asked=None if asked is None else [one.document() for one in asked],
        wanted=await _left_paused(session, kind, peer, node),
    )
    session.add(cycle)
    await session.flush()
    return cycle.id


async def _left_paused(
    session: AsyncSession, kind: str, peer: str | None, node: str | None
) -> Wish | None:
    """Take over the wish that a cycle pauses from one whose process has ended meanwhile."""
    alike = (Cycle.kind == kind, Cycle.peer == peer, Cycle.node == node)
    last = select(func.max(Cycle.id)).where(*alike).scalar_subquery()
    taken = await session.scalars(
        update(Cycle)
        .where(Cycle.id == last, Cycle.outcome == INTERRUPTED, Cycle.wanted == Wish.PAUSE)
        .values(wanted=None)
        .returning(Cycle.id)
        .execution_options(synchronize_session=False)
    )
    if taken.all():
        return Wish.PAUSE
    # in another container it may run, or have ended just now: it keeps its wish, and this one has
    # it as well; a find of dates knows, for it has the peer
    runs = select(Cycle.wanted).where(Cycle.id == last, Cycle.outcome.in_(UNFINISHED))
    wanted = None if kind == "find" else await session.scalar(runs)
    return Wish.PAUSE if wanted == Wish.PAUSE else None


async def note_cycle(session: AsyncSession, id: int, message: str | None) -> None:  # noqa: A002
    """Say in a cycle's row what it waits for; None when it goes on."""
    await session.execute(
        update(Cycle)
        .where(Cycle.id == id)
        .values(message=clean_or_none(message))
        .execution_options(synchronize_session=False)
    )


async def hear_of_cycle(session: AsyncSession, id: int) -> datetime:  # noqa: A002
    """Note that a cycle's process is there, and return when; one that was taken for dead runs."""
    now = await shared_now(session)
    is_back = Cycle.outcome == INTERRUPTED
    await session.execute(
        update(Cycle)
        .where(Cycle.id == id)
        .values(
            heard_on=now,
            outcome=case((is_back, RUNNING), else_=Cycle.outcome),
            finished_on=case((is_back, None), else_=Cycle.finished_on),
        )
        .execution_options(synchronize_session=False)
    )
    return now


async def get_wish(session: AsyncSession, id: int) -> Wish | None:  # noqa: A002
    """Return what is wanted of a cycle by who runs it; of one that was ended, that it ends.

    One that is noted as interrupted, and asks, was taken for dead: it goes on.
    """
    query = select(Cycle.outcome, Cycle.wanted).where(Cycle.id == id)
    row = (await session.execute(query)).one_or_none()
    if row is not None and row.outcome not in {*UNFINISHED, INTERRUPTED}:
        return Wish.CANCEL
    return Wish(row.wanted) if row is not None and row.wanted in set(Wish) else None


async def is_interrupted(session: AsyncSession, id: int) -> bool:  # noqa: A002
    """Tell whether somebody has taken the process of a cycle for dead."""
    return await session.scalar(select(Cycle.outcome).where(Cycle.id == id)) == INTERRUPTED


@either
async def want_of_cycle(session: AsyncSession, id: int, wish: Wish | None) -> bool:  # noqa: A002
    """Say what is wanted of a cycle; return whether it has not ended.

    One that was interrupted while it was to pause has ended, and its pause waits for the next one:
    whatever is wanted of it now, that is dropped.

    No wish is that it goes on.
    """
    unfinished = Cycle.outcome.in_(UNFINISHED)
    waits = and_(Cycle.outcome == INTERRUPTED, Cycle.wanted == Wish.PAUSE)
    open_ = unfinished if wish is Wish.PAUSE else or_(unfinished, waits)
    done = await session.scalars(
        update(Cycle)
        .where(Cycle.id == id, open_)
        .values(wanted=case((unfinished, wish), else_=None))
        .returning(Cycle.id)
        .execution_options(synchronize_session=False)
    )
    return bool(done.all())


async def pause_cycle(session: AsyncSession, id: int, *, paused: bool) -> None:  # noqa: A002
    """Note that a cycle waits because it is to pause, or that it goes on."""
    await session.execute(
        update(Cycle)
        .where(Cycle.id == id, Cycle.outcome.in_(UNFINISHED))
        .values(outcome=PAUSED if paused else RUNNING)
        .execution_options(synchronize_session=False)
    )


@either
async def finish_cycle(
    session: AsyncSession,
    id: int,  # noqa: A002
    outcome: str,
    counts: Mapping[str, Any] | None = None,
    message: str | None = None,
) -> None:
    """End a cycle's row.

    Parameters
    ----------
    outcome
        done, partial, failed, cancelled or interrupted.
    counts, message
        What it came to, by name and in words.
    """
    values: dict[str, Any] = {
        "outcome": outcome,
        "counts": None if counts is None else dict(counts),
        "message": clean_or_none(message),
        "finished_on": utcnow(),
    }
    if outcome != INTERRUPTED:  # that it is to pause outlives its process
        values["wanted"] = None
    told = await outcomes_before(session, [id])
    if outcome == CANCELLED:  # where its process does not answer, nobody else ends them
        await interrupt_attempts(session, cycle_ids=[id])
    await session.execute(
        update(Cycle)
        .where(Cycle.id == id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    await record_ends(session, told)


def is_heard(heard_on: datetime | None, now: datetime) -> bool:
    """Tell whether something was heard of a process since `SILENT`, by the clock all share."""
    return heard_on is not None and now - SILENT <= heard_on <= now + LEASE


Alive = Callable[[int, int, str | None], bool | None]
"""Tells of a cycle's id, of its process id, and of what `start_cycle` was told as `process`,
whether that process still runs it; None: nobody can say."""


async def dead_cycles(session: AsyncSession, node: str, *, alive: Alive) -> list[int]:
    """Return the cycles of a node whose process died while they ran; parameters as below.

    So have the moves of other nodes that were not heard of for `LEASE`.
    """
    now = await shared_now(session)
    running = select(Cycle.id, Cycle.pid, Cycle.process, Cycle.heard_on).where(
        Cycle.node == node, Cycle.outcome.in_(UNFINISHED)
    )
    dead = []
    for identity, pid, process, heard_on in await session.execute(running):
        lives = False if pid is None else alive(identity, pid, process)
        if lives is None:
            lives = is_heard(heard_on, now)
        if not lives:
            dead.append(identity)
    silent = await _silent_moves(session, now, alive)
    return [*dead, *(identity for identity in silent if identity not in dead)]


@either
async def interrupt_cycles(
    session: AsyncSession, node: str, *, alive: Alive = lambda *_: False
) -> int:
    """Mark the cycles of a node whose process died while they ran; return how many there were.

    Parameters
    ----------
    node
        The node's AE title.
    alive
        Cycles of processes of which it says that they run are left alone; where it cannot say,
        those that have given a sign of life since `SILENT`.
    """
    dead = await dead_cycles(session, node, alive=alive)
    await _interrupt(session, dead)
    return len(dead)


async def interrupt_silent(
    session: AsyncSession, *, alive: Alive = lambda *_: None, later: timedelta = timedelta()
) -> int:
    """End the moves of which nothing was heard for `LEASE`, whoever had them; return how many.

    What they had claimed is anybody's then, and whatever they still say of it counts for nothing
    (`schema.moving.judging`).

    Parameters
    ----------
    alive
        Cycles of processes of which it says that they run are left alone: the clock has been set.
    later
        Since now.
    """
    silent = await _silent_moves(session, await shared_now(session) + later, alive)
    await _interrupt(session, silent)
    return len(silent)


async def _silent_moves(session: AsyncSession, now: datetime, alive: Alive) -> list[int]:
    heard_on = func.coalesce(Cycle.heard_on, Cycle.started_on)
    query = select(Cycle.id, Cycle.pid, Cycle.process).where(
        Cycle.kind == "move",
        Cycle.outcome.in_(UNFINISHED),
        or_(heard_on < now - LEASE, heard_on > now + LEASE),
    )
    return [
        identity
        for identity, pid, process in (await session.execute(query)).all()
        # the number of a process alone says nothing where it may be another machine's
        if pid is None or process is None or not alive(identity, pid, process)
    ]


async def interrupt_finds(session: AsyncSession, peer: str) -> None:
    """Mark what should be running of finds of dates at a PACS: no process has one there."""
    await _interrupt(session, list(await session.scalars(_finds_at(peer, Cycle.id))))


async def _interrupt(session: AsyncSession, ids: Sequence[int]) -> None:
    """End cycles of dead processes, as of when something was heard of them last.

    What they came to nobody has counted: what they have recorded tells of the windows of finds.
    """
    if not ids:
        return
    told = await outcomes_before(session, ids)
    signs = await last_signs(session, ids)
    await interrupt_attempts(session, cycle_ids=ids)
    asked = select(
        FindWindow.cycle_id,
        func.max(FindWindow.asked_on),
        func.count(),
        func.coalesce(func.sum(FindWindow.new), 0),
    )
    asked = asked.where(FindWindow.cycle_id.in_(ids)).group_by(FindWindow.cycle_id)
    rows = (await session.execute(asked)).all()
    last = {cycle: asked_on for cycle, asked_on, _, _ in rows}
    counts = {cycle: {"windows": windows, "new": int(new or 0)} for cycle, _, windows, new in rows}
    heard = select(Cycle.id, Cycle.started_on, Cycle.heard_on).where(Cycle.id.in_(ids))
    for identity, *moments in (await session.execute(heard)).all():
        ended = max(filter(None, (*moments, last.get(identity), signs.get(identity))))
        await session.execute(
            update(Cycle)
            .where(Cycle.id == identity)
            .values(outcome=INTERRUPTED, finished_on=ended, counts=counts.get(identity))
            .execution_options(synchronize_session=False)
        )
    await record_ends(session, told)


async def running_find(session: AsyncSession, peer: str) -> Cycle | None:
    """Return the newest find of dates at a PACS that has not ended; None without any."""
    newest = _finds_at(peer, Cycle).order_by(Cycle.id.desc()).limit(1)
    return (await session.scalars(newest)).first()


def _finds_at(peer: str, what: Any) -> Select[Any]:  # noqa: ANN401 - a column, or the whole
    """Select the finds of dates at a PACS that have not ended."""
    dated = (Cycle.kind == "find", Cycle.peer == peer, Cycle.asked.is_not(None))
    return select(what).where(*dated, Cycle.outcome.in_(UNFINISHED))
