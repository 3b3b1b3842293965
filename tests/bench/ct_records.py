"""Records of CT images without their files: as many as a measurement of the index needs.

Each has a header of about 4 KB. A study has three series of 100 images; every fourth study is of
the same patient as the one before. UIDs are made as scanners make them: the root, the device, a
time, and a number that rises with the images of a series. Software that anonymises makes others,
which fall anywhere in an index: these are to be had as well.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from datetime import datetime, time, timedelta

import orjson

from schema import ImageRecord

_ROOTS = (
    "1.2.840.113619.2.416.10634391",  # GE
    "1.3.12.2.1107.5.1.4.73491.3000002",  # Siemens
    "1.3.46.670589.33.1.6382910475",  # Philips
    "1.2.392.200036.9116.2.6.1.48.1214",  # Canon
)
_MAKERS = ("GE MEDICAL SYSTEMS", "SIEMENS", "Philips", "Canon Medical Systems")
_CT = "1.2.840.10008.5.1.4.1.1.2"
_EXPLICIT = "1.2.840.10008.1.2.1"
_SERIES = 3
_IMAGES = 100


def ct_records(seed: int, *, scattered: bool = False) -> Iterator[ImageRecord]:
    """Yield records without end, image by image, series by series, study by study.

    Parameters
    ----------
    seed
        Other images come with another one.
    scattered
        Whether the UIDs of a series have nothing in common.
    """
    random_ = random.Random(seed)
    patient = ""
    for study in range(10**9):
        if study % 4 < 3 or not patient:
            patient = f"{random_.randrange(10**8):08d}"
        yield from _study(random_, patient, scattered)


def _study(random_: random.Random, patient: str, scattered: bool) -> Iterator[ImageRecord]:
    scanner = random_.randrange(len(_ROOTS))
    name = f"Doe-{patient}^Jane^^Dr."
    day = datetime(2015, 1, 1) + timedelta(days=random_.randrange(4000))  # noqa: DTZ001
    study_uid = _uid(random_, scanner)
    accession = f"A{random_.randrange(10**9):09d}"
    age = random_.randrange(1, 99)
    frame = _uid(random_, scanner)
    for series in range(1, _SERIES + 1):
        series_uid = _uid(random_, scanner)
        fixed = _fixed(random_, scanner)
        for instance in range(1, _IMAGES + 1):
            image_uid = _uid(random_, scanner) if scattered else f"{series_uid}.{instance}"
            taken = time(10, series, instance // 2, random_.randrange(10**6))
            varying = {
                "00080018": ("UI", [image_uid]),
                "00080020": ("DA", [f"{day:%Y%m%d}"]),
                "00080032": ("TM", [f"{taken:%H%M%S.%f}"]),
                "00080050": ("SH", [accession]),
                "00081140": ("SQ", [_reference(_uid(random_, scanner)) for _ in range(4)]),
                "00100010": ("PN", [{"Alphabetic": name}]),
                "00100020": ("LO", [patient]),
                "00101010": ("AS", [f"{age:03d}Y"]),
                "00181151": ("IS", [random_.randrange(80, 600)]),
                "0020000D": ("UI", [study_uid]),
                "0020000E": ("UI", [series_uid]),
                "00200011": ("IS", [series]),
                "00200013": ("IS", [instance]),
                "00200032": ("DS", [-158.135803, -179.035797, round(instance * 1.25, 3)]),
                "00200052": ("UI", [frame]),
                "00201041": ("DS", [round(random_.uniform(-500, 500), 6)]),
            }
            text = ",".join(_attribute(tag, vr, value) for tag, (vr, value) in varying.items())
            digest = hashlib.sha256(image_uid.encode()).hexdigest()
            yield ImageRecord(
                image_uid=image_uid,
                series_uid=series_uid,
                study_uid=study_uid,
                patient_id=patient,
                institution="General Hospital",
                patient_name=name,
                patient_birth_date=datetime(1950, 1, 1) + timedelta(days=int(patient) % 20000),  # noqa: DTZ001
                study_date=day,
                patient_age=age,
                accession_number=accession,
                modality="CT",
                sop_class_uid=_CT,
                acquisition_time=taken,
                manufacturer=_MAKERS[scanner],
                manufacturer_model_name="Model 64",
                meta=f"{{{text},{fixed}}}".encode(),
                filepath=f"/srv/dicom/images/{patient}/{study_uid}/{series_uid}/{image_uid}.dcm",
                sha256=digest,
                size=526_336 + instance,
                transfer_syntax_uid=_EXPLICIT,
                received_on=datetime(2026, 1, 1),  # noqa: DTZ001
                source="CT64",
                node="DICOMNODE",
            )


def _attribute(tag: str, vr: str, value: list[object]) -> str:
    return f'"{tag}":{{"vr":"{vr}","Value":{orjson.dumps(value).decode()}}}'


def _uid(random_: random.Random, scanner: int) -> str:
    return f"{_ROOTS[scanner]}.{random_.randrange(10**9, 10**10)}.{random_.randrange(10**9)}"


def _reference(uid: str) -> dict[str, object]:
    return {
        "00081150": {"vr": "UI", "Value": [_CT]},
        "00081155": {"vr": "UI", "Value": [uid]},
    }


def _fixed(random_: random.Random, scanner: int) -> str:
    """Return what the images of one series have in common, as JSON without its braces."""
    values: dict[str, tuple[str, list[object]]] = {
        "00080005": ("CS", ["ISO_IR 100"]),
        "00080008": ("CS", ["ORIGINAL", "PRIMARY", "AXIAL"]),
        "00080016": ("UI", [_CT]),
        "00080060": ("CS", ["CT"]),
        "00080070": ("LO", [_MAKERS[scanner]]),
        "00080080": ("LO", ["General Hospital"]),
        "00080201": ("SH", ["-0500"]),
        "00081010": ("SH", ["CT01_OC0"]),
        "00081030": ("LO", ["Thorax/abdomen with contrast"]),
        "0008103E": ("LO", [random_.choice(["Thorax 1.0 B70f", "Abdomen 3.0 B31s", "Scout"])]),
        "00081090": ("LO", ["Model 64"]),
        "00180022": ("CS", ["HELICAL MODE"]),
        "00180050": ("DS", [random_.choice([0.625, 1.0, 1.25, 2.5, 3.0, 5.0])]),
        "00180060": ("DS", [random_.choice([80.0, 100.0, 120.0, 140.0])]),
        "00181210": ("SH", [random_.choice(["STANDARD", "LUNG", "BONE", "SOFT"])]),
        "00185100": ("CS", ["FFS"]),
        "00200037": ("DS", [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
        "00280002": ("US", [1]),
        "00280004": ("CS", ["MONOCHROME2"]),
        "00280010": ("US", [512]),
        "00280011": ("US", [512]),
        "00280030": ("DS", [round(random_.uniform(0.5, 0.98), 6)] * 2),
        "00280100": ("US", [16]),
        "00280101": ("US", [16]),
        "00280102": ("US", [15]),
        "00280103": ("US", [1]),
        "00281050": ("DS", [40.0]),
        "00281051": ("DS", [400.0]),
        "00281052": ("DS", [-1024.0]),
        "00281053": ("DS", [1.0]),
    }
    # Geometry and exposure, of which a scanner writes a screenful.
    for element in range(0x1100, 0x1118):
        values[f"0018{element:04X}"] = ("DS", [round(random_.uniform(0, 2000), 6)])
    return ",".join(_attribute(tag, vr, value) for tag, (vr, value) in sorted(values.items()))
