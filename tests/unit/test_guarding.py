"""When nothing is moved from a PACS for a while, and when one study goes first: pure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from node.config import CommonHours, Config, Hours
from node.config.wanted.budget import BudgetSettings
from node.ops.guarding.budgets import Budget, BudgetStanding
from node.ops.guarding.entering import Holdup, PeerEntry, admitted
from node.ops.guarding.windows import OpenWindow, window_of
from schema.guarding.breaking import (
    OUTAGES,
    TRANSITIONS,
    Breaker,
    BreakerCause,
    BreakerEvent,
    BreakerState,
    Tried,
    after,
    tried,
)
from schema.guarding.spending import Spent
from schema.moving.patience import FailureKind, RetryLimits

NOW = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - naive UTC
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
LIMITS = RetryLimits(retry=60, retry_limit=86400)
OPEN = Breaker(
    state=BreakerState.OPEN,
    cause=BreakerCause.CONFIGURATION,
    message="unknown",
    trips=1,
    opened_on=NOW - MINUTE,
    retry_on=NOW,
)
TRYING = Breaker(
    state=BreakerState.HALF_OPEN,
    cause=BreakerCause.CONFIGURATION,
    message="unknown",
    trips=1,
    opened_on=NOW - MINUTE,
    retry_on=NOW,
)
STANDING = {
    BreakerState.CLOSED: Breaker(),
    BreakerState.OPEN: OPEN,
    BreakerState.HALF_OPEN: TRYING,
}


def turn(before, event, *, now=NOW, on=None, message="why"):
    return after(before, Tried(event=event, on=on or now, message=message), limits=LIMITS, now=now)


@pytest.mark.parametrize("state", BreakerState)
@pytest.mark.parametrize("event", BreakerEvent)
def test_a_breaker_does_what_the_table_says(event, state):
    before = STANDING[state]
    given = event
    if event is BreakerEvent.AWAY:
        given = BreakerEvent.UNREACHABLE
        before = replace(before, outages=OUTAGES - 1)
    assert turn(before, given).state is TRANSITIONS[event].get(state, state)


def test_a_configuration_error_opens_at_once_and_waits_ever_longer():
    first = turn(Breaker(), BreakerEvent.MISCONFIGURED, message="unknown destination")
    assert (first.state, first.cause) == (BreakerState.OPEN, BreakerCause.CONFIGURATION)
    assert (first.opened_on, first.retry_on) == (NOW, NOW + MINUTE)
    assert first.message == "unknown destination"
    later = first.retry_on
    second = turn(turn(first, BreakerEvent.TRIED, now=later), BreakerEvent.MISCONFIGURED, now=later)
    assert (second.opened_on, second.retry_on) == (NOW, later + 2 * MINUTE)
    for _ in range(20):
        second = turn(second, BreakerEvent.MISCONFIGURED, now=second.retry_on)
    assert second.retry_on - second.opened_on > timedelta(days=1)
    before, now = second, second.retry_on
    assert turn(before, BreakerEvent.MISCONFIGURED, now=now).retry_on == now + timedelta(days=1)


def test_what_was_asked_before_it_opened_neither_closes_it_nor_puts_it_off():
    opened = turn(Breaker(), BreakerEvent.MISCONFIGURED)
    assert turn(opened, BreakerEvent.ANSWERED, now=NOW + MINUTE, on=NOW - MINUTE) == opened
    again = turn(opened, BreakerEvent.MISCONFIGURED, now=NOW + MINUTE / 2)
    assert (again.trips, again.retry_on) == (1, NOW + MINUTE / 2 + MINUTE)
    closed = turn(opened, BreakerEvent.ANSWERED, now=NOW + MINUTE)
    assert (closed.state, closed.trips, closed.closed_on) == (
        BreakerState.CLOSED,
        0,
        NOW + MINUTE,
    )


def test_what_opened_by_a_clock_that_was_ahead_closes_all_the_same():
    ahead = replace(TRYING, opened_on=NOW + 365 * DAY, retry_on=NOW + 365 * DAY)
    assert turn(ahead, BreakerEvent.ANSWERED).state is BreakerState.CLOSED


def test_only_outages_in_a_row_open_it_and_an_hour_is_the_longest_wait():
    breaker = Breaker()
    for _ in range(OUTAGES - 1):
        breaker = turn(breaker, BreakerEvent.UNREACHABLE)
    assert breaker.state is BreakerState.CLOSED
    assert turn(breaker, BreakerEvent.ANSWERED) == Breaker()
    breaker = turn(breaker, BreakerEvent.UNREACHABLE)
    assert (breaker.state, breaker.cause) == (BreakerState.OPEN, BreakerCause.OUTAGE)
    for _ in range(20):
        breaker = turn(breaker, BreakerEvent.UNREACHABLE, now=breaker.retry_on)
    due = breaker.retry_on
    assert turn(breaker, BreakerEvent.UNREACHABLE, now=due).retry_on == due + timedelta(hours=1)


@pytest.mark.parametrize(
    ("kind", "given", "event"),
    [
        (FailureKind.CONFIGURATION, {}, BreakerEvent.MISCONFIGURED),
        (FailureKind.OUTAGE, {"asked_on": None}, BreakerEvent.UNREACHABLE),
        (FailureKind.NONE, {}, BreakerEvent.ANSWERED),
        (FailureKind.NONE, {"asked_on": None}, None),
        (FailureKind.REFUSED, {}, BreakerEvent.ANSWERED),
        (FailureKind.BUSY, {"came": True, "alone": True}, BreakerEvent.ANSWERED),
        (FailureKind.BUSY, {"alone": True}, BreakerEvent.IN_VAIN),
        (FailureKind.NONE, {"alone": True}, BreakerEvent.IN_VAIN),
        (FailureKind.CONFIGURATION, {"alone": True}, BreakerEvent.MISCONFIGURED),
    ],
)
def test_what_an_attempt_says_of_the_pacs(kind, given, event):
    values = {"asked_on": NOW, "came": False, "alone": False} | given
    said = tried(kind, now=NOW, message="a", in_vain="b", **values)
    assert (None if said is None else said.event) is event
    if event is BreakerEvent.IN_VAIN:
        assert said.message == "b"


def budget(**limits):
    window = OpenWindow(begin=NOW, end=NOW + MINUTE, next=NOW + timedelta(days=1))
    key = "peers.pacs.budget"
    return Budget(key=key, peers=("pacs",), limits=BudgetSettings(**limits), window=window)


@pytest.mark.parametrize(
    ("limits", "spent", "said"),
    [
        ({"studies": 2}, {"studies": 1, "bytes": 10**15, "seconds": 10**6}, None),
        ({"studies": 2}, {"studies": 2}, "2 of 2 studies"),
        ({"bytes": "1.5GB"}, {"bytes": 1_499_999_999}, None),
        ({"bytes": "1.5GB"}, {"bytes": 1_700_000_000}, "1.7GB of 1500MB"),
        ({"duration": "1h"}, {"seconds": 3599.0}, None),
        ({"duration": "1h"}, {"seconds": 7200.0}, "2h of 1h"),
    ],
)
def test_a_budget_says_what_of_it_is_used_up_and_until_when_the_rest_waits(limits, spent, said):
    reason = budget(**limits).used_up(Spent(**spent))
    if said is None:
        assert reason is None
    else:
        assert reason == (
            f"the budget of this night is used up, {said} (peers.pacs.budget); "
            "the rest waits until 2026-01-03 03:04 UTC"
        )


@pytest.mark.parametrize("text", ["", "0", "-1", "GB", "5 apples", True, "1.5", "3i"])
def test_what_is_no_size_is_refused_with_an_example(text):
    peers = {"pacs": {"aetitle": "A", "host": "h", "port": 1, "budget": {"bytes": text}}}
    if text == "":
        assert Config(peers=peers).peer("pacs").budget.is_any
        return
    with pytest.raises(ValidationError, match="500MB"):
        Config(peers=peers)


@pytest.mark.parametrize(
    ("text", "size"),
    [("200GB", 200 * 10**9), ("1 MiB", 2**20), ("1.5tb", 15 * 10**11), (7, 7), ("12", 12)],
)
def test_sizes_are_read_as_people_write_them(text, size):
    read = BudgetSettings(bytes=text).bytes
    assert read == size
    assert BudgetSettings(bytes=read.text).bytes == size


USED_UP = BudgetStanding(budget=budget(studies=1), spent=Spent(studies=1), reason="used up")


@pytest.mark.parametrize(
    ("breaker", "given", "entry", "what"),
    [
        (Breaker(), {}, PeerEntry.GO, None),
        (Breaker(), {"canary_due": True}, PeerEntry.TRY, Holdup.CANARY),
        (Breaker(), {"used_up": USED_UP}, PeerEntry.WAIT, Holdup.BUDGET),
        (Breaker(), {"used_up": USED_UP, "canary_due": True}, PeerEntry.WAIT, Holdup.BUDGET),
        (OPEN, {"now": NOW - MINUTE}, PeerEntry.WAIT, Holdup.BREAKER),
        (OPEN, {"now": NOW - MINUTE, "used_up": USED_UP}, PeerEntry.WAIT, Holdup.BREAKER),
        (OPEN, {"now": NOW - 2 * DAY}, PeerEntry.WAIT, Holdup.BREAKER),
        (OPEN, {"now": NOW - 3 * DAY}, PeerEntry.TRY, Holdup.BREAKER),  # nobody waits so long
        (OPEN, {}, PeerEntry.TRY, Holdup.BREAKER),
        (OPEN, {"used_up": USED_UP}, PeerEntry.WAIT, Holdup.BUDGET),
        (
            TRYING,
            {"now": NOW - MINUTE},
            PeerEntry.TRY,
            Holdup.BREAKER,
        ),  # whoever tries may have died
    ],
)
def test_who_waits_who_tries_and_who_goes(breaker, given, entry, what):
    usual = {"canary_due": False, "used_up": None, "now": NOW, "longest_wait": LIMITS.retry_limit}
    found = admitted(breaker, **usual | given)
    assert found.entry is entry
    assert (None if found.wait is None else found.wait.what) is what
    if entry is PeerEntry.WAIT:
        assert found.wait.until is not None


NIGHT = "20:00-06:00 UTC"
WEEK = "mon-fri 20:00-06:00, sat-sun 00:00-24:00 UTC"


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        (NIGHT, "02T21:00", ("02T20:00", "03T06:00", "03T20:00")),
        (NIGHT, "02T20:00", ("02T20:00", "03T06:00", "03T20:00")),
        (NIGHT, "03T05:59", ("02T20:00", "03T06:00", "03T20:00")),
        (NIGHT, "03T06:00", None),
        (WEEK, "08T12:00", ("06T20:00", "09T00:00", "09T20:00")),  # the weekend is one night
    ],
)
def test_a_night_is_from_when_hours_open_until_they_close(text, now, expected):
    def instant(short):
        return datetime.fromisoformat(f"2026-03-{short}")

    window = window_of(Hours.parse(text), instant(now).replace(tzinfo=UTC))
    if expected is None:
        assert window is None
        return
    assert (window.begin, window.end, window.next) == tuple(map(instant, expected))
    assert not window.day


@pytest.mark.parametrize("hours", [CommonHours(), Hours.parse("00:00-24:00 UTC")])
def test_where_hours_are_always_open_a_day_is_a_night(hours):
    window = window_of(hours, datetime(2026, 3, 2, 21, tzinfo=UTC))
    assert window.day
    assert window.end - window.begin == timedelta(days=1)
    assert window.next == window.end


def test_the_documentation_has_the_same_table():
    text = (Path(__file__).parents[2] / "docs" / "moving.md").read_text()
    rows = [
        [cell.strip(" `*") for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]
    shown = {row[0]: (row[1].split(", "), row[2]) for row in rows if row[0] in set(BreakerEvent)}
    for event, moves in TRANSITIONS.items():
        (becomes,) = set(moves.values())
        befores, after_it = shown[event]
        assert (set(befores), after_it) == ({state.value for state in moves}, becomes.value), event
