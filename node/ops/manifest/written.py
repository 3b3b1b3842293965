r"""How a manifest is written, and read again. Pure, but for `sha256_of`.

The list has a line for each file: its SHA-256, two spaces, its path from a folder on. A path with a
backslash, a line feed or a carriage return has these as ``\\``, ``\n`` and ``\r``, and a backslash
before the line: so GNU coreutils write and read it. There is no time in a manifest, and no name of
a machine: the same images give the same bytes.
"""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from schema.header.values import clean_text
from schema.project.listing import ImageKey, ListedImage
from schema.text.document import rfc3339, to_json

FORMAT = "dicom-node manifest 1"

_COLUMNS = (
    "path",
    "size",
    "sha256",
    "dataset_sha256",
    "study_uid",
    "series_uid",
    "image_uid",
    "sop_class_uid",
    "transfer_syntax_uid",
    "received_on",
    "source",
    "node",
)
_LINE = re.compile(rb"(\\?)([0-9a-f]{64}) [ *](.+)\n?", re.DOTALL)
_ESCAPED = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_PLAIN = {written: plain for plain, written in _ESCAPED.items()}
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class ManifestFiles:
    """The names of a manifest's three files."""

    listed: Path

    @property
    def details(self) -> Path:
        """The CSV."""
        return self.listed.with_name(f"{self.listed.name}.csv")

    @property
    def about(self) -> Path:
        """The JSON document."""
        return self.listed.with_name(f"{self.listed.name}.json")

    @property
    def all(self) -> tuple[Path, Path, Path]:
        """All of them."""
        return self.listed, self.details, self.about


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a manifest is of.

    Attributes
    ----------
    project
        Of the studies of this project.
    studies
        Of these studies; empty with `project`, or where it is of all images.
    directory
        The folder that paths start from; None is the node's storage directory.
    images, size
        How many files it has, and their bytes.
    list_sha256, details_sha256
        The digests of the list and of the CSV.
    """

    project: str | None
    studies: tuple[str, ...]
    directory: str | None
    images: int
    size: int
    list_sha256: str
    details_sha256: str

    def written(self) -> bytes:
        """Return the JSON document."""
        return (to_json({"format": FORMAT, **asdict(self)}, indent=2) + "\n").encode()

    @classmethod
    def read(cls, text: bytes) -> Self:
        """Read the JSON document.

        Raises
        ------
        ValueError
            It is none, or of another version.
        """
        try:
            said = json.loads(text)
            if said.pop("format") != FORMAT:
                raise ValueError("another format")  # noqa: TRY301
            about = cls(**{**said, "studies": tuple(map(str, said["studies"]))})
            return replace(about, images=int(about.images), size=int(about.size))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"it is no document of the format {FORMAT!r}") from error


@dataclass(frozen=True, slots=True)
class DigestLine:
    """A line of the list."""

    sha256: str
    path: str

    def written(self) -> bytes:
        """Return the line."""
        path = re.sub(r"[\\\n\r]", lambda found: _ESCAPED[found[0]], self.path)
        mark = "" if path == self.path else "\\"
        return f"{mark}{self.sha256}  {path}\n".encode(errors="surrogateescape")


def read_line(line: bytes) -> DigestLine:
    """Read a line of the list.

    Raises
    ------
    ValueError
        It is none.
    """
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError("it is no line of sha256sum")
    path = found[3].removesuffix(b"\n").decode(errors="surrogateescape")
    if found[1]:
        path = re.sub(r"\\.", lambda escape: _PLAIN.get(escape[0], escape[0]), path)
    return DigestLine(found[2].decode(), path)


def details_heading() -> bytes:
    """Return the first line of the CSV."""
    return _csv_line(_COLUMNS)


def details_line(line: DigestLine, image: ListedImage, *, size: int, dataset_sha256: str) -> bytes:
    """Return an image's line of the CSV."""
    held, key = image.held, image.key
    values: Mapping[str, object] = {
        "path": line.path,
        "size": size,
        "sha256": line.sha256,
        "dataset_sha256": dataset_sha256,
        "study_uid": key.study_uid,
        "series_uid": key.series_uid,
        "image_uid": key.image_uid,
        "sop_class_uid": held.sop_class_uid or "",
        "transfer_syntax_uid": held.transfer_syntax_uid or "",
        "received_on": rfc3339(image.received_on) if image.received_on else "",
        "source": held.source or "",
        "node": held.node or "",
    }
    return _csv_line([values[name] for name in _COLUMNS])


def read_details(lines: Iterable[str]) -> Iterator[tuple[ImageKey, str]]:
    """Yield the images of the CSV, each with its path.

    Raises
    ------
    ValueError
        It is not the CSV of a manifest, or not in its order.
    """
    last: ImageKey | None = None
    try:
        for row in csv.DictReader(lines):
            key = ImageKey(row["study_uid"], row["series_uid"], row["image_uid"])
            if last is not None and key <= last:
                raise ValueError("its lines are not in order")
            last = key
            yield key, row["path"]
    except (KeyError, TypeError, csv.Error, UnicodeDecodeError) as error:
        raise ValueError("it is not the CSV of a manifest") from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal; blocks on the disk.

    Raises
    ------
    OSError
        It cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _csv_line(values: Sequence[object]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(values)
    return clean_text(line.getvalue()).encode()
