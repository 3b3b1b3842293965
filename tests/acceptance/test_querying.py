"""Every fragment of docs/querying.md is run, and all ways of asking one question must agree.

They are compared with each other, with the result that the page shows, and with what is computed
here in plain Python from the values of which the archive was made.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import itertools
import operator
import random
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite

from schema import Cycle, Database, FindWindow
from schema.coverage.asked import AskedDates
from tests.support import hospital
from tests.support.hospital import SERIES, pictures

PAGE = Path(__file__).parents[2] / "docs" / "querying.md"
ORM = {"ORM", "ORM, asynchronous", "ORM, synchronous"}
PYTHON = {"Setup", "Asynchronous", "Synchronous", "pandas"} | ORM
SQL = {"SQLite", "PostgreSQL", "SQLite and PostgreSQL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A code block: the heading above it, its language, what its first comment says it is for."""

    heading: str
    language: str
    label: str
    code: str

    def serves(self, dialect: str) -> bool:
        return dialect in self.label.lower()


def fragments() -> list[Fragment]:
    found = []
    heading = ""
    page = PAGE.read_text(encoding="utf-8")
    pattern = r"^#+ (?P<heading>[^\n]+)$|^```(?P<language>\w+)\n(?P<code>.*?)^```$"
    for match in re.finditer(pattern, page, re.MULTILINE | re.DOTALL):
        if match["heading"] and not match["language"]:
            heading = match["heading"]
            continue
        first = match["code"].split("\n", 1)[0]
        label = re.match(r"(?:--|#) (.+)$", first)
        found.append(
            Fragment(
                heading=heading,
                language=match["language"],
                label=label[1] if label and match["language"] != "text" else "",
                code=match["code"],
            )
        )
    return found


FRAGMENTS = fragments()
SETUP = next(one for one in FRAGMENTS if one.label == "Setup")
QUESTIONS = list(dict.fromkeys(one.heading for one in FRAGMENTS if one.label == "pandas"))[1:]


def below(heading: str, *labels: str) -> list[Fragment]:
    return [one for one in FRAGMENTS if one.heading == heading and one.label in labels]


def shown(heading: str) -> str:
    return next(one.code for one in FRAGMENTS if one.heading == heading and one.language == "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A filled database and how to ask it."""

    url: str
    dialect: str

    def sql(self, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Ask as another program would: by the driver alone."""
        if self.dialect == "sqlite":
            connection: Any = sqlite3.connect(self.url.removeprefix("sqlite:///"))
        else:
            connection = psycopg.connect(self.url)
        with closing(connection):
            cursor = connection.execute(statement)
            rows = cursor.fetchall()
            return [column[0] for column in cursor.description], [tuple(row) for row in rows]

    def python(self, code: str, names: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run a fragment, which may await, behind the page's set-up; return its names."""
        assert '"sqlite:///var/node.db"' in SETUP.code
        names = {} if names is None else names
        setup = SETUP.code.replace('"sqlite:///var/node.db"', repr(self.url))
        exec(compile(setup, "<set-up of querying.md>", "exec"), names)
        program = compile(code, "<querying.md>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

        async def run() -> None:
            try:
                if program.co_flags & inspect.CO_COROUTINE:
                    await eval(program, names)
                else:
                    await asyncio.to_thread(exec, program, names)
            finally:
                await names["db"].dispose()

        asyncio.run(run())
        return names

    def orm(self, fragment: Fragment) -> list[list[tuple[Any, ...]]]:
        """Run a query both in an asynchronous and in a synchronous session, or as it says."""
        ways = below("Sessions", "Asynchronous", "Synchronous")[:2]
        codes = [f"{fragment.code}\n{way.code}" for way in ways]
        if fragment.label != "ORM":
            codes = [fragment.code]
        return [[tuple(row) for row in self.python(code)["rows"]] for code in codes]

    def pandas(self, code: str) -> list[tuple[Any, ...]]:
        frame = self.python(code)["frame"]
        return list(frame.itertuples(index=False, name=None))


@pytest.fixture(scope="module")
def archive(hospital_url: str) -> Archive:
    """Return the made-up archive, in a database that the tests only read."""
    return Archive(url=hospital_url, dialect=hospital_url.partition(":")[0].partition("+")[0])


def plain(value: Any) -> Any:
    """Return a value as it is compared: dates as text, whole numbers as int, nothing as None."""
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return f"{value:%H:%M:%S}"
    if isinstance(value, str):
        # SQLite keeps times of day with their fractions, as text
        return value.removesuffix(".000000") if re.match(r"\d\d:\d\d:\d\d\.", value) else value
    if hasattr(value, "item"):  # a number of numpy
        value = value.item()
    if isinstance(value, float | Decimal):
        if value != value:
            return None
        return int(value) if value == int(value) else float(value)
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return value


def compared(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [tuple(plain(value) for value in row) for row in rows]


def rendered(names: list[str], rows: list[tuple[Any, ...]]) -> str:
    """Return a result as the page shows it; NULL is a dash."""
    lines = [tuple(names), *(tuple("-" if v is None else str(v) for v in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(value.ljust(width) for value, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in lines
    )


def thickness_of(series: hospital.Series) -> float | None:
    try:
        return float(series.thickness or "")
    except ValueError:
        return None


def years_of(series: hospital.Series) -> int:
    if series.age is None:
        return -1
    return int(series.age[:3]) // {"Y": 1, "M": 12}[series.age[3]]


def cohort() -> list[tuple[Any, ...]]:
    return sorted(
        (one.patient, years_of(one), one.day, thickness_of(one), len(one.instances))
        for one in SERIES
        if one.modality == "CT"
        and one.day.year == 2023
        and years_of(one) > 50
        and (thickness_of(one) or 9) < 1
    )


def both_modalities() -> list[tuple[Any, ...]]:
    modalities, studies = defaultdict(set), defaultdict(set)
    for one in pictures():
        if one.series.modality in {"CT", "MR"}:
            modalities[one.patient].add(one.series.modality)
            studies[one.patient].add(one.series.study)
    return [
        ("General", patient, len(studies[patient]))
        for patient, names in sorted(modalities.items())
        if len(names) == 2
    ]


def follow_ups() -> list[tuple[Any, ...]]:
    days = defaultdict(set)
    for one in pictures():
        if one.series.modality == "CT":
            days[one.patient].add(one.series.day)
    return [
        (patient, first, following, (following - first).days)
        for patient, all_days in sorted(days.items())
        for first, following in itertools.pairwise(sorted(all_days))
    ]


def decades() -> list[tuple[Any, ...]]:
    ages = {one.study: years_of(one) for one in SERIES}
    counts = Counter(None if age < 0 else age // 10 * 10 for age in ages.values())
    return sorted(counts.items(), key=lambda item: (item[0] is None, item[0]))


def by_model() -> list[tuple[Any, ...]]:
    images, studies = Counter(), defaultdict(set)
    for one in SERIES:
        images[one.manufacturer, one.model] += len(one.instances)
        studies[one.manufacturer, one.model].add(one.study)
    keys = sorted(images, key=lambda key: (key[0] is None, key))
    return [(*key, images[key], len(studies[key])) for key in keys]


def protocols() -> list[tuple[Any, ...]]:
    series, images = Counter(), Counter()
    for one in SERIES:
        if one.modality in {"CT", "MR"}:
            series[one.station, one.protocol] += 1
            images[one.station, one.protocol] += len(one.instances)
    return [(*key, series[key], images[key]) for key in sorted(series)]


def not_square() -> list[tuple[Any, ...]]:
    return [
        (one.uid, *one.spacing)
        for one in SERIES
        if one.spacing is not None and one.spacing[0] != one.spacing[1]
    ]


def incomplete() -> list[tuple[Any, ...]]:
    here = Counter(one.series.study for one in pictures())
    attempts = Counter(number for number, _, _ in hospital.ATTEMPTS)
    last = {number: (state, error) for number, state, error in hospital.ATTEMPTS}
    rows = []
    for number, expected in sorted((hospital.EXPECTED | hospital.MISSING).items()):
        if number not in hospital.COMPLETE:
            state, why = last.get(number, ("pending", None))
            key = hospital.accession(number)
            rows.append((key, state, expected, here[number], attempts[number], why))
    return rows


def unknown() -> list[tuple[Any, ...]]:
    last = {}
    for day, outcome, _, message in hospital.WINDOWS:
        last[day] = (outcome, message)
    return [
        ("pacs", day, day, *answer)
        for day, answer in sorted(last.items())
        if "complete" not in answer
    ]


def gaps() -> list[tuple[Any, ...]]:
    return [
        (one.uid, number + 1, following - 1)
        for one in SERIES
        for number, following in itertools.pairwise(one.instances)
        if following > number + 1
    ]


def progress() -> list[tuple[Any, ...]]:
    members = {*hospital.MEMBERS, hospital.MEMBER_BY_ACCESSION}
    found = members & (hospital.EXPECTED | hospital.MISSING).keys()
    begun = members & {one.study for one in SERIES}
    complete = members & set(hospital.COMPLETE)
    return [(hospital.PROJECT, len(members), len(found), len(begun), len(complete))]


def disagreeing() -> list[tuple[Any, ...]]:
    return [
        (one.uid, one.patient, f"patient: the study is known under patient {one.series.patient!r}")
        for one in pictures()
        if one.patient != one.series.patient
    ]


def twice() -> list[tuple[Any, ...]]:
    seen = defaultdict(list)
    for one in pictures():
        series = one.series
        key = (one.patient, series.modality, series.model, series.day, one.time, one.instance)
        seen[key].append(series.study)
    return [
        (patient, day, f"{taken[:2]}:{taken[2:4]}:{taken[4:]}", number, len(all_), len(set(all_)))
        for (patient, _, _, day, taken, number), all_ in sorted(seen.items())
        if len(all_) > 1
    ]


def in_quarantine() -> list[tuple[Any, ...]]:
    return [
        ("conflict", "another object has this SOP Instance UID", "PACS", 1, 1),
        ("undecodable", "the dataset ends early", "MODALITY", 2, 0),
    ]


def arrived() -> list[tuple[Any, ...]]:
    studies, images = defaultdict(set), Counter()
    for one in SERIES:
        if one.received_hours_ago is not None:
            studies["MODALITY", one.modality].add(one.study)
            images["MODALITY", one.modality] += len(one.instances)
    return [(*key, len(studies[key]), images[key]) for key in sorted(images)]


def stored(folder: Path) -> list[tuple[Any, ...]]:
    images, sizes = Counter(), Counter()
    for one in pictures():
        key = (one.series.modality, f"{one.series.day:%Y-%m}")
        images[key] += 1
        sizes[key] += (folder / f"{one.uid}.dcm").stat().st_size
    return [(*key, images[key], sizes[key]) for key in sorted(images)]


def syntaxes(folder: Path) -> list[tuple[Any, ...]]:
    images, sizes = Counter(), Counter()
    for one in pictures():
        key = str(one.series.transfer_syntax)
        images[key] += 1
        sizes[key] += (folder / f"{one.uid}.dcm").stat().st_size
    return [(key, images[key], sizes[key]) for key in sorted(images)]


def headers() -> list[tuple[Any, ...]]:
    series = next(one for one in SERIES if one.uid == "2.999.103.1")
    return [(number, thickness_of(series), "8x8") for number in series.instances]


EXPECTED: dict[str, Callable[..., list[tuple[Any, ...]]]] = {
    "CT of 2023, patients over 50, slices below 1 mm": cohort,
    "Patients with both CT and MR": both_modalities,
    "Follow-ups: days from one CT to the next": follow_ups,
    "Age distribution": decades,
    "Images per manufacturer and model": by_model,
    "Protocols per scanner": protocols,
    "Series whose pixels are not square": not_square,
    "Studies found but not complete, and why": incomplete,
    "What is not known: dates that nothing proves": unknown,
    "Gaps in the instance numbers of a series": gaps,
    "Progress of a project": progress,
    "Images that disagree with their study": disagreeing,
    "One image under several UIDs": twice,
    "What is in quarantine": in_quarantine,
    "What arrived in the last day": arrived,
    "Storage per modality and month": stored,
    "Transfer syntaxes": syntaxes,
    "Headers and pixels": headers,
}


def expected(heading: str, folder: Path) -> list[tuple[Any, ...]]:
    function = EXPECTED[heading]
    return compared(function(folder) if inspect.signature(function).parameters else function())


def folder_of(archive: Archive) -> Path:
    (path,) = archive.sql("SELECT filepath FROM images ORDER BY id LIMIT 1")[1][0]
    return Path(path).parent


def random_ledger(chance: random.Random) -> list[FindWindow | Cycle]:
    """Return windows and finds of some weeks, of which the later ones speak for the same dates."""
    asked_on = datetime.fromisoformat("2025-01-01T02:00")
    rows: list[FindWindow | Cycle] = []
    for number in range(40):
        start = date(2024, 1, 1) + timedelta(days=chance.randrange(200))
        end = start + timedelta(days=chance.choice((0, 0, 3, 9, 20)))
        moment = asked_on + timedelta(hours=number // 2)
        outcome = chance.choice(("complete", "complete", "truncated", "refused"))
        keys = {"ModalitiesInStudy": "CT"} if chance.random() < 0.1 else {}
        if chance.random() < 0.2:
            asked = AskedDates(keys=keys, dates=((start, end),))
            kept = [asked.document()]
            broken = chance.choice(("cancelled", "interrupted", "failed", "running", "done"))
            rows.append(
                Cycle(kind="find", peer="pacs", outcome=broken, started_on=moment, asked=kept)
            )
            continue
        times = {"start_time": time(8), "end_time": time(9)} if chance.random() < 0.1 else {}
        rows.append(
            FindWindow(
                peer="pacs" if chance.random() < 0.9 else "other",
                query=keys,
                start_date=start,
                end_date=start if times else end,
                outcome=outcome,
                asked_on=moment,
                covered_on=moment if outcome == "complete" and chance.random() < 0.8 else None,
                **times,
            )
        )
    return rows


def each_day(rows: Iterable[tuple[Any, ...]]) -> set[tuple[str, date]]:
    """Return each day of gaps."""
    return {
        (peer, first + timedelta(days=number))
        for peer, start, end, *_ in rows
        for first, last in [(date.fromisoformat(str(start)), date.fromisoformat(str(end)))]
        for number in range((last - first).days + 1)
    }


@pytest.mark.parametrize("seed", [0, 2])
def test_the_dates_that_nothing_proves_are_the_gaps_of_coverage(migrated_url, seed):
    with Database(migrated_url).sync as sync, sync.session(write=True) as session:
        session.add_all(random_ledger(random.Random(seed)))
        session.commit()
    archive = Archive(url=migrated_url, dialect=migrated_url.partition(":")[0].partition("+")[0])
    heading = "What is not known: dates that nothing proves"
    statement = next(one for one in below(heading, *SQL) if one.serves(archive.dialect))
    rows = archive.sql(statement.code)[1]
    (known,) = archive.orm(below(heading, *ORM)[0])
    assert each_day(rows) == each_day(known)
    assert {outcome for *_, outcome, _ in rows} == {"complete", "truncated", "refused", "not asked"}


def test_every_question_of_the_page_has_an_answer_here():
    assert list(EXPECTED) == QUESTIONS
    assert len(QUESTIONS) >= 12


def test_every_fragment_says_what_it_is_for():
    for one in FRAGMENTS:
        if one.language != "text":
            assert one.label in (SQL if one.language == "sql" else PYTHON), one


@pytest.mark.parametrize(
    "heading", [heading for heading in EXPECTED if heading != "Headers and pixels"]
)
def test_all_ways_of_asking_a_question_agree(archive, heading):
    truth = expected(heading, folder_of(archive))
    assert truth, "a question to which nothing is the answer shows nothing"
    statements = [one for one in below(heading, *SQL) if one.serves(archive.dialect)]
    assert len(statements) == 1
    names, rows = archive.sql(statements[0].code)
    assert compared(rows) == truth
    (orm,) = below(heading, *ORM)
    for rows in archive.orm(orm):
        assert compared(rows) == truth
    (frame,) = below(heading, "pandas")
    assert sorted(compared(archive.pandas(frame.code)), key=repr) == sorted(truth, key=repr)
    assert shown(heading) == rendered(names, truth)


def test_headers_and_pixels_come_back_in_every_way(archive):
    heading = "Headers and pixels"
    truth = expected(heading, folder_of(archive))
    (statement,) = below(heading, "SQLite and PostgreSQL")
    paths = [Path(path) for (path,) in archive.sql(statement.code)[1]]
    assert [path.is_file() for path in paths] == [True] * len(truth)
    for label in ("Asynchronous", "Synchronous"):
        (fragment,) = below(heading, label)
        assert compared(archive.python(fragment.code)["rows"]) == truth
    (frame,) = below(heading, "pandas")
    assert compared(archive.pandas(frame.code)) == truth
    assert shown(heading) == rendered(["number", "thickness", "shape"], truth)


def test_relationships_are_walked_as_the_page_says(archive, capsys):
    here = Counter(one.series.uid for one in pictures())
    members = {*hospital.MEMBERS, hospital.MEMBER_BY_ACCESSION}
    patients = {one.patient for one in SERIES if one.study in members}
    truth = sorted(
        f"{one.patient} {hospital.accession(one.study)} {one.modality} {here[one.uid]}"
        for one in SERIES
        if one.patient in patients
    )
    looked, named, refused = below("Relationships", "Synchronous", "Asynchronous")
    for fragment in (looked, named):
        archive.python(fragment.code)
        assert sorted(capsys.readouterr().out.splitlines()) == truth
    archive.python(refused.code)
    assert capsys.readouterr().out == shown("Relationships")


def test_sessions_are_used_as_the_page_says(archive):
    query = "query = select(Image.image_uid).order_by(Image.image_uid)\n"
    taken, run = below("Sessions", "Synchronous")[1:]
    imported = taken.code.partition("\nwith ")[0]
    for code in (taken.code, f"{imported}\n{run.code}"):
        names = archive.python(code)
        assert names["counts"] == {"2.999.101": 6, "2.999.103": 5}
    frame = archive.pandas(query + below("Sessions", "pandas")[0].code)
    assert frame == [(uid,) for uid in sorted(one.uid for one in pictures())]


def test_dates_are_compared_as_the_page_says(archive):
    heading = "Dates and times"
    days = {one.study: one.day for one in SERIES}
    truth = [
        (hospital.accession(study),)
        for study, day in sorted(days.items(), key=operator.itemgetter(1))
        if date(2023, 11, 1) <= day < date(2024, 2, 1)
    ]
    (orm,) = below(heading, *ORM)
    for rows in archive.orm(orm):
        assert rows == truth
    assert shown(heading) == rendered(["accession_number"], truth)
    count = "SELECT count(*) FROM studies WHERE {} = '2024-01-20'"
    seen = archive.sql(count.format("study_date"))[1][0][0]
    assert seen == (0 if archive.dialect == "sqlite" else 1)
    assert archive.sql(count.format("date(study_date)"))[1] == [(1,)]


def test_values_of_the_header_are_the_same_in_both_databases(archive):
    heading = "Attributes of the header"
    (orm,) = below(heading, *ORM)
    truth = [("2.999.105.1.1", "Example^05", None), ("2.999.105.1.2", "Example^05", None)]
    for rows in archive.orm(orm):
        assert rows == truth
    assert shown(heading) == rendered(["image_uid", "PatientName", "SliceThickness"], truth)


def cells() -> list[tuple[str, str, str]]:
    """Return what, on SQLite, on PostgreSQL: the rows of the table of expressions."""
    section = PAGE.read_text(encoding="utf-8").split("## Attributes of the header", 1)[1]
    return re.findall(r"^\| ([^|`]+) \| `(.+?)` \| `(.+?)` \|$", section, re.MULTILINE)


def number_below_one(one: hospital.Picture) -> bool:
    return (thickness_of(one.series) or 9) < 1


EXPRESSIONS: dict[str, Callable[[hospital.Picture], Any]] = {
    "a text": lambda one: one.series.protocol,
    "the second of several": lambda one: one.series.spacing and one.series.spacing[1],
    "a person's name": lambda one: f"Example^{one.series.patient[2:]}",
    "whether it is a number": lambda one: thickness_of(one.series) is not None,
    "a number that is below 1": number_below_one,
    "a number, else NULL": lambda one: thickness_of(one.series),
    "whether a value is among several": lambda one: one.series.modality == "CT",
}


def test_every_expression_of_the_table_is_tested():
    assert [what for what, _, _ in cells()] == list(EXPRESSIONS)


@pytest.mark.parametrize("what", EXPRESSIONS)
def test_the_expressions_for_attributes_say_what_the_header_says(archive, what):
    (_, sqlite, postgresql) = next(row for row in cells() if row[0] == what)
    expression = sqlite if archive.dialect == "sqlite" else postgresql
    rows = dict(archive.sql(f"SELECT image_uid, {expression} FROM images")[1])
    for one in pictures():
        said, truth = rows.pop(one.uid), EXPRESSIONS[what](one)
        if isinstance(truth, bool):
            said = bool(said)
        elif isinstance(truth, float):
            said = float(said)
        assert said == truth, one
    assert rows == {}


def test_a_plain_cast_does_the_harm_that_the_page_says(archive):
    if archive.dialect == "sqlite":
        assert archive.sql("SELECT CAST('n/a' AS REAL)")[1] == [(0.0,)]
        return
    with pytest.raises(psycopg.errors.InvalidTextRepresentation, match="n/a"):
        archive.sql("SELECT (meta #>> '{00180050,Value,0}')::float8 FROM images")


HEADING = "Indexes for meta"


def plan_of(archive: Archive, index: str, statement: str) -> str:
    """Return the plan of a statement when an index is there; the index goes with the test."""
    if archive.dialect == "sqlite":
        with closing(sqlite3.connect(archive.url.removeprefix("sqlite:///"))) as connection:
            connection.execute("BEGIN")
            connection.execute(index)
            lines = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            connection.rollback()
            return "\n".join(str(line[-1]) for line in lines)
    with closing(psycopg.connect(archive.url)) as connection:
        connection.execute(index)
        # 36 rows are read faster without any index
        connection.execute("SET LOCAL enable_seqscan = off")
        lines = connection.execute(f"EXPLAIN {statement}").fetchall()
        connection.rollback()
        return "\n".join(str(line[0]) for line in lines)


def as_sql(archive: Archive, fragment: Fragment) -> str:
    """Return the query that a Python fragment makes, with its values in it."""
    query = archive.python(fragment.code)["query"]
    dialect = sqlite.dialect() if archive.dialect == "sqlite" else postgresql.psycopg.dialect()
    return str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def indexes(archive: Archive) -> list[str]:
    """Return the page's CREATE INDEX statements for a database."""
    own = [one for one in below(HEADING, *SQL) if one.serves(archive.dialect)]
    return [one.code for one in own if "CREATE INDEX" in one.code]


def test_an_index_on_one_attribute_serves_sql_and_the_orm(archive):
    index = indexes(archive)[0]
    expression = next(row for row in cells() if row[0] == "a number, else NULL")
    chosen = expression[1 if archive.dialect == "sqlite" else 2]
    (orm,) = below(HEADING, "ORM")
    for statement in (
        f"SELECT image_uid FROM images WHERE {chosen} < 0.55",
        as_sql(archive, orm),
    ):
        assert "ix_slice_thickness" in plan_of(archive, index, statement), statement
    truth = [(one.uid,) for one in pictures() if (thickness_of(one.series) or 9) < 0.55]
    assert truth
    for rows in archive.orm(orm):
        assert sorted(rows) == truth


def test_a_gin_index_serves_every_question_of_what_meta_contains(archive):
    if archive.dialect == "sqlite":
        assert len(indexes(archive)) == 1  # there is no such index
        return
    index = indexes(archive)[1]
    (asked,) = (one for one in below(HEADING, "PostgreSQL") if one.code not in indexes(archive))
    (orm,) = below(HEADING, "ORM, synchronous")
    scan = "Bitmap Index Scan on ix_images_meta"
    assert scan in plan_of(archive, index, asked.code)
    names = archive.python(orm.code)
    with names["db"].sync as sync, sync.engine.connect() as connection:
        connection.exec_driver_sql(index)
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        event.listen(
            connection,
            "before_cursor_execute",
            lambda _connection, _cursor, statement, values, *_: (f"EXPLAIN {statement}", values),
            retval=True,
        )
        assert scan in "\n".join(connection.scalars(names["query"]))
    truth = [(one.uid,) for one in pictures() if one.series.protocol == "Cardiac"]
    assert archive.sql(asked.code)[1] == truth
    assert archive.orm(orm) == [truth]


def test_on_postgresql_an_index_that_can_fail_refuses_images(postgresql):
    name = postgresql.create_database()
    (index,) = (one.code for one in below(HEADING, "PostgreSQL") if "ix_slice" in one.code)
    failing = "CREATE INDEX ON images (((meta #>> '{00180050,Value,0}')::float8))"
    image = """INSERT INTO images VALUES ('{"00180050": {"vr": "DS", "Value": ["n/a"]}}')"""
    with closing(psycopg.connect(postgresql.url(name), autocommit=True)) as connection:
        connection.execute("CREATE TABLE images (meta jsonb)")
        connection.execute(index)
        connection.execute(image)
        connection.execute("TRUNCATE images")
        connection.execute(failing)
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            connection.execute(image)
    postgresql.drop_database(name)
