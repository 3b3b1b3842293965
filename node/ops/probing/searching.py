"""Looking for studies to try things with: small windows first, and never everything at once."""

from dataclasses import dataclass
from datetime import date, timedelta

from node.dicom.query import Window
from node.ops.probing.evidence import Asks, Evidence
from node.ops.probing.questions import ProbeAnswer, ProbeQuestion, SeenStudy
from schema.text.words import counted

FIRST_DAY = date(1900, 1, 1)
"""Where time begins: some archives have a date for what has none."""

_SPANS = (1, 7, 30, 120, 500, 2000, 8000)
"""Days, until today."""

_YEARS = 12
"""How far back single months, and then single days, are tried, where wide windows are not
answered."""

_DAYS = 3
"""How many days are tried as the one that everything is tried with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The day that everything is tried with.

    Attributes
    ----------
    subject
        A study of that day which tells as much as any.
    day
        Its date.
    answer
        What the peer has on that day.
    """

    subject: SeenStudy
    day: date
    answer: ProbeAnswer

    @property
    def window(self) -> Window:
        """The day, as it is asked for."""
        return Window(start=self.day, end=self.day)


def search(evidence: Evidence) -> Asks[Window | None]:
    """Look for studies.

    Returns
    -------
    Window
        The first window that had any; None when none had.
    """
    today = evidence.today
    until_today = [
        Window(start=max(FIRST_DAY, today - timedelta(days=span - 1)), end=today) for span in _SPANS
    ]
    for window in (*until_today, Window(start=FIRST_DAY, end=today), *_long_ago(today)):
        answer = yield from evidence.ask(ProbeQuestion(purpose="studies", window=window))
        if answer.studies:
            how = f"a question with empty keys brought {counted(len(answer.studies), 'study')}"
            evidence.prove("empty_keys", True, how)
            return window
    all_time = Window(start=FIRST_DAY, end=today)
    answer = yield from evidence.ask(
        ProbeQuestion(purpose="anything at all", window=all_time, bare=True)
    )
    if answer.stopped:
        how = "a question with no key but dates was answered, one with empty keys was not"
        evidence.prove("empty_keys", False, how)
    return None


def _long_ago(today: date) -> list[Window]:
    """Return what is worth a try when wide windows bring nothing: months, and days in mid-week."""
    months, days = [], []
    for year in range(1, _YEARS + 1):
        then = today - timedelta(days=365 * year)
        months.append(Window(start=then - timedelta(days=15), end=then + timedelta(days=14)))
        midweek = then + timedelta(days=2 - then.weekday())
        days.append(Window(start=midweek, end=midweek))
    return [*months, *days]


def choose(evidence: Evidence) -> Asks[Sample | None]:
    """Choose a day with studies that tell much of themselves, and ask for it.

    Returns
    -------
    Sample
        None when no day that was tried brings a study of that day.
    """
    of_days: dict[date, list[SeenStudy]] = {}
    for study in evidence.studies.values():
        if study.day is not None:
            of_days.setdefault(study.day, []).append(study)
    best = sorted(
        of_days,
        key=lambda day: (-max(map(_worth, of_days[day])), len(of_days[day]) < 2, len(of_days[day])),
    )
    for day in best[:_DAYS]:
        window = Window(start=day, end=day)
        answer = yield from evidence.ask(ProbeQuestion(purpose="one day", window=window))
        there = [study for study in answer.studies if study.day == day]
        if there:
            subject = min(there, key=lambda study: (-_worth(study), study.uid))
            return Sample(subject=subject, day=day, answer=answer)
    return None


def _worth(study: SeenStudy) -> int:
    told = (study.moment, study.patient_id, study.accession_number, study.modalities)
    return sum(map(bool, told)) + (len(study.modalities) > 1) + (study.moment is not None)
