"""What PACSs say of a study, and what they were asked about it, in sentences."""

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from node.cli.explaining.words import listed, utc
from schema.text.words import counted

if TYPE_CHECKING:
    from schema.explaining.inquiries import AskedAtAll, AskedByName, AskedOfDate
    from schema.explaining.story import Changed, FoundBy, SourceStory, StudyStory

_ACCESSION = "AccessionNumber"
"""By what a study is asked for, if not by its UID."""

_NAMED = 3
"""Ranges that are named; of more, their number."""

_FIELDS = {
    "expected_images": "its number of images",
    "expected_series": "its number of series",
    "modalities": "its modalities",
    "study_date": "its date",
    "study_time": "its time",
    "patient_name": "the patient's name",
    "patient_id": "the Patient ID",
    "patient_birth_date": "the patient's birth date",
    "accession_number": "the accession number",
    "study_description": "the description",
}


def known_since(story: "StudyStory") -> str:
    """Say since when a study is known, and from which find."""
    study = story.study
    if not story.sources:
        if study.found_on is not None:
            return f"It is known since {utc(study.found_on)}; no PACS is known to have it."
        if study.state == "received":
            return "No PACS has answered it: its images came without having been found."
        return "Nobody has found it, and no image of it is here."
    first = min(story.sources, key=lambda one: one.found_on)
    return f"It is known since {utc(first.found_on)}, {_found_by(first.peer, first.found_by)}."


def _found_by(peer: str, found: "FoundBy | None") -> str:
    if found is None:
        return f"when {peer} answered it; by which find is not known"
    if found.by is not None:
        how = "its accession number" if found.by == _ACCESSION else "its UID"
        return f"when find {found.cycle_id} asked {peer} for it by {how}"
    if found.first is None and found.last is None:
        return f"when find {found.cycle_id} asked {peer} for all dates"
    if found.first == found.last:
        return f"when find {found.cycle_id} asked {peer} for {found.first}"
    dates = f"{found.first or '...'} to {found.last or '...'}"
    return f"when find {found.cycle_id} asked {peer} for {dates}"


def said(source: "SourceStory") -> Iterator[str]:
    """Say what a PACS says of a study, and where that stands."""
    series = "" if source.series is None else f" in {source.series} series"
    has = "had" if source.gone_on else "has"
    if source.images is None:
        told = f"{source.peer} does not say how many images it {has}{series}"
    elif source.counted_on is not None:
        told = f"{source.peer} {has} {counted(source.images, 'image')}{series}, as counted on "
        told += utc(source.counted_on)
        if source.counted_short:
            told += f", at least: it {source.counted_short}"
    else:
        told = f"{source.peer} {has} {counted(source.images, 'image')}{series}"
    seen = f"said so last on {utc(source.last_seen_on)}"
    if source.gone_on is not None:
        seen = f"it has the study no more, as seen on {utc(source.gone_on)}; {seen}"
    yield f"{told}; {seen}. State: {source.state}{_verified(source)}."
    if (kept := source.listed) is not None:
        line = f"{source.peer} listed {counted(kept.images, 'image')} on {utc(kept.listed_on)}"
        if kept.short:
            line += f", which are not all: it {kept.short}"
        elif kept.vouched:
            line += ", and its own numbers confirmed that these were all"
        yield f"{line}."
    for change in source.changes:
        yield _changed(source.peer, change)


def _verified(source: "SourceStory") -> str:
    under = f", under the policy: {source.policy}" if source.policy else ""
    if source.verified_on is None:
        return under
    evidence = f" ({source.evidence})" if source.evidence else ""
    return f", verified on {utc(source.verified_on)}{evidence}{under}"


def _changed(peer: str, change: "Changed") -> str:
    what = _FIELDS.get(change.field, change.field)
    if change.was is None or change.became is None:
        return f"{peer} says {what} otherwise since {utc(change.seen_on)}."
    word = "says"
    if change.field in ("expected_images", "expected_series"):
        grown = int(change.became) > int(change.was)
        word = "has more" if grown else "has less"
        return (
            f"{peer} {word} since {utc(change.seen_on)}: {what} was {change.was}, and became "
            f"{change.became}."
        )
    return (
        f"{peer} {word} {what} otherwise since {utc(change.seen_on)}: {change.was} before, "
        f"{change.became} since."
    )


def asked(story: "StudyStory") -> Iterator[str]:
    """Say what PACSs were asked about a study's date, and for itself."""
    never: dict[str, list[str]] = {}
    for one in story.dates:
        if one.asked_on is None and not one.why_open:
            never.setdefault(_day(one), []).append(one.peer)
        else:
            yield _asked_of_date(one)
    for at_all in story.ever:
        if at_all.ever:
            yield _asked_at_all(at_all)
        else:
            never.setdefault("any date", []).append(at_all.peer)
    for what, peers in never.items():
        yield f"{_were(peers)} never asked for {what}."
    yield from map(asked_by_name, story.names)
    if not story.study.complete and (left := _never_by_name(story)):
        yield f"{_were(left)} never asked for its UID."


def _were(peers: Sequence[str]) -> str:
    return f"{listed(peers)} {'was' if len(peers) == 1 else 'were'}"


def _day(asked: "AskedOfDate") -> str:
    return "studies without a date" if asked.day is None else str(asked.day)


def _asked_of_date(asked: "AskedOfDate") -> str:
    """Say what a PACS was last asked about a study's date."""
    day = _day(asked)
    keys = ", ".join(f"{key}={value}" for key, value in asked.keys.items())
    only = f", only {keys}" if keys else ""
    if asked.asked_on is None:
        return f"{asked.peer} was never asked for {day} ({asked.why_open})."
    when = f"{asked.peer} was asked for {day}{only} last on {utc(asked.asked_on)}"
    if asked.proven_on is not None:
        return f"{when}; all that it has there is known as of {utc(asked.proven_on)}."
    return f"{when}, and what it has there is not known: {asked.why_open or 'a gap'}."


def asked_by_name(one: "AskedByName") -> str:
    """Say what a PACS was last asked for by a study's own keys."""
    asked = one.asked
    how = "its accession number" if one.by == _ACCESSION else "its UID"
    when = f"{asked.peer} was asked for {how} last on {utc(asked.on)}"
    if asked.answered and asked.matches:
        return f"{when}, and answered {counted(asked.matches, 'study')}."
    if asked.answered:
        return f"{when}, and has no such study."
    why = asked.message or asked.outcome
    return f"{when}, which says nothing: {why}."


def _never_by_name(story: "StudyStory") -> list[str]:
    """Return the PACSs that nobody has asked for a study by its UID, and that do not have it."""
    asked = {one.asked.peer for one in story.names if one.by != _ACCESSION}
    known = {one.peer for one in story.sources}
    peers = dict.fromkeys((*(one.peer for one in story.dates), *(one.peer for one in story.ever)))
    return [peer for peer in peers if peer not in asked and peer not in known]


def _asked_at_all(one: "AskedAtAll") -> str:
    """Say which dates a PACS was asked for, where the study's own is not known."""
    dates = f"{one.first or '...'} to {one.last or '...'}"
    if not one.gaps and not one.unasked:
        return f"{one.peer} was asked for {dates}, and all that it has there is known."
    between = [f"{first} to {last}" for first, last in one.unasked[:_NAMED]]
    others = len(one.unasked) - len(between)
    more = [counted(others, "other range")] if others else []
    never = f", but never for {listed([*between, *more])}" if between else ""
    gaps = f", with {counted(one.gaps, 'gap')}" if one.gaps else ""
    return (
        f"{one.peer} was asked for {dates}{never}{gaps}: "
        f"`dicom-node coverage {shlex.quote(one.peer)}` shows what is known."
    )
