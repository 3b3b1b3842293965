"""Small images of a made-up hospital, whose headers have what headers of the field have.

Names in the character sets of the world, dates that are none, values with spaces around them or
with characters that are wildcards in a query, what is missing, and identifiers that several share.
Everything is drawn from a seed.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from pydicom import config, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

ROOT = "2.999.7"
SOP_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "SR": "1.2.840.10008.5.1.4.1.1.88.22",
    "": "1.2.840.10008.5.1.4.1.1.7",
}

Charset = tuple[str, ...]

ASCII: Charset = ()
LATIN_1: Charset = ("ISO_IR 100",)
JAPANESE: Charset = ("", "ISO 2022 IR 87")
KOREAN: Charset = ("", "ISO 2022 IR 149")
CYRILLIC: Charset = ("ISO_IR 144",)
GREEK: Charset = ("ISO_IR 126",)
CHINESE: Charset = ("GB18030",)
UTF_8: Charset = ("ISO_IR 192",)

NAMES: dict[Charset, Sequence[str]] = {
    ASCII: (
        *("DOE^JANE", "Doe^John", "Smith^Anna^M^Dr.", "SMITH", "smith^anna", "O'Brien^Pat"),
        *("^Anonymous", "Star*^Wild?", "100%_^Per", "Dots.^[a-z]", "Space ^ Inner", "Van Dyk^ "),
    ),
    LATIN_1: ("Müller^Jürgen", "MÜLLER^EVA", "Buc^Jérôme", "Ñandú^Íñigo", "Groß^Änne"),
    JAPANESE: ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Suzuki^Hanako=鈴木^花子=すずき^はなこ"),
    KOREAN: ("Hong^Gildong=洪^吉洞=홍^길동", "Kim^Hie=金^希中=김^희중"),
    CYRILLIC: ("Люксембург^Анна", "Иванов^Пётр"),
    GREEK: ("Διονυσιος^Μαρια", "Παπας^Γιωργος"),
    CHINESE: ("Wang^XiaoDong=王^小东", "Zhang^Wei=张^伟"),
    UTF_8: ("Łukasz^Wałęsa", "Şahin^Işıl", "Müller^Żaneta", "Nguyễn^Thị", "İnce^Ali"),
}
DESCRIPTIONS: dict[Charset, Sequence[str]] = {
    LATIN_1: ("Schädel nativ", "Röntgen Thorax"),
    JAPANESE: ("頭部 MRI",),
    CYRILLIC: ("Голова",),
    GREEK: ("Θώρακας",),
    UTF_8: ("Czaszka – główna",),
}
WORDS = ("Thorax", "HEAD", "head", "Abdomen*", "A?C", "100%", "Knie li_re", "Brain  MR", "CT+PET")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One image: its header, and its file."""

    dataset: Dataset = field(repr=False)
    file: bytes = field(repr=False)


def pictures(count: int, *, seed: int = 0) -> Iterator[Picture]:
    """Yield so many images, a patient after the other."""
    drawn = random.Random(seed)
    made = number = 0
    while made < count:
        number += 1
        for dataset in _patient(drawn, number):
            if made == count:
                return
            made += 1
            yield Picture(dataset=dataset, file=encoded(dataset, drawn.random() < 0.2))


def encoded(dataset: Dataset, implicit: bool = False) -> bytes:
    """Return a dataset as a file."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.ImplementationClassUID = UID(f"{ROOT}.0")
    dataset.file_meta = meta
    buffer = io.BytesIO()
    with config.disable_value_validation():
        dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _patient(drawn: random.Random, number: int) -> Iterator[Dataset]:
    charset = drawn.choice([*NAMES, ASCII, ASCII, LATIN_1, UTF_8])
    patient = {
        "PatientID": _identifier(drawn, number),
        "PatientName": _mostly(drawn, drawn.choice(NAMES[charset]), "", None),
        "PatientBirthDate": _date(drawn, 1930, 90),
        "PatientSex": drawn.choice(["F", "M", "O", "", None]),
        "PatientComments": drawn.choice([None, "allergic", " to be called "]),
        "IssuerOfPatientID": drawn.choice([None, "HOSPITAL"]),
    }
    for study_number in range(1, drawn.choice([1, 1, 2, 3]) + 1):
        uid = f"{ROOT}.{number}.{study_number}"
        yield from _study(drawn, charset, uid, patient)


def _identifier(drawn: random.Random, number: int) -> str | None:
    """Return a Patient ID; some are shared, some differ in case or spaces only."""
    if drawn.random() < 0.7:
        return f"P{number:05d}"
    near = f"P{drawn.randrange(1, number + 1):05d}"
    return drawn.choice(
        [
            *(near, near.lower(), f" {near}", f"{near} ", f"A*{number}", f"A{number}"),
            *(f"X_{number}", f"X%{number}", str(number), f"{number:08d}", "", None),
        ]
    )


def _study(
    drawn: random.Random, charset: Charset, uid: str, patient: dict[str, Any]
) -> Iterator[Dataset]:
    number = drawn.randrange(10_000)
    study = {
        "StudyInstanceUID": uid,
        "StudyDate": _date(drawn, 2020, 4),
        "StudyTime": _time(drawn),
        "AccessionNumber": drawn.choice(
            [f"A{number}"] * 5 + [f" A{number}", f"a{number}", f"A*{number % 10}", "", None]
        ),
        "StudyID": drawn.choice(["1", "1", f"S{number}", "", None]),
        "StudyDescription": _words(drawn, charset),
        "ReferringPhysicianName": _mostly(drawn, drawn.choice(NAMES[charset]), "", None),
        "PatientAge": drawn.choice(["045Y", "006M", "", None]),
    }
    for series_number in range(1, drawn.choice([1, 1, 2, 3]) + 1):
        for dataset in _series(drawn, charset, f"{uid}.{series_number}", series_number):
            _put(dataset, patient | study)
            yield dataset


def _series(drawn: random.Random, charset: Charset, uid: str, number: int) -> Iterator[Dataset]:
    modality = drawn.choice(["CT", "CT", "MR", "MR", "US", "PT", "SR", ""])
    series = {
        "SeriesInstanceUID": uid,
        "Modality": modality if modality or drawn.random() < 0.5 else None,
        "SeriesNumber": drawn.choice([str(number), f"0{number}", f" {number}", "", None]),
        "SeriesDescription": _words(drawn, charset),
        "SeriesDate": _date(drawn, 2020, 4),
        "SeriesTime": _time(drawn),
        "BodyPartExamined": drawn.choice(["HEAD", "CHEST", "", None]),
        "ProtocolName": _words(drawn, charset),
        "Manufacturer": drawn.choice(["SIEMENS", "Siemens", "GE MEDICAL SYSTEMS", None]),
        "StationName": drawn.choice(["CT01", "MR_1", None]),
        "OperatorsName": drawn.choice([None, "Doe^Op", ["Roe^A", "Poe^B"]]),
        "KVP": drawn.choice([None, "120", "120.0", "80"]),
        "SoftwareVersions": drawn.choice([None, "VB10", ["VB10", "R2"]]),
    }
    items = _requests(drawn)
    for instance in range(1, drawn.choice([1, 2, 3, 4]) + 1):
        dataset = Dataset()
        if charset:
            dataset.SpecificCharacterSet = list(charset)
        image = {
            "SOPClassUID": SOP_CLASSES[modality],
            "SOPInstanceUID": f"{uid}.{instance}",
            "InstanceNumber": drawn.choice([str(instance)] * 4 + [None, f"{instance:03d}"]),
            "ImageType": drawn.choice([["ORIGINAL", "PRIMARY"], ["DERIVED", "SECONDARY", "MPR"]]),
            "ContentDate": _date(drawn, 2020, 4),
            "ContentTime": _time(drawn),
            "ImageComments": _words(drawn, charset),
            "Rows": drawn.choice([None, 64, 512]),
            "AcquisitionDateTime": drawn.choice([None, "20210304101112.5", "2021030410+0100"]),
        }
        _put(dataset, series | image)
        if items:
            dataset.RequestAttributesSequence = items
        yield dataset


def _requests(drawn: random.Random) -> list[Dataset]:
    items = []
    for number in range(drawn.choice([0, 0, 1, 2])):
        item = Dataset()
        item.RequestedProcedureID = f"RP{drawn.randrange(20)}"
        item.ScheduledProcedureStepID = f"SP{number}"
        item.ScheduledProcedureStepDescription = drawn.choice(WORDS)
        items.append(item)
    return items


def _put(dataset: Dataset, values: dict[str, Any]) -> None:
    with config.disable_value_validation():
        for keyword, value in values.items():
            if value is not None:
                setattr(dataset, keyword, value)


def _mostly(drawn: random.Random, *values: Any) -> Any:
    """Return mostly the first one."""
    return values[0] if drawn.random() < 0.9 else drawn.choice(values)


def _words(drawn: random.Random, charset: Charset) -> str | None:
    text = drawn.choice([*WORDS, *(DESCRIPTIONS.get(charset, ()) * 3)])
    return drawn.choice([text, text, text, f" {text}", f"{text}  ", "", None])


def _date(drawn: random.Random, first: int, years: int) -> str | None:
    day = date(first, 1, 1) + timedelta(days=drawn.randrange(365 * years))
    if drawn.random() < 0.85:
        return f"{day:%Y%m%d}"
    return drawn.choice(
        [
            *(f"{day:%Y.%m.%d}", f"{day:%Y}", f"{day:%Y-%m-%d}", "20211301", "unknown", "", None),
            *(f"{day:%Y%m%d}120000", f" {day:%Y%m%d}"),
        ]
    )


def _time(drawn: random.Random) -> str | None:
    text = f"{drawn.randrange(24):02d}{drawn.randrange(60):02d}{drawn.randrange(60):02d}"
    if drawn.random() < 0.7:
        return text
    return drawn.choice(
        [
            *(text[:4], text[:2], f"{text}.25", f"{text}.000000"),
            *(f"{text[:2]}:{text[2:4]}:{text[4:]}", "250000", "noon", "", None),
        ]
    )
