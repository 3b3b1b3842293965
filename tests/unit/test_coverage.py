"""From questions to what is proven of each date: values in, values out."""

from datetime import date, datetime, time, timedelta

from hypothesis import given
from hypothesis import strategies as st

from schema.coverage.gaps import gaps, unasked, undated_gaps
from schema.coverage.months import months
from schema.coverage.proof import DateQuestion, stretches

NIGHT = datetime.fromisoformat("2026-01-01T02:00")
JANUARY = date(2024, 1, 1)


def day(number):
    return JANUARY + timedelta(days=number - 1)


def asked(first, last=None, *, hours=0, proven=True, outcome=None, **more):
    moment = NIGHT + timedelta(hours=hours)
    return DateQuestion(
        id=hours,
        start=first and day(first),
        end=(last or first) and day(last or first),
        asked_on=moment,
        covered_on=moment if proven else None,
        proven_on=more.pop("proven_on", moment if proven else None),
        outcome=outcome or ("complete" if proven else "refused"),
        **more,
    )


def known(*questions):
    return [
        (one.first, one.last, one.is_gap, one.proven_on and one.proven_on.hour)
        for one in stretches(questions)
    ]


def test_what_nobody_asked_for_is_not_known_at_all():
    assert known() == []


def test_the_newest_question_about_a_date_speaks_for_it():
    year = asked(1, 31, hours=0)
    again = asked(10, 12, hours=5, proven=False)
    once_more = asked(11, hours=6)
    assert known(year, again, once_more) == [
        (day(1), day(9), False, 2),
        (day(10), day(10), True, 2),
        (day(11), day(11), False, 8),
        (day(12), day(12), True, 2),
        (day(13), day(31), False, 2),
    ]


def test_a_question_that_was_cut_off_is_a_gap_only_where_its_parts_prove_nothing():
    cut = asked(1, 31, hours=0, proven=False, outcome="truncated")
    halves = [asked(1, 15, hours=1), asked(20, 31, hours=2)]
    (gap,) = gaps(stretches([cut, *halves]))
    assert (gap.first, gap.last, gap.outcome) == (day(16), day(19), "truncated")


def test_dates_between_questions_that_nobody_asked_for_are_named_and_no_gap():
    found = stretches([asked(1, 3), asked(6, 9)])
    assert gaps(found) == []
    (one,) = unasked(found)
    assert (one.first, one.last, one.outcome, one.asked_on) == (day(4), day(5), "not asked", None)
    assert [(one.is_gap, one.is_proven) for one in found] == [
        (False, True),
        (False, False),
        (False, True),
    ]


def test_gaps_side_by_side_for_one_reason_are_one():
    refused = [asked(n, hours=n, proven=False, status=0xA700, comment="busy") for n in (1, 2, 3)]
    failed = asked(4, hours=4, proven=False, outcome="failed")
    first, second = gaps(stretches([*refused, failed]))
    assert (first.first, first.last, first.questions, first.comment) == (day(1), day(3), 3, "busy")
    assert first.asked_on == NIGHT + timedelta(hours=3)
    assert (second.first, second.last, second.outcome) == (day(4), day(4), "failed")


def test_a_day_is_a_gap_in_its_parts_that_are_not_proven():
    whole = asked(5, hours=1, proven=False, outcome="truncated")
    of_before = asked(
        5, hours=0, proven=False, start_time=time(0), end_time=time(11), outcome="failed"
    )
    evening = asked(5, hours=2, proven=False, start_time=time(18), end_time=time(23, 59, 59))
    scanner = asked(5, hours=3, proven=False, axes={"ModalitiesInStudy": "CT"})
    found = gaps(stretches([whole]), [of_before, evening, scanner])
    assert [(gap.first, gap.start_time, gap.axes) for gap in found] == [
        (day(5), time(18), None),
        (day(5), None, {"ModalitiesInStudy": "CT"}),
    ]
    proven = asked(5, hours=9)
    assert gaps(stretches([whole, proven]), [of_before, evening, scanner]) == []


def test_days_beside_one_in_parts_that_are_not_proven_are_gaps_as_well():
    whole = asked(1, 20, hours=1, proven=False, outcome="failed")
    morning = asked(9, hours=2, proven=False, start_time=time(0), end_time=time(11))
    last = asked(20, hours=2, proven=False, start_time=time(12), end_time=time(13))
    found = gaps(stretches([whole]), [morning, last])
    assert [(gap.first, gap.last, gap.start_time) for gap in found] == [
        (day(1), day(8), None),
        (day(9), day(9), time(0)),
        (day(10), day(19), None),
        (day(20), day(20), time(12)),
    ]


def test_a_gap_says_as_of_when_it_was_proven_before():
    (gap,) = gaps(stretches([asked(1), asked(1, hours=3, proven=False)]))
    assert gap.proven_on == NIGHT
    same_question = asked(1, hours=3, proven=False, proven_on=NIGHT)
    (gap,) = gaps(stretches([same_question]))
    assert gap.proven_on == NIGHT


def test_open_ends_stay_open():
    assert known(asked(None)) == [(None, None, False, 2)]
    assert months(stretches([asked(None)])) == []


def test_a_month_is_proven_when_each_of_its_days_is():
    questions = [asked(1, 31, hours=4), asked(32, 40, hours=1), asked(62, 70), asked(72, 80)]
    january, february, march = months(stretches([*questions, asked(41, 61, hours=2)]))
    assert (january.state, january.proven, january.gaps) == ("proven", 31, 0)
    assert (february.state, february.proven, february.oldest.hour) == ("proven", 29, 3)
    assert (march.state, march.proven, march.gaps, march.oldest.hour) == ("part", 19, 0, 2)
    (alone,) = months(stretches([asked(3, 9)]))
    assert (alone.state, alone.proven, alone.gaps) == ("part", 7, 0)


def test_studies_without_a_date_are_a_gap_only_once_they_were_asked_for():
    assert undated_gaps(None) == []
    assert undated_gaps(asked(None)) == []
    (gap,) = undated_gaps(asked(None, proven=False))
    assert (gap.undated, gap.first, gap.outcome) == (True, None, "refused")


@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.integers(0, 20), st.booleans()), min_size=1, max_size=25
    )
)
def test_each_date_is_as_its_newest_question_left_it(drawn):
    questions = [
        asked(first, first + more, hours=hour, proven=proven)
        for hour, (first, more, proven) in enumerate(drawn)
    ]
    found = stretches(questions)
    said = {}
    for stretch in found:
        for number in range((stretch.last - stretch.first).days + 1):
            said[stretch.first + timedelta(days=number)] = stretch
    assert sorted(said) == [min(said) + timedelta(days=n) for n in range(len(said))]
    for one, stretch in said.items():
        about = [question for question in questions if question.start <= one <= question.end]
        assert stretch.question == max(about, key=lambda question: question.id, default=None)
        proofs = [question.covered_on for question in about if question.covered_on]
        assert stretch.proven_on == max(proofs, default=None)
    calendar = months(found)
    assert sum(month.proven for month in calendar) == sum(one.is_proven for one in said.values())
    assert sum(month.gaps for month in calendar) == sum(one.is_gap for one in said.values())


def test_times_of_a_day_that_are_gaps_for_one_reason_are_one_gap_and_all_of_them_the_day():
    whole = asked(1, 3, proven=False)
    parts = [
        asked(2, hours=1, proven=False, start_time=time(hour), end_time=time(hour + 5, 59, 59))
        for hour in (18, 0, 12, 6)
    ]
    (gap,) = gaps(stretches([whole]), parts)
    assert (gap.first, gap.last, gap.start_time) == (day(1), day(3), None)
    named = gaps(stretches([whole]), parts[2:])
    assert [(one.first, one.start_time, one.end_time) for one in named] == [
        (day(1), None, None),
        (day(2), time(6), time(17, 59, 59)),
        (day(3), None, None),
    ]
