"""What a retrieval is taken for: what it asks for, something else, or nothing. Pure."""

from dataclasses import dataclass, replace

from node.dicom.querying.levels import LEVELS, UNIQUE_KEYS, Level
from node.dicom.querying.question import Question
from node.simulator.misbehaving.retrieval.settings import (
    LevelHandling,
    Retrievals,
    UIDListHandling,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedImages:
    """What is made of a retrieval.

    Attributes
    ----------
    question
        What the archive is asked for; None: nothing, and nothing is sent.
    refused
        Whether it is answered with a failure.
    """

    question: Question | None = None
    refused: bool = False


def wanted(question: Question, settings: Retrievals) -> WantedImages:
    """Return what a PACS with these settings makes of a retrieval."""
    handling = settings.levels.get(question.level.name, LevelHandling.HONEST)
    if handling is LevelHandling.REFUSED:
        return WantedImages(refused=True)
    if handling is LevelHandling.NOTHING:
        return WantedImages()
    if handling is LevelHandling.STUDY and question.level > Level.STUDY:
        keys = {k: values for k, values in question.keys.items() if LEVELS[k] <= Level.STUDY}
        question = replace(question, level=Level.STUDY, keys=keys)
    unique = UNIQUE_KEYS[question.level]
    uids = question.values(unique)
    if len(uids) > 1:
        if settings.uid_lists is UIDListHandling.REFUSED:
            return WantedImages(refused=True)
        if settings.uid_lists is UIDListHandling.NOTHING:
            return WantedImages()
        if settings.uid_lists is UIDListHandling.FIRST:
            question = question.asking(unique, uids[0])
    return WantedImages(question=question)


def study_of(question: Question) -> str:
    """Return what a retrieval is remembered by: the first study, or patient, that it names."""
    named = question.values("StudyInstanceUID") or question.values("PatientID")
    return named[0] if named else ""
