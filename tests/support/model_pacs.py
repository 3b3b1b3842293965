"""A PACS as the planner sees one: studies in memory, and what PACSs do to questions."""

from __future__ import annotations

import fnmatch
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from node.dicom.profile import CapKind, PeerProfile
from node.dicom.query import StudyQuery, Window
from node.ops.finding.planning.expecting import Expectation
from node.ops.finding.planning.known_days import KnownDays
from node.ops.finding.planning.planner import Planner
from node.ops.finding.planning.tree import Heard, WindowOutcome

BEGIN = datetime(2024, 1, 1)  # noqa: DTZ001 - naive UTC, as in the ledger


@dataclass(frozen=True, slots=True)
class Held:
    """A study in the PACS."""

    uid: str
    day: date | None
    moment: time | None = None
    modality: str = "CT"
    accession: str = ""
    patient: str = "P"


@dataclass(kw_only=True)
class ModelPacs:
    """Answers questions; each field is something that PACSs do.

    `cap` with its `kind`; `widest`: a wider range of days is answered with `nothing` or refused;
    `ignores`: keys; `refusals`: how often each question is refused before it is answered;
    `doubles`: each study comes twice; `hides`: attributes that are left out of the answers;
    `cuts_first`: times are held against what is left after the cap; `patients`: the most patients
    of whom studies are answered; `leaves_out_last`: the last day of a range of dates has none, but
    for those of midnight where `but_midnight`; `mute_from`: the question from which on nothing
    comes.
    """

    studies: Sequence[Held]
    cap: int | None = None
    kind: CapKind = CapKind.CUT
    widest: int | None = None
    refuses_wide: bool = False
    ignores: frozenset[str] = frozenset()
    refusals: int = 0
    doubles: bool = False
    hides: frozenset[str] = frozenset()
    cuts_first: bool = False
    mute_from: int | None = None
    but_midnight: bool = False
    patients: int | None = None
    leaves_out_last: bool = False
    asked: list[StudyQuery] = field(default_factory=list)
    _refused: Counter[StudyQuery] = field(default_factory=Counter)
    _by_day: defaultdict[date | None, list[int]] = field(default_factory=lambda: defaultdict(list))

    def put(self, query: StudyQuery) -> tuple[WindowOutcome, list[Held]]:
        """Return the last status, and the studies that came."""
        self.asked.append(query)
        assert_well_formed(query)
        if self._refused[query] < self.refusals:
            self._refused[query] += 1
            return WindowOutcome.REFUSED, []
        if self.mute_from is not None and len(self.asked) >= self.mute_from:
            return WindowOutcome.COMPLETE, []
        days = query.window.days
        dated = self._dated(query.window)
        if self.cuts_first and self.cap is not None:
            dated = list(dated)[: self.cap]
        found = [one for one in dated if self._matches(query, one)]
        if self.patients is not None:
            first = set(list(dict.fromkeys(one.patient for one in found))[: self.patients])
            found = [one for one in found if one.patient in first]
        too_wide = days is None or (self.widest is not None and days > self.widest)
        if self.widest is not None and too_wide and "dates" not in self.ignores:
            return (WindowOutcome.REFUSED if self.refuses_wide else WindowOutcome.COMPLETE), []
        outcome = WindowOutcome.COMPLETE
        if self.cap is not None and len(found) > self.cap:
            found = found[: 0 if self.kind is CapKind.EMPTY else self.cap]
            if self.kind is CapKind.REFUSED:
                outcome = WindowOutcome.REFUSED
            elif self.kind is CapKind.ANNOUNCED:
                outcome = WindowOutcome.TRUNCATED
        return outcome, found * 2 if self.doubles else found

    def _dated(self, window: Window) -> Iterable[Held]:
        """Return the studies of a range of days, in their order; of an open one, all there are."""
        if window.start is None or window.end is None or "dates" in self.ignores:
            return self.studies
        if not self._by_day:
            for place, one in enumerate(self.studies):
                self._by_day[one.day].append(place)
        number = window.days or 0
        if self.leaves_out_last and number > 1:
            number -= 1
        days = (window.start + timedelta(days=n) for n in range(number))
        places = [place for day in days for place in self._by_day.get(day, ())]
        if number != window.days and self.but_midnight:
            last = self._by_day.get(window.end, ())
            places += [place for place in last if self.studies[place].moment == time.min]
        return [self.studies[place] for place in sorted(places)]

    def _matches(self, query: StudyQuery, one: Held) -> bool:
        window = query.window
        dated = "dates" in self.ignores or window.undated or _has_day(window, one)
        timed = (
            "times" in self.ignores
            or window.first is None
            or (one.moment is not None and window.contains_time(one.moment))
        )
        return (
            dated
            and timed
            and (query.modality in {"", one.modality} or "ModalitiesInStudy" in self.ignores)
            and _like(query.accession_number, one.accession)
            and _like(query.patient_id, one.patient)
        )


def _has_day(window: Window, one: Held) -> bool:
    return one.day is not None and window.contains(one.day)


def _like(pattern: str, value: str) -> bool:
    return not pattern or fnmatch.fnmatchcase(value, pattern)


def assert_well_formed(query: StudyQuery) -> None:
    """A time range goes with one date, and no range is open."""
    window = query.window
    assert (window.start is None) == (window.end is None)
    assert window.undated == (window.start is None)
    assert (window.first is None) == (window.last is None)
    if window.first is not None and window.last is not None:
        assert window.start == window.end
        assert window.first <= window.last
    if window.start is not None and window.end is not None:
        assert window.start <= window.end


@dataclass(kw_only=True)
class Result:
    """What a find came to: what is recorded, what is named as not known, how it was asked."""

    planner: Planner
    answers: dict[StudyQuery, Heard]
    recorded: set[str]
    truth: dict[str, Held]
    asked: int

    @property
    def missing(self) -> list[Held]:
        """The studies that were not recorded."""
        return [one for uid, one in self.truth.items() if uid not in self.recorded]

    def silent(self) -> list[Held]:
        """The missing studies that no window that is not complete names."""
        windows = [node.query.window for node in self.planner.gaps()]
        return [one for one in self.missing if not any(_names(window, one) for window in windows)]

    @property
    def complete(self) -> bool:
        """Whether nothing is named as not known."""
        return not self.planner.gaps()


def _names(window: Window, one: Held) -> bool:
    if one.day is None:
        return window.undated
    if not window.contains(one.day):
        return False
    return one.moment is None or window.contains_time(one.moment)


def run(
    pacs: ModelPacs,
    window: Window,
    profile: PeerProfile | None = None,
    *,
    undated: bool = False,
    limit: int = 50_000,
    known: Mapping[StudyQuery, Heard] | None = None,
    before: int = 0,
    expected: Iterable[Held] = (),
    proven: Expectation | None = None,
) -> Result:
    """Drive a planner against a PACS, and check each answer as a find does.

    What is `known` of an earlier run is not asked again. An earlier find had an answer to a range
    of `before` days, and has found what is `expected`, or `proven` that these are all.
    """
    answers: dict[StudyQuery, Heard] = {}
    counts = Counter(one.day for one in expected if one.day is not None)
    planner = Planner(
        [StudyQuery(window=one) for one in (window, Window(undated=True))[: 1 + undated]],
        profile or PeerProfile(),
        widest=before,
        expected=proven,
        known=KnownDays.of(counts),
    )
    recorded: set[str] = set()
    left = dict(known or {})
    before = len(pacs.asked)
    while (ask := planner.next()) is not None:
        if ask.query in left:
            planner.take(left.pop(ask.query))
            continue
        outcome, came = pacs.put(ask.query)
        number = len(pacs.asked)
        assert number - before <= limit, "it never ends"
        inside, outside, days = [], [], []
        timeless = dateless = 0
        for one in dict.fromkeys(came):
            day = None if "dates" in pacs.hides else one.day
            moment = None if "times" in pacs.hides else one.moment
            if day is not None and window.contains(day):
                recorded.add(one.uid)  # what was asked for at all is kept
            if (day is not None and not ask.query.window.contains(day)) or (
                moment is not None and not ask.query.window.contains_time(moment)
            ):
                outside.append(one)
                continue
            inside.append(one)
            recorded.add(one.uid)
            timeless += moment is None
            dateless += day is None
            days += [day] if day is not None and moment is not None and moment > time.min else []
        answer = Heard(
            outcome=outcome,
            asked_on=BEGIN + timedelta(seconds=number),
            matches=len(inside),
            outside=len(outside),
            answers=len(came),
            undated=dateless,
            untimed=timeless,
            latest=max(days, default=None),
            message="out of resources" if outcome is WindowOutcome.REFUSED else "",
            retry=outcome is not WindowOutcome.FAILED,  # which has taken its time
        )
        answers[ask.query] = answer
        planner.take(answer)
        planner.changed()
    return Result(
        planner=planner,
        answers=answers,
        recorded=recorded,
        truth={
            one.uid: one
            for one in pacs.studies
            if (undated if one.day is None else window.contains(one.day))
        },
        asked=len(pacs.asked) - before,
    )


def fewest(studies: Iterable[Held], window: Window, cap: int) -> int:
    """Return how many questions it takes who knows the counts: as many days at once as fit.

    A day over the cap is cut into times in the same way.
    """
    assert window.start is not None
    assert window.end is not None
    days = Counter(one.day for one in studies)
    at_once: Counter[tuple[date | None, int]] = Counter()
    for one in studies:
        if one.moment is not None:
            at_once[one.day, one.moment.hour * 60 + one.moment.minute] += 1
    questions, taken = 0, None
    day = window.start
    while day <= window.end:
        count = days[day]
        if count > cap:
            questions += (taken is not None) + _fewest(at_once[day, n] for n in range(1440))(cap)
            taken = None
        elif taken is None or taken + count > cap:
            questions += taken is not None
            taken = count
        else:
            taken += count
        day += timedelta(days=1)
    return questions + (taken is not None)


def _fewest(counts: Iterable[int]):
    listed = list(counts)

    def packed(cap: int) -> int:
        questions, taken = 1, 0
        for count in listed:
            if taken and taken + count > cap:
                questions, taken = questions + 1, 0
            taken += count
        return questions

    return packed
