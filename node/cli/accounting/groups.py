"""What `status` says below the line of each peer: a function for each group of lines.

Each returns its lines, without the indent; none where there is nothing to say. Who has something
new to say of a peer adds a function, and its name to `GROUPS`.
"""

import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from node.cli.accounting.words import left_of, ran, rest_of
from node.cli.explaining.words import size, utc
from schema.text.words import counted

if TYPE_CHECKING:
    from node.config import Config
    from node.ops.status import IndexState
    from schema.accounting.tally import PeerTally

    Group = Callable[[Config, IndexState, PeerTally], list[str]]


def hours(config: "Config", index: "IndexState", tally: "PeerTally") -> list[str]:
    """Say in which hours the daemon moves from a peer, and whether these are now."""
    if tally.peer is None or tally.peer not in config.peers:
        return []
    open_times = config.move_hours(tally.peer)
    if not open_times.parts:
        return []
    now = index.as_of.replace(tzinfo=UTC)
    if open_times.contains(now):
        until = open_times.closes_next(now)
        state = "open" if until is None else f"open until {_utc(until)}"
    else:
        until = open_times.opens_next(now)
        state = "never open" if until is None else f"closed until {_utc(until)}"
    return [f"hours: {open_times}; {state}"]


def waiting(config: "Config", index: "IndexState", tally: "PeerTally") -> list[str]:  # noqa: ARG001
    """Say why the daemon moves nothing from a peer: its breaker, a first study, a budget."""
    wait = index.waits.get(tally.peer or "")
    if wait is None:
        return []
    # the words of a budget say until when
    told = wait.until is None or wait.what.value == "budget"
    until = "" if told or wait.until is None else f"; until {utc(wait.until)}"
    return [f"{wait.what.value}: {wait.reason}{until}"]


def throttle(config: "Config", index: "IndexState", tally: "PeerTally") -> list[str]:
    """Say how much each node asks of a peer at once, where it is slow to answer, and asked now."""
    peer = config.peers.get(tally.peer or "")
    if peer is None or not (config.move.throttle if peer.throttle is None else peer.throttle):
        return []
    lines = []
    for one in index.throttles:
        if one.peer != tally.peer or not one.reason:
            continue
        from node.ops.politeness.keeping import FRESH, words

        if abs(index.as_of - one.updated_on) > FRESH:
            continue
        lines.append(
            f"throttle: {one.node} asks for {words(one.level)} since {utc(one.since)}, "
            f"for {one.reason}; as of {utc(one.updated_on)}"
        )
    return lines


def queue(config: "Config", index: "IndexState", tally: "PeerTally") -> list[str]:
    """Say how many studies of a peer may be asked for, wait, or are not asked for."""
    if not tally.open:
        return []
    moving = sum(tally.states.get(state, 0) for state in ("moving", "settling"))
    parts = [f"{tally.ready} ready{_but_for(config, index, tally) if tally.ready else ''}"]
    if tally.waiting:
        due = "" if tally.next_on is None else f" (the first until {utc(tally.next_on)})"
        parts.append(f"{tally.waiting} waiting{due}")
    for count, what in (
        (moving, "under way"),
        (tally.given_up, "given up"),
        (tally.states.get("held", 0), "held"),
    ):
        if count:
            parts.append(f"{count} {what}")
    states = ", ".join(
        f"{count} {state}"
        for state, count in sorted(tally.states.items())
        if state not in ("retrieved", "gone")
    )
    return [f"queue: {', '.join(parts)}; by state: {states}"]


def _but_for(config: "Config", index: "IndexState", tally: "PeerTally") -> str:
    """Say what the daemon waits for before it asks for what is ready."""
    peer = tally.peer or ""
    if peer not in config.peers:
        return ""
    closed = not config.move_hours(peer).contains(index.as_of.replace(tzinfo=UTC))
    wait = index.waits.get(peer)
    what = [*(["hours"] if closed else []), *([] if wait is None else [wait.what.value])]
    return f" but for the {' and the '.join(what)}" if what else ""


def rates(config: "Config", index: "IndexState", tally: "PeerTally") -> list[str]:  # noqa: ARG001
    """Say what a peer has given in the last hour, and the last day."""
    hour, day = (index.hour.get(tally.peer or ""), index.day.get(tally.peer or ""))
    if hour is None or day is None or not day.attempts:
        return []
    return [
        "; ".join(
            f"{span}: {counted(rate.studies, 'study')} complete, {counted(rate.images, 'image')}, "
            f"{size(rate.bytes)} in {ran(rate.seconds)} of moves"
            for span, rate in (("last hour", hour), ("last 24 h", day))
        )
    ]


def rest(config: "Config", index: "IndexState", tally: "PeerTally") -> list[str]:  # noqa: ARG001
    """Say how much is left at a peer, and how long that takes."""
    said = index.rest.get(tally.peer or "")
    return [] if said is None or not said.studies else [left_of(said), rest_of(said)]


def gaps(config: "Config", index: "IndexState", tally: "PeerTally") -> list[str]:  # noqa: ARG001
    """Say what finds were to ask a peer, and do not know."""
    found = index.gaps.get(tally.peer or "")
    if found is None:
        return []
    count, gap = found
    dates = "studies without a date" if gap.undated else f"{gap.first} to {gap.last}"
    return [
        f"finds: {counted(count, 'gap')}, the oldest {dates}; "
        f"`dicom-node coverage {shlex.quote(tally.peer or '')}` says why"
    ]


GROUPS: "tuple[Group, ...]" = (hours, waiting, throttle, queue, rates, rest, gaps)
"""In the order in which they are shown."""


def _utc(moment: datetime) -> str:
    return utc(moment.astimezone(UTC).replace(tzinfo=None))
