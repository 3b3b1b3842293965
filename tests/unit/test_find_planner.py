"""The planner against PACSs that do what PACSs do: what is missing is named, and few are asked."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.dicom.profile import CapKind, PeerProfile
from node.dicom.query import StudyQuery, Window
from node.ops.finding.planning.planner import Planner
from node.ops.finding.planning.tree import Heard, WindowOutcome
from tests.support.model_pacs import BEGIN, Held, ModelPacs, fewest, run

START = date(2019, 1, 1)
YEAR = Window(start=START, end=date(2019, 12, 31))
SEASON = Window(start=START, end=date(2019, 3, 31))
"""Long enough for what is refused, or brings nothing, to be believed of the rest."""


def archive(
    count: int, *, days: int = 365, seed: int = 1, untimed: float = 0.0, undated: int = 0
) -> list[Held]:
    """Return studies on random days, most of them around noon."""
    chance = random.Random(seed)
    studies = []
    for number in range(count):
        hour = min(23, max(0, int(chance.gauss(13, 4))))
        moment = time(hour, chance.randrange(60), chance.randrange(60))
        studies.append(
            Held(
                uid=f"1.{number}",
                day=START + timedelta(days=chance.randrange(days)),
                moment=None if chance.random() < untimed else moment,
                modality=chance.choice(("CT", "MR", "US")),
                accession=f"A{number}",
            )
        )
    studies.sort(key=lambda one: one.moment is not None)  # a few answers show what there is
    return studies + [Held(uid=f"2.{number}", day=None) for number in range(undated)]


ALL = archive(1200)


def test_an_honest_peer_is_covered_in_a_few_wide_windows():
    found = run(ModelPacs(studies=ALL), YEAR)
    assert (found.missing, found.complete) == ([], True)
    assert found.asked <= 20


def test_a_peer_that_is_known_to_answer_without_a_limit_is_asked_once():
    found = run(ModelPacs(studies=ALL), YEAR, PeerProfile(cap=0, widest=0))
    assert (found.missing, found.complete, found.asked) == ([], True, 1)


@pytest.mark.parametrize("window", [Window(), Window(start=START), Window(end=START)])
def test_an_open_window_is_asked_as_one(window):
    planner = Planner([StudyQuery(window=window)], PeerProfile())
    assert planner.next().query.window == window
    planner.take(
        Heard(outcome=WindowOutcome.COMPLETE, asked_on=BEGIN, matches=4, answers=4, untimed=4)
    )
    assert planner.next() is None
    assert planner.gaps() == []


def test_an_empty_year_is_believed_of_a_peer_that_takes_a_year():
    found = run(ModelPacs(studies=[]), YEAR, PeerProfile(widest=0))
    assert found.complete
    assert 2 < found.asked <= 40


def test_an_empty_year_is_suspect_at_a_peer_of_which_nothing_is_known():
    found = run(ModelPacs(studies=[]), YEAR)
    assert {node.standing.outcome for node in found.planner.gaps()} == {"suspect"}
    assert found.asked <= 40


def test_an_empty_week_is_believed_when_a_week_was_answered_before_alone():
    week = Window(start=START, end=START + timedelta(days=6))
    assert run(ModelPacs(studies=[]), week, before=7).complete
    unknown = run(ModelPacs(studies=[]), week)
    assert [node.query.window for node in unknown.planner.gaps()] == [week]
    assert unknown.asked <= 5


def test_a_pacs_that_ignores_dates_and_says_nothing_beyond_its_cap_is_no_empty_one():
    found = run(
        ModelPacs(studies=ALL, cap=40, kind=CapKind.EMPTY, ignores=frozenset({"dates"})),
        Window(start=START, end=START + timedelta(days=30)),
    )
    assert found.silent() == []
    assert not found.complete


def test_the_largest_answer_below_a_cap_that_is_no_longer_true_is_asked_for_in_halves():
    window = Window(start=START, end=START + timedelta(days=30))
    profile = PeerProfile(cap=5000, cap_kind=CapKind.REFUSED)
    found = run(ModelPacs(studies=ALL, cap=23), window, profile)
    assert found.silent() == []
    honest = run(ModelPacs(studies=ALL), window, profile)
    assert (honest.complete, honest.asked) == (True, 3)


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
@pytest.mark.parametrize("kind", CapKind)
@pytest.mark.parametrize("cap", [5, 50, 77, 500])
def test_every_study_beyond_a_cap_is_found_or_its_window_is_named(cap, kind, known):
    profile = PeerProfile(cap=cap, cap_kind=kind) if known else None
    found = run(ModelPacs(studies=ALL, cap=cap, kind=kind), YEAR, profile)
    assert found.missing == []
    assert found.complete or kind is CapKind.EMPTY
    assert found.asked <= 3 * fewest(ALL, YEAR, cap)


def test_ten_years_under_a_known_cap_take_little_more_than_the_fewest_questions():
    studies = archive(20_000, days=3650)
    window = Window(start=START, end=START + timedelta(days=3649))
    pacs = ModelPacs(studies=studies, cap=400)
    found = run(pacs, window, PeerProfile(cap=400, cap_kind=CapKind.CUT, widest=0))
    assert (found.missing, found.complete) == ([], True)
    assert found.asked <= 1.5 * fewest(studies, window, 400)


@pytest.mark.parametrize("refuses", [False, True])
@pytest.mark.parametrize("widest", [1, 7, 30])
def test_a_peer_that_answers_narrow_ranges_alone_is_asked_for_narrow_ranges(widest, refuses):
    studies = archive(1200)
    found = run(ModelPacs(studies=studies, widest=widest, refuses_wide=refuses), YEAR)
    assert found.missing == []
    assert found.asked <= 4 * 365 / widest


@pytest.mark.parametrize("cap", [None, 50])
def test_a_peer_that_ignores_dates_is_not_asked_for_the_whole_archive_day_by_day(cap):
    found = run(ModelPacs(studies=ALL, cap=cap, ignores=frozenset({"dates"})), YEAR)
    assert found.asked <= 5
    assert not found.complete
    assert found.silent() == []


def test_one_answer_without_a_limit_proves_all_windows_of_a_peer_that_ignores_dates():
    pacs = ModelPacs(studies=ALL, ignores=frozenset({"dates"}))
    found = run(pacs, YEAR, PeerProfile(cap=0))
    assert (found.missing, found.complete, found.asked) == ([], True, 1)


def test_a_peer_that_refuses_each_question_twice_is_asked_until_it_answers():
    found = run(ModelPacs(studies=ALL, refusals=2), YEAR)
    assert (found.missing, found.complete) == ([], True)


def test_a_peer_that_refuses_everything_is_left_alone_after_a_while():
    found = run(ModelPacs(studies=ALL, refusals=1000), YEAR)
    assert found.asked <= 100
    assert found.silent() == []


def test_a_minute_over_the_cap_is_a_gap_of_which_other_keys_bring_what_they_can():
    studies = [
        Held(uid=f"1.{n}", day=START, moment=time(9, 30), modality=("CT", "MR", "US")[n % 3])
        for n in range(120)
    ]
    found = run(ModelPacs(studies=studies + ALL, cap=50), YEAR)
    assert found.missing == []
    assert [str(node.query.window) for node in found.planner.gaps()] == [
        "2019-01-01 09:30:00 to 09:30:59"
    ]


def test_days_over_the_cap_are_gaps_where_studies_have_no_time():
    studies = archive(3000, untimed=0.02)
    found = run(ModelPacs(studies=studies, cap=5), YEAR)
    assert found.silent() == []
    assert not found.complete


def test_the_studies_without_a_date_are_asked_for_in_a_window_of_their_own():
    pacs = ModelPacs(studies=[*ALL, *archive(0, undated=7)])
    found = run(pacs, YEAR, PeerProfile(cap=0), undated=True)
    assert (found.missing, found.complete) == ([], True)
    assert sum(query.window.undated for query in pacs.asked) == 1


def test_the_studies_without_a_date_are_a_gap_where_they_are_over_the_cap():
    pacs = ModelPacs(studies=[*archive(0, undated=300), *ALL], cap=200)
    found = run(pacs, YEAR, undated=True)
    assert not found.complete
    assert found.silent() == []


@st.composite
def pacss(draw: st.DrawFn) -> tuple[ModelPacs, PeerProfile | None]:
    """Return a PACS with any combination of behaviours, and what may be known of it."""
    studies = archive(
        draw(st.integers(0, 150)),
        days=draw(st.sampled_from((1, 3, 20, 90))),
        seed=draw(st.integers(0, 1000)),
        untimed=draw(st.sampled_from((0.0, 0.0, 0.1))),
    )
    cap = draw(st.sampled_from((None, 5, 8, 20, 50, 100, 160)))
    kind = draw(st.sampled_from(CapKind))
    pacs = ModelPacs(
        studies=studies,
        cap=cap,
        kind=kind,
        widest=draw(st.sampled_from((None, None, 1, 7, 31))),
        refuses_wide=draw(st.booleans()),
        ignores=draw(st.sampled_from((frozenset(), frozenset({"dates"}), frozenset({"times"})))),
        refusals=draw(st.sampled_from((0, 0, 2))),
        doubles=draw(st.booleans()),
        hides=draw(st.sampled_from((frozenset(), frozenset({"times"}), frozenset({"dates"})))),
    )
    known = cap is not None and draw(st.booleans())
    return pacs, PeerProfile(cap=cap, cap_kind=kind) if known else None


@settings(derandomize=True, max_examples=100, deadline=None)
@given(pacss())
def test_what_is_missing_is_always_named_whatever_a_peer_does(drawn):
    pacs, profile = drawn
    found = run(pacs, SEASON, profile)
    assert found.silent() == []


@settings(derandomize=True, max_examples=15, deadline=None)
@given(pacss(), st.integers(0, 40))
def test_a_find_that_was_killed_asks_the_rest_alone(drawn, answered):
    pacs, profile = drawn
    whole = run(pacs, SEASON, profile)
    known = {
        query: answer for query, answer in list(whole.answers.items())[:answered] if answer.answered
    }
    twice = {query for query, times in Counter(pacs.asked).items() if times > 1}
    pacs.asked.clear()
    again = run(pacs, SEASON, profile, known=known)
    asked_again = known.keys() & set(pacs.asked)
    # what was asked twice before, and one question that shows whether the peer still answers
    assert len(asked_again - twice) <= 1
    assert [one for one in again.silent() if one.uid not in whole.recorded] == []


def test_a_find_that_was_killed_before_its_last_answer_asks_for_that_alone():
    pacs = ModelPacs(studies=ALL, cap=50)
    whole = run(pacs, YEAR)
    *known, last = whole.answers.items()
    twice = [query for query, times in Counter(pacs.asked).items() if times > 1]
    again = ModelPacs(studies=ALL, cap=50)
    assert run(again, YEAR, known=dict(known)).complete
    assert len(twice) == 1  # before its number was taken for the cap: only one answer is known here
    assert again.asked == [*twice, last[0]]


# What other answers than those of numbers of studies prove


def test_nothing_without_a_date_is_no_proof_at_a_peer_that_has_studies():
    class Deaf(ModelPacs):
        def put(self, query):
            if query.window.undated:
                self.asked.append(query)
                return WindowOutcome.COMPLETE, []
            return super().put(query)

    pacs = Deaf(studies=[*ALL, *archive(0, undated=3)])
    found = run(pacs, YEAR, undated=True)
    assert [str(node.query.window) for node in found.planner.gaps()] == ["without a date"]
    assert found.silent() == []


@pytest.mark.parametrize("kind", [CapKind.EMPTY, CapKind.REFUSED])
def test_studies_without_a_time_are_no_silent_gap_on_a_day_that_shows_none_of_them(kind):
    day = START + timedelta(days=20)
    hidden = [Held(uid=f"3.{n}", day=day, modality="MR") for n in range(40)]
    timed = [Held(uid=f"4.{n}", day=day, moment=time(8 + n // 6, n)) for n in range(50)]
    others = [one for one in ALL if one.day != day]
    found = run(ModelPacs(studies=[*others, *timed, *hidden], cap=45, kind=kind), YEAR)
    assert found.silent() == []
    assert not found.complete


def test_nothing_for_ranges_of_times_is_no_proof_where_none_brings_anything():
    day = START + timedelta(days=20)
    burst = [Held(uid=f"4.{n}", day=day, moment=time(8 + n // 6, n % 60)) for n in range(50)]

    class Timeless(ModelPacs):
        def put(self, query):
            outcome, came = super().put(query)
            return outcome, [] if query.window.first is not None else came

    found = run(Timeless(studies=[*ALL, *burst], cap=45), YEAR)
    proven = [
        node.query.window
        for node in found.planner.nodes
        if node.query.window.first is not None and node.standing.covered_on is not None
    ]
    assert (proven, found.silent()) == ([], [])


def test_an_empty_archive_that_refuses_wide_ranges_is_asked_little_more_than_once():
    found = run(ModelPacs(studies=[], widest=7, refuses_wide=True), YEAR)
    assert found.asked <= 2 * 365 / 7


def test_a_range_that_brings_more_than_its_parts_leaves_the_parts_unproven_as_well():
    class Shrinking(ModelPacs):
        def put(self, query):
            outcome, came = super().put(query)
            return outcome, came[:-1] if query.window.days < 100 else came

    found = run(Shrinking(studies=archive(30)), YEAR, PeerProfile(widest=0))
    covered = {node.query.window for node in found.planner.proven()}
    assert all(
        not window.contains(node.query.window.start)
        for node in found.planner.gaps()
        for window in covered
    )
