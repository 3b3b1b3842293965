"""What became of a series, or of an image, in sentences."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from node.cli.explaining.attempts import in_short
from node.cli.explaining.studies import files_of, set_aside
from node.cli.explaining.words import by_whom, named, section, size, utc
from schema.text.words import counted, counted_are

if TYPE_CHECKING:
    from node.ops.explaining.explain import FileState
    from schema.explaining.parts import ImageRow, ImageStory, ListedPart, SeriesStory


def of_series(series: "SeriesStory", files: "FileState") -> list[str]:
    """Return the lines of a series."""
    kind = f" ({series.modality})" if series.modality else ""
    lines = [
        f"Series {series.series_uid}{kind} of study {series.study_uid}: "
        f"{counted_are(len(series.images), 'image')} here."
    ]
    lines += section("Here", _uids(series.images))
    lines += section("Its files", files_of(files))
    lines += section("Here without a file, which is gone", _uids(series.lost))
    lines += section("What PACSs list", (_listed_series(one) for one in series.listed))
    if not series.listed:
        lines += ["", "No PACS has listed its images: whether more belong to it is not known."]
    lines += ["", f"Its study: `dicom-node explain {series.study_uid}`"]
    return lines


def _uids(uids: tuple[str, ...]) -> Iterator[str]:
    if uids:
        yield named(uids)


def _listed_series(one: "ListedPart") -> str:
    when = f"{one.peer} lists {counted(one.images, 'image')} of it ({utc(one.listed_on)})"
    gone = f", and has the study no more since {utc(one.gone_on)}" if one.gone_on else ""
    if not one.images:
        return f"{one.peer} does not list it ({utc(one.listed_on)}){gone}."
    if not one.missing:
        return f"{when}; all are here{gone}."
    return f"{when}; {len(one.missing)} of them missing{gone}: {named(one.missing)}."


def of_image(image: "ImageStory", files: "FileState") -> list[str]:
    """Return the lines of an image."""
    where = f" of study {image.study_uid}" if image.study_uid else ""
    series = f", series {image.series_uid}" if image.series_uid else ""
    lines = [f"Image {image.image_uid}{where}{series}: {_stands(image, files)}."]
    if image.row is not None:
        lines += _row(image, image.row, files)
    for again in image.repeated:
        lines.append(
            f"Attempt {again.attempt_id} at {again.peer} brought it once more, on "
            f"{utc(again.arrived_on)}."
        )
    lines += section("What PACSs list", (_listed_image(one) for one in image.listed))
    lines += section("In quarantine", map(set_aside, image.quarantine))
    if image.quarantine:
        lines.append("- `dicom-node quarantine list` shows all; export, retry and accept decide.")
    if image.study_uid:
        lines += ["", f"Its study: `dicom-node explain {image.study_uid}`"]
    return lines


def _stands(image: "ImageStory", files: "FileState") -> str:
    if image.row is None:
        if image.quarantine:
            return "in quarantine, and not in the index"
        return "not here"
    if image.row.lost:
        return "in the index, and its file is gone"
    if files.faults:
        return f"in the index, and its file is {files.faults[0].fault}"
    if all(one.kind == "damaged" for one in image.quarantine):
        return "here; a damaged file of it is in quarantine" if image.quarantine else "here"
    return "here; another object with its UID is in quarantine"


def _row(image: "ImageStory", row: "ImageRow", files: "FileState") -> Iterator[str]:
    from pydicom.uid import UID

    if row.received_on is not None:
        node = f", to {row.node}" if row.node else ""
        syntax = row.transfer_syntax_uid
        encoded = f", as {UID(syntax).name} ({syntax})" if syntax else ""
        who = by_whom(row.source, row.source_address)
        yield f"It came from {who} on {utc(row.received_on)}{node}{encoded}."
    else:
        yield "It was parsed, and not received."
    if image.attempt is not None:
        yield f"It was brought by {in_short(image.attempt)}."
    elif row.received_on is not None:
        yield "Nobody had asked for it."
    if row.filepath is not None:
        weight = "of a size that nobody knows" if row.size is None else f"of {size(row.size)}"
        state = "" if files.faults or not files.looked_at else ", which is there and of this size"
        yield f"Its file is {row.filepath}, {weight}{state}."
    elif row.lost:
        yield "Its file is gone; the row keeps its digest, to know the same object again."
    if row.sha256:
        yield f"The SHA-256 of its dataset is {row.sha256}."
    yield from files_of(files)
    if row.parsed_from:
        yield f"It was parsed before from {row.parsed_from}."
    if row.flag:
        yield f"Its header does not agree with where it is kept: {row.flag}."


def _listed_image(one: "ListedPart") -> str:
    gone = f", and has the study no more since {utc(one.gone_on)}" if one.gone_on else ""
    lists = "lists it" if one.images else "does not list it"
    return f"{one.peer} {lists} ({utc(one.listed_on)}){gone}."
