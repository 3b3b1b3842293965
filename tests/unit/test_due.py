"""Which dates are due: by the age of their proof and their own, what failed, what came late."""

import random
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.coverage.ages import AgeBand, AgePolicy
from schema.coverage.drift import Drift, StudyDay, in_words, late
from schema.coverage.due import DueReason, due, expired, is_due, left_behind
from schema.coverage.proof import DateQuestion, SettledDates, stretches

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
TODAY = NOW.date()
POLICY = AgePolicy(
    bands=(
        AgeBand(days=7, every=timedelta()),
        AgeBand(days=90, every=timedelta(days=1)),
        AgeBand(days=1095, every=timedelta(days=30)),
        AgeBand(days=None, every=timedelta(days=365)),
    )
)
START = date(2016, 1, 1)


def ago(days: float) -> date:
    return TODAY - timedelta(days=days)


def moment(**since: float) -> datetime:
    return NOW.replace(tzinfo=None) - timedelta(**since)


def proven(first, last=None, *, at, **more):
    return DateQuestion(
        id=more.pop("id", 1),
        start=first,
        end=last or first,
        asked_on=at,
        covered_on=at,
        proven_on=at,
        outcome="complete",
        **more,
    )


def vain(first, last=None, *, at, outcome="failed", **more):
    return DateQuestion(id=1, start=first, end=last or first, asked_on=at, outcome=outcome, **more)


def asked_for(*questions, first=START, last=TODAY, now=NOW, policy=POLICY, drifts=()):
    found = due(stretches(questions), policy, first=first, last=last, now=now, drifts=drifts)
    return [(one.first, one.last, one.reason.name) for one in found]


def test_what_was_never_asked_for_is_due_as_a_whole():
    assert asked_for() == [(START, TODAY, "NEWEST")]


def test_after_a_find_a_minute_ago_only_the_newest_is_due():
    everything = proven(START, TODAY, at=moment(minutes=1))
    assert asked_for(everything) == [(ago(7), TODAY, "NEWEST")]


def test_after_a_day_what_is_recent_is_due_as_well_in_one_question():
    everything = proven(START, TODAY, at=moment(days=1))
    assert asked_for(everything) == [(ago(90), TODAY, "NEWEST")]


def test_after_a_month_the_past_is_due_and_after_a_year_everything():
    month = proven(START, TODAY, at=moment(days=31))
    assert asked_for(month) == [(ago(1095), TODAY, "NEWEST")]
    year = proven(START, TODAY, at=moment(days=366))
    assert asked_for(year) == [(START, TODAY, "NEWEST")]


def test_after_a_week_of_downtime_no_date_is_skipped():
    before = proven(START, ago(7), at=moment(days=7))
    ((first, last, _),) = asked_for(before)
    assert (first, last) == (ago(90), TODAY)


def test_what_is_not_known_comes_before_what_has_expired_and_the_oldest_proof_first():
    questions = (
        proven(ago(4500), ago(4001), at=moment(days=400)),
        proven(ago(4000), ago(3001), at=moment(days=1)),
        proven(ago(3000), ago(2501), at=moment(days=500)),
        proven(ago(2500), ago(2000), at=moment(days=1)),
        vain(ago(1999), ago(1900), at=moment(days=1)),
        proven(ago(1899), TODAY, at=moment(minutes=1)),
    )
    assert asked_for(*questions, first=ago(4500)) == [
        (ago(7), TODAY, "NEWEST"),
        (ago(1999), ago(1900), "UNKNOWN"),
        (ago(3000), ago(2501), "EXPIRED"),
        (ago(4500), ago(4001), "EXPIRED"),
    ]


def test_a_hole_that_is_thin_is_asked_for_with_what_lies_beside_it():
    questions = (
        proven(ago(600), ago(501), at=moment(days=40)),
        proven(ago(500), ago(480), at=moment(minutes=1)),
        proven(ago(479), ago(300), at=moment(days=40)),
        proven(ago(299), ago(250), at=moment(minutes=1)),
        proven(ago(249), ago(200), at=moment(days=40)),
        proven(ago(199), TODAY, at=moment(minutes=1)),
    )
    assert asked_for(*questions, first=ago(600))[1:] == [
        (ago(249), ago(200), "EXPIRED"),
        (ago(600), ago(300), "EXPIRED"),
    ]


def test_dates_that_were_proven_one_by_one_are_renewed_together():
    """Each day one date leaves the last 90: without this, each would be asked for by itself."""
    past = [proven(ago(90 + age), at=moment(days=age), id=age) for age in range(1, 31)]
    recent = proven(ago(90), TODAY, at=moment(minutes=1), id=99)
    found = asked_for(*past, recent, first=ago(120))
    assert found == [(ago(7), TODAY, "NEWEST"), (ago(120), ago(105), "EXPIRED")]


def test_what_cannot_be_proven_is_not_asked_for_at_once_again():
    known = proven(START, TODAY, at=moment(hours=1))
    minute = vain(ago(200), at=moment(minutes=30), outcome="truncated")
    assert asked_for(known, minute) == [(ago(7), TODAY, "NEWEST")]
    later = NOW + timedelta(days=30)
    assert (ago(200), ago(200), "UNKNOWN") in [
        (max(first, ago(200)), min(last, ago(200)), reason)
        for first, last, reason in asked_for(known, minute, now=later)
        if first <= ago(200) <= last and reason == "UNKNOWN"
    ]


@pytest.mark.parametrize(
    "question",
    [
        vain(ago(200), at=moment(minutes=1), outcome="refused"),
        vain(ago(200), at=moment(minutes=1), outcome="failed"),
        vain(ago(200), at=moment(minutes=1), outcome="truncated", ended=False),
    ],
)
def test_what_was_not_answered_or_not_asked_to_the_end_is_due_at_once(question):
    known = proven(START, TODAY, at=moment(hours=1))
    assert (ago(200), ago(200), "UNKNOWN") in asked_for(known, question)


def test_off_is_never_again():
    bands = (*POLICY.bands[:-1], AgeBand(days=None, every=None))
    everything = proven(START, TODAY, at=moment(days=5000))
    policy = AgePolicy(bands=bands)
    assert asked_for(everything, policy=policy) == [(ago(1095), TODAY, "NEWEST")]


def test_where_studies_came_late_a_proof_holds_a_day_and_then_twice_as_long_each_time():
    found_on = moment(days=40)
    drift = Drift(first=ago(2000), last=ago(1990), studies=3, found_on=found_on)
    asked, proof, waits = [], found_on, []
    for _ in range(10):
        known = proven(START, TODAY, at=proof)
        for days in range(1, 400):
            now = (proof + timedelta(days=days)).replace(tzinfo=UTC)
            ranges = due(
                stretches([known]), POLICY, first=START, last=ago(1500), now=now, drifts=[drift]
            )
            if any(one.first <= ago(1995) <= one.last for one in ranges):
                break
        waits.append(days)
        asked.append(now)
        proof = now.replace(tzinfo=None)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 365]


def test_a_study_is_late_that_came_after_a_find_had_all_of_its_date():
    settled = proven(
        START,
        ago(100),
        at=moment(days=50),
        settled=(SettledDates(until=ago(200), on=moment(days=50)),),
    )
    young = proven(ago(99), TODAY, at=moment(days=50))
    days = [
        StudyDay(day=ago(400), studies=2, found_on=moment(days=51)),
        StudyDay(day=ago(300), studies=1, found_on=moment(days=3)),
        StudyDay(day=ago(299), studies=2, found_on=moment(days=4)),
        StudyDay(day=ago(150), studies=5, found_on=moment(days=3)),
        StudyDay(day=ago(99), studies=5, found_on=moment(days=3)),
        StudyDay(day=ago(4000), studies=5, found_on=moment(days=3)),
    ]
    found = late(stretches([settled, young]), sorted(days, key=lambda one: one.day))
    assert [(one.first, one.last, one.studies) for one in found] == [(ago(300), ago(299), 3)]
    assert found[0].found_on == moment(days=3)
    assert in_words(found) == f"3 studies of {ago(300)} to {ago(299)}"
    many = [
        Drift(first=ago(n), last=ago(n), studies=2, found_on=moment()) for n in range(32, 0, -1)
    ]
    said = f"64 studies of {ago(32)}, {ago(31)}, {ago(30)} and 29 other months"
    assert in_words(many) == said, "in one line"


def test_proof_that_has_expired_is_told_with_its_age_and_is_no_gap():
    known = stretches(
        [
            proven(START, ago(2000), at=moment(days=400)),
            proven(ago(1999), ago(10), at=moment(days=3), id=2),
            vain(ago(500), at=moment(days=1), outcome="refused"),
            proven(ago(9), TODAY, at=moment(hours=1), id=3),
        ]
    )
    found = expired(known, POLICY, now=NOW)
    assert [(one.first, one.last, one.proven_on) for one in found] == [
        (START, ago(2000), moment(days=400)),
        (ago(90), ago(10), moment(days=3)),
    ]


def test_studies_without_a_date_are_due_as_dates_that_have_just_left_the_newest():
    assert is_due(None, POLICY, now=NOW)
    assert not is_due(proven(None, at=moment(hours=23)), POLICY, now=NOW)
    assert is_due(proven(None, at=moment(hours=25)), POLICY, now=NOW)
    for hours, outcome, ended in ((23, "failed", True), (23, "refused", False)):
        assert is_due(
            vain(None, at=moment(hours=hours), outcome=outcome, ended=ended), POLICY, now=NOW
        )
    for_ever = AgePolicy(bands=(POLICY.newest, AgeBand(days=None, every=None)))
    for policy in (POLICY, for_ever):  # who refuses them once does so each time
        refused = [vain(None, at=moment(hours=one), outcome="refused") for one in (23, 25)]
        assert [is_due(one, policy, now=NOW) for one in refused] == [False, True]


def test_a_look_back_leaves_no_date_behind_that_was_asked_for_too_early():
    known = stretches([proven(ago(25), ago(18), at=moment(days=18))])
    assert left_behind(known, lookback=7, within=90, now=NOW) == ago(24)
    settled = stretches([proven(ago(25), ago(8), at=moment(days=1))])
    assert left_behind(settled, lookback=7, within=90, now=NOW) is None
    refused = stretches([vain(ago(40), ago(30), at=moment(days=1))])
    assert left_behind(refused, lookback=7, within=35, now=NOW) == ago(35)
    assert left_behind([], lookback=7, within=90, now=NOW) is None


def test_bands_that_are_not_ordered_are_refused():
    with pytest.raises(ValueError, match="ordered"):
        AgePolicy(bands=(AgeBand(days=90, every=None), AgeBand(days=7, every=None)))


questions_ = st.lists(
    st.builds(
        lambda age, length, since, ok, ended, outcome: DateQuestion(
            id=1,
            start=ago(age),
            end=ago(max(age - length, 0)),
            asked_on=moment(hours=since),
            covered_on=moment(hours=since) if ok else None,
            proven_on=moment(hours=since) if ok else None,
            ended=ended,
            outcome="complete" if ok else outcome,
        ),
        st.integers(0, 1500),
        st.integers(0, 700),
        st.integers(0, 20_000),
        st.booleans(),
        st.booleans(),
        st.sampled_from(["refused", "failed", "truncated", "suspect"]),
    ),
    max_size=12,
)


@given(questions=questions_, first=st.integers(0, 1600), last=st.integers(-3, 400))
def test_every_date_is_due_that_should_be_and_asked_for_once(questions, first, last):
    start, end = ago(max(first, last)), ago(last)
    known = stretches(questions)
    ranges = due(known, POLICY, first=start, last=end, now=NOW)
    days = [
        one.first + timedelta(days=n)
        for one in ranges
        for n in range((one.last - one.first).days + 1)
    ]
    assert len(set(days)) == len(days)
    assert all(start <= day <= end for day in days)
    asked = set(days)
    for n in range((end - start).days + 1):
        day = start + timedelta(days=n)
        about = [one for one in questions if one.start <= day <= one.end]
        newest = max(about, key=lambda one: one.asked_on, default=None)
        age = (TODAY - day).days
        every = POLICY.band(age).every
        same = [one for one in about if newest and one.asked_on == newest.asked_on]
        if age <= 7 or all(must(one, every) for one in same):
            assert day in asked


def must(question, every):
    """Tell whether dates have to be due of which the newest question is this."""
    if question.covered_on is None:
        return question.outcome in {"refused", "failed"} or not question.ended
    return moment() - question.covered_on >= every


@given(questions=questions_)
def test_once_all_that_is_due_was_proven_only_the_newest_is_due(questions):
    ranges = due(stretches(questions), POLICY, first=ago(1500), last=TODAY, now=NOW)
    answers = [
        proven(one.first, one.last, at=moment(), id=place + 2) for place, one in enumerate(ranges)
    ]
    left = due(stretches([*questions, *answers]), POLICY, first=ago(1500), last=TODAY, now=NOW)
    assert [(one.first, one.last) for one in left] == [(ago(7), TODAY)]
    assert left[0].reason is DueReason.NEWEST


@given(
    ages=st.lists(st.integers(8, 3000), min_size=1, max_size=40),
    proofs=st.lists(st.integers(0, 9000), min_size=41, max_size=41),
)
def test_joining_costs_at_most_a_quarter_more_dates_than_are_due(ages, proofs):
    bounds = sorted({3001, *ages}, reverse=True)
    questions = [
        proven(ago(older), ago(newer + 1), at=moment(hours=hours), id=place)
        for place, (older, newer, hours) in enumerate(
            zip(bounds, [*bounds[1:], 7], proofs, strict=False)
        )
    ]
    ranges = due(stretches(questions), POLICY, first=ago(3001), last=ago(8), now=NOW)
    asked = sum((one.last - one.first).days + 1 for one in ranges)
    half = AgePolicy(
        bands=tuple(
            AgeBand(days=band.days, every=band.every / 2 if band.every else band.every)
            for band in POLICY.bands
        )
    )
    may = due(stretches(questions), half, first=ago(3001), last=ago(8), now=NOW)
    assert asked <= 1.25 * sum((one.last - one.first).days + 1 for one in may) + 1


def test_a_year_of_cycles_keeps_every_proof_young_enough_with_few_questions():
    """Cycles each eight hours, at times none for up to three weeks; what is due is proven then."""
    chance = random.Random(11)
    now = datetime(2024, 1, 1, 7, tzinfo=UTC)
    first = date(2018, 1, 1)
    known: list[DateQuestion] = []
    asked = days = cycles = 0
    while now < datetime(2025, 2, 1, tzinfo=UTC):
        today = now.date()
        ranges = due(stretches(known), POLICY, first=first, last=today, now=now)
        at = now.replace(tzinfo=None)
        known += [proven(one.first, one.last, at=at, id=cycles) for one in ranges]
        standing = stretches(known)
        for one in standing:
            band = POLICY.band((today - one.last).days)
            assert not one.is_gap
            assert band is POLICY.newest or at - one.proven_on < band.every
        assert (standing[0].first, standing[-1].last) == (first, today)
        known = list(dict.fromkeys(one.question for one in standing))
        cycles += 1
        if cycles > 1:
            asked += len(ranges)
            days += sum((one.last - one.first).days + 1 for one in ranges)
        now += timedelta(hours=8, minutes=chance.randrange(60))
        if chance.random() < 0.01:
            now += timedelta(days=chance.randrange(1, 21))
    assert cycles > 900
    assert asked <= 1.2 * cycles
    # 8 days in each cycle, 83 a day, 1000 each month, the others each year
    assert days <= 1.3 * (8 * cycles + 83 * 397 + 1000 * 14 + 1500 * 2)
