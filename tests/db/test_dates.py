"""Dates and times in queries: one answer on both databases, however the value is written."""

import operator
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import and_, create_engine, exc, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema import (
    Database,
    FindWindow,
    Image,
    Patient,
    Study,
    StudyFind,
    add_images,
    study_metadata,
)
from schema.errors import InvalidDate
from tests.db.records import record

DAYS = (date(2026, 11, 18), date(2026, 11, 19), date(2026, 11, 20), date(2026, 11, 21))
DAY = DAYS[2]
SPELLINGS = [
    DAY,
    datetime(2026, 11, 20),  # noqa: DTZ001 - as the columns are
    datetime(2026, 11, 20, tzinfo=timezone(timedelta(hours=9))),
    "2026-11-20",
    "20261120",
    "2026.11.20",
    "2026-11-20T00:00",
    "2026-11-20 00:00:00.000000",
    "20261120000000",
    " 2026-11-20 ",
]
COMPARISONS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
TIMES = (time(9), time(10, 20, 1), time(10, 20, 1, 500_000), time(23, 59, 59))
NOON = datetime(2026, 11, 20, 12)  # noqa: DTZ001
MOMENTS = (NOON - timedelta(days=1), NOON - timedelta(hours=12), NOON, NOON + timedelta(hours=12))


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001


async def fill(session: AsyncSession) -> None:
    """Put a study of each day in, with a time and a moment each, and one that has none of them."""
    records = [
        record(
            f"{n}", f"{n}", f"{n}", patient_id=f"{n}", study_date=midnight(day), received_on=when
        )
        for n, (day, when) in enumerate(zip(DAYS, MOMENTS, strict=True))
    ]
    await add_images(session, [*records, record("none", "none", "none", patient_id="none")])
    for number, (day, taken) in enumerate(zip(DAYS, TIMES, strict=True)):
        image = await Image.by_uid(session, f"{number}")
        image.acquisition_time = taken
        patient = await Patient.by_identifier(session, f"{number}")
        patient.PatientBirthDate = day
        session.add(StudyFind(study_uid=f"{number}", study_date=day))
        session.add(FindWindow(outcome="complete", start_date=day, end_date=day.isoformat()))


@pytest.fixture
async def dated(db: Database) -> Database:
    async with db.begin() as session:
        await fill(session)
    return db


async def both(db: Database, column: Any, condition: Any) -> list[Any]:
    """Ask in an asynchronous and in a synchronous session; return the one answer."""
    query = select(column).where(condition).order_by(column)
    async with db.session() as session:
        asynchronous = (await session.scalars(query)).all()
    with db.sync.session() as session:
        assert session.scalars(query).all() == asynchronous
    return list(asynchronous)


def conditions(column: Any, value: Any) -> Iterator[tuple[str, Any]]:
    for name, compare in COMPARISONS.items():
        yield name, compare(column, value)


async def test_a_study_date_compares_alike_however_the_date_is_written(dated):
    others = [Image.StudyDate, StudyFind.StudyDate, Patient.PatientBirthDate]
    spellings = {Study.StudyDate: SPELLINGS}
    spellings |= dict.fromkeys((*others, study_metadata.c.study_date), (DAY, "2026-11-20"))
    for column, values in spellings.items():
        for value in values:
            for name, condition in conditions(column, value):
                right = [midnight(day) for day in DAYS if COMPARISONS[name](day, DAY)]
                assert await both(dated, column, condition) == right, (column, name, value)


async def test_between_and_in_take_every_spelling_of_a_date_mixed(dated):
    column = Study.StudyDate
    for first in SPELLINGS:
        condition = column.between(first, "20261121")
        assert await both(dated, column, condition) == [midnight(day) for day in DAYS[2:]], first
        condition = ~column.between(first, DAYS[3])
        assert await both(dated, column, condition) == [midnight(day) for day in DAYS[:2]], first
        chosen = column.in_([first, date(2026, 11, 18), "2026-11-19", "20261120"])
        assert await both(dated, column, chosen) == [midnight(day) for day in DAYS[:3]], first
        others = column.not_in([first, "2026-11-18"])
        assert await both(dated, column, others) == [midnight(DAYS[1]), midnight(DAYS[3])], first
    assert await both(dated, column, column.in_([])) == []
    assert await both(dated, column, column.in_([None, "20261120"])) == [midnight(DAY)]
    assert await both(
        dated, column, column.is_distinct_from("20261120") & (column < "20261121")
    ) == [midnight(day) for day in DAYS[:2]]


async def test_a_time_of_day_compares_alike_however_it_is_written(dated):
    column = Image.AcquisitionTime
    exact = time(10, 20, 1)
    for value in [exact, "10:20:01", "102001", "10:20:01.000", "T10:20:01", " 102001.0 "]:
        for name, condition in conditions(column, value):
            right = [taken for taken in TIMES if COMPARISONS[name](taken, exact)]
            assert await both(dated, column, condition) == right, (name, value)
        assert await both(dated, column, column.between(value, "2359")) == list(TIMES[1:3]), value
        assert await both(dated, column, column.in_([value, "09"])) == list(TIMES[:2]), value


async def test_a_moment_is_compared_with_a_date_as_its_midnight_and_in_utc(dated):
    column = Image.received_on
    values = {
        DAY: midnight(DAY),
        "2026-11-20": midnight(DAY),
        NOON: NOON,
        NOON.replace(tzinfo=UTC): NOON,
        NOON.replace(tzinfo=timezone(timedelta(hours=12))): midnight(DAY),
        "2026-11-20T12:00:00Z": NOON,
        "2026-11-20T14:00+02:00": NOON,
        "20261120130000+0100": NOON,
    }
    for value, moment in values.items():
        for name, condition in conditions(column, value):
            right = [when for when in MOMENTS if COMPARISONS[name](when, moment)]
            assert await both(dated, column, condition) == right, (name, value)


async def test_the_days_of_a_window_compare_with_dates_moments_and_texts(dated):
    for column, values in {
        FindWindow.start_date: SPELLINGS,
        FindWindow.end_date: (DAY, "2026-11-20"),
    }.items():
        for value in values:
            for name, condition in conditions(column, value):
                right = [day for day in DAYS if COMPARISONS[name](day, DAY)]
                assert await both(dated, column, condition) == right, (name, value)
        for value in (NOON, "2026-11-20 12:00"):
            for name, condition in conditions(column, value):
                right = [day for day in DAYS if COMPARISONS[name](midnight(day), NOON)]
                assert await both(dated, column, condition) == right, (name, value)


async def test_dates_still_add_up_and_can_be_functions(dated):
    day = Study.study_date
    if dated.dialect == "postgresql":  # SQLite cannot add
        assert await both(dated, day, day - timedelta(days=1) >= "2026-11-20") == [
            midnight(DAYS[3])
        ]
        assert await both(dated, day, day - "2026-11-19" == timedelta(days=1)) == [midnight(DAY)]
    assert await both(dated, day, func.date(day) == DAY) == [midnight(DAY)]
    known = func.coalesce(day, midnight(DAYS[3]))
    assert await both(dated, day, known < "20261119") == [midnight(DAYS[0])]
    literal = select(day).where(and_(day > "20261118", day <= date(2026, 11, 19)))
    with dated.sync.engine.connect() as connection:
        plain = str(literal.compile(connection, compile_kwargs={"literal_binds": True}))
        assert connection.exec_driver_sql(plain).all() != []


WRONG = ["yesterday", "2026", "2026-11", "202611", "20261320", "", "20261118-20261120", time(1), 3]


def test_what_is_no_date_is_refused_where_it_is_written():
    for wrong in WRONG:
        with pytest.raises(InvalidDate, match="is no date: write '2024-01-31', or a datetime.date"):
            _ = Study.StudyDate >= wrong
        with pytest.raises(InvalidDate, match="is no date: write '2024-01-31', or a datetime.date"):
            Study.StudyDate.in_([wrong, DAY])
    for wrong in ["noon", "25:00", DAY, "2026-11-20", 5]:
        with pytest.raises(InvalidDate, match="is no time of day: write '10:15:30'"):
            _ = Image.AcquisitionTime == wrong


async def test_what_is_no_date_is_refused_unquoted_where_it_is_run(dated):
    for wrong in WRONG:
        with pytest.raises(InvalidDate, match="the database refuses it: a value is no date") as one:
            with dated.sync.session() as session:
                session.execute(select(Study).where(Study.StudyDate.in_([DAY, wrong])))
        with pytest.raises(InvalidDate, match="the database refuses it: a value is no date") as two:
            async with dated.begin() as session:
                session.add(Study(study_uid="wrong", study_date=wrong))
        assert repr(wrong) not in f"{one.value}{two.value}"


async def test_a_day_is_among_no_moments(dated):
    with pytest.raises(InvalidDate, match="it has a time of day"):
        FindWindow.start_date.in_([NOON, DAY])
    with pytest.raises(InvalidDate, match="the database refuses it"):
        async with dated.session() as session:
            await session.execute(select(FindWindow).where(FindWindow.start_date.in_([DAY, NOON])))


async def test_another_program_s_engine_gets_the_same_answers(dated):
    engine = create_engine(dated.sync.engine.url)
    try:
        with engine.connect() as connection:
            query = select(Study.study_date).where(Study.StudyDate >= "2026-11-20")
            assert connection.scalars(query.order_by(Study.study_date)).all() == [
                midnight(day) for day in DAYS[2:]
            ]
            with pytest.raises(exc.StatementError, match="'soon' is no date"):
                connection.execute(query.where(Study.study_date.in_([DAY, "soon"])))
    finally:
        engine.dispose()
