"""When the next cycle begins, whatever becomes of the clock on the wall."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from node.config import Hours
from node.daemon import cycles
from node.daemon.schedule import Schedule

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


def test_a_cycle_waits_for_its_interval_and_then_for_its_hours():
    night = Hours.parse("20:00-06:00 UTC")
    before_dawn = NOON.replace(hour=5, minute=55)
    due = Schedule(every=600, hours=night).wait(0, before_dawn)
    assert before_dawn + timedelta(seconds=due) == NOON.replace(hour=20)


@pytest.mark.parametrize("jump", [timedelta(hours=-5), timedelta(hours=5)])
async def test_a_clock_that_is_set_neither_stops_cycles_nor_hurries_them(monkeypatch, jump):
    begun = []

    class Wall(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + len(begun) * jump

    async def cycle():
        begun.append(asyncio.get_running_loop().time())
        if len(begun) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(cycles, "datetime", Wall)
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await cycles.run_on_schedule("find", Schedule(every=0.2), cycle)
    assert min(later - earlier for earlier, later in pairwise(begun)) >= 0.19
