"""How wide a window is made from what earlier finds have found."""

import math
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.dicom.profile import CapKind, PeerProfile
from node.dicom.query import StudyQuery, Window
from node.ops.finding.planning.expecting import Expectation
from node.ops.finding.planning.known_days import KnownDays
from node.ops.finding.planning.planner import Planner
from node.ops.finding.planning.tree import Heard, WindowOutcome

FIRST = date(2006, 1, 1)
LAST = date(2025, 12, 31)
ALL = [StudyQuery(window=Window(start=FIRST, end=LAST))]


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def asked(planner, archive, *, cap=math.inf, over=None):
    """Play a find; return the windows of days that were asked for."""
    windows = []
    while (ask := planner.next()) is not None:
        window = ask.query.window
        windows.append((window.start, window.end))
        count = sum(n for one, n in archive.items() if window.contains(one))
        assert window.first is None
        if over is not None and count > over:
            count = 0
        planner.take(
            Heard(
                outcome=WindowOutcome.COMPLETE,
                asked_on=datetime(2026, 1, 1),  # noqa: DTZ001 - naive UTC
                matches=min(count, cap),
                answers=min(count, cap),
            )
        )
    assert planner.gaps() == []
    return windows


def test_years_with_few_studies_are_one_question_when_they_are_asked_for_again():
    archive = {day(30 * n): 1 for n in range(240)}
    profile = PeerProfile(cap=500, cap_kind=CapKind.CUT, dates=True)
    expected = Expectation([(FIRST, LAST)], archive.items())
    first = asked(Planner(ALL, profile, widest=0), archive, cap=500)
    known = KnownDays.of(archive)
    again = asked(
        Planner(ALL, profile, widest=4000, expected=expected, known=known), archive, cap=500
    )
    assert len(first) > 4
    assert again == [(FIRST, LAST)]


def test_answers_of_an_uneven_archive_fit_under_the_cap_at_the_first_attempt():
    archive = {day(n): 1 + 60 * (n % 400 > 390) for n in range(7300)}
    profile = PeerProfile(cap=500, cap_kind=CapKind.CUT, dates=True)
    expected = Expectation([(FIRST, LAST)], archive.items())
    windows = asked(Planner(ALL, profile, widest=1000, expected=expected), archive, cap=500)
    least = sum(archive.values()) / 500
    assert len(windows) <= 1.6 * least
    assert min(windows)[0] == FIRST
    dates = {
        start + timedelta(days=n) for start, end in windows for n in range((end - start).days + 1)
    }
    assert len(dates) == (LAST - FIRST).days + 1


def test_more_than_four_times_the_widest_window_is_not_dared():
    archive = {day(0): 1, day(7300): 1}
    expected = Expectation([(FIRST, LAST)], archive.items())
    profile = PeerProfile(cap=500, cap_kind=CapKind.CUT)
    windows = asked(Planner(ALL, profile, widest=100, expected=expected), archive)
    assert windows[0] == (FIRST, day(399))


def test_an_archive_that_has_grown_is_split_and_no_more_expected():
    before = {day(10 * n): 1 for n in range(730)}
    now = dict.fromkeys(before, 8)
    expected = Expectation([(FIRST, LAST)], before.items())
    profile = PeerProfile(cap=500, cap_kind=CapKind.CUT, dates=True)
    windows = asked(Planner(ALL, profile, widest=8000, expected=expected), now, cap=500)
    assert len(windows) < 60


def test_nothing_where_studies_were_is_not_believed_of_a_peer_that_says_so_when_it_has_too_many():
    before = {day(10 * n): 1 for n in range(730)}
    now = dict.fromkeys(before, 2)
    expected = Expectation([(FIRST, LAST)], before.items())
    planner = Planner(ALL, PeerProfile(), widest=8000, expected=expected)
    windows = asked(planner, now, over=900)
    assert windows[0][0] == FIRST
    assert sum(node.counted() for node in planner.proven()) == sum(now.values())


@given(
    ranges=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40)), max_size=6),
    studies=st.dictionaries(st.integers(0, 340), st.integers(1, 90), max_size=60),
    first=st.integers(0, 340),
    target=st.integers(1, 400),
)
def test_a_width_holds_no_more_than_the_target_and_would_with_one_day_more(
    ranges, studies, first, target
):
    proven, end = [], -1
    for start, length in sorted(ranges):
        if start > end:
            end = start + length
            proven.append((day(start), day(end)))
    known = {
        n for start, last in proven for n in range((start - FIRST).days, (last - FIRST).days + 1)
    }
    expected = Expectation(proven, [(day(n), count) for n, count in studies.items()])
    ordinal = day(first).toordinal()
    width = expected.width(ordinal, 7, target=target, widest=1000)
    if first not in known:
        assert width == 7
        assert expected.count(ordinal, ordinal) is None
        return
    days = range(first, first + width)
    if set(days) <= known:
        held = sum(studies.get(n, 0) for n in days)
        assert expected.count(ordinal, ordinal + width - 1) == held
        assert held <= target or width in {1, 7}
        following = first + width
        if following in known and width != 7:
            assert held + studies.get(following, 0) > target
    assert expected.width(ordinal, 7, target=math.inf, widest=1000) == 7


@pytest.mark.parametrize("count", [None, 3])
def test_days_that_were_not_proven_are_not_counted(count):
    proven = [(day(0), day(9))] if count else [(day(0), day(4)), (day(6), day(9))]
    expected = Expectation(proven, [(day(2), 1), (day(8), 2)])
    assert expected.count(day(0).toordinal(), day(9).toordinal()) == count
