"""Dates, times, ages and text as headers have them."""

import json
from datetime import date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.header.values import (
    NO_AGE,
    clean_text,
    parse_age,
    parse_date,
    parse_datetime,
    parse_time,
)
from tests.support.values import (
    ABSURD,
    AGES,
    DATE_TIMES,
    DATES,
    NO_AGES,
    NO_DATE_TIMES,
    NO_DATES,
    NO_TIMES,
    TIMES,
)


@pytest.mark.parametrize("text", DATES)
def test_a_date_is_read_in_every_form_that_is_legal_or_was(text: str) -> None:
    assert parse_date(text) == DATES[text]


@pytest.mark.parametrize("text", [*NO_DATES, *ABSURD])
def test_what_is_no_date_is_none(text: object) -> None:
    assert parse_date(text) is None


@pytest.mark.parametrize("text", DATE_TIMES)
def test_a_date_time_is_the_clock_at_the_scanner(text: str) -> None:
    assert parse_datetime(text) == DATE_TIMES[text]


@pytest.mark.parametrize("text", [*NO_DATE_TIMES, *ABSURD])
def test_what_is_no_date_time_is_none(text: object) -> None:
    assert parse_datetime(text) is None


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


@pytest.mark.parametrize("text", TIMES)
def test_a_time_is_read_with_or_without_its_end(text: str) -> None:
    assert parse_time(text) == TIMES[text]


@pytest.mark.parametrize("text", [*NO_TIMES, *ABSURD])
def test_what_is_no_time_is_none(text: object) -> None:
    assert parse_time(text) is None


@pytest.mark.parametrize("text", AGES)
def test_an_age_is_in_whole_years(text: str) -> None:
    assert parse_age(text) == AGES[text]


@pytest.mark.parametrize("text", [*NO_AGES, *ABSURD])
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
