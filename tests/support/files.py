"""All files that pydicom ships, the broken ones with what is wrong with them."""

from pathlib import Path

import pydicom.data

ROOT = Path(pydicom.data.__file__).parent
NOT_DICOM = {".py", ".pyc", ".json", ".txt", ".gz", ".md", ".dump", ".icc"}

BROKEN = {
    "MR_truncated.dcm": r"\(7FE0,0010\) at offset 1488: 8192 bytes expected, 8130 left",
    "rtplan_truncated.dcm": r"\(300A,00B0\)",
    "DICOMDIR-nooffset": r"\(FFFE,E000\)",  # its last item is longer than the file
    "no_meta.dcm": r"\(0820,0500\)",  # there is a byte too much at its start
    "README": "offset 8",  # text
}
"""Files whose structure is broken: pydicom reads what it can and stays silent."""


def all_files() -> list[Path]:
    """Return every DICOM file, and `README`, which is none."""
    paths = [p for p in ROOT.rglob("*") if p.is_file() and p.suffix not in NOT_DICOM]
    return sorted(paths)


def readable_files() -> list[Path]:
    """Return the files whose structure is whole."""
    return [path for path in all_files() if path.name not in BROKEN]


def broken_files() -> list[Path]:
    """Return the others."""
    return [path for path in all_files() if path.name in BROKEN]
