"""Hours: reading them, and what is inside."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from time import tzset
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.config import CommonHours, Hours
from node.config.hours import DailyWindow, Holidays, Weekday, parse_clock, parse_holidays

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
        ("00:00-24:00", time(0), time(0), None),
    ],
)
def test_hours_are_read_as_people_write_them(text, start, end, zone):
    hours = Hours.parse(text)
    (window,) = hours.windows
    assert (window.start, window.end) == (start, end)
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
        "00:00-00:00",
        "8pm-6am",
        "20:00-06:00 Europe/Atlantis",
        "20:00-06:00 ../../etc/passwd",
        "20:00-06:00 Europe",
        "20:00-06:00, ",
        "mon-fri 20:00-06:00, sat-sun",
        "mon-fri 20:00-06:00, 00:00-24:00",
    ],
)
def test_what_is_no_hours_is_refused(text):
    with pytest.raises(ValueError, match=r"20:00|00:00-24:00|time zone"):
        Hours.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mon-fry 20:00-06:00", "'fry' is no day of the week; they are mon, tue, wed"),
        ("daily 20:00-06:00", "'daily' is no day of the week"),
        ("mon 1:00-2:00 UTC, tue 1:00-2:00 Asia/Tokyo", "one time zone holds for all hours, and"),
        ("mon-fri 1:00-2:00, 3:00-4:00", "03:00-04:00 is without days .* write mon-sun where"),
        ("mon 1:00-2:00, sat, sun", "the hours of sat-sun are missing"),
    ],
)
def test_what_is_wrong_with_hours_is_said(text, message):
    with pytest.raises(ValueError, match=message):
        Hours.parse(text)


WEEK = "mon-fri 20:00-06:00, sat-sun 00:00-24:00 Europe/Berlin"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (WEEK, WEEK),
        ("Mon-FRI 20:00-6:00; Saturday-sunday 0:00 - 24:00 Europe/Berlin", WEEK),
        (["mon-fri 20:00-06:00 Europe/Berlin", "sat-sun 00:00-24:00 Europe/Berlin"], WEEK),
        ("mon,wed,fri-sat 20:00-06:00", "mon, wed, fri-sat 20:00-06:00"),
        ("fri-mon 20:00-06:00", "mon, fri-sun 20:00-06:00"),
        ("01:00-02:00, 03:00-04:00 UTC", "01:00-02:00, 03:00-04:00 UTC"),
        ("mon-sun 20:00-06:00, sun 12:00-20:00", "mon-sun 20:00-06:00, sun 12:00-20:00"),
        ("mon-sun 20:00-06:00", "20:00-06:00"),
    ],
)
def test_windows_of_days_of_the_week_are_read_and_written(text, written):
    hours = Hours.parse(text)
    assert str(hours) == written
    assert Hours.parse(written) == hours


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
    assert Hours.parse("20:00-06:00 Europe/Paris").opens_next(now) == now


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
    found = Hours.parse(f"{hours} Europe/Paris").opens_next(now)
    assert found.astimezone(UTC) == opening.astimezone(UTC)


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins():
    hours = Hours.parse("fri 20:00-06:00 Europe/Paris")  # 2026-01-16 is a Friday
    opening = hours.opens_next(paris("2026-01-12T03:00"))
    assert opening == paris("2026-01-16T20:00")
    assert hours.closes_next(opening) == paris("2026-01-17T06:00")
    assert not hours.contains(paris("2026-01-16T03:00"))


def test_on_holidays_the_hours_of_another_day_hold():
    """2026-12-24 is a Thursday; the night before it began on a Wednesday."""
    dates = parse_holidays([date(2026, 12, 24), "12-25"])
    assert dates == ("2026-12-24", "12-25")
    on = {
        day: replace(Hours.parse(WEEK), holidays=Holidays(dates=frozenset(dates), like=day))
        for day in (Weekday.SUNDAY, Weekday.FRIDAY)
    }
    sundays, noon = on[Weekday.SUNDAY], paris("2026-12-24T12:00")
    assert sundays.contains(noon)
    assert not on[Weekday.FRIDAY].contains(noon)
    assert sundays.closes_next(noon) == paris("2026-12-28T00:00"), "a Saturday and Sunday follow"
    assert sundays.opens_next(paris("2026-12-23T12:00")) == paris("2026-12-23T20:00")
    assert sundays.contains(paris("2027-12-25T12:00"))
    assert not sundays.contains(paris("2027-12-24T12:00")), "of that year alone; it is a Friday"


@pytest.mark.parametrize("item", ["2026-13-01", "13-01", "02-30", "christmas", "", 1224, None])
def test_what_is_no_holiday_is_refused(item):
    with pytest.raises(ValueError, match="a holiday is written 2026-12-24, or 12-25"):
        parse_holidays([item])


def test_hours_that_never_close_or_never_open_together_say_so():
    now = paris("2026-01-15T12:00")
    assert Hours.parse("00:00-24:00").closes_next(now) is None
    assert CommonHours().closes_next(now) is None
    never = CommonHours((Hours.parse("mon 0:00-24:00 UTC"), Hours.parse("wed 0:00-24:00 UTC")))
    assert never.opens_next(now) is None
    assert never.closes_next(now) == now
    assert str(never) == "mon 00:00-24:00 UTC and wed 00:00-24:00 UTC"


ODD_DAYS = [
    ("Europe/Berlin", "2026-03-29"),  # 02:00 becomes 03:00
    ("Europe/Berlin", "2026-10-25"),  # 03:00 becomes 02:00
    ("America/St_Johns", "2006-10-29"),  # 00:01 becomes 23:01 of the day before
    ("America/Sao_Paulo", "2018-11-04"),  # 00:00 becomes 01:00
    ("America/Sao_Paulo", "2018-02-18"),  # 00:00 becomes 23:00 of the day before
    ("Australia/Lord_Howe", "2026-04-05"),  # 02:00 becomes 01:30
    ("Pacific/Apia", "2011-12-30"),  # does not exist
    ("UTC", "2024-02-29"),
]
CLOCKS = st.one_of(
    st.integers(0, 24 * 4 - 1).map(lambda quarters: 15 * quarters), st.integers(0, 24 * 60 - 1)
)


@st.composite
def weeks(draw, zone):
    """Hours with the intervals that they mean: pure arithmetic on naive times."""
    windows = []
    for start, end, days in draw(
        st.lists(
            st.tuples(CLOCKS, CLOCKS, st.frozensets(st.integers(0, 6), min_size=1)),
            min_size=1,
            max_size=3,
        )
    ):
        if start != end or start == 0:
            windows.append((start, end, days))
    holidays = draw(st.frozensets(st.integers(-2, 3), max_size=2))
    return zone, windows, holidays, draw(st.sampled_from(Weekday))


def hours_of(week, about):
    zone, windows, holidays, like = week
    clock = [time(minutes // 60, minutes % 60) for minutes in range(24 * 60)]
    dates = frozenset(str(about + timedelta(days=ahead)) for ahead in holidays)
    return Hours(
        windows=tuple(
            DailyWindow(start=clock[start], end=clock[end], days=days)
            for start, end, days in windows
        ),
        zone=ZoneInfo(zone),
        holidays=Holidays(dates=dates, like=like),
    )


def is_open(week, about, wall):
    """What the configuration says of a time on the wall, worked out anew for each minute."""
    _, windows, holidays, like = week
    for begin in (wall.date() - timedelta(days=1), wall.date()):
        day = list(Weekday).index(like) if (begin - about).days in holidays else begin.weekday()
        for start, end, days in windows:
            midnight = datetime.combine(begin, time())
            opens = midnight + timedelta(minutes=start)
            closes = midnight + timedelta(minutes=end if end > start else end + 24 * 60)
            if day in days and opens <= wall < closes:
                return True
    return False


@settings(max_examples=25, deadline=None)
@given(data=st.data(), odd=st.sampled_from(ODD_DAYS), minutes=st.integers(-2000, 1000))
def test_hours_open_and_close_as_a_look_at_each_minute_says(data, odd, minutes):
    zone, day = odd
    about = date.fromisoformat(day)
    both = data.draw(st.lists(weeks(zone), min_size=1, max_size=2))
    hours = CommonHours(tuple(hours_of(week, about) for week in both))
    begin = datetime.combine(about, time(), tzinfo=UTC) + timedelta(minutes=minutes)
    first = dict[bool, datetime]()
    for ahead in range(1500):
        instant = begin + timedelta(minutes=ahead)
        wall = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        inside = all(is_open(week, about, wall) for week in both)
        assert hours.contains(instant) is inside, instant
        first.setdefault(inside, instant)
    late = begin + timedelta(minutes=1500)
    for inside, found in ((True, hours.opens_next(begin)), (False, hours.closes_next(begin))):
        if inside in first:
            assert found == first[inside]
        else:
            assert found is None or found >= late


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
