"""Dates, times, ages and text as headers have them."""

import json
from datetime import date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.values import NO_AGE, clean_text, parse_age, parse_date, parse_datetime, parse_time

ABSURD = [None, "", "   ", "\0", "x" * 100_000, "9" * 100_000, 20200101, b"20200101", ["20200101"]]


def naive(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 - what headers mean


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20011213", date(2001, 12, 13)),
        ("2020", date(2020, 1, 1)),
        ("202001", date(2020, 1, 1)),
        ("202011", date(2020, 11, 1)),
        ("20200229", date(2020, 2, 29)),
        ("20011213 ", date(2001, 12, 13)),
        ("20011213\0", date(2001, 12, 13)),
        ("2020.01.02", date(2020, 1, 2)),
        ("20200101120102", date(2020, 1, 1)),
        ("20011213045801.000099+1200", date(2001, 12, 13)),
        ("00010101", date(1, 1, 1)),
    ],
)
def test_a_date_is_read_in_every_form_that_is_legal_or_was(text: str, expected: date) -> None:
    assert parse_date(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2001-12-13",
        "20011413",
        "20010230",
        "00000101",
        "200",
        "20201",
        "2020010",
        "2020.1.2",
        "20200101-20200102",
        "20200101\\20200102",
        "２０２００１０１",
        "ANONYMOUS",
        *ABSURD,
    ],
)
def test_what_is_no_date_is_none(text: object) -> None:
    assert parse_date(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20011213", naive(2001, 12, 13)),
        ("2001", naive(2001, 1, 1)),
        ("200112", naive(2001, 12, 1)),
        ("2001121304", naive(2001, 12, 13, 4)),
        ("200112130458", naive(2001, 12, 13, 4, 58)),
        ("20011213045801", naive(2001, 12, 13, 4, 58, 1)),
        ("20011213045801.000099", naive(2001, 12, 13, 4, 58, 1, 99)),
        ("20011213045801.5 ", naive(2001, 12, 13, 4, 58, 1, 500_000)),
        ("20011213045801.000099+1200", naive(2001, 12, 13, 4, 58, 1, 99)),
        ("20011213-0500", naive(2001, 12, 13)),
        ("20161231235960", naive(2016, 12, 31, 23, 59, 59)),
        ("2020.01.02", naive(2020, 1, 2)),
    ],
)
def test_a_date_time_is_the_clock_at_the_scanner(text: str, expected: datetime) -> None:
    assert parse_datetime(text) == expected


def test_an_offset_from_utc_is_kept_where_it_is_asked_for() -> None:
    twelve = timezone(timedelta(hours=12))
    expected = datetime(2001, 12, 13, 4, 58, 1, 99, tzinfo=twelve)
    result = parse_datetime("20011213045801.000099+1200", aware=True)
    assert result == expected
    assert result is not None
    assert result.utcoffset() == timedelta(hours=12)
    west = parse_datetime("20011213-0330", aware=True)
    assert west is not None
    assert west.utcoffset() == -timedelta(hours=3, minutes=30)
    plain = parse_datetime("20011213", aware=True)
    assert plain is not None
    assert plain.tzinfo is None


@pytest.mark.parametrize(
    "text",
    [
        "2001-12-13",
        "20011413",
        "2001121324",
        "200112130460",
        "20011213045861",
        "20011213045801.",
        "20011213045801+9900",
        "20011213045801+0199",
        "20011213045801Z",
        "20011213 045801",
        "2020.13.02",
        *ABSURD,
    ],
)
def test_what_is_no_date_time_is_none(text: object) -> None:
    assert parse_datetime(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("04", time(4)),
        ("0458", time(4, 58)),
        ("045812", time(4, 58, 12)),
        ("045812.9", time(4, 58, 12, 900_000)),
        ("045812.000123", time(4, 58, 12, 123)),
        ("045812.1234567", time(4, 58, 12, 123_456)),
        (".000123", time(0, 0, 0, 123)),
        ("045812 ", time(4, 58, 12)),
        ("235960", time(23, 59, 59)),
        ("04:58:12.9", time(4, 58, 12, 900_000)),
        ("04:58", time(4, 58)),
    ],
)
def test_a_time_is_read_with_or_without_its_end(text: str, expected: time) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    "text", ["021", "0", "01.123", "24", "0460", "045861", "045812.", "4:58", "-04", *ABSURD]
)
def test_what_is_no_time_is_none(text: object) -> None:
    assert parse_time(text) is None


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("730D", 2),
        ("156W", 3),
        ("038M", 3),
        ("001Y", 1),
        ("000Y", 0),
        ("364D", 0),
        ("365D", 1),
        ("051W", 0),
        ("052W", 1),
        ("011M", 0),
        ("012M", 1),
        ("120Y", 120),
        ("045Y ", 45),
    ],
)
def test_an_age_is_in_whole_years(text: str, years: int) -> None:
    assert parse_age(text) == years


@pytest.mark.parametrize("text", ["45Y", "045", "045y", "-45Y", "0045Y", "045X", "Y", *ABSURD])
def test_what_is_no_age_is_minus_one(text: object) -> None:
    assert parse_age(text) == NO_AGE == -1


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_clean_text_can_always_be_stored_and_changes_nothing_else(text: str) -> None:
    cleaned = clean_text(text)
    assert "\0" not in cleaned
    assert json.loads(json.dumps(cleaned).encode("utf-8")) == cleaned
    cleaned.encode("utf-8")
    assert len(cleaned) == len(text)
    storable = text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")
    assert cleaned.replace("\ufffd", "") == storable.replace("\ufffd", "")


@given(st.text(alphabet="0123456789.:+-DWMY \0", max_size=30))
def test_no_text_makes_a_parser_fail(text: str) -> None:
    parse_date(text)
    parse_datetime(text)
    parse_datetime(text, aware=True)
    parse_time(text)
    assert parse_age(text) >= NO_AGE


@given(st.dates(), st.times())
def test_what_is_written_as_the_standard_says_is_read_back(day: date, clock: time) -> None:
    written_day = f"{day.year:04}{day.month:02}{day.day:02}"
    written_time = clock.strftime("%H%M%S.%f")
    assert parse_date(written_day) == day
    assert parse_time(written_time) == clock
    assert parse_datetime(written_day + written_time) == datetime.combine(day, clock)
