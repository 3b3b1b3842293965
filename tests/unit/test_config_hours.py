"""Hours: reading them, and what is inside."""

from datetime import UTC, datetime, time, timedelta
from time import tzset
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.config import Hours
from node.config.hours import parse_clock

PARIS = ZoneInfo("Europe/Paris")


def paris(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=PARIS, fold=fold)


@pytest.mark.parametrize(
    ("text", "start", "end", "zone"),
    [
        ("20:00-06:00", time(20), time(6), None),
        ("8:30 - 17:45", time(8, 30), time(17, 45), None),
        ("20:00-24:00 UTC", time(20), time(0), "UTC"),
        ("00:00-06:00 Europe/Paris", time(0), time(6), "Europe/Paris"),
        ("20:00:00-06:00:00", time(20), time(6), None),
    ],
)
def test_hours_are_read_as_people_write_them(text, start, end, zone):
    hours = Hours.parse(text)
    assert (hours.start, hours.end) == (start, end)
    assert (hours.zone.key if hours.zone else None) == zone
    assert Hours.parse(str(hours)) == hours


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20:00",
        "20:00-",
        "25:00-06:00",
        "20:60-06:00",
        "20:00-06:00:30",
        "20:00-20:00",
        "00:00-24:00",
        "8pm-6am",
        "20:00-06:00 Europe/Atlantis",
        "20:00-06:00 ../../etc/passwd",
        "20:00-06:00 Europe",
    ],
)
def test_what_is_no_hours_is_refused(text):
    with pytest.raises(ValueError, match=r"20:00|time zone"):
        Hours.parse(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20:00", time(20)),
        ("6:00", time(6)),
        ("24:00", time(0)),
        ("20:00:00", time(20)),
        (1200, time(20)),  # an unquoted 20:00 in YAML 1.1
        (360, time(6)),
        (72000, time(20)),  # an unquoted 20:00:00
        (3600, time(1)),
        (0, time(0)),
    ],
)
def test_a_time_of_day_is_accepted_in_every_shape_that_yaml_gives_it(value, expected):
    assert parse_clock(value) == expected


@pytest.mark.parametrize("value", ["", "20", "2000", "20:5", "24:01", -1, 1441, True, 20.0, None])
def test_what_is_no_time_of_day_is_refused(value):
    with pytest.raises(ValueError, match="no time of day"):
        parse_clock(value)


@pytest.mark.parametrize(
    ("clock", "inside"),
    [
        ("19:59", False),
        ("20:00", True),
        ("23:59", True),
        ("00:00", True),
        ("05:59", True),
        ("06:00", False),
        ("12:00", False),
    ],
)
def test_hours_that_cross_midnight_contain_both_sides_of_it(clock, inside):
    hours = Hours.parse("20:00-06:00 Europe/Paris")
    assert hours.contains(paris(f"2026-01-15T{clock}")) is inside


@pytest.mark.parametrize(
    ("clock", "inside"), [("11:59", False), ("12:00", True), ("13:59", True), ("14:00", False)]
)
def test_hours_within_a_day_end_before_their_end(clock, inside):
    assert Hours.parse("12:00-14:00 UTC").contains(
        datetime.fromisoformat(f"2026-01-15T{clock}+00:00")
    ) is (inside)


def test_the_time_zone_of_the_question_does_not_matter():
    hours = Hours.parse("20:00-06:00 Europe/Paris")
    assert hours.contains(datetime(2026, 1, 15, 19, 0, tzinfo=UTC))
    assert not hours.contains(datetime(2026, 1, 15, 18, 59, tzinfo=UTC))
    assert hours.contains(datetime(2026, 7, 15, 18, 0, tzinfo=UTC))


def test_without_a_time_zone_the_machine_s_own_counts(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    tzset()
    try:
        assert Hours.parse("09:00-10:00").contains(datetime(2026, 1, 15, 0, 30, tzinfo=UTC))
    finally:
        monkeypatch.undo()
        tzset()


def test_a_naive_time_is_refused():
    with pytest.raises(ValueError, match="aware"):
        Hours.parse("20:00-06:00").contains(datetime(2026, 1, 15, 12))  # noqa: DTZ001


def test_hours_that_are_open_open_now():
    now = paris("2026-01-15T21:17:33")
    assert Hours.parse("20:00-06:00 Europe/Paris").next_opening(now) == now


@pytest.mark.parametrize(
    ("hours", "now", "opening"),
    [
        ("20:00-06:00", paris("2026-01-15T12:34:56"), paris("2026-01-15T20:00")),
        ("08:00-09:00", paris("2026-01-15T12:00"), paris("2026-01-16T08:00")),
        # 2026-03-29: 02:00 becomes 03:00
        ("02:30-04:00", paris("2026-03-29T00:00"), paris("2026-03-29T03:00")),
        ("02:15-02:45", paris("2026-03-29T00:00"), paris("2026-03-30T02:15")),
        ("20:00-06:00", paris("2026-03-29T07:00"), paris("2026-03-29T20:00")),
        # 2026-10-25: 03:00 becomes 02:00
        ("02:30-04:00", paris("2026-10-25T00:00"), paris("2026-10-25T02:30")),
        ("02:30-02:45", paris("2026-10-25T02:50"), paris("2026-10-25T02:30", fold=1)),
    ],
)
def test_the_next_opening_follows_daylight_saving(hours, now, opening):
    found = Hours.parse(f"{hours} Europe/Paris").next_opening(now)
    assert found.astimezone(UTC) == opening.astimezone(UTC)


@given(
    start=st.times(),
    end=st.times(),
    zone=st.sampled_from(["UTC", "Europe/Paris", "America/St_Johns", "Australia/Lord_Howe"]),
    now=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_the_next_opening_is_inside_and_nothing_before_it_is(start, end, zone, now):
    start, end = (clock.replace(second=0, microsecond=0) for clock in (start, end))
    if start == end:
        return
    hours = Hours(start=start, end=end, zone=ZoneInfo(zone))
    opening = hours.next_opening(now)
    assert opening >= now
    assert hours.contains(opening)
    assert opening == now or not hours.contains(opening - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("zone", "day", "hours", "minutes"),
    [
        # 2026-03-29 in Berlin: 02:00 becomes 03:00; 2026-10-25: 03:00 becomes 02:00
        ("Europe/Berlin", "2026-03-29", "01:30-03:30", 60),
        ("Europe/Berlin", "2026-03-29", "02:30-03:30", 30),
        ("Europe/Berlin", "2026-03-29", "02:15-02:45", 0),
        ("Europe/Berlin", "2026-03-29", "00:00-23:59", 23 * 60 - 1),
        ("Europe/Berlin", "2026-10-25", "01:30-03:30", 180),
        ("Europe/Berlin", "2026-10-25", "02:15-02:45", 60),
        ("Europe/Berlin", "2026-10-25", "00:00-23:59", 25 * 60 - 1),
        # 2026-03-08 in New York: 02:00 becomes 03:00; 2026-11-01: 02:00 becomes 01:00
        ("America/New_York", "2026-03-08", "01:30-03:30", 60),
        ("America/New_York", "2026-03-08", "02:15-02:45", 0),
        ("America/New_York", "2026-11-01", "00:30-02:30", 180),
        ("America/New_York", "2026-11-01", "01:15-01:45", 60),
        ("America/New_York", "2026-11-01", "20:00-06:00", 11 * 60),
    ],
)
def test_hours_are_those_of_the_wall_on_the_days_when_summer_time_begins_and_ends(
    zone, day, hours, minutes
):
    """How long they are open that day, all in all."""
    where = ZoneInfo(zone)
    start = datetime.fromisoformat(day).replace(tzinfo=where).astimezone(UTC)
    end = (datetime.fromisoformat(day) + timedelta(days=1)).replace(tzinfo=where).astimezone(UTC)
    parsed = Hours.parse(f"{hours} {zone}")
    inside = 0
    while start < end:
        inside += parsed.contains(start)
        start += timedelta(minutes=1)
    assert inside == minutes
