"""How much a peer answers at once: windows grow until something is missing, or all is there.

Each window is a few times as wide as the one before, fewer times the more that one held, so that no
answer is much longer than the longest that the peer has given already.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from node.dicom.profile import CapKind
from node.dicom.query import Window
from node.ops.probing.evidence import Asks, Evidence, why_not
from node.ops.probing.questions import ProbeAnswer, ProbeOutcome, ProbeQuestion
from node.ops.probing.searching import FIRST_DAY, Sample

_LARGE = 1500
"""Studies in one answer after which no wider window is asked for."""

_STEPS = 12
"""Questions to find the place between what is answered and what is not: a window of 4,096 days."""

_ALL = 20_000
"""Days from which on a window may as well be all time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A window, and what it brought."""

    window: Window
    answer: ProbeAnswer

    @property
    def days(self) -> int:
        return _span(self.window)

    @property
    def found(self) -> int:
        return len(self.answer.studies)


def find_capacity(evidence: Evidence, sample: Sample, found: Window) -> Asks[None]:
    """Find out how many studies, and how many days, one question may be about.

    Parameters
    ----------
    found
        The window in which the first studies were found.
    """
    good = _first(evidence, sample, found)
    if good.answer.outcome is ProbeOutcome.ANNOUNCED:
        _prove_announced(evidence, good)
        return
    while good.window.start != FIRST_DAY and good.found < _LARGE and good.answer.whole:
        wider = yield from _plain(evidence, "wider windows", _widened(good))
        missing = evidence.known_in(wider.window) - wider.answer.uids
        outcome = wider.answer.outcome
        if outcome is ProbeOutcome.ANNOUNCED:
            _prove_announced(evidence, wider)
            return
        if outcome is ProbeOutcome.REFUSED or (wider.answer.whole and missing and not wider.found):
            yield from _find_limit(evidence, sample, good, wider)
            return
        if not wider.answer.whole:
            evidence.leave("cap", "cap_kind", "widest", why=why_not(wider.answer))
            return
        if missing or (yield from _leaves_out_the_rest(evidence, good, wider)):
            yield from _prove_cut(evidence, wider, [good.found])
            return
        good = wider
    if good.answer.whole:
        halves = yield from _halves(evidence, good)
        if len({uid for half in halves for uid in half.answer.uids}) > good.found:
            yield from _prove_cut(evidence, good, [half.found for half in halves])
            return
    if good.window.start == FIRST_DAY and good.answer.whole:
        evidence.prove("widest", 0, f"{good.window} was answered")
    evidence.leave("widest", why=f"{good.window} was answered, nothing wider was asked for")
    evidence.leave(
        "cap",
        "cap_kind",
        why=f"no limit was met; the largest answer had {evidence.largest} studies",
    )


def _first(evidence: Evidence, sample: Sample, found: Window) -> _Asked:
    """Return where to begin: the window that had the first studies, if it reaches until today."""
    for question, answer in evidence.heard:
        if question.plain and question.window == found and found.end == evidence.today:
            one = _Asked(window=found, answer=answer)
            if answer.studies and answer.outcome is not ProbeOutcome.REFUSED:
                return one
    return _Asked(window=sample.window, answer=sample.answer)


def _leaves_out_the_rest(evidence: Evidence, good: _Asked, wider: _Asked) -> Asks[bool]:
    """Tell whether an answer that is as long as that for less leaves something out."""
    if wider.found != good.found or wider.window.start is None or good.window.start is None:
        return False
    rest = Window(start=wider.window.start, end=good.window.start - timedelta(days=1))
    more = yield from _plain(evidence, "what is beside it", rest)
    return bool((evidence.known_in(rest) & more.answer.uids) - wider.answer.uids)


def _halves(evidence: Evidence, whole: _Asked) -> Asks[list[_Asked]]:
    """Ask for a window in two parts, with about as many of its studies in each."""
    days = sorted({study.day for study in whole.answer.studies if study.day is not None})
    if len(days) < 2:
        return []
    middle = days[len(days) // 2]
    halves = []
    for start, end in (
        (whole.window.start, middle - timedelta(days=1)),
        (middle, whole.window.end),
    ):
        half = yield from _plain(evidence, "halves", Window(start=start, end=end))
        halves.append(half)
    return halves


def _prove_announced(evidence: Evidence, asked: _Asked) -> None:
    how = f"with {asked.window} it said that there is more"
    evidence.prove("cap", asked.found, how)
    evidence.prove("cap_kind", CapKind.ANNOUNCED, how)
    evidence.leave("widest", why=how)


def _prove_cut(evidence: Evidence, cut: _Asked, lengths: list[int]) -> Asks[None]:
    """State that an answer was cut off; and at which number, if another one has the same length.

    Parameters
    ----------
    lengths
        Of the answers to other questions about these days.
    """
    how = f"{cut.window} brought {cut.found} studies, and not all that other questions did"
    evidence.prove("cap_kind", CapKind.CUT, how)
    last = cut
    if cut.window.start != FIRST_DAY:
        all_time = Window(start=FIRST_DAY, end=cut.window.end)
        last = yield from _plain(evidence, "all time", all_time)
        lengths = [*lengths, last.found]
    if last.answer.whole and last.found:
        evidence.prove("widest", 0, f"{last.window} was answered")
    evidence.leave("widest", why=f"{last.window} was not answered")
    if cut.found in lengths:
        evidence.prove("cap", cut.found, f"two answers ended at {cut.found} studies, and not all")
    else:
        evidence.leave(
            "cap", why=f"an answer was cut off at {cut.found} studies, but no other there"
        )


def _find_limit(evidence: Evidence, sample: Sample, good: _Asked, bad: _Asked) -> Asks[None]:
    """Find out whether it is the days or the studies that are too many, and how many are not."""
    refused = bad.answer.outcome is ProbeOutcome.REFUSED
    did = f"refused ({bad.answer.message})" if refused else "answered with nothing"
    until_today = good.window.end == evidence.today and good.found
    if not until_today and not (sample.subject.patient_id and evidence.value("wildcards")):
        why = f"{bad.window} was {did}: too many days, or too many studies"
        evidence.leave("cap", "cap_kind", "widest", why=why)
        return
    if (yield from _answers(evidence, sample, good, bad.days)):
        kind = CapKind.REFUSED if refused else CapKind.EMPTY
        how = f"{bad.window} was {did}, as many days with fewer studies were not"
        evidence.prove("cap_kind", kind, how)
        evidence.leave("widest", why=f"{bad.days} days were answered, no more were asked for")
        yield from _find_count(evidence, good, bad, did)
        return
    few, many = good.days, bad.days
    for _ in range(_STEPS):
        if many - few == 1:
            break
        middle = (few + many) // 2
        if (yield from _answers(evidence, sample, good, middle)):
            few = middle
        else:
            many = middle
    how = f"{few} days were answered, {many} days with no more studies were {did}"
    if many - few == 1:
        evidence.prove("widest", few, how)
    evidence.leave("widest", why=how)
    evidence.leave("cap", "cap_kind", why=f"no limit was met in {few} days")


def _answers(evidence: Evidence, sample: Sample, good: _Asked, days: int) -> Asks[bool]:
    """Tell whether so many days are answered, with no more studies than were answered before.

    They are days to come beside those that were answered; or days that are over, for one patient.
    """
    if good.window.end == evidence.today:
        start = good.window.start or FIRST_DAY
        window = Window(start=start, end=start + timedelta(days=days - 1))
        tried = yield from _plain(evidence, "as many days", window)
        return tried.answer.whole and good.answer.uids <= tried.answer.uids
    answer = yield from evidence.ask(
        ProbeQuestion(
            purpose="as many days",
            window=_last_days(sample.day, days),
            patient_id=sample.subject.patient_id,
        )
    )
    return answer.whole and sample.subject.uid in answer.uids


def _find_count(evidence: Evidence, good: _Asked, bad: _Asked, did: str) -> Asks[None]:
    """Find the window that is just answered, and what one day more would add.

    A peer that tells what it can before it refuses the rest has told its cap, where as many are
    answered.
    """
    few, days, told = good, bad.days, bad.found
    end = good.window.end or evidence.today
    for _ in range(_STEPS):
        if days - few.days == 1:
            break
        middle = (few.days + days) // 2
        tried = yield from _plain(evidence, "as many studies", _last_days(end, middle))
        lacks = evidence.known_in(tried.window) - tried.answer.uids
        if tried.answer.whole and not lacks:
            few = tried
        else:
            days, told = middle, tried.found
    if few.found == told:
        how = f"{few.found} studies were answered, and more were {did} after as many"
        evidence.prove("cap", few.found, how)
        return
    if days - few.days > 1 or few.window.start is None:
        evidence.leave("cap", why=f"{few.found} studies were answered, {days} days were {did}")
        return
    before = few.window.start - timedelta(days=1)
    one = yield from _plain(evidence, "one day more", Window(start=before, end=before))
    how = f"{few.found} studies were answered, {few.found + one.found} were {did}"
    if one.found == 1 and one.answer.whole:
        evidence.prove("cap", few.found, how)
    evidence.leave("cap", why=how)


def try_universal(evidence: Evidence) -> Asks[None]:
    """Find out whether a question without any date is answered, where that is no burden."""
    limited = evidence.value("cap_kind") is not None
    everything = evidence.value("widest") == 0 or evidence.outside()
    small = everything and not evidence.flooded and evidence.largest < _LARGE
    if not (limited or small):
        evidence.leave("universal", why="not asked: it is not known that the answer would end")
        return
    answer = yield from evidence.ask(ProbeQuestion(purpose="any date", window=Window()))
    if answer.outcome is ProbeOutcome.FAILED:
        evidence.leave("universal", why=why_not(answer))
    elif answer.outcome is ProbeOutcome.REFUSED:
        evidence.prove("universal", False, why_not(answer))
    else:
        how = f"a question without a date brought {len(answer.studies)} studies"
        evidence.prove("universal", bool(answer.studies), how)


def try_repository(evidence: Evidence, sample: Sample) -> Asks[None]:
    """Find out whether a Repository Query that was accepted in negotiation is answered.

    Its UID is among those of the storage classes, of which some accept whatever is proposed.
    """
    answer = yield from evidence.ask(
        ProbeQuestion(purpose="Repository Query", window=sample.window, repository=True)
    )
    if sample.subject.uid in answer.uids:
        evidence.prove("repository", True, f"it brought a study of {sample.day}")
    elif answer.whole:
        evidence.leave("repository", why=f"accepted, but it brought no study of {sample.day}")
    else:
        evidence.leave("repository", why=f"accepted in negotiation, but {why_not(answer)}")


def _plain(evidence: Evidence, purpose: str, window: Window) -> Asks[_Asked]:
    answer = yield from evidence.ask(ProbeQuestion(purpose=purpose, window=window))
    return _Asked(window=window, answer=answer)


def _widened(good: _Asked) -> Window:
    """Return a window with the same end that is a few times as wide."""
    factor = min(8, max(2, 2000 // max(1, good.found)))
    days = good.days * factor
    end = good.window.end or FIRST_DAY
    return Window(start=FIRST_DAY, end=end) if days > _ALL else _last_days(end, days)


def _last_days(end: date, days: int) -> Window:
    return Window(start=end - timedelta(days=days - 1), end=end)


def _span(window: Window) -> int:
    assert window.start is not None, "only closed windows are measured"  # noqa: S101
    assert window.end is not None, "only closed windows are measured"  # noqa: S101
    return (window.end - window.start).days + 1
