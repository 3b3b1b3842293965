"""Whatever a header holds, its image is stored: columns by the rules, all of it in `meta`."""

import asyncio
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, time
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from sqlalchemy import select

from schema import Database, Image, ImageRecord, Series, Study, add_image, add_images, read_record
from schema.header.dicomjson import MAX_VALUE, Header, header_of, read_header
from schema.header.values import MAX_KEY
from tests.db.records import header, record
from tests.support.datasets import anything, datasets, with_raw_value
from tests.support.encoded import EXPLICIT, IMPLICIT, element, item, nested, sequence
from tests.support.files import broken_files, readable_files
from tests.support.values import AGES, DATES, NO_AGES, NO_DATES, NO_TIMES, TIMES

STUDY_DATE, ACQUISITION_TIME, MODALITY = 0x00080020, 0x00080032, 0x00080060
MANUFACTURER, PATIENT_NAME, PATIENT_ID = 0x00080070, 0x00100010, 0x00100020
CHARSET, SOP_INSTANCE, STUDY, SERIES = 0x00080005, 0x00080018, 0x0020000D, 0x0020000E
MODEL, SOP_CLASS, PRIVATE = 0x00081090, 0x00080016, 0x00091001
BODY_PART, SEX = 0x00180015, 0x00100040
KVP, THICKNESS, FIELD_STRENGTH = 0x00180060, 0x00180050, 0x00180087
TEXT_COLUMNS = {
    STUDY_DATE: ("DA", "study_date"),
    ACQUISITION_TIME: ("TM", "acquisition_time"),
    MODALITY: ("CS", "modality"),
    MANUFACTURER: ("LO", "manufacturer"),
    MODEL: ("LO", "manufacturer_model_name"),
    SOP_CLASS: ("UI", "sop_class_uid"),
    PATIENT_NAME: ("PN", "patient_name"),
    BODY_PART: ("CS", "body_part_examined"),
    SEX: ("CS", "patient_sex"),
}
NUMBER_COLUMNS = {
    KVP: "kvp",
    THICKNESS: "slice_thickness",
    FIELD_STRENGTH: "magnetic_field_strength",
}
MANY = 20_000
LONG = MAX_VALUE - 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """Elements that should not be as they are, and what becomes of them.

    `columns` are those of the image's row; `meta` has attributes by tag, as they should be.
    """

    elements: tuple[tuple[int, str, bytes], ...]
    columns: dict[str, Any] = field(default_factory=dict)
    meta: dict[int, Any] = field(default_factory=dict)
    syntax: str = EXPLICIT

    def encoded(self, number: int) -> bytes:
        """Return the dataset, with the UIDs that it does not set itself."""
        by_tag: dict[int, bytes] = {
            SOP_INSTANCE: self._element(SOP_INSTANCE, "UI", f"2.25.{number}".encode()),
            STUDY: self._element(STUDY, "UI", b"1.1\0"),
            SERIES: self._element(SERIES, "UI", b"1.1.1\0"),
        }
        for tag, vr, raw in self.elements:
            by_tag[tag] = raw if vr == "RAW" else self._element(tag, vr, raw)
        return b"".join(by_tag[tag] for tag in sorted(by_tag))

    def _element(self, tag: int, vr: str, raw: bytes) -> bytes:
        return element(tag, vr, raw, syntax=self.syntax)


def several(tag: int, vr: str, raw: bytes, column: str, value: Any) -> Hostile:
    return Hostile(elements=((tag, vr, raw),), columns={column: value})


def numbers(vr: str, raw: bytes, value: float | None) -> Hostile:
    """Return one value field in each column of numbers, and what every one of them is."""
    return Hostile(
        elements=tuple((tag, vr, raw) for tag in NUMBER_COLUMNS),
        columns=dict.fromkeys(NUMBER_COLUMNS.values(), value),
    )


def long_text(length: int) -> bytes:
    """Return text that no index makes short by compressing it."""
    return b"".join(b"%d-" % (n * n * n) for n in range(length // 8))[:length].ljust(length, b"x")


HOSTILE: dict[str, Hostile] = {
    "NUL in every text": Hostile(
        elements=(
            (PATIENT_NAME, "PN", b"Doe\0^J\0hn"),
            (PATIENT_ID, "LO", b"A\0B "),
            (MANUFACTURER, "LO", b"\0Maker"),
            (MODALITY, "CS", b"C\0T "),
            (STUDY_DATE, "DA", b"2024\x000101"),
            (PRIVATE, "UT", b"a\0b\0"),
        ),
        columns={
            "patient_name": "Doe\ufffd^J\ufffdhn",
            "patient_id": "A\ufffdB",
            "manufacturer": "\ufffdMaker",
            "modality": "C\ufffdT",
            "study_date": None,
        },
        meta={
            STUDY_DATE: {"vr": "DA", "Value": ["2024\ufffd0101"]},
            PRIVATE: {"vr": "UT", "Value": ["a\ufffdb"]},
        },
    ),
    "surrogates encoded as UTF-8": Hostile(
        elements=((CHARSET, "CS", b"ISO_IR 192"), (PATIENT_NAME, "PN", b"A\xed\xa0\x80B ")),
        columns={"patient_name": "A\ufffd\ufffd\ufffdB"},
    ),
    "characters beyond 16 bits, and none that are": Hostile(
        elements=(
            (CHARSET, "CS", b"ISO_IR 192"),
            (MANUFACTURER, "LO", "🩻\uffff\u200b\ufeff".encode()),
        ),
        columns={"manufacturer": "🩻\uffff\u200b\ufeff"},
    ),
    "control characters and quotes": Hostile(
        elements=((MANUFACTURER, "LO", b"\x01\x7f\x9f\"'}]{[\r\n\t;--/*\x1b(B%_$1:a"),),
        columns={"manufacturer": "\x01\x7f\x9f\"'}]{[\r\n\t;--/*%_$1:a"},
    ),
    "NaN and the infinities": Hostile(
        elements=(
            (0x00189073, "FD", struct.pack("<3d", float("nan"), float("inf"), float("-inf"))),
            (PRIVATE, "FL", struct.pack("<2f", float("nan"), 1.5)),
            (0x00180050, "DS", b"NaN\\inf\\-Infinity\\1.5"),
        ),
        meta={
            0x00189073: {"vr": "FD", "Value": ["NaN", "Infinity", "-Infinity"]},
            PRIVATE: {"vr": "FL", "Value": ["NaN", 1.5]},
            0x00180050: {"vr": "DS", "Value": ["NaN", "inf", "-Infinity", 1.5]},
        },
    ),
    "numbers at and beyond what JSON, jsonb and int64 hold": Hostile(
        elements=(
            (0x00180050, "DS", b"1e400\\-1e400\\1e-400\\" + b"9" * 400),
            (0x00189073, "FD", struct.pack("<5d", 1.7e308, 5e-324, 1e16, 1e22, 2.0**63)),
            (0x00200013, "IS", b"9223372036854775808\\-9223372036854775809\\" + b"9" * 400),
            (PRIVATE, "UV", struct.pack("<2Q", 2**64 - 1, 2**63)),
            (PRIVATE + 1, "SV", struct.pack("<q", -(2**63))),
        ),
        meta={
            0x00180050: {"vr": "DS", "Value": ["1e400", "-1e400", 0.0, "9" * 400]},
            0x00189073: {"vr": "FD", "Value": [1.7e308, 5e-324, 1e16, 1e22, 2.0**63]},
            0x00200013: {
                "vr": "IS",
                "Value": ["9223372036854775808", "-9223372036854775809", "9" * 400],
            },
            PRIVATE: {"vr": "UV", "Value": [2**64 - 1, 2**63]},
            PRIVATE + 1: {"vr": "SV", "Value": [-(2**63)]},
        },
    ),
    "numbers and bytes where text is expected": Hostile(
        elements=(
            (PATIENT_ID, "US", b"\x07\0"),
            (PATIENT_NAME, "FD", struct.pack("<d", 1.5)),
            (STUDY_DATE, "FD", struct.pack("<d", float("nan"))),
            (ACQUISITION_TIME, "SL", struct.pack("<l", -4)),
            (MODALITY, "AT", b"\x10\0\x20\0"),
            (MANUFACTURER, "OB", b"\1\2"),
            (SOP_CLASS, "IS", b"12"),
        ),
        columns={
            "patient_id": "7",
            "patient_name": "1.5",
            "study_date": None,
            "acquisition_time": None,
            "modality": "00100020",
            "manufacturer": None,
            "sop_class_uid": "12",
        },
    ),
    "sequences where text is expected": Hostile(
        elements=tuple(
            (tag, "RAW", sequence(tag, item(element(0x00080100, "SH", b"ONE "))))
            for tag in (*TEXT_COLUMNS, PATIENT_ID)
        ),
        columns={"patient_id": "", **{column: None for _, column in TEXT_COLUMNS.values()}},
    ),
    "text where numbers are expected": Hostile(
        elements=(
            (0x00280010, "LO", b"tall"),
            (0x00280011, "US", b"wide!!"),
            (0x00281052, "DS", b"-1,024"),
            (0x00280009, "AT", b"abc"),
        ),
        meta={
            0x00280010: {"vr": "LO", "Value": ["tall"]},
            0x00281052: {"vr": "DS", "Value": ["-1,024"]},
            0x00280009: {"vr": "UN", "InlineBinary": "YWJj"},
        },
    ),
    "several dates": several(
        STUDY_DATE, "DA", b"20240101\\20240202", "study_date", datetime.fromisoformat("2024-01-01")
    ),
    "several dates, the first one empty": several(
        STUDY_DATE, "DA", b"\\20240202", "study_date", datetime.fromisoformat("2024-02-02")
    ),
    "several dates, the first one wrong": several(
        STUDY_DATE, "DA", b"soon\\20240202", "study_date", None
    ),
    "several times": several(
        ACQUISITION_TIME, "TM", b"045812\\050000", "acquisition_time", time(4, 58, 12)
    ),
    "several identifiers": several(PATIENT_ID, "LO", b"A\\B ", "patient_id", "A"),
    "several modalities": several(MODALITY, "CS", b"CT\\MR ", "modality", "CT"),
    "several names": several(PATIENT_NAME, "PN", b"A^B\\C^D", "patient_name", "A^B"),
    "a name of three groups": several(PATIENT_NAME, "PN", b"A=B=C ", "patient_name", "A=B=C"),
    "a name of four groups": several(PATIENT_NAME, "PN", b"A=B=C=D", "patient_name", "A=B=C=D"),
    "a number": numbers("DS", b" 0.625", 0.625),
    "a number with an exponent": numbers("DS", b"+1.5E+00", 1.5),
    "a negative zero": numbers("DS", b"-0", 0.0),
    "the smallest number": numbers("FD", struct.pack("<d", 5e-324), 5e-324),
    "several numbers": numbers("DS", b"120\\80", 120.0),
    "several numbers, the first one empty": numbers("DS", b"\\80 ", 80.0),
    "several numbers, the first one text": numbers("DS", b"n/a\\80", None),
    "an integer where a decimal is expected": numbers("IS", b"120 ", 120.0),
    "the largest integer": numbers("UV", b"\xff" * 8, 2.0**64),
    "no number": numbers("DS", b"n/a ", None),
    "a decimal comma": numbers("DS", b"1,5 ", None),
    "a number with its unit": numbers("LO", b"120 kV", None),
    "a number beyond a double": numbers("DS", b"1e999 ", None),
    "a number that nobody has measured": numbers("DS", b"1e300 ", None),
    "a number of 400 digits": numbers("DS", b"9" * 400, None),
    "a number that is NaN": numbers("FD", struct.pack("<d", float("nan")), None),
    "an infinite number": numbers("FD", struct.pack("<d", float("-inf")), None),
    "the word NaN for a number": numbers("DS", b"NaN ", None),
    "a name for a number": numbers("PN", b"A^B ", None),
    "bytes for a number": numbers("OB", b"\1\2", None),
    "an empty number": numbers("DS", b"  ", None),
    "nothing but empty values": Hostile(
        elements=tuple(
            (tag, vr, b"") for tag, (vr, _) in [*TEXT_COLUMNS.items(), (PATIENT_ID, ("LO", ""))]
        ),
        columns={"patient_id": "", **{column: None for _, column in TEXT_COLUMNS.values()}},
        meta={tag: {"vr": vr} for tag, (vr, _) in TEXT_COLUMNS.items()},
    ),
    "nothing but padding": Hostile(
        elements=tuple((tag, vr, b" \0") for tag, (vr, _) in TEXT_COLUMNS.items()),
        columns={column: None for _, column in TEXT_COLUMNS.values()},
        meta={tag: {"vr": vr} for tag, (vr, _) in TEXT_COLUMNS.items()},
    ),
    "nothing at all": Hostile(
        elements=(),
        columns={"patient_id": "", **{column: None for _, column in TEXT_COLUMNS.values()}},
    ),
    "3 MB of text": Hostile(
        elements=((PRIVATE, "UT", b"x" * (3 << 20)),), meta={PRIVATE: {"vr": "UT"}}
    ),
    "a name of 3 MB": Hostile(
        elements=((PATIENT_NAME, "PN", b"x" * (3 << 20)),),
        columns={"patient_name": None},
        meta={PATIENT_NAME: {"vr": "PN"}},
        syntax=IMPLICIT,
    ),
    "a megabyte in every column of text": Hostile(
        elements=tuple(
            (tag, vr, long_text(LONG)) for tag, (vr, _) in TEXT_COLUMNS.items() if vr != "PN"
        ),
        columns={
            "manufacturer": long_text(LONG).decode(),
            "modality": long_text(LONG).decode(),
            "study_date": None,
        },
        syntax=IMPLICIT,
    ),
    "20,000 values": Hostile(
        elements=(
            (PRIVATE, "UC", b"\\".join(b"%d" % n for n in range(MANY))),
            (PRIVATE + 1, "UV", b"\1\0\0\0\0\0\0\0" * MANY),
        ),
        meta={
            PRIVATE: {"vr": "UC", "Value": [str(n) for n in range(MANY)]},
            PRIVATE + 1: {"vr": "UV", "Value": [1] * MANY},
        },
    ),
    "20,000 modalities": Hostile(
        elements=((MODALITY, "CS", b"\\".join([b"CT"] * MANY)),),
        columns={"modality": "CT"},
        syntax=IMPLICIT,
    ),
    "20,000 empty values": Hostile(
        elements=((PRIVATE, "UC", b"\\" * MANY),),
        meta={PRIVATE: {"vr": "UC", "Value": [None] * (MANY + 1)}},
    ),
    "sequences 60 deep": Hostile(elements=((0x00081140, "RAW", nested(60)),)),
    "UIDs that are none": Hostile(
        elements=(
            (SOP_INSTANCE, "UI", b" ../../etc/passwd\0"),
            (STUDY, "UI", "Ünïcode/1..2".encode("latin_1")),
            (SERIES, "UI", b"\x1c1.2\\3.4"),
            (SOP_CLASS, "UI", b"no class"),
        ),
        columns={
            "image_uid": "../../etc/passwd",
            "study_uid": "Ünïcode/1..2",
            "series_uid": "\x1c1.2",
            "sop_class_uid": "no class",
        },
    ),
    "UIDs of 4,000 characters": Hostile(
        elements=tuple((tag, "UI", long_text(4000)) for tag in (SOP_INSTANCE, STUDY, SERIES)),
    ),
    "private elements without a creator": Hostile(
        elements=((PRIVATE, "LO", b"orphan"), (0x00110100, "UN", b"\1\2")),
        meta={
            PRIVATE: {"vr": "LO", "Value": ["orphan"]},
            0x00110100: {"vr": "UN", "InlineBinary": "AQI="},
        },
    ),
    "a VR that does not exist": Hostile(
        elements=(
            (PATIENT_ID, "RAW", struct.pack("<HH2sH", 0x10, 0x20, b"ZZ", 4) + b"abcd"),
            (PRIVATE, "RAW", struct.pack("<HH2sH", 9, 0x1001, b"ZZ", 4) + b"abcd"),
        ),
        columns={"patient_id": "abcd"},  # as the dictionary says
        meta={PRIVATE: {"vr": "UN", "InlineBinary": "YWJjZA=="}},
    ),
    "odd lengths": Hostile(
        elements=((MODALITY, "CS", b"CT "), (PATIENT_ID, "LO", b"odd"), (PRIVATE, "OW", b"\1\2\3")),
        columns={"modality": "CT", "patient_id": "odd"},
    ),
    "a character set that is unknown": Hostile(
        elements=((CHARSET, "CS", b"KLINGON "), (MANUFACTURER, "LO", "Müller ".encode())),
        columns={"manufacturer": "Müller"},
    ),
    "a character set that is a number": Hostile(
        elements=((CHARSET, "US", b"\x64\0"), (MANUFACTURER, "LO", b"M\xfcller")),
        columns={"manufacturer": "Müller"},
    ),
    "text that is not in its character set": Hostile(
        elements=((CHARSET, "CS", b"ISO_IR 192"), (PATIENT_NAME, "PN", b"M\xfcller")),
        columns={"patient_name": "M\ufffdller"},
    ),
    "an element twice, and not in order": Hostile(
        elements=(
            (MODALITY, "RAW", element(PATIENT_ID, "LO", b"A ") + element(MODALITY, "CS", b"CT")),
            (PATIENT_ID, "LO", b"B "),
        ),
        columns={"modality": "CT", "patient_id": "B"},
    ),
}


def alike(stored: Any, made: Any) -> bool:
    """Tell whether two documents are equal, taking 1e16 and 10000000000000000 for one number."""
    if isinstance(stored, dict) and isinstance(made, dict):
        return stored.keys() == made.keys() and all(alike(stored[key], made[key]) for key in made)
    if isinstance(stored, list) and isinstance(made, list):
        return len(stored) == len(made) and all(map(alike, stored, made))
    if isinstance(made, float) and isinstance(stored, int):
        return float(stored) == made
    return type(stored) is type(made) and bool(stored == made)


def check_stored(image: Image, made: Header) -> list[str]:
    """Return what is wrong with a stored image: `meta` and `dataset()` have to be what was made."""
    wrong = []
    keys = image.meta.keys() | made.attributes.keys()
    if different := [k for k in keys if not alike(image.meta.get(k), made.attributes.get(k))]:
        wrong.append(f"meta differs at {different}")
    dataset = image.dataset()
    if header_of(dataset).attributes != made.attributes:
        wrong.append("dataset() has another header")
    if (dataset.get("SOPInstanceUID") or None) != made.sop_instance_uid:
        wrong.append(f"dataset() has SOP Instance UID {dataset.get('SOPInstanceUID')!r}")
    return wrong


async def test_every_hostile_header_is_stored_and_comes_back(db: Database) -> None:
    failures: dict[str, Any] = {}
    for number, (name, hostile) in enumerate(HOSTILE.items()):
        encoded = hostile.encoded(number)
        made = read_header(encoded, hostile.syntax)
        async with db.begin() as session:
            image = await add_image(session, encoded)
        assert image is not None, name
        async with db.session() as session:
            stored = await Image.by_id(session, image.id)
            assert stored is not None, name
            wrong = check_stored(stored, made)
            wrong += [
                f"{column} is {getattr(stored, column)!r:.200}"
                for column, value in hostile.columns.items()
                if getattr(stored, column) != value
            ]
            wrong += [
                f"meta[{tag:08X}] is {stored.meta.get(f'{tag:08X}')!r:.200}"
                for tag, attribute in hostile.meta.items()
                if not alike(stored.meta.get(f"{tag:08X}"), attribute)
            ]
        if wrong:
            failures[name] = wrong
    assert failures == {}


async def test_lone_surrogates_in_a_dataset_are_replaced(db: Database) -> None:
    dataset = header("2.25.1")
    for keyword, vr in (("PatientName", "PN"), ("Manufacturer", "LO"), ("StudyDate", "DA")):
        with_raw_value(dataset, Tag(keyword), vr, "A\ud800B\udfff")
    async with db.begin() as session:
        image = await add_image(session, dataset, institution="I\ud800", filepath="/\udcff.dcm")
        assert image is not None
        assert (image.patient_name, image.manufacturer) == ("A\ufffdB\ufffd", "A\ufffdB\ufffd")
        assert (image.institution, image.filepath) == ("I\ufffd", "/\ufffd.dcm")
        assert image.study_date is None
        assert image.meta["00080020"] == {"vr": "DA", "Value": ["A\ufffdB\ufffd"]}
        assert check_stored(image, header_of(dataset)) == []


async def test_uids_that_are_too_long_for_an_index_are_told_apart_and_whole_in_meta(
    db: Database,
) -> None:
    long = [long_text(4000) + ending for ending in (b".1", b".2")]
    async with db.begin() as session:
        images = [
            await add_image(session, Hostile(elements=((SOP_INSTANCE, "UI", uid),)).encoded(0))
            for uid in long
        ]
    for uid, image in zip(long, images, strict=True):
        assert image is not None
        assert len(image.image_uid) <= MAX_KEY
        assert image.dataset().SOPInstanceUID == uid.decode()
    assert images[0].image_uid != images[1].image_uid


def texts_and_values() -> Iterator[tuple[int, str, str, str, Any]]:
    """Yield tag, VR, column, text and value of every row of the tables of dates, times and ages."""
    tables: list[tuple[int, str, str, dict[str, Any], list[str], Any]] = [
        (STUDY_DATE, "DA", "study_date", DATES, NO_DATES, None),
        (ACQUISITION_TIME, "TM", "acquisition_time", TIMES, NO_TIMES, None),
        (0x00101010, "AS", "patient_age", AGES, NO_AGES, -1),
    ]
    for tag, vr, column, good, bad, nothing in tables:
        for text_, value in (*good.items(), *((text_, nothing) for text_ in bad)):
            midnight = isinstance(value, datetime) is False and column == "study_date" and value
            yield tag, vr, column, text_, datetime.combine(value, time()) if midnight else value


async def test_every_date_time_and_age_is_in_its_column_and_verbatim_in_meta(db: Database) -> None:
    rows = [row for row in texts_and_values() if "\\" not in row[3] and row[3].isascii()]
    records = []
    for number, (tag, vr, _, written, _) in enumerate(rows):
        uid = f"2.25.{number}".encode()
        elements = ((tag, vr, written.encode()), (STUDY, "UI", uid), (SERIES, "UI", uid))
        records.append(read_record(Hostile(elements=elements).encoded(number)))
    async with db.begin() as session:
        await add_images(session, records)
    async with db.session() as session:
        query = select(Image, Study).join(Image.series).join(Series.study)
        stored = {image.image_uid: (image, study) for image, study in await session.execute(query)}
    failures = {}
    for number, (tag, _, column, written, value) in enumerate(rows):
        image, study = stored[f"2.25.{number}"]
        found = getattr(study if column == "patient_age" else image, column)
        kept = image.meta[f"{tag:08X}"].get("Value")
        if (found, kept) != (value, [written.rstrip(" \0")]):
            failures[written] = (found, kept)
    assert failures == {}
    assert len(rows) > 120


async def test_what_is_absent_is_null_and_an_absent_age_is_minus_one(db: Database) -> None:
    async with db.begin() as session:
        image = await add_image(session, header("1"))
        assert image is not None
        study = await Study.by_uid(session, image.study_uid or "")
    assert (image.study_date, image.acquisition_time) == (None, None)
    assert study is not None
    assert (study.study_date, study.patient_age) == (None, -1)


async def test_jsonb_changes_the_spelling_of_numbers_and_no_value(db: Database) -> None:
    numbers = b"[1e300,-0.0,5e-324,1e16,6.333012159105145e+16,0.1,1.0,18446744073709551615]"
    written = b'{"00189073":{"vr":"FD","Value":' + numbers + b"}}"
    twice = b'{"00100020":{"vr":"LO","Value":["A"]},"00100020":{"vr":"LO","Value":["B"]}}'
    async with db.begin() as session:
        await add_images(session, [record("1", meta=written), record("2", meta=twice)])
    async with db.session() as session:
        first = await Image.by_uid(session, "1")
        second = await Image.by_uid(session, "2")
        assert first is not None
        assert second is not None
        # jsonb writes 1e16 as an integer, and loses the sign of -0.0 (which equals 0.0)
        expected = [1e300, -0.0, 5e-324, 1e16, 6.333012159105145e16, 0.1, 1.0, float(2**64 - 1)]
        assert alike(first.meta, orjson.loads(written))
        assert [float(value) for value in first.dataset()[0x00189073].value] == expected
        assert second.meta == {"00100020": {"vr": "LO", "Value": ["B"]}}
        assert second.dataset().PatientID == "B"


async def test_every_file_that_pydicom_ships_is_stored_and_comes_back(db: Database) -> None:
    minus_zero = b"0.0" if db.dialect == "postgresql" else b"-0.0"
    headers = {str(path): read_header(path.read_bytes()) for path in readable_files()}
    records = {
        path: ImageRecord(
            image_uid=f"2.25.{number}", series_uid="1.1.1", study_uid="1.1", meta=made.meta_json
        )
        for number, (path, made) in enumerate(headers.items())
    }
    async with db.begin() as session:
        await add_images(session, records.values())
    async with db.session() as session:
        stored = {image.image_uid: image for image in await session.scalars(select(Image))}
    failures = {}
    for path, made in headers.items():
        image = stored[records[path].image_uid]
        if wrong := check_stored(image, made):
            failures[path] = wrong
        # the sign of -0.0 is all that jsonb loses of what the files have
        expected = re.sub(rb"-0\.0(?![0-9])", minus_zero, made.meta_json)
        if header_of(image.dataset()).meta_json != expected:
            failures.setdefault(path, []).append("the JSON of dataset() differs")
    assert failures == {}
    assert len(headers) > 100
    assert len(broken_files()) < 6


async def test_every_file_that_pydicom_ships_and_that_is_an_image_has_its_columns(
    db: Database,
) -> None:
    records = []
    for number, path in enumerate(readable_files()):
        made = read_header(path.read_bytes())
        if made.sop_instance_uid and made.study_instance_uid and made.series_instance_uid:
            records.append(replace(read_record(path), image_uid=f"2.25.{number}"))
    async with db.begin() as session:
        added = await add_images(session, records)
    assert all(one.inserted for one in added)
    async with db.session() as session:
        stored = {image.filepath: image for image in await session.scalars(select(Image))}
    for one in records:
        image = stored[one.filepath]
        for column in ("patient_id", "patient_name", "study_date", "acquisition_time", "modality"):
            assert getattr(image, column) == getattr(one, column)
    assert len(records) > 80


keywords = st.sampled_from(sorted((tag, vr) for tag, (vr, _) in TEXT_COLUMNS.items()))


@st.composite
def hostile_datasets(draw: st.DrawFn) -> Dataset:
    """Return a dataset of the right form, some attributes of whose columns are anything."""
    dataset: Dataset = draw(datasets)
    for (tag, vr), value in draw(st.dictionaries(keywords, anything, max_size=3)).items():
        with_raw_value(dataset, tag, vr, value)
    return dataset


async def store_and_compare(database: Database, batch: list[Dataset]) -> None:
    """Store datasets in one transaction, compare what comes back, and take it back."""
    for number, dataset in enumerate(batch):
        dataset.SOPInstanceUID = f"2.25.{number}"
        dataset.StudyInstanceUID = dataset.SeriesInstanceUID = "1.1"
    made = [header_of(dataset) for dataset in batch]
    async with database.session(write=True) as session:
        added = await add_images(session, [read_record(dataset) for dataset in batch])
        session.expire_all()
        for one, expected in zip(added, made, strict=True):
            image = await session.get_one(Image, one.id)
            assert one.inserted
            assert check_stored(image, expected) == []
        await session.rollback()


def test_any_dataset_is_stored_and_comes_back(
    migrated_sqlite_url: str, migrated_postgresql_url: str
) -> None:
    with asyncio.Runner() as runner:
        databases = [Database(url) for url in (migrated_sqlite_url, migrated_postgresql_url)]

        @settings(
            max_examples=12,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(st.lists(hostile_datasets(), min_size=1, max_size=8))
        def check(batch: list[Dataset]) -> None:
            for database in databases:
                runner.run(store_and_compare(database, batch))

        try:
            check()
        finally:
            for database in databases:
                runner.run(database.dispose())
