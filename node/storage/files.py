"""Reading DICOM files (PS3.10): what they hold, and the digest of a dataset."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import InvalidDicomError
from pydicom.filereader import dcmread, read_file_meta_info
from pydicom.uid import ImplicitVRLittleEndian

from node.dicom.part10 import read_file_header
from node.errors import StorageError
from node.storage.folders import is_own_name
from schema.parsing.scan import SPOOL, open_regular

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIdentity:
    """What a file's header says that it holds."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


def identify(path: Path) -> FileIdentity:
    """Return what a DICOM file holds, from its File Meta Information.

    Raises
    ------
    StorageError
        When the file cannot be read, or is not a DICOM file that can be sent as it is.
    """
    try:
        meta = read_file_meta_info(path)
        sop_class = meta.get("MediaStorageSOPClassUID")
        sop_instance = meta.get("MediaStorageSOPInstanceUID")
        if not sop_class or not sop_instance:
            dataset = dcmread(
                path, stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"]
            )
            sop_class, sop_instance = dataset.get("SOPClassUID"), dataset.get("SOPInstanceUID")
    except (OSError, InvalidDicomError) as error:
        reason = getattr(error, "strerror", None) or "it is not a DICOM file"
        raise StorageError(f"cannot send {path}: {reason}") from error
    except Exception as error:  # the parser's exceptions for malformed headers have no common base
        raise StorageError(f"cannot send {path}: its header is malformed ({error})") from error
    if not sop_class or not sop_instance:
        raise StorageError(f"cannot send {path}: it names no SOP class and instance (a DICOMDIR?)")
    return FileIdentity(
        sop_class_uid=str(sop_class),
        sop_instance_uid=str(sop_instance),
        transfer_syntax_uid=str(meta.get("TransferSyntaxUID") or ImplicitVRLittleEndian),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledIdentity:
    """What the header of a file says that we wrote ourselves; all is empty when it is damaged.

    Attributes
    ----------
    sha256
        Of the dataset; of the whole file when the header is damaged.
    """

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    transfer_syntax_uid: str = ""
    source: str = ""
    sha256: str


def identify_spooled(path: Path) -> SpooledIdentity:
    """Return what a file of the spool holds, from the header that we gave it, and its digest.

    Raises
    ------
    OSError
        When the file cannot be read.
    """
    with open_regular(path) as file:
        read = read_file_header(file.read(_CHUNK))
        elements, offset = read or ({}, 0)
        file.seek(offset)
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return SpooledIdentity(
        sop_class_uid=elements.get(0x0002, ""),
        sop_instance_uid=elements.get(0x0003, ""),
        transfer_syntax_uid=elements.get(0x0010, ""),
        source=elements.get(0x0016, ""),
        sha256=digest.hexdigest(),
    )


def find_files(paths: list[Path]) -> list[Path]:
    """Return the given files, and all regular files below the given folders, in order.

    What a node keeps for itself in a storage directory, such as its quarantine, is left out.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            for folder, folders, names in os.walk(path):
                own = (Path(folder) / SPOOL).is_dir()
                folders[:] = sorted(name for name in folders if not (own and is_own_name(name)))
                files = (
                    Path(folder, name) for name in sorted(names) if not (own and is_own_name(name))
                )
                found.extend(path for path in files if path.is_file())
        else:
            found.append(path)
    return found
