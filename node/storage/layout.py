"""Where an image lies below the storage directory, and under which names.

The network never chooses a file name: a UID or patient ID becomes a component of a path as
it is only when it could not be anything else, and otherwise under a name made from its
digest.
"""

import hashlib
import re
from pathlib import PurePosixPath

from node.config import Layout

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_PATIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def image_path(
    layout: Layout, *, patient_id: str, study_uid: str, series_uid: str, sop_instance_uid: str
) -> PurePosixPath:
    """Return the path of an image, relative to the storage directory."""
    name = uid_component(sop_instance_uid) + ".dcm"
    if layout is Layout.IMAGE:
        return PurePosixPath(name)
    below_study = PurePosixPath(uid_component(study_uid), uid_component(series_uid), name)
    if layout is Layout.STUDY:
        return below_study
    return patient_component(patient_id) / below_study


def uid_component(uid: str) -> str:
    """Return a UID as a file name: itself when it is one (PS3.5 9.1), else `uid-` and a digest."""
    if len(uid) <= 64 and _UID.fullmatch(uid):
        return uid
    return "uid-" + _digest(uid)


def patient_component(patient_id: str) -> PurePosixPath:
    """Return a patient ID as a folder name: plain ones as they are, else `id-` and a digest."""
    if len(patient_id) <= 64 and _PATIENT_ID.fullmatch(patient_id):
        return PurePosixPath(patient_id)
    return PurePosixPath("id-" + _digest(patient_id) if patient_id else "no-patient-id")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]
