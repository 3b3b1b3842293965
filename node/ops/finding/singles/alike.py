"""Questions like another one: with the same keys, about a study that the peer is known to have."""

from collections.abc import Iterable
from dataclasses import replace

from node.dicom.query import StudyQuery, Window
from schema.finding.known import DescribedStudy
from schema.hierarchy.gone import MissedStudy

_WILD = frozenset("*?\\")


class KnownStudies:
    """Studies with a date that a peer is known to have, by what they may be asked for."""

    def __init__(self, known: Iterable[DescribedStudy] = ()) -> None:
        self._named: dict[str, list[DescribedStudy]] = {}
        for one in known:
            if one.study_date is not None:
                for name in {one.study_uid, one.accession_number} - {""}:
                    self._named.setdefault(name, []).append(one)

    def named_by(self, query: StudyQuery) -> list[DescribedStudy]:
        """Return those that a question without a date names, by UID or accession number."""
        if query.window != Window():
            return []
        (name,) = query.study_uids or (query.accession_number,)
        return self._named.get(name, [])


def like_known(query: StudyQuery, known: DescribedStudy) -> StudyQuery | None:
    """Return the question with the same keys that is about a known study.

    None where it is not known what the keys are of this study.
    """
    day = known.study_date
    dated = query.window != Window()
    values = {
        "patient_id": (query.patient_id, known.patient_id),
        "accession_number": (query.accession_number, known.accession_number),
        "issuer": (query.issuer, known.issuer),
        "modality": (query.modality, known.modalities[0] if known.modalities else ""),
    }
    if any(asked and (not its or _WILD & set(its)) for asked, its in values.values()):
        return None
    if dated and day is None:
        return None
    return StudyQuery(
        window=Window(start=day, end=day) if dated else Window(),
        study_uids=(known.study_uid,) if query.study_uids else (),
        **{name: its for name, (asked, its) in values.items() if asked},
    )


def dated_like(query: StudyQuery, known: DescribedStudy | MissedStudy) -> StudyQuery:
    """Return the same question with the UID and the date of the study that it is to bring."""
    day = known.study_date
    return replace(query, window=Window(start=day, end=day), study_uids=(known.study_uid,))


def keys_of(query: StudyQuery) -> frozenset[str]:
    """Return which keys a question has."""
    dated = ("StudyDate",) if query.window != Window() else ()
    return frozenset((*query.keys(), *dated))
