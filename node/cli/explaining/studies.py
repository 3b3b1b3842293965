"""The story of a study, in sentences, from what is so to what happens next."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from node.cli.explaining.asking import asked, known_since, said
from node.cli.explaining.attempts import told
from node.cli.explaining.following import told as told_next
from node.cli.explaining.words import by_whom, named, section, size, utc
from schema.text.words import are, counted, counted_are

if TYPE_CHECKING:
    from node.ops.explaining.explain import ExplainedStudy, FileState
    from schema.explaining.story import MissingSeries, Sent, SetAside, StudyHead, StudyStory

_EVIDENCE = {
    "listed": "each image that its PACSs list is here",
    "counted": "as many images as its PACSs say are here and came from them",
    "stable": "its PACS was asked three times, said each time that it had sent all, and sent the "
    "same",
}
_QUARANTINED = 10


def in_a_line(head: "StudyHead") -> str:
    """Say in one line what a study is and where it stands."""
    error = head.last_error if head.broken is None else head.broken.short
    why = "" if head.complete or not error else f"; {error}"
    return f"{_who(head)}: {_stands(head)}{why}"


def story_of(one: "ExplainedStudy", *, waiting: int | None) -> list[str]:
    """Return the lines of a study's story.

    Parameters
    ----------
    waiting
        Received objects that are not indexed yet.
    """
    story = one.story
    lines = [f"Study {_who(story.study)}: {_stands(story.study)}.", known_since(story)]
    if story.study.retrieved_on is not None:
        lines.append(_verdict(story.study))
    elif (why := _why(story)) and why not in _told(story):
        lines.append(f"It is not complete: {why}.")
    if (faults := len(one.files.faults)) > 0:
        lines.append(f"But {counted_are(faults, 'file')} not on the disk as it should be.")
    lines += section("What PACSs say", (line for source in story.sources for line in said(source)))
    lines += section("What they were asked", asked(story))
    if story.attempts:
        lines += ["", "What was tried:"]
        for number, attempt in enumerate(story.attempts, 1):
            lines += told(number, attempt)
    lines += section("What is here", _here(story, one.files))
    lines += section("What is missing", _missing(story, wanted=not _unwanted(one)))
    lines += section("In quarantine", (set_aside(row) for row in story.quarantine[:_QUARANTINED]))
    if (left := len(story.quarantine) - _QUARANTINED) > 0:
        lines.append(f"- and {left} more: `dicom-node quarantine list`")
    if story.projects:
        names = ", ".join(story.projects)
        lines += [
            "",
            f"It is in the {'project' if len(story.projects) == 1 else 'projects'} {names}.",
        ]
    again = bool(story.attempts)
    lines += section("What happens next", (told_next(step, again=again) for step in one.next))
    if story.ever:
        lines.append(
            "- Its date is not known here. Where no find has covered it, "
            "`dicom-node find PEER --from DATE --to DATE` does."
        )
    if waiting and not story.study.complete:
        lines.append(
            f"- {counted(waiting, 'received object')} of whatever study "
            f"{'waits' if waiting == 1 else 'wait'} to be indexed."
        )
    return lines


def _told(story: "StudyStory") -> str:
    """Return why it was not complete after the last attempt, which is told with that."""
    return (story.attempts[-1].message or "") if story.attempts else ""


def _why(story: "StudyStory") -> str:
    """Return why it is not complete; of what is not wanted only where nothing else is open."""
    from schema.standing.states import StudyState

    left = [one for one in story.sources if one.is_open]
    unwanted = [one for one in left if one.state == StudyState.UNWANTED]
    why = story.study.last_error or ""
    if len(unwanted) == len(left) or why not in [one.last_error for one in unwanted]:
        return why
    errors = [one.last_error for one in left if one not in unwanted and one.last_error]
    return "; ".join(dict.fromkeys(errors))


def _unwanted(one: "ExplainedStudy") -> bool:
    """Tell whether the policy wants nothing of what is open: then nothing of it is missing."""
    from node.ops.explaining.following import Step

    steps = {step.step for step in one.next} - {Step.GONE, Step.COMPLETE, Step.LOST}
    return steps == {Step.UNWANTED}


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _who(head: "StudyHead") -> str:
    day = "" if head.study_date is None else f" of {head.study_date}"
    kinds = "" if head.modalities is None else f" ({head.modalities.replace(chr(92), ', ')})"
    return f"{head.study_uid}{day}{kinds}"


def _stands(head: "StudyHead") -> str:
    gone = f", and {counted(head.lost, 'image')} without a file" if head.lost else ""
    if head.complete:
        return f"complete, {counted(head.images, 'image')}{gone}"
    if head.broken is not None:
        return f"not complete any more, {counted_are(head.images, 'image')} here{gone}"
    if head.state == "not found":
        return "not here, and nobody knows it"
    if head.state == "received":
        return f"{counted_are(head.images, 'image')} here{gone}; no PACS has said how many it has"
    of = "" if head.expected_images is None else f" of {head.expected_images}"
    return f"{head.state}, {head.images}{of} {'image' if of == ' of 1' else 'images'} here{gone}"


def _verdict(head: "StudyHead") -> str:
    on = "" if head.retrieved_on is None else utc(head.retrieved_on)
    rests = _EVIDENCE.get(head.evidence or "")
    why = f", for {rests} ({head.evidence})" if rests else ""
    but = "" if head.broken is None else f" But {head.broken.short}."
    return f"It was verified to be complete on {on}{why}.{but}"


def _here(story: "StudyStory", files: "FileState") -> Iterator[str]:
    places = {one.id: number for number, one in enumerate(story.attempts, 1)}
    for sent in story.sent:
        yield _sent(sent, places.get(sent.attempt_id or 0))
    yield from files_of(files)
    yield from _verified(story)
    if story.lost:
        yield (f"{counted(len(story.lost), 'image')} had a file that is gone: {named(story.lost)}.")
    if story.removed:
        rows = f"{counted(story.removed, 'image')} that {_was(story.removed)} here after the last"
        yield f"{rows} attempt {'has' if story.removed == 1 else 'have'} no row any more."


def _verified(story: "StudyStory") -> Iterator[str]:
    last = story.verification
    if last is None:
        return
    when = utc(last.read_on)
    if story.verified_on is not None:
        all_files = f"all {counted(last.sound, 'file')} were read, and are sound"
        yield f"Files verified on {when}: {all_files}."
        return
    if last.unsound:
        files = f"{counted(last.unsound, 'file')} {_was(last.unsound)}"
        yield f"Files verified on {when}: {files} not sound."
    elif last.holds:
        yield f"Files read on {when}, not verified: not every image has a file and a digest."
    else:
        yield f"Files verified on {when}: {counted(last.sound, 'file')} {_was(last.sound)} sound."
    if not last.holds:
        yield "Since then images have come, gone or got other files: it is not verified as it is."


def files_of(files: "FileState") -> Iterator[str]:
    """Say what is wrong with files on the disk; nothing where nothing is."""
    for fault in files.faults[:_QUARANTINED]:
        yield f"{fault.filepath} is {fault.fault}: {fault.reason}."
    if (left := len(files.faults) - _QUARANTINED) > 0:
        yield f"{counted_are(left, 'more file')} not as it should be (--json has them all)."
    if files.faults:
        yield "`dicom-node verify --reopen` sets aside what is wrong, and has it asked for again."
    if files.elsewhere:
        yield (
            f"{counted(files.elsewhere, 'file')} {'lies' if files.elsewhere == 1 else 'lie'} in "
            "another storage directory, which only its own node can look at."
        )


def _sent(sent: "Sent", attempt: int | None) -> str:
    who = by_whom(sent.source, sent.address)
    many = f"{counted(sent.images, 'image')} ({size(sent.bytes)}) came from {who}"
    when = ""
    if sent.first_on is not None and sent.last_on is not None:
        first, last = utc(sent.first_on), utc(sent.last_on)
        when = f", {first}" if first == last else f", {first} to {last}"
    if attempt is not None:
        return f"{many} for attempt {attempt}{when}."
    return f"{many}{', which nobody had asked' if sent.source else ''}{when}."


def _missing(story: "StudyStory", *, wanted: bool) -> Iterator[str]:
    """Say what is missing: what PACSs list, and what has lost its file; else how many.

    Parameters
    ----------
    wanted
        Whether anything that is open is: else only lost files are missing.
    """
    listed = {uid for one in story.missing for uid in one.images} if wanted else set[str]()
    for one in story.missing if wanted else ():
        yield missing_series(one)
    lost = [uid for uid in story.lost if uid not in listed]
    nowhere = [uid for uid in lost if uid in story.unlisted]
    others = [uid for uid in lost if uid not in story.unlisted]
    for uids, who in ((nowhere, ", which no PACS that has the study lists"), (others, "")):
        if uids:
            yield f"{counted(len(uids), 'image')} without a file{who}: {named(uids)}."
    if story.missing or story.study.complete or not wanted:
        return
    last = next((one for one in reversed(story.attempts) if one.missing), None)
    if last is not None:
        yield f"As of the last attempt: {named(last.missing)}."
        return
    if story.study.broken is not None:
        yield f"{counted(story.study.broken.lacking, 'image')}; no PACS has listed which."
        return
    expected = story.study.expected_images
    if expected is not None:
        lacking = expected - story.study.images
        if lacking > len(lost):
            yield f"{counted(lacking, 'image')}; no PACS has listed which."
        elif story.sources and not lost:
            yield "Nobody knows: as many images are here as there should be, not all from its PACS."
    elif story.sources and not lost:
        yield "Nobody knows: no PACS says how many images there are."


def missing_series(one: "MissingSeries") -> str:
    """Say what is missing of a series that a PACS lists."""
    kind = f" ({one.modality})" if one.modality else ""
    where = f"series {one.series_uid}{kind} at {one.peer}"
    if len(one.images) == one.listed:
        return f"all {counted(one.listed, 'image')} of {where}."
    return f"{len(one.images)} of {counted(one.listed, 'image')} of {where}: {named(one.images)}."


def set_aside(row: "SetAside") -> str:
    """Say what is in quarantine, and why."""
    what = row.sop_instance_uid or "an object"
    source = f", from {row.source}" if row.source else ""
    when = f", since {utc(row.received_on)}" if row.received_on else ""
    return f"{what} ({row.kind}{source}{when}): {row.reason}. Its id is {row.id}."


def several(count: int, complete: int) -> str:
    """Say how many studies there are, and how many are complete."""
    return f"{counted(count, 'study')}, {complete} {are(complete)} complete here"
