"""How many images a PACS has of a study, by the levels below."""

from datetime import datetime, timedelta

import pytest

from schema.finding.counting import CountedBy, SourceCount, StudyCount, counted_up

NOON = datetime(2024, 1, 2, 12)  # noqa: DTZ001 - as in the tables


def test_the_counts_of_the_series_are_the_studys():
    count = counted_up({"1.1": 3, "1.2": 0}, told=2)
    assert count == StudyCount(images=3, series=2, by=CountedBy.SERIES)


@pytest.mark.parametrize(
    ("series", "listed", "told", "images", "short"),
    [
        ({}, {}, None, 0, "names no series of the study"),
        ({"1.1": 3, "1.2": 4}, {}, 3, 7, "names 2 of the study's 3 series"),
        ({"1.1": 3, "1.2": None}, {"1.2": 4}, 3, 7, "names 2 of the study's 3 series"),
        ({"1.1": 3, "1.2": None}, {"1.2": 0}, 2, 3, "names no image of 1 of the study's 2 series"),
        ({"1.1": 3, "1.2": 9}, {"1.2": 4}, 2, 12, "lists fewer images of 1 series than it counts"),
    ],
)
def test_an_answer_that_falls_short_of_the_level_above_is_no_count(
    series, listed, told, images, short
):
    count = counted_up(series, listed, told=told)
    assert (count.images, count.short) == (images, short)


def test_a_series_without_a_count_is_counted_image_by_image():
    count = counted_up({"1.1": 3, "1.2": None}, {"1.2": 4}, told=2)
    assert count == StudyCount(images=7, series=2, by=CountedBy.IMAGE)


def test_a_count_is_good_until_it_is_old_or_the_pacs_says_something_else():
    counted = StudyCount(images=3, series=2, by=CountedBy.SERIES)
    kept = SourceCount(told=None, series=2, count=counted, counted_on=NOON)
    day = timedelta(days=1)
    assert kept.is_fresh(NOON - day)
    assert not kept.is_fresh(NOON + day)
    assert not SourceCount(told=None, series=2).is_fresh(NOON - day)
    assert SourceCount(told=5, series=2).is_fresh(NOON + day), "it says it itself"
    more = SourceCount(told=None, series=3, count=counted, counted_on=NOON)
    assert not more.is_fresh(NOON - day)
    otherwise = SourceCount(
        told=None, series=2, count=counted, counted_on=NOON, changed_on=NOON + day
    )
    assert not otherwise.is_fresh(NOON - day)
