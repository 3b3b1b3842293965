from datetime import UTC, datetime, timedelta

from node.config import Hours
from node.daemon.schedule import Schedule

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_the_first_cycle_begins_at_once():
    assert Schedule(every=600).next(None, NOON) == NOON


def test_cycles_begin_at_equal_distances():
    last = NOON - timedelta(seconds=100)
    assert Schedule(every=600).next(last, NOON) == NOON + timedelta(seconds=500)


def test_a_cycle_that_took_too_long_is_followed_at_once():
    assert Schedule(every=600).next(NOON - timedelta(hours=3), NOON) == NOON


def test_a_cycle_waits_for_its_hours():
    night = Hours.parse("20:00-06:00 UTC")
    assert Schedule(every=600, hours=night).next(None, NOON) == NOON.replace(hour=20)
