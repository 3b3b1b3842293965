"""Matches of a query, as tables, CSV and JSON have them."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.shell.output import Column
from node.dicom.asking.answered import in_columns, in_words
from node.dicom.asking.question import USUAL, keys_in_words
from node.ops.querying.answerer import INDEX
from schema.dumping.drafts import draft_of
from schema.text.harmless import in_list
from schema.text.words import counted, named

if TYPE_CHECKING:
    from node.ops.querying.query import QueryReport

_TITLES = {
    "StudyDate": "date",
    "StudyTime": "time",
    "PatientID": "patient",
    "PatientName": "name",
    "PatientBirthDate": "born",
    "PatientSex": "sex",
    "ModalitiesInStudy": "modalities",
    "StudyDescription": "description",
    "SeriesDescription": "description",
    "AccessionNumber": "accession",
    "NumberOfPatientRelatedStudies": "studies",
    "NumberOfStudyRelatedSeries": "series",
    "NumberOfStudyRelatedInstances": "images",
    "NumberOfSeriesRelatedInstances": "images",
    "StudyInstanceUID": "study",
    "SeriesNumber": "number",
    "InstanceNumber": "number",
    "SeriesInstanceUID": "series",
    "Modality": "modality",
    "BodyPartExamined": "body part",
    "SOPClassUID": "class",
    "SOPInstanceUID": "image",
}
"""What the usual columns are called, to people."""

_ABOUT_THE_ANSWER = ("SpecificCharacterSet", "QueryRetrieveLevel")
"""What matches say that is not about what matches."""


def rows(report: "QueryReport", *, every: bool) -> tuple[list[Column], list[dict[str, str | None]]]:
    """Return the columns and rows of a table.

    Parameters
    ----------
    every
        Whether all that the peer says has a column; else what was named, and of the usual
        attributes those that are said of any match.
    """
    question, matches = report.question, report.matches
    usual = set(USUAL[question.level])
    named_keys = {key.keyword for key in question.keys}
    wanted = [
        keyword
        for keyword in question.columns
        if keyword in named_keys
        or keyword == question.unique_key
        or any(match.get(keyword) is not None for match in matches)
    ]
    if every:
        wanted = [one for one in in_columns(matches, wanted) if one not in _ABOUT_THE_ANSWER]
    columns = [
        Column(
            key=keyword,
            title=_TITLES.get(keyword, keyword) if keyword in usual else keyword,
            right=keyword.startswith("NumberOf")
            or (keyword.endswith("Number") and keyword in usual),
        )
        for keyword in wanted
    ]
    written = [
        {keyword: in_words(match.get(keyword), keyword) or None for keyword in wanted}
        for match in matches
    ]
    return columns, written


def place(peer: str, report: "QueryReport") -> str:
    """Return where matches are, in words."""
    return "here" if report.operation == INDEX else f"at {peer}"


def said(peer: str, report: "QueryReport") -> str:
    """Return how many there are, and whether they are all, in a sentence."""
    count = len(report.matches)
    where = place(peer, report)
    what = f"{count} {named(count, report.question.what)}"
    if report.limited:
        return f"the first {what} {where}: there are more, which --limit left out"
    if not report.complete:
        return f"{what} {where}: this is not all, the answer was not whole"
    return f"{what if count else f'no {report.question.what}'} {where}"


def doubts(peer: str, report: "QueryReport") -> list[str]:
    """Return which keys the peer may have ignored, and why, a sentence for each."""
    count = counted(len(report.matches), "match", "matches")
    return [
        f"{peer} may have ignored {one.key}: "
        + (
            f"{one.differing} of {count} {'has' if one.differing == 1 else 'have'} another value"
            if one.differing
            else f"none of {count} says what it has"
        )
        for one in report.ignored
    ]


def document(peer: str, report: "QueryReport") -> dict[str, object]:
    """Return what there is to say as JSON: values as DICOM has them, by keyword."""
    question = report.question
    return {
        "peer": peer,
        "operation": report.operation or None,
        "level": question.level.name,
        "model": question.model.value,
        "keys": keys_in_words(question),
        "not_agreed": list(report.refused),
        "ignored": report.ignored,
        "complete": report.complete,
        "limited": report.limited,
        "status": None if report.status is None else f"0x{report.status:04X}",
        "count": len(report.matches),
        "matches": report.matches,
    }


def write_csv(path: Path, report: "QueryReport") -> None:
    """Write all that was said of each match, by keyword; the file is there when it is whole."""
    columns = [
        one
        for one in in_columns(report.matches, report.question.columns)
        if one not in _ABOUT_THE_ANSWER
    ]
    with draft_of(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for match in report.matches:
            writer.writerow([in_list(_cell(match.get(one))) for one in columns])


def _cell(value: object) -> str:
    """Return a value as DICOM writes it; items of sequences in words."""
    if isinstance(value, list) and not any(isinstance(one, dict) for one in value):
        return "\\".join("" if one is None else str(one) for one in value)
    if isinstance(value, list):
        return in_words(value)
    return "" if value is None else str(value)
