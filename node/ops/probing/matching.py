"""Trying keys: each with one question that has to bring a known study, and one that must not.

Every question is about the day of the sample or the days beside it, so that no peer has to answer
more than it has answered already.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta

from node.dicom.query import Window
from node.ops.probing.evidence import Asks, Evidence, why_not
from node.ops.probing.questions import ProbeOutcome, ProbeQuestion, SeenStudy
from node.ops.probing.searching import Sample

_NOBODY = "2.25.302741983475918347591834759183475"
"""A Study Instance UID that no study has."""

_LATE = time(23, 50)
"""From when on the minutes before are tried, and not those behind."""

_RARE = ("BDUS", "ECG", "OPT", "XC")
"""Modalities (PS3.3 C.7.3.1.1.1) of which the sample has one at most."""


def _tried(
    evidence: Evidence, subject: SeenStudy, including: ProbeQuestion, excluding: ProbeQuestion
) -> Asks[tuple[bool | None, str]]:
    """Ask for what the subject matches, and for what it does not; return whether the key works.

    The first question is within one that has brought the subject. So nothing is missing in its
    answer but what the peer does not match.
    """
    brought = yield from evidence.ask(including)
    if brought.outcome is not ProbeOutcome.ANSWERED:
        return None, why_not(brought)
    if subject.uid not in brought.uids:
        if brought.stopped:
            return None, why_not(brought)
        return False, f"{_asked(including)} did not bring a study that has it"
    left_out = yield from evidence.ask(excluding)
    if subject.uid in left_out.uids:
        return False, f"{_asked(excluding)} brought a study that has another: it is ignored"
    if not left_out.whole:
        return None, why_not(left_out)
    return True, f"{_asked(including)} brought a study that {_asked(excluding)} did not"


def _asked(question: ProbeQuestion) -> str:
    """Return what a question tries, without what a patient has."""
    if question.times is not None:
        return f"{question.times[0]:%H:%M:%S}-{question.times[1]:%H:%M:%S}"
    if question.modality:
        return question.modality
    return "a prefix" if question.purpose.endswith("that match") else "another prefix"


def see_whether_dates_are_ignored(evidence: Evidence) -> bool:
    """Look for answers that are not of the days asked for; where there are any, say so.

    A few may be the peer's own mistakes, so that nothing is known; if they are half, it does not
    look at the dates.
    """
    outside = len(evidence.outside())
    heard = sum(len(answer.studies) for _, answer in evidence.heard)
    how = f"{outside} of {heard} answers were not of the days asked for"
    if outside * 2 >= heard > 0:
        evidence.prove("dates", False, how)
    elif outside:
        evidence.leave("dates", why=how)
    return outside > 0


def try_dates(evidence: Evidence, sample: Sample) -> Asks[ProbeQuestion | None]:
    """Find out whether ranges of dates are matched.

    Returns
    -------
    ProbeQuestion
        One for the day and those beside it, which brings the subject; None when none does.
    """
    subject, day = sample.subject, sample.day
    around = ProbeQuestion(purpose="dates that match", window=_days(day, -1, 1))
    before = ProbeQuestion(purpose="dates that do not match", window=_days(day, -3, -1))
    inside = yield from evidence.ask(around)
    if subject.uid not in inside.uids and subject.patient_id:
        # it may be the peer's limit that has cut it off
        around = replace(around, patient_id=subject.patient_id)
        before = replace(before, patient_id=subject.patient_id)
        inside = yield from evidence.ask(around)
    beside = yield from evidence.ask(before)
    there = subject.uid in inside.uids
    if subject.uid in beside.uids:
        evidence.prove("dates", False, f"asked for {before.window}, it answered a study of {day}")
    elif see_whether_dates_are_ignored(evidence):
        pass
    elif there and beside.whole:
        evidence.prove("dates", True, f"{around.window} brought a study, {before.window} did not")
    elif inside.outcome is not ProbeOutcome.ANSWERED or not beside.whole:
        evidence.leave(
            "dates", why=why_not(beside if inside.outcome is ProbeOutcome.ANSWERED else inside)
        )
    elif not inside.studies and around.patient_id:
        yield from _try_two_days(evidence, sample, around)
    else:
        evidence.leave("dates", why=f"{around.window} did not bring the study that was tried")
    return around if there else None


def _try_two_days(evidence: Evidence, sample: Sample, around: ProbeQuestion) -> Asks[None]:
    """See whether any range is answered, where that of three days is not."""
    two = replace(around, window=_days(sample.day, -1, 0))
    answer = yield from evidence.ask(two)
    why = f"{sample.day} brought a study, {around.window} did not"
    if answer.whole and not answer.studies:
        evidence.prove("widest", 1, f"{sample.day} brought a study, {two.window} did not")
    evidence.leave("dates", why=why)


def try_times(evidence: Evidence, sample: Sample, around: ProbeQuestion | None) -> Asks[None]:
    """Find out whether ranges of times are matched within a day, and joined with those of dates."""
    moment = sample.subject.moment
    if moment is None:
        evidence.leave("times", "combined", why="no study that was found tells its time")
        return
    matching = _minutes(moment, 0, 0)
    other = _minutes(moment, 1, 2) if moment < _LATE else _minutes(moment, -2, -1)
    question = ProbeQuestion(purpose="times that match", window=sample.window, times=matching)
    value, how = yield from _tried(
        evidence,
        sample.subject,
        question,
        replace(question, purpose="times that do not match", times=other),
    )
    _conclude(evidence, "times", value, how)
    if not value:
        evidence.leave("combined", why="ranges of times are not known to be matched")
        return
    if around is None or evidence.value("dates") is not True:
        evidence.leave("combined", why="ranges of dates are not known to be matched")
        return
    several = replace(around, purpose="dates and times together", times=other)
    answer = yield from evidence.ask(several)
    asked = f"{several.window}, {_asked(several)},"
    if sample.subject.uid in answer.uids:
        evidence.prove(
            "combined", True, f"{asked} brought a study of {sample.day}, {moment:%H:%M:%S}"
        )
    elif answer.whole:
        evidence.prove(
            "combined", False, f"{asked} did not bring a study of {sample.day}, {moment:%H:%M:%S}"
        )
    else:
        evidence.leave("combined", why=why_not(answer))


def try_wildcards(evidence: Evidence, sample: Sample) -> Asks[None]:
    """Find out whether `*` matches, in Patient ID and in Accession Number."""
    keys: tuple[tuple[str, str, Callable[[ProbeQuestion, str], ProbeQuestion]], ...] = (
        (
            "Patient ID",
            sample.subject.patient_id,
            lambda question, text: replace(question, patient_id=text),
        ),
        (
            "Accession Number",
            sample.subject.accession_number,
            lambda question, text: replace(question, accession_number=text),
        ),
    )
    works: list[str] = []
    open_: list[str] = []
    for name, value, keyed in keys:
        if not value or set(value) & set("*?\\"):
            open_.append(f"no study with {name} that could be tried")
            continue
        matching = ProbeQuestion(purpose=f"{name}s that match", window=sample.window)
        other = replace(matching, purpose=f"{name}s that do not match")
        start = "8" if value.startswith("9") else "9"
        tried, how = yield from _tried(
            evidence,
            sample.subject,
            keyed(matching, f"{value[: max(1, len(value) // 2)]}*"),
            keyed(other, f"{start}*"),
        )
        if tried is False:
            evidence.prove("wildcards", False, f"{name}: {how}")
            return
        (works if tried else open_).append(f"{name}: {how}")
    if open_:
        evidence.leave("wildcards", why="; ".join([*open_, *works]))
    else:
        evidence.prove("wildcards", True, "; ".join(works))


def try_modalities(evidence: Evidence, sample: Sample) -> Asks[None]:
    """Find out whether Modalities in Study are matched; those of a study that has several."""
    told = [study for study in sample.answer.studies if study.modalities]
    told = [study for study in told if study.day == sample.day]
    if not told:
        evidence.leave("modalities", why="no study that was tried tells its modalities")
        return
    subject = min(told, key=lambda study: (-len(study.modalities), study.uid))
    other = next(one for one in _RARE if one not in subject.modalities)
    matching = ProbeQuestion(
        purpose="modalities that match", window=sample.window, modality=subject.modalities[-1]
    )
    value, how = yield from _tried(
        evidence,
        subject,
        matching,
        replace(matching, purpose="modalities that do not match", modality=other),
    )
    named = " and ".join(subject.modalities)
    _conclude(evidence, "modalities", value, f"{how}; the study has {named}")


def try_uid_lists(evidence: Evidence, sample: Sample) -> Asks[None]:
    """Find out whether every UID of a list is matched (PS3.4 C.2.2.2.2), and nothing else."""
    first = sample.subject
    there = [study for study in sample.answer.studies if study.day == sample.day]
    dated = [study for study in evidence.studies.values() if study.day is not None]
    others = [study for study in (*there, *dated) if study.uid != first.uid]
    if not others:
        evidence.leave("uid_lists", why="only one study was found")
        return
    second = min(others, key=lambda study: abs((study.day or sample.day) - sample.day))
    days = sorted((sample.day, second.day or sample.day))
    question = ProbeQuestion(
        purpose="a list of UIDs",
        window=Window(start=days[0], end=days[1]),
        study_uids=(first.uid, second.uid),
    )
    answer = yield from evidence.ask(question)
    brought = answer.uids & {first.uid, second.uid}
    if answer.uids - brought:
        evidence.prove(
            "uid_lists", False, "a list of two UIDs brought other studies: it is ignored"
        )
        return
    if len(brought) == 1:
        which = "first" if first.uid in brought else "last"
        if answer.whole:
            evidence.prove("uid_lists", False, f"a list of two UIDs brought the {which} only")
        else:
            evidence.leave("uid_lists", why=why_not(answer))
        return
    if not brought:
        single = yield from evidence.ask(
            replace(question, purpose="one UID", study_uids=(first.uid,))
        )
        if first.uid in single.uids and answer.outcome is not ProbeOutcome.FAILED:
            how = "was refused" if answer.outcome is ProbeOutcome.REFUSED else "brought none"
            evidence.prove("uid_lists", False, f"a list of two UIDs {how}, one of them its study")
        else:
            evidence.leave("uid_lists", why="neither a list of UIDs nor one UID brought a study")
        return
    if evidence.known_in(question.window) - brought:
        evidence.prove("uid_lists", True, "a list of two UIDs brought both, and no other study")
        return
    # nothing else is there that could be left out: one of the two is
    alone = yield from evidence.ask(
        replace(question, purpose="one of two UIDs", study_uids=(_NOBODY, first.uid))
    )
    if second.uid in alone.uids:
        evidence.prove("uid_lists", False, "a list of UIDs brought another study: it is ignored")
    elif first.uid in alone.uids and alone.whole:
        evidence.prove(
            "uid_lists", True, "a list of two UIDs brought both, a list with one of them one"
        )
    else:
        evidence.leave("uid_lists", why="a list with a UID that nobody has did not bring the other")


def read_what_is_told(evidence: Evidence) -> None:
    """See which of what was asked for the peer tells of its studies."""
    studies = evidence.studies.values()
    for name, what, told in (
        ("modalities_told", "Modalities in Study", [bool(study.modalities) for study in studies]),
        (
            "counts",
            "Number of Study Related Instances",
            [study.images is not None for study in studies],
        ),
    ):
        how = f"{sum(told)} of {len(told)} studies had {what}"
        if not told:
            evidence.leave(name, why="no study was found")
        elif all(told) or not any(told):
            evidence.prove(name, all(told), how)
        else:
            evidence.leave(name, why=how)


def _conclude(evidence: Evidence, name: str, value: bool | None, how: str) -> None:
    if value is None:
        evidence.leave(name, why=how)
    else:
        evidence.prove(name, value, how)


def _days(day: date, first: int, last: int) -> Window:
    return Window(start=day + timedelta(days=first), end=day + timedelta(days=last))


def _minutes(moment: time, first: int, last: int) -> tuple[time, time]:
    """Return the time from so many minutes after a moment to so many, both whole."""
    base = datetime.combine(date(2000, 1, 1), moment.replace(second=0, microsecond=0))
    start = base + timedelta(minutes=first)
    end = base + timedelta(minutes=last, seconds=59)
    return start.time(), end.time()
