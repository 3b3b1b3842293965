"""From the options of a command to what a peer is asked for.

What cannot match anything is refused before anybody is asked: "none found" would be taken for an
answer. A modality in small letters is one that was meant in capital ones.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from node.dicom.query import StudyQuery, Window

_BOUNDS = (
    "say what to find: study dates (--last 7d, or --from DATE and --to DATE), which --modality "
    "narrows; or --patient-id ID, --study UID or --accession NUMBER, which are more than "
    "wildcards; or --project NAME alone. A PACS is never asked for everything at once"
)


def queries_of(
    window: "Window",
    *,
    modalities: Sequence[str] | None,
    patient_ids: Sequence[str] | None,
    accession_numbers: Sequence[str] | None,
    study_uids: Sequence[str] | None,
    project: str | None,
) -> "list[StudyQuery]":
    """Return the questions that options come to: one for each combination of values but UIDs.

    UIDs and accession numbers each name studies, and all that are named are asked for; the other
    options restrict that.

    Parameters
    ----------
    modalities, patient_ids, accession_numbers, study_uids
        The options' values as they were typed; None where an option was not given.
    project
        With nothing else, there is no question: what is not found of the project is asked for.

    Raises
    ------
    UsageError
        Nothing bounds them, a value cannot match anything, or single studies are named together
        with what names none.
    """
    from node.dicom.query import StudyQuery, Window
    from node.errors import UsageError
    from schema.project.entries import check_study_uid
    from schema.project.keys import check_accession_pattern, check_modality, check_patient_id

    given = (modalities, patient_ids, accession_numbers, study_uids)
    if project is not None and window == Window() and all(values is None for values in given):
        return []
    uids = tuple(checked("--study", study_uids, check_study_uid))
    numbers = checked("--accession", accession_numbers, check_accession_pattern)
    named = [(uids, "")] if uids or not numbers else []
    named += [((), _but_any(number)) for number in numbers]
    queries = [
        StudyQuery(
            window=window,
            modality=modality,
            patient_id=_but_any(patient_id),
            accession_number=accession_number,
            study_uids=of_these,
        )
        for patient_id, (of_these, accession_number), modality in product(
            checked("--patient-id", patient_ids, check_patient_id) or [""],
            named,
            checked("--modality", modalities, check_modality) or [""],
        )
    ]
    if any(query.unbounded for query in queries):
        raise UsageError(_BOUNDS)
    if uids and not all(query.names_studies for query in queries):
        raise UsageError(
            "--study and --accession together ask for each study that one of them names, at any "
            "date: leave out study dates and wildcards, or find by them in a find of its own"
        )
    return list(dict.fromkeys(queries))


def _but_any(value: str) -> str:
    """Return a key's value; none for `*` alone, which matches any (PS3.4 C.2.2.2.4)."""
    return value if value.strip("*") else ""


def checked(option: str, values: Sequence[str] | None, check: Callable[[str], str]) -> list[str]:
    """Return an option's values as they are asked for, each once.

    Raises
    ------
    UsageError
        One of them cannot match anything; the message names the option.
    """
    from node.errors import UsageError
    from schema.errors import SchemaError

    try:
        return list(dict.fromkeys(check(value) for value in values or ()))
    except SchemaError as error:
        raise UsageError(f"{option}: {error}") from error
