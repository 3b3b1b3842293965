"""An image that the simulator holds: what can be asked about it, read from its file."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.multival import MultiValue
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.dicom.querying.levels import STORED_KEYWORDS, HeldAttributes


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldInstance:
    """A composite SOP instance, and the file that has it.

    Attributes
    ----------
    path
        The file; of no meaning where there is `encoded`.
    bare_from
        Where the dataset begins in a file that lacks the preamble, and so cannot be sent as
        it is (PS3.10 7.1); None in a proper file.
    encoded
        Makes the encoded dataset of one that has no file; None where there is one.
    attributes
        What can be asked about it, at all levels.
    """

    path: Path = Path()
    patient_id: str
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    bare_from: int | None = None
    encoded: Callable[[], bytes] | None = field(default=None, repr=False, compare=False)
    attributes: HeldAttributes = field(repr=False)


class NotAnInstanceError(ValueError):
    """What was read is not DICOM, or names no SOP instance (a DICOMDIR does not)."""


def read_instance(path: Path) -> HeldInstance:
    """Read from a file what the index has to know; with and without a preamble.

    Raises
    ------
    NotAnInstanceError
        When it is not DICOM, or lacks one of the UIDs that place it in the hierarchy.
    OSError
        When it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(132)
        file.seek(0)
        return describe(file, path, bare_from=_bare_from(head))


def _bare_from(head: bytes) -> int | None:
    if head[128:] == b"DICM":
        return None
    if head[:8] == b"\x02\x00\x00\x00UL\x04\x00":  # the File Meta Information's group length
        return 12 + int.from_bytes(head[8:12], "little")
    return 0


def describe(file: BinaryIO, path: Path, *, bare_from: int | None = None) -> HeldInstance:
    """Return the instance in an open file, as one that is at `path`.

    Parameters
    ----------
    bare_from
        See `HeldInstance`.

    Raises
    ------
    NotAnInstanceError
        See `read_instance`.
    """
    wanted = ["SpecificCharacterSet", *STORED_KEYWORDS]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # malformed values are answered as they are
            dataset = dcmread(
                file,
                stop_before_pixels=True,
                force=bare_from is not None,
                specific_tags=list(wanted),
            )
            attributes = _attributes(dataset)
    except OSError:
        raise
    except Exception as error:  # the parser's exceptions have no common base
        raise NotAnInstanceError(f"it cannot be parsed ({type(error).__name__})") from error
    unique = [_first(attributes, f"{name}InstanceUID") for name in ("Study", "Series", "SOP")]
    sop_class_uid = _first(attributes, "SOPClassUID")
    if not all(unique) or not sop_class_uid:
        raise NotAnInstanceError("it names no study, series and SOP instance")
    return HeldInstance(
        path=path,
        patient_id=_first(attributes, "PatientID"),
        study_uid=unique[0],
        series_uid=unique[1],
        sop_instance_uid=unique[2],
        sop_class_uid=sop_class_uid,
        transfer_syntax_uid=str(_transfer_syntax(dataset)),
        bare_from=bare_from,
        attributes=attributes,
    )


def _transfer_syntax(dataset: FileDataset) -> UID:
    """Return what the file says, or what the parser found where it says nothing."""
    named = dataset.file_meta.get("TransferSyntaxUID")
    if named:
        return UID(named)
    return ImplicitVRLittleEndian if dataset.original_encoding[0] else ExplicitVRLittleEndian


def _attributes(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    attributes = {}
    for keyword in STORED_KEYWORDS:
        if keyword not in dataset:
            continue
        element = dataset[keyword]
        values: Any = element.value if isinstance(element.value, MultiValue) else [element.value]
        texts = tuple("" if value is None else str(value).rstrip("\0 ") for value in values)
        if any(texts):
            attributes[keyword] = texts
    return attributes


def _first(attributes: HeldAttributes, keyword: str) -> str:
    return attributes.get(keyword, ("",))[0].strip()
