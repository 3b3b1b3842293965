"""What a line of the sheet says in its columns: `COLUMNS`, which stay as they are."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from node.cli.project.reasons import not_wanted, peers_of, why, why_open
from schema.standing.states import StudyState
from schema.text.words import counted

if TYPE_CHECKING:
    from node.config import PeerSettings
    from node.ops.accounting.sheet import SheetLine
    from node.ops.explaining.following import Following
    from schema.accounting.sheet import SheetStudy

COLUMNS = (
    *("study_uid", "study_date", "modalities", "state", "whole", "peers"),
    *("found_on", "last_seen_on", "expected_images", "here_images", "retrieved_on", "evidence"),
    *("missing_images", "missing_uids", "failed_images", "refused_contexts", "attempts"),
    *("last_attempt_on", "last_status", "reason", "next", "next_on"),
    *("verified", "verified_on", "unsound_images"),
)
"""The columns of the sheet, in their order."""

PATIENTS = ("patient_id", "patient_name", "accession_number")
"""Those behind them where patients are to be named."""

Row = Mapping[str, str]


def row_of(line: "SheetLine", peers: "Mapping[str, PeerSettings]", *, uids: int) -> Row:
    """Return what a line says, as text; "" for what is not known, or does not apply.

    Parameters
    ----------
    uids
        How many of the missing images are named.
    """
    study, last = line.study, line.study.last
    left = max(0, len(study.missing) - uids)
    named = " ".join((*study.missing[:uids], *([f"and {left} more"] if left else ())))
    steps = [] if study.whole else [step_of(one) for one in line.next]
    several = len(line.next) > 1
    return {
        "study_uid": study.study_uid or "",
        "study_date": "" if study.study_date is None else study.study_date.date().isoformat(),
        "modalities": study.modalities or "",
        "state": study.state,
        "whole": "" if study.unwanted else "yes" if study.whole else "no",
        "peers": peers_of(study.sources) or study.peer or "",
        "found_on": _moment(study.found_on),
        "last_seen_on": _moment(study.last_seen_on),
        "expected_images": _number(study.expected_images),
        "here_images": str(study.here),
        "retrieved_on": _moment(study.retrieved_on),
        "evidence": study.evidence or "",
        "missing_images": _number(study.missing_images),
        "missing_uids": named,
        "failed_images": "" if last is None or study.whole else str(last.failed),
        "refused_contexts": "" if last is None or study.whole else "; ".join(last.refused),
        "attempts": str(study.attempts),
        "last_attempt_on": _moment(None if last is None else last.claimed_on),
        "last_status": "" if last is None or last.status is None else f"0x{last.status:04X}",
        "reason": reason_of(line, peers),
        "next": "; ".join(
            f"{one.peer}: {step}" if several and one.peer else step
            for one, step in zip(line.next, steps, strict=False)
        ),
        "next_on": _moment(_next_on(line.next) if not study.whole else None),
        "verified": "" if study.verified_on is None else str(study.here),
        "verified_on": _moment(study.verified_on),
        "unsound_images": str(study.unsound) if study.unsound else "",
        "patient_id": study.patient_id or "",
        "patient_name": study.patient_name or "",
        "accession_number": study.accession_number or "",
    }


def reason_of(line: "SheetLine", peers: "Mapping[str, PeerSettings]") -> str:
    """Return in words why a study is not whole; "" when it is."""
    study = line.study
    if study.whole:
        return ""
    if study.member is not None:
        return why(study.member, peers)
    if study.broken is not None or study.retrieved_on is not None:
        return _no_longer(study)
    if study.unwanted:
        return not_wanted(study.refused.values() or [study.last_error or ""])
    held = study.state == StudyState.HELD
    why_not = _held(study) if held else _open(study, peers)
    return "; ".join(filter(None, (why_not, _nowhere(study))))


def _open(study: "SheetStudy", peers: "Mapping[str, PeerSettings]") -> str:
    at = (study.last.peer,) if study.last is not None and study.last.interrupted else ()
    return why_open(study, peers, interrupted_at=at, here=study.here)


def _nowhere(study: "SheetStudy") -> str:
    """Say what no PACS can bring again; "" where that is nothing, or nobody knows."""
    if not (count := len(study.unlisted)):
        return ""
    they, their = ("it has", "its file") if count == 1 else ("they have", "their files")
    return (
        f"no peer that has the study lists {counted(count, 'image')} without a file: {they} to be "
        f"sent again, or {their} put back"
    )


def _no_longer(study: "SheetStudy") -> str:
    """Say why a study that was complete is not whole."""
    if study.broken is not None:
        return f"{study.broken}; `dicom-node reconcile --fix` reopens it"
    if study.lost:
        return _nowhere(study) or "files of it are lost, and all that peers are asked for is here"
    return (
        f"{counted(study.unsound, 'file')} {_was(study.unsound)} not sound when read last: "
        "`dicom-node verify --reopen` has what is damaged asked for again"
    )


def _held(study: "SheetStudy") -> str:
    """Say since when an operator holds a study, and why, as `hold --reason` has it."""
    holds = [one for one in study.standings if one.state == StudyState.HELD and one.held_on]
    said = {
        f"held by an operator on {_moment(one.held_on)} UTC"
        f"{': ' + one.held_reason if one.held_reason else ''}": None
        for one in holds
    }
    return "; ".join(said) or "held by an operator"


def step_of(one: "Following") -> str:
    """Return what happens next in two or three words."""
    from node.ops.explaining.following import Step

    return {
        Step.GONE: "nothing: gone there",
        Step.COMPLETE: "nothing: complete",
        Step.STRANGER: "no peer of the configuration",
        Step.URL_ALONE: "nothing can be moved from it",
        Step.HELD: "held",
        Step.UNWANTED: "nothing: not wanted",
        Step.UNDER_WAY: "under way",
        Step.GIVEN_UP: "given up",
        Step.BY_COMMAND: "by command alone",
        Step.BREAKER: f"waits until the peer takes a retrieval: {one.why}",
        Step.CANARY: f"waits for one study that goes first: {one.why}",
        Step.BUDGET: f"waits: {one.why}",
        Step.HOURS: f"waits for the hours {one.hours}",
        Step.DUE: "due",
        Step.REOPEN: "nothing, until it is opened again",
        Step.UNSOUND: "nothing, until it is set aside",
        Step.LOST: "to be sent again, or put back",
        Step.FIND: "nothing, until a find has it",
    }[one.step]


def _next_on(following: "Sequence[Following]") -> datetime | None:
    from node.ops.explaining.following import Step

    comes = (Step.DUE, Step.HOURS, Step.BUDGET, Step.CANARY, Step.BREAKER)
    return min((one.on for one in following if one.on and one.step in comes), default=None)


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat(sep=" ", timespec="seconds")


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _number(number: int | None) -> str:
    return "" if number is None else str(number)
