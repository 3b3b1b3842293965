"""One find over the network at one PACS, and what the database says of it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import select

from node.dicom.profile import PeerProfile
from node.dicom.query import StudyQuery, Window
from node.ops.finding.find import find
from node.ops.finding.report import FindReport, WindowResult
from node.ops.stalls import TimeLimits
from schema import Database, FindWindow, StudyFind
from schema.coverage.ledger import Coverage, get_coverage
from schema.header.values import parse_date, parse_time
from tests.finding.oracle import Limits, fewest_questions
from tests.support.misbehaving import misbehaving_pacs

PATIENCE = TimeLimits(quiet=1.0, total=20.0)
"""Of each question, in seconds: everything is in this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A PACS, and what is asked of it.

    Attributes
    ----------
    settings
        Of the simulated PACS.
    profile
        What is known of it before.
    """

    name: str
    start: date
    end: date
    settings: Mapping[str, Any]
    profile: PeerProfile
    undated: bool = False

    @property
    def window(self) -> Window:
        """The dates that are asked for."""
        return Window(start=self.start, end=self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study that the PACS has."""

    uid: str
    day: date | None
    moment: time | None


@dataclass(kw_only=True)
class Verdict:
    """What a find came to.

    Attributes
    ----------
    wrong
        What must not be, in words; none when all is well.
    truth, missing, gaps
        Studies that were to be found, those that were not, and gaps that the find names.
    asked, fewest
        Questions that the PACS was asked, and those that would have done.
    brought
        Whether any study came.
    unanswered, by_keys, by_times
        Questions that were refused or not answered, with further keys, about times of a day.
    """

    case: Case
    wrong: list[str] = field(default_factory=list)
    truth: int = 0
    missing: int = 0
    gaps: int = 0
    asked: int = 0
    fewest: float = 0.0
    brought: bool = False
    unanswered: int = 0
    by_keys: int = 0
    by_times: int = 0

    @property
    def allowed(self) -> float:
        """How many questions are not too many."""
        return 3 * self.fewest + sum(one.questions for one in ALLOWANCES if one.applies(self))


async def played(case: Case, database: Database) -> Verdict:
    """Have a find ask a PACS with the settings of a case, and judge what it has recorded."""
    async with misbehaving_pacs(**case.settings) as pacs:
        before = pacs.truth()
        changed_on: list[datetime] = []
        due = _change_at(case.settings)

        def watch(_: WindowResult) -> None:
            if due is not None and not changed_on and pacs.counters.questions >= due:
                changed_on.append(datetime.now(UTC).replace(tzinfo=None))

        report = await find(
            database,
            pacs.peer(dimse=2.0),
            [
                StudyQuery(window=window)
                for window in (case.window, Window(undated=True))[: 1 + case.undated]
            ],
            node="NODE",
            limits=PATIENCE,
            profile=case.profile,
            watch=watch,
        )
        asked = pacs.counters.questions
        truth = {**before, **pacs.truth()}
        constant = set(before) & set(pacs.truth())
    studies = [_study(uid, attributes) for uid, attributes in truth.items()]
    verdict = Verdict(case=case, asked=asked, gaps=len(report.failures))
    await _judge(verdict, report, database, studies, constant)
    of_days = [(one.day, one.moment) for one in studies if one.day is not None]
    verdict.fewest = fewest_questions(of_days, case.start, case.end, limits_of(case.settings))
    verdict.fewest += case.undated
    if asked > verdict.allowed:
        verdict.wrong.append(f"{asked} questions, {verdict.fewest:.0f} would have done")
    return verdict


async def _judge(
    verdict: Verdict,
    report: FindReport,
    database: Database,
    studies: list[Study],
    constant: set[str],
) -> None:
    case = verdict.case
    async with database.session() as session:
        recorded = set(await session.scalars(select(StudyFind.study_uid)))
        rows = list(await session.scalars(select(FindWindow).order_by(FindWindow.id)))
        coverage = await get_coverage(session, peer="pacs")
    uids = {one.uid for one in studies}
    if invented := recorded - uids:
        verdict.wrong.append(f"recorded, and not there: {sorted(invented)[:3]}")
    wanted = [
        one
        for one in studies
        if one.uid in constant
        and (case.window.contains(one.day) if one.day is not None else case.undated)
    ]
    missing = [one for one in wanted if one.uid not in recorded]
    verdict.truth, verdict.missing = len(wanted), len(missing)
    verdict.brought = bool(recorded)
    verdict.unanswered = sum(row.outcome in {"refused", "failed"} for row in rows)
    verdict.by_keys = sum(bool(row.axes) for row in rows)
    verdict.by_times = sum(row.start_time is not None for row in rows)
    for one in missing:
        named = [row for row in rows if _names(row, one)]
        if any(row.covered_on is not None and not row.axes for row in named):
            verdict.wrong.append(f"missing in a proven window: {one}")
        elif not named:
            verdict.wrong.append(f"missing, and in no window that was asked: {one}")
        elif not any(row.outcome != "complete" for row in named):
            verdict.wrong.append(f"missing in a window that is said to be complete: {one}")
        if not _is_gap(coverage, one):
            verdict.wrong.append(f"missing, and coverage names no gap: {one}")
        if len(verdict.wrong) > 3:
            break
    if missing and not report.failures:
        verdict.wrong.append("studies are missing, and the find names no gap")
    if bool(report.failures) != any(scope.gaps for scope in coverage):
        verdict.wrong.append(
            f"the find names {len(report.failures)} gaps, coverage "
            f"{sum(len(scope.gaps) for scope in coverage)}"
        )
    if any(not gap.message or gap.outcome == "complete" for gap in report.failures):
        verdict.wrong.append("a gap without a reason, or said to be complete")


def _names(row: FindWindow, one: Study) -> bool:
    if row.axes:
        return False
    if one.day is None:
        return row.undated
    if row.undated or row.start_date is None or row.end_date is None:
        return False
    if not row.start_date <= one.day <= row.end_date:
        return False
    if row.start_time is None or row.end_time is None:
        return True
    return one.moment is not None and row.start_time <= one.moment <= row.end_time


def _is_gap(coverage: list[Coverage], one: Study) -> bool:
    return any(
        gap.undated
        if one.day is None
        else (
            not gap.undated
            and (gap.first or date.min) <= one.day <= (gap.last or date.max)
            and (
                one.moment is None
                or gap.start_time is None
                or gap.end_time is None
                or gap.start_time <= one.moment <= gap.end_time
            )
        )
        for scope in coverage
        for gap in scope.gaps
    )


def _study(uid: str, attributes: Mapping[str, tuple[str, ...]]) -> Study:
    return Study(
        uid=uid,
        day=parse_date(next(iter(attributes.get("StudyDate", ())), "")),
        moment=parse_time(next(iter(attributes.get("StudyTime", ())), "")),
    )


def _change_at(settings: Mapping[str, Any]) -> int | None:
    for name in ("late", "gone"):
        if name in settings:
            return settings[name]["after_questions"]
    return None


def limits_of(settings: Mapping[str, Any]) -> Limits:
    """Return what an oracle would have to go by at a PACS with these settings."""
    ignored = settings.get("ignore", ())
    ranges = "ignored" if "StudyDate" in ignored else settings.get("date_ranges", "honest")
    cap = _cap_of(settings)
    widest = settings["widest"]["days"] if "widest" in settings else None
    if "StudyDate" in ignored:
        cap = widest = None  # one question brings what there is to be had
    elif ranges != "honest" and (ranges != "ignored" or cap is not None):
        widest = 1  # only single dates can be asked for
    times = "StudyTime" not in ignored and settings.get("time_ranges", "honest") == "honest"
    return Limits(cap=cap, widest=widest, times=times, again=_again(settings))


def _cap_of(settings: Mapping[str, Any]) -> int | None:
    """Return how many studies an answer has at most that comes to its end with any of them."""
    drop = settings.get("drop", {})
    caps: tuple[int | None, ...] = (
        settings.get("cap", {}).get("studies"),
        settings.get("short", {}).get("STUDY"),
        drop["answers"] if drop.get("every") == 1 else None,
    )
    return min((one for one in caps if one is not None), default=None)


def _again(settings: Mapping[str, Any]) -> float:
    """Return how often a question is asked for one answer."""
    again: float = 1.0 + settings.get("refuse", {}).get("first", 0)
    for every in (
        *(settings.get(name, {}).get("every", 0) for name in ("refuse", "silent", "endless")),
        settings.get("drop", {}).get("every", 0),
        settings["operations"]["most"] + 1 if "operations" in settings else 0,
    ):
        again *= every / (every - 1) if every > 1 else 1.0
    return again


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """Questions beyond three times the fewest, where those cannot do in principle.

    Attributes
    ----------
    questions
        How many.
    why
        Why they cannot.
    applies
        Whether this is such a PACS.
    """

    questions: int
    why: str
    applies: Callable[[Verdict], bool]


ALLOWANCES = (
    Allowance(
        questions=17,
        why="the oracle knows the counts: who does not begins with a month, doubles what was "
        "answered, and asks for the largest answers in halves",
        applies=lambda _: True,
    ),
    Allowance(
        questions=40,
        why="a year in which nothing comes is asked for in halves, down to a day: the oracle knows "
        "that there is nothing",
        applies=lambda verdict: not verdict.brought,
    ),
    Allowance(
        questions=60,
        why="windows that are refused or not answered are asked for three times, and then in "
        "parts, until 16 in a row were not answered: the oracle knows which is in vain",
        applies=lambda verdict: verdict.unanswered > 16,
    ),
    Allowance(
        questions=150,
        why="a date or a minute over the cap is asked for by further keys, which bring what they "
        "can: how many there are, or what they begin with, is not known",
        applies=lambda verdict: verdict.by_keys > 0,
    ),
    Allowance(
        questions=50,
        why="a day that is cut into times is asked once or twice more, to see a study without a "
        "time: the oracle knows that there is none",
        applies=lambda verdict: verdict.by_times > 0,
    ),
    Allowance(
        questions=100,
        why="a question that is not answered in time is not asked again, but its two halves are: "
        "the oracle asks it again",
        applies=lambda verdict: bool({"silent", "endless"} & verdict.case.settings.keys()),
    ),
    Allowance(
        questions=100,
        why="a PACS that leaves UIDs out, of which the days are looked for in halves, 16 times at "
        "most: the oracle takes any answer for whole",
        applies=lambda verdict: "StudyInstanceUID" in verdict.case.settings.get("omit", {}),
    ),
)
"""Where three times the fewest cannot do, by how many questions, and why: there are no others."""
