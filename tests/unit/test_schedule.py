"""When the next cycle begins, whatever becomes of the clock on the wall."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from node.config import Hours
from node.config.durations import LONGEST
from node.daemon import cycles
from node.daemon.schedule import Schedule
from schema.tables import columns

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_the_first_cycle_begins_at_once():
    assert Schedule(every=600).wait(None, NOON) == 0


def test_cycles_begin_at_equal_distances():
    assert Schedule(every=600).wait(100, NOON) == 500


def test_a_cycle_that_took_too_long_is_followed_at_once():
    assert Schedule(every=600).wait(3 * 3600, NOON) == 0


def test_a_cycle_waits_for_its_hours():
    night = Hours.parse("20:00-06:00 UTC")
    assert Schedule(every=600, hours=night).wait(None, NOON) == 8 * 3600


@pytest.mark.parametrize("hours", [None, "20:00-06:00 UTC", "00:00-24:00", "sun 03:00-03:01"])
def test_the_longest_interval_that_can_be_configured_has_an_end(hours):
    open_times = None if hours is None else Hours.parse(hours)
    schedule = Schedule(every=LONGEST, jitter=LONGEST, hours=open_times)
    assert LONGEST <= schedule.wait(0, datetime.now(UTC)) < 1.2 * LONGEST


def test_a_cycle_waits_for_its_interval_and_then_for_its_hours():
    night = Hours.parse("20:00-06:00 UTC")
    before_dawn = NOON.replace(hour=5, minute=55)
    due = Schedule(every=600, hours=night).wait(0, before_dawn)
    assert before_dawn + timedelta(seconds=due) == NOON.replace(hour=20)


def test_a_cycle_is_late_by_a_tenth_of_the_interval_at_most_and_never_early():
    schedules = [Schedule(every=600, jitter=300, seed=f"NODE{n}") for n in range(10)]
    waits = [schedule.wait(0, NOON, number=k) for schedule in schedules for k in range(50)]
    assert all(600 <= wait < 660 for wait in waits)
    assert max(waits) - min(waits) > 50
    assert waits == [schedule.wait(0, NOON, number=k) for schedule in schedules for k in range(50)]
    small = Schedule(every=600, jitter=3, seed="NODE")
    assert all(600 <= small.wait(0, NOON, number=k) < 603 for k in range(50))


def test_ten_nodes_with_the_same_hours_do_not_begin_in_the_same_minute():
    night = Hours.parse("20:00-06:00 UTC")
    begun = []
    for n in range(10):
        schedule = Schedule(every=3600, hours=night, jitter=300, seed=f"NODE{n}")
        begun.append(schedule.wait(None, NOON))
        # who looks again meanwhile sees the same moment
        for ahead in (60, 8 * 3600 - 1, 8 * 3600 + 1):
            then = schedule.wait(None, NOON + timedelta(seconds=ahead))
            assert then == pytest.approx(max(0.0, begun[-1] - ahead), abs=1e-3)
    assert all(8 * 3600 <= wait < 8 * 3600 + 300 for wait in begun)
    assert len({round(wait) for wait in begun}) > 7
    assert max(begun) - min(begun) > 120


def test_hours_that_are_shorter_than_the_jitter_are_not_missed():
    minute = Hours.parse("20:00-20:01 UTC")
    for n in range(20):
        schedule = Schedule(every=86400, hours=minute, jitter=3600, seed=f"NODE{n}")
        wait = schedule.wait(None, NOON)
        assert minute.contains(NOON + timedelta(seconds=wait))
        assert schedule.wait(None, NOON + timedelta(seconds=wait)) == 0


@pytest.mark.parametrize(
    ("zone", "noon", "wait"),
    [
        ("Europe/Berlin", "2026-03-28T12:00+01:00", 14.5),  # 02:00 becomes 03:00
        ("Europe/Berlin", "2026-10-24T12:00+02:00", 16.5),  # 03:00 becomes 02:00
        ("America/New_York", "2026-03-07T12:00-05:00", 14.5),
        ("America/New_York", "2026-10-31T12:00-04:00", 16.5),  # 02:00 becomes 01:00
        ("Europe/Berlin", "2026-06-01T12:00+02:00", 15.5),
    ],
)
def test_a_cycle_begins_at_the_hour_of_the_wall_when_summer_time_begins_and_ends(zone, noon, wait):
    hours = Hours.parse(f"03:30-05:00 {zone}")
    now = datetime.fromisoformat(noon)
    assert Schedule(every=600, hours=hours).wait(None, now) == wait * 3600


async def test_a_node_that_starts_again_waits_for_the_rest_of_the_interval():
    ago = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=99.5)
    begun = []

    async def cycle():
        begun.append(asyncio.get_running_loop().time())
        raise asyncio.CancelledError

    started = asyncio.get_running_loop().time()
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await cycles.run_on_schedule("find", Schedule(every=100), cycle, began_on=ago)
    assert 0.4 < begun[0] - started < 5


@pytest.mark.parametrize("jump", [timedelta(hours=-5), timedelta(hours=5)])
async def test_a_clock_that_is_set_neither_stops_cycles_nor_hurries_them(monkeypatch, jump):
    begun = []

    def wall():
        return datetime.now(UTC) + len(begun) * jump

    async def cycle():
        begun.append(asyncio.get_running_loop().time())
        if len(begun) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(columns, "clock", wall)
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await cycles.run_on_schedule("find", Schedule(every=0.2), cycle)
    assert min(later - earlier for earlier, later in pairwise(begun)) >= 0.19
