"""What earlier finds have found is held against the next: studies day by day, and wide windows."""

from datetime import date, datetime, time

import pytest

from schema import record_found
from schema.cycles import start_cycle
from schema.finding.answer import StudyAnswer
from schema.finding.asking import add_window
from schema.finding.per_day import known_minutes, known_per_day
from schema.finding.windows import cut_at, was_silent, widest_answered
from schema.tables.columns import utcnow


async def test_the_studies_of_each_day_that_a_pacs_has_are_known(db):
    days = [datetime.fromisoformat(f"2024-01-0{day}") for day in (1, 1, 5)] + [None]
    async with db.begin() as session:
        for peer in ("pacs", "other"):
            answers = [
                StudyAnswer(study_uid=f"1.{n}", study_date=day) for n, day in enumerate(days)
            ]
            await record_found(session, answers, peer=peer)
    async with db.session() as session:
        assert await known_per_day(session, "pacs") == {date(2024, 1, 1): 2, date(2024, 1, 5): 1}
        assert await known_per_day(session, "nobody") == {}


async def test_the_times_of_the_studies_of_days_with_many_are_known(db):
    moments = [(1, time(9, 30)), (1, time(8)), (1, None), (2, time(8)), (3, None), (3, None)]
    answers = [
        StudyAnswer(study_uid=f"1.{n}", study_date=datetime(2024, 1, day), study_time=moment)  # noqa: DTZ001
        for n, (day, moment) in enumerate(moments)
    ]
    async with db.begin() as session:
        await record_found(session, answers, peer="pacs")
    january = {"start": date(2024, 1, 1), "end": date(2024, 1, 31)}
    async with db.session() as session:
        assert await known_minutes(session, "pacs", above=1, **january) == {
            date(2024, 1, 1): [480, 570],
            date(2024, 1, 3): [],
        }
        later = january | {"start": date(2024, 1, 2)}
        assert list(await known_minutes(session, "pacs", above=0, **later)) == [
            date(2024, 1, 2),
            date(2024, 1, 3),
        ]
        assert await known_minutes(session, "pacs", above=3, **january) == {}


@pytest.mark.parametrize("query", [{}, {"PatientID": "5"}], ids=["all", "of one patient"])
async def test_what_was_asked_for_with_a_key_says_nothing_about_windows_without_one(db, query):
    async with db.begin() as session:
        cycle = await start_cycle(session, "find", "pacs", "NODE", 1)
        for outcome, covered in (("complete", utcnow()), ("truncated", None)):
            await add_window(
                session,
                cycle_id=cycle,
                peer="pacs",
                query=query,
                start_date=date(2024, 1, 1),
                end_date=date(2024, 12, 31),
                outcome=outcome,
                matches=7,
                facts={"covered_on": covered},
            )
    async with db.session() as session:
        assert await widest_answered(session, "pacs") == (0 if query else 366)
        assert await cut_at(session, "pacs") == (None if query else 7)


async def asked_for(db, first, last, answers, *, parent=None, query=None, hour=None):
    """Record a question about days of January, or one hour of a day; return the key of its row."""
    times = {} if hour is None else {"start_time": time(hour), "end_time": time(hour, 59)}
    async with db.begin() as session:
        return await add_window(
            session,
            cycle_id=None,
            peer="pacs",
            query=query or {},
            start_date=date(2024, 1, first),
            end_date=date(2024, 1, last),
            outcome="complete",
            matches=answers,
            facts={"parent_id": parent, "answers": answers, "status": 0, **times},
        )


@pytest.mark.parametrize(
    ("later", "silent"),
    [
        (None, True),
        ({"first": 1, "last": 20, "answers": 1}, False),
        ({"first": 1, "last": 31, "answers": 30}, False),
        ({"first": 1, "last": 20, "answers": 0}, True),
        ({"first": 1, "last": 19, "answers": 4}, True),
        ({"first": 1, "last": 20, "answers": 4, "query": {"PatientID": "5"}}, True),
        ({"first": 3, "last": 3, "answers": 4, "hour": 8}, True),
    ],
)
async def test_a_pacs_was_silent_unless_it_has_answered_the_same_question_since(later, silent, db):
    nothing = await asked_for(db, 1, 20, 0)
    async with db.session() as session:
        assert not await was_silent(session, "pacs")
    await asked_for(db, 1, 10, 1, parent=nothing)
    if later is not None:
        await asked_for(db, **later)
    async with db.session() as session:
        assert await was_silent(session, "pacs") == silent
        assert not await was_silent(session, "another")


async def test_a_pacs_was_silent_where_one_of_two_such_answers_stands(db):
    for first, again in ((1, 0), (11, 3)):
        nothing = await asked_for(db, first, first + 5, 0)
        await asked_for(db, first, first, 2, parent=nothing)
        await asked_for(db, first, first + 5, again)
    async with db.session() as session:
        assert await was_silent(session, "pacs")
