"""Images and found studies as values, with as few words as the test needs."""

from collections.abc import Sequence

import pytest
from pydicom.dataset import Dataset

from schema import ImageRecord


def record(image: str, series: str = "1.1.1", study: str = "1.1", **values: object) -> ImageRecord:
    """Return an image's record; the patient is `P1` unless said."""
    defaults: dict[str, object] = {"patient_id": "P1", "patient_name": "Doe^Jane"}
    return ImageRecord(image_uid=image, series_uid=series, study_uid=study, **defaults | values)


def finding(study: str = "1.1", images: int | None = None, **keywords: object) -> Dataset:
    """Return the identifier of a C-FIND response at study level."""
    ds = Dataset()
    ds.StudyInstanceUID = study
    ds.PatientID = "P1"
    ds.PatientName = "Doe^Jane"
    ds.StudyDate = "20240102"
    if images is not None:
        ds.NumberOfStudyRelatedInstances = images
    for keyword, value in keywords.items():
        setattr(ds, keyword, value)
    return ds


def header(image: str = "1.1.1.1", **keywords: object) -> Dataset:
    """Return a minimal image dataset."""
    ds = Dataset()
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    ds.SOPInstanceUID = image
    ds.StudyInstanceUID = "1.1"
    ds.SeriesInstanceUID = "1.1.1"
    ds.PatientID = "P1"
    for keyword, value in keywords.items():
        setattr(ds, keyword, value)
    return ds


def on_both(names: str, *cases: object, both: Sequence[object]) -> pytest.MarkDecorator:
    """Let a test with a database have all its cases on SQLite, and some on PostgreSQL as well.

    For cases that differ in what is decided, not in how it is asked of the database: `names` and
    `cases` as of `parametrize`, `both` are those for both databases.
    """
    one = "," not in names
    listed = [((case,) if one else tuple(case)) for case in cases]  # type: ignore[call-overload]
    chosen = [((case,) if one else tuple(case)) for case in both]  # type: ignore[call-overload]
    assert all(case in listed for case in chosen), "a case that there is not"
    assert chosen, "no case is for both"
    values = [("sqlite", *case) for case in listed] + [("postgresql", *case) for case in chosen]
    all_names = ["migrated_url", *(name.strip() for name in names.split(","))]
    return pytest.mark.parametrize(all_names, values, indirect=["migrated_url"])
