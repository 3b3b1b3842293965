"""What the planner takes as evidence: each PACS here had once got a false word out of it."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, time, timedelta

import pytest

from node.dicom.profile import CapKind, PeerProfile
from node.dicom.query import StudyQuery, Window
from node.ops.finding.planning.planner import Planner
from node.ops.finding.planning.tree import Heard, WindowOutcome
from tests.support.model_pacs import BEGIN, Held, ModelPacs, run

START = date(2024, 1, 1)
HALF = Window(start=START, end=date(2024, 6, 30))


def burst(per_day, first: date, last: date, *, seed: int = 1, patients: int = 1) -> list[Held]:
    """Return as many studies on each day, one or more of each patient."""
    chance = random.Random(seed)
    studies = []
    for number in range((last - first).days + 1):
        for _ in range(per_day(chance) if callable(per_day) else per_day):
            uid = f"{first:%m}.{len(studies)}"
            studies.append(
                Held(
                    uid=uid,
                    day=first + timedelta(days=number),
                    moment=time(chance.randrange(7, 19), chance.randrange(60)),
                    accession=f"A{len(studies)}",
                    patient=f"P{first:%m}{len(studies) // patients}",
                )
            )
    return studies


QUIET = burst(2, START, date(2024, 1, 31))
BUSY = burst(120, date(2024, 2, 5), date(2024, 2, 9))
STEADY = burst(lambda chance: chance.randint(5, 25), START, HALF.end)
"""About 15 studies a day."""


def test_a_burst_before_a_quiet_end_is_seen_by_a_few_of_its_studies():
    pacs = ModelPacs(studies=QUIET + BUSY, cap=100, kind=CapKind.EMPTY)
    found = run(pacs, Window(start=START, end=date(2024, 2, 29)))
    assert (found.missing, found.complete) == ([], True)


@pytest.mark.parametrize("first", [0, 4, 7])
def test_an_archive_of_three_years_in_ten_is_proven_in_a_few_questions(first):
    begin = START + timedelta(days=365 * first)
    studies = burst(3, begin, begin + timedelta(days=3 * 365))
    found = run(ModelPacs(studies=studies), Window(start=START, end=date(2034, 12, 31)))
    assert (found.missing, found.complete) == ([], True)
    assert found.asked <= 40


def test_an_empty_end_is_proven_where_no_key_chooses_a_few_studies():
    plain = [Held(uid=one.uid, day=one.day, moment=one.moment) for one in QUIET]
    found = run(ModelPacs(studies=plain), HALF)
    assert (found.missing, found.complete) == ([], True)
    assert found.asked <= 80


@pytest.mark.parametrize("known", [0, 200])
def test_the_same_number_again_and_again_is_a_ceiling_whatever_the_profile_says(known):
    profile = PeerProfile(cap=known, cap_kind=CapKind.CUT, widest=7)
    found = run(ModelPacs(studies=STEADY, cap=60), HALF, profile)
    assert (found.missing, found.complete) == ([], True)
    assert found.planner.known.contradiction() == ("cap", "it cut off an answer of 60 studies")


@pytest.mark.parametrize(
    "limit", [{"cap": 12, "kind": CapKind.EMPTY}, {"widest": 7}, {"cap": 120}], ids=str
)
@pytest.mark.parametrize("profile", [None, PeerProfile(cap=0, widest=0)], ids=["found", "probed"])
def test_studies_that_are_known_show_a_limit_that_is_new(limit, profile):
    found = run(ModelPacs(studies=STEADY, **limit), HALF, profile, before=366, expected=STEADY)
    assert found.silent() == []
    assert len(found.missing) < 300


def test_what_an_honest_peer_has_deleted_costs_a_few_questions():
    left = [one for one in STEADY if one.uid[-1] != "3"]
    found = run(ModelPacs(studies=left), HALF, expected=STEADY)
    assert (found.missing, found.complete) == ([], True)
    assert found.asked <= 20
    gone = run(ModelPacs(studies=left), HALF, PeerProfile(cap=0, widest=0), expected=STEADY)
    assert (gone.complete, gone.asked) == (True, 3)


def test_an_archive_that_was_emptied_is_believed_after_a_few_days_of_it():
    kept = [one for one in STEADY if one.day >= date(2024, 5, 1)]
    found = run(ModelPacs(studies=kept), HALF, before=366, expected=STEADY)
    assert (found.missing, found.complete) == ([], True)
    assert found.asked <= 60


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
def test_times_prove_nothing_where_the_peer_cuts_off_before_it_looks_at_them(known):
    day = date(2024, 1, 10)
    studies = [one for one in burst(9, START, date(2024, 1, 31)) if one.day != day]
    pacs = ModelPacs(studies=studies + burst(150, day, day), cap=100, cuts_first=True)
    profile = PeerProfile(cap=100, cap_kind=CapKind.CUT) if known else None
    found = run(pacs, Window(start=START, end=date(2024, 1, 31)), profile)
    assert found.silent() == []
    assert [str(node.query.window) for node in found.planner.gaps()] == [str(day)]


def test_a_range_is_asked_for_again_before_its_parts_are_taken_for_too_few():
    class Deleting(ModelPacs):
        def put(self, query):
            answered = super().put(query)
            if len(self.asked) == 2:
                self.studies = [one for one in self.studies if one.day != date(2024, 3, 3)]
                self._by_day.clear()
            return answered

    pacs = Deleting(studies=burst(4, START, date(2024, 3, 31)))
    assert run(pacs, Window(start=START, end=date(2024, 3, 31))).complete


class Growing(ModelPacs):
    """One that has got one more study of a day from its second question on, and each `every`."""

    every = 1000

    def put(self, query):
        answered = super().put(query)
        number = len(self.asked)
        if number == 1 or number % self.every == 0:
            late = Held(uid=f"late {number}", day=date(2024, 1, 20), moment=time(11, 5))
            self.studies = [*self.studies, late]
            self._by_day.clear()
        return answered


@pytest.mark.parametrize("every", [1000, 2])
@pytest.mark.parametrize("profile", [None, PeerProfile(cap=500, cap_kind=CapKind.CUT)])
@pytest.mark.parametrize("month", [40, 50])
def test_a_study_that_comes_late_is_no_sign_of_a_cap(month, profile, every):
    pacs = Growing(studies=burst(2, START, date(2024, 1, 31))[:month])
    pacs.every = every
    window = Window(start=START, end=date(2024, 1, 31))
    found = run(pacs, window, profile)
    known = found.planner.known
    assert known.cap == (None if profile is None else 500)
    assert (known.contradiction(), found.complete) == (None, True)
    assert {node.standing.outcome for node in found.planner.nodes} == {WindowOutcome.COMPLETE}
    assert found.asked <= 8


def test_a_cap_is_seen_though_studies_come_late():
    pacs = Growing(studies=STEADY, cap=37)
    pacs.every = 3
    found = run(pacs, HALF)
    assert found.planner.known.cap == 37
    assert found.silent() == []


def test_a_cap_that_is_announced_is_none_where_another_answer_had_more():
    class Announcing(ModelPacs):
        def put(self, query):
            outcome, came = super().put(query)
            cut = query.window.start == START and len(came) > 10
            return (WindowOutcome.TRUNCATED, came[:10]) if cut else (outcome, came)

    found = run(Announcing(studies=STEADY), HALF)
    assert (found.missing, found.complete) == ([], True)
    assert found.planner.known.cap is None


def test_a_window_that_is_asked_once_more_is_no_second_one_with_that_number():
    pacs = Growing(studies=burst(2, START, date(2024, 1, 31))[:44])
    found = run(pacs, Window(start=START, end=date(2024, 1, 31)))
    twice = [node for node in found.planner.nodes if pacs.asked.count(node.query) == 2]
    assert [node.size for node in twice] == [45]
    assert found.planner.known.repeated[44] == 1


def test_a_window_that_was_answered_and_is_asked_once_more_is_no_sign_of_refusals():
    pacs = ModelPacs(studies=STEADY, cap=37)
    found = run(pacs, HALF)
    assert len(set(pacs.asked)) < len(pacs.asked), "one was asked once more"
    assert not found.planner.known.transient
    assert {node.attempts for node in found.planner.nodes} == {1}


def test_a_cap_on_patients_leaves_no_number_of_studies_to_be_believed():
    studies = [
        *burst(lambda chance: chance.randint(4, 8), START, date(2024, 2, 29), patients=2),
        *burst(12, date(2024, 3, 1), date(2024, 3, 31), patients=3),
        *burst(lambda chance: chance.randint(4, 8), date(2024, 4, 1), HALF.end, patients=2),
    ]
    found = run(ModelPacs(studies=studies, patients=60), HALF)
    assert found.silent() == []


def test_twelve_studies_at_one_minute_are_a_gap_after_few_questions():
    studies = [Held(uid=f"1.{n}", day=START, moment=time(9, 30)) for n in range(12)]
    found = run(ModelPacs(studies=studies), Window(start=START, end=START))
    assert [node.standing.outcome for node in found.planner.gaps()] == [WindowOutcome.SUSPECT]
    assert found.asked <= 50


@pytest.mark.parametrize("profile", [None, PeerProfile(widest=0)], ids=["found", "probed"])
def test_a_wide_end_without_studies_is_settled_though_no_range_of_this_find_was_as_wide(profile):
    found = run(
        ModelPacs(studies=QUIET), Window(start=START, end=date(2026, 1, 1)), profile, before=900
    )
    assert (found.missing, found.complete) == ([], True)
    assert found.asked <= 20


@pytest.mark.parametrize("profile", [None, PeerProfile(cap=0), PeerProfile(cap=100, dates=True)])
def test_a_peer_that_leaves_out_the_last_day_of_ranges_is_asked_day_by_day(profile):
    pacs = ModelPacs(studies=burst(2, START, HALF.end), leaves_out_last=True)
    found = run(pacs, HALF, profile)
    assert (found.missing, found.complete) == ([], True)
    assert found.asked <= 200
    contradiction = found.planner.known.contradiction()
    assert (contradiction is not None) == (profile is not None and profile.dates is True)


def test_an_honest_peer_is_asked_for_no_last_day_that_its_answers_show():
    found = run(ModelPacs(studies=STEADY), HALF)
    assert found.complete
    assert not [query for query in found.answers if query.window.days == 2]


def test_a_find_that_goes_on_asks_whether_last_days_are_left_out():
    pacs = ModelPacs(studies=burst(2, START, HALF.end), leaves_out_last=True)
    first = run(pacs, HALF)
    known = {
        query: replace(answer, latest=None)
        for query, answer in first.answers.items()
        if (query.window.days or 0) > 2
    }
    found = run(pacs, HALF, known=known)
    assert found.complete
    assert {one.uid for one in pacs.studies} <= found.recorded | first.recorded
    assert found.asked > 180


def test_where_no_answer_shows_a_last_day_one_more_question_does():
    pacs = ModelPacs(studies=[Held(uid="1", day=START + timedelta(days=3))])
    found = run(pacs, HALF, PeerProfile(cap=0, widest=0))
    assert (found.missing, found.complete, found.asked) == ([], True, 2)


def test_a_month_of_which_nothing_came_is_a_gap_where_a_few_of_its_studies_do():
    month = Window(start=START, end=date(2024, 1, 31))
    pacs = ModelPacs(studies=burst(28, START, month.end), cap=12, kind=CapKind.EMPTY)
    found = run(pacs, month, before=31)
    assert not found.complete
    assert found.silent() == []


def test_a_day_without_studies_is_looked_into_where_each_day_is_asked_for_alone():
    day = date(2024, 1, 15)
    studies = [one for one in burst(15, START, date(2024, 1, 31)) if one.day != day]
    studies += [replace(one, uid=f"9.{one.uid}") for one in burst(60, day, day, seed=2)]
    pacs = ModelPacs(studies=studies, cap=40, kind=CapKind.EMPTY, widest=1, refuses_wide=True)
    found = run(pacs, Window(start=START, end=date(2024, 1, 31)))
    assert found.silent() == []
    assert len(found.missing) <= 60


def test_weeks_without_studies_are_not_asked_for_by_days_where_there_are_few_anywhere():
    studies = burst(1, START, HALF.end)[::12]
    found = run(ModelPacs(studies=studies, widest=3, refuses_wide=True), HALF)
    assert (found.missing, found.complete) == ([], True)
    assert found.asked <= 1.5 * 182 / 3


@pytest.mark.parametrize("day", [date(2021, 1, 1), date(2022, 5, 5), date(2023, 12, 31)], ids=str)
def test_an_archive_with_two_studies_in_three_years_takes_few_questions(day):
    found = run(
        ModelPacs(studies=[Held(uid=f"1.{n}", day=day, moment=time(9 + n)) for n in range(2)]),
        Window(start=date(2021, 1, 1), end=date(2023, 12, 31)),
    )
    assert (found.missing, found.complete) == ([], True)
    assert found.asked <= 100


def test_studies_without_a_time_are_a_gap_where_each_question_for_some_of_them_is_too_much():
    day = date(2024, 1, 15)
    unnamed = Held(uid="9", day=day, patient="", accession="")
    studies = burst(6, START, date(2024, 1, 14))
    studies += [replace(unnamed, uid=f"8.{n}", moment=time(6 + n)) for n in range(14)]
    studies += [
        replace(unnamed, uid=f"9.{n}", modality=("CT", "MR", "CR")[n % 3]) for n in range(60)
    ]
    pacs = ModelPacs(studies=studies, cap=8, kind=CapKind.EMPTY)
    found = run(pacs, Window(start=START, end=day), PeerProfile(cap=8, cap_kind=CapKind.EMPTY))
    assert found.silent() == []
    assert {one.day for one in found.missing} == {day}
    assert [str(gap.query.window) for gap in found.planner.gaps()] == [str(day)]


@pytest.mark.parametrize("number", [2, 3])
def test_a_peer_that_says_nothing_from_some_question_on_is_asked_again_what_it_had(number):
    found = run(ModelPacs(studies=STEADY, mute_from=number), HALF)
    assert found.missing
    assert found.silent() == []


def test_a_peer_that_says_nothing_at_all_any_more_has_nothing_less():
    found = run(ModelPacs(studies=STEADY, mute_from=1), HALF, before=366, expected=STEADY)
    assert found.silent() == []
    first, *_, last = found.planner.gaps()
    assert (first.query.window.start, last.query.window.end) == (HALF.start, HALF.end)
    assert found.asked <= 60


def test_a_study_of_midnight_does_not_show_that_a_range_has_its_last_day():
    studies = [
        replace(one, moment=time.min) if number % 5 == 0 else one
        for number, one in enumerate(burst(8, START, date(2024, 2, 29)))
        if one.day.weekday() < 5
    ]
    pacs = ModelPacs(studies=studies, leaves_out_last=True, but_midnight=True)
    found = run(pacs, Window(start=date(2024, 1, 6), end=date(2024, 2, 5)))
    assert (found.missing, found.complete) == ([], True)


@pytest.mark.parametrize("seed", range(3))
def test_days_that_bring_nothing_are_looked_into_where_no_day_brings_many(seed):
    """Each day is asked for by itself: no wider window shows that the peer is silent."""
    studies = burst(lambda chance: chance.choice((1, 5, 7, 9, 12, 15)), START, HALF.end, seed=seed)
    pacs = ModelPacs(studies=studies, cap=7, kind=CapKind.EMPTY, widest=1, refuses_wide=True)
    found = run(pacs, Window(start=START, end=date(2024, 1, 31)))
    assert found.silent() == []


def of_modalities(studies: list[Held], *modalities: str) -> list[Held]:
    """Return the studies with these modalities, in turn."""
    return [
        replace(one, modality=modalities[number % len(modalities)])
        for number, one in enumerate(studies)
    ]


MONTH = Window(start=START, end=date(2024, 1, 31))
WORKDAYS = [one for one in burst(2, START, MONTH.end) if one.day.weekday() < 5]
BY_DAYS = {"cap": 40, "kind": CapKind.EMPTY, "widest": 1, "refuses_wide": True}


@pytest.mark.parametrize("modalities", [("CT", "MR"), ("US", "SR")])
def test_a_day_without_studies_is_asked_for_a_few_of_them_where_no_day_brings_many(modalities):
    """No key is tried on so few studies, and no range shows that the peer is silent."""
    day = date(2024, 1, 17)
    studies = [one for one in WORKDAYS if one.day != day] + burst(60, day, day, seed=2)
    found = run(ModelPacs(studies=of_modalities(studies, *modalities), **BY_DAYS), MONTH)
    assert found.silent() == []
    assert found.planner.known.empty


@pytest.mark.parametrize("ignores", [set(), {"times"}, {"times", "ModalitiesInStudy"}], ids=len)
@pytest.mark.parametrize(("last", "most"), [(31, 5), (10, 1), (9, 0)])
def test_days_without_studies_are_asked_for_again_in_few_questions(last, most, ignores):
    studies = of_modalities(WORKDAYS, "CT", "MR")
    pacs = ModelPacs(studies=studies, ignores=frozenset(ignores), **BY_DAYS)
    found = run(pacs, Window(start=date(2024, 1, 3), end=date(2024, 1, last)))
    assert (found.missing, found.complete) == ([], not ignores)
    days = [one for one in pacs.asked if one.window.start.weekday() > 4 and one.window.days == 1]
    narrowed = [one for one in days if one.modality or one.window.first]
    assert (most > 0 and len(ignores) < 2) <= len(narrowed) <= most


def test_no_other_modality_is_asked_for_than_the_one_that_a_find_is_about():
    pacs = ModelPacs(studies=of_modalities(WORKDAYS, "CT", "MR"), **BY_DAYS)
    planner = Planner([StudyQuery(window=MONTH, modality="MR")], PeerProfile())
    while (ask := planner.next()) is not None:
        outcome, came = pacs.put(ask.query)
        planner.take(Heard(outcome=outcome, asked_on=BEGIN, matches=len(came), answers=len(came)))
    assert {one.modality for one in pacs.asked} == {"MR"}
    assert any(one.window.first for one in pacs.asked if one.window.start.weekday() > 4)


class Stalling(ModelPacs):
    """A PACS that does not come to the end of every ninth answer."""

    def put(self, query):
        outcome, found = super().put(query)
        stalls = len(self.asked) % 9 == 0
        return (WindowOutcome.FAILED, []) if stalls else (outcome, found)


@pytest.mark.parametrize("cap", [9, 20])
def test_a_range_that_is_not_answered_in_time_is_not_too_wide_where_as_wide_a_one_was(cap):
    studies = burst(2, START, HALF.end)
    found = run(Stalling(studies=studies, cap=cap, kind=CapKind.REFUSED), HALF)
    assert (found.missing, found.complete) == ([], True)
    assert found.asked <= 3 * 364 / cap


@pytest.mark.parametrize("moment", [None, time(9)], ids=str)
def test_weeks_of_which_nothing_came_are_not_asked_for_by_days_where_no_week_brought_two(moment):
    """It says nothing to what is wider than a week, and no key chooses any of its studies."""
    days = range(0, 180, 12)
    studies = [Held(uid=f"1.{n}", day=START + timedelta(days=n), moment=moment) for n in days]
    found = run(ModelPacs(studies=studies, widest=7), HALF)
    assert found.missing == []
    assert found.asked <= 100


class Arriving(ModelPacs):
    """A PACS to which most of its studies come after the third question."""

    def put(self, query):
        everything = self.studies
        self.studies = everything if len(self.asked) > 2 else everything[::5]
        self._by_day.clear()
        try:
            return super().put(query)
        finally:
            self.studies = everything


@pytest.mark.parametrize("seed", [0, 2, 4, 5])
def test_studies_that_come_meanwhile_do_not_show_that_a_peer_says_nothing_when_it_has_much(seed):
    days = sorted(random.Random(seed).sample(range(365), 9))
    studies = [Held(uid=f"1.{day}", day=START + timedelta(days=day)) for day in days]
    found = run(Arriving(studies=studies), Window(start=START, end=date(2024, 12, 30)))
    assert not found.planner.known.empty


class WithoutTimes(ModelPacs):
    """A PACS that answers nothing to a range of times, whatever else is asked for."""

    def put(self, query):
        outcome, found = super().put(query)
        return outcome, [] if query.window.first is not None else found


@pytest.mark.parametrize("seed", range(4))
def test_a_few_studies_prove_nothing_of_ranges_of_times_where_none_brings_any(seed):
    day = date(2024, 3, 5)
    studies = [*burst(1, START, HALF.end, seed=seed), *burst(260, day, day, seed=seed)]
    studies = [replace(one, patient=f"P{7 * number:05}") for number, one in enumerate(studies)]
    found = run(WithoutTimes(studies=studies, cap=20, kind=CapKind.EMPTY), HALF)
    assert found.silent() == []


def test_that_dates_are_ignored_is_seen_by_what_came_before_a_refusal():
    pacs = ModelPacs(studies=STEADY, cap=50, kind=CapKind.REFUSED, ignores=frozenset({"dates"}))
    found = run(pacs, HALF)
    assert found.silent() == []
    assert "dates" in found.planner.known.ignored
    assert found.asked <= 30
