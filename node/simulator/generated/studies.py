"""All that can be asked about a made-up study, from its number alone."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import gcd

from node.dicom.querying.levels import HeldAttributes
from node.simulator.chance import mixed
from node.simulator.generated.calendar import Block
from node.simulator.generated.population import Population, SeriesHeld


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FAMILIES = _words(
    "Muster Bauer Weber Fischer Keller Huber Winkler Jansen Rossi Moreau Novák Kowalski O'Hara"
    " Äneas Müller Gómez Sørensen Çelik Yamada=山田 Hong=洪"
)
_GIVEN = _words("Anna Erika Jonas Marie Luca Nina Paul Zoë José Anne^Marie Tarou=太郎 Gildong=吉洞")
_DESCRIPTIONS = ("Thorax", "Abdomen", "Head", "Knee", "Follow-up", "Screening", "")

_SOP_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "MG": "1.2.840.10008.5.1.4.1.1.1.2",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "XA": "1.2.840.10008.5.1.4.1.1.12.1",
    "NM": "1.2.840.10008.5.1.4.1.1.20",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "SR": "1.2.840.10008.5.1.4.1.1.88.11",
    "OT": "1.2.840.10008.5.1.4.1.1.7",
}

_MODALITIES: tuple[tuple[str, ...], ...] = tuple(
    modalities
    for modalities, weight in (
        (("CT",), 14),
        (("MR",), 10),
        (("DX",), 10),
        (("CR",), 8),
        (("US",), 8),
        (("MG",), 4),
        (("CT", "SR"), 3),
        (("CT", "PT"), 2),
        (("XA",), 2),
        (("NM",), 2),
        (("OT",), 1),
    )
    for _ in range(weight)
)
"""What is in a study; each as often as it is drawn, and a power of two together."""

_IMAGES = {"CT": 63, "MR": 31, "PT": 63, "US": 15, "XA": 15}
"""The most images that a series of a modality has, less one; a power of two less one."""

_PATIENTS = (0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3)
"""Of four patients with twelve studies, whose each of these is."""

SOP_CLASSES = frozenset(_SOP_CLASSES.values())
"""Of all images that there can be."""

_UID_BITS = 128
_NUMBER_BITS, _SERIES_BITS, _IMAGE_BITS = 32, 8, 16


@dataclass(frozen=True, slots=True)
class Parts:
    """The numbers that a made-up UID stands for; 0 is none, of series and images."""

    study: int
    series: int
    image: int


class Studies:
    """Makes the studies of a population.

    Parameters
    ----------
    count
        How many there are.
    """

    KINDS = len(_MODALITIES)
    """How many kinds of studies are drawn from; `bits % KINDS` is a study's."""

    def __init__(self, population: Population, count: int) -> None:
        self.count = count
        self._population = population
        self._seed = mixed(population.seed, 0)
        self._root = mixed(population.seed, 1) << (_UID_BITS - 64) | 1 << (_UID_BITS - 1)
        self._step = next(
            n for n in range(int(count * 0.618) | 1, 3 * count + 3) if gcd(n, count) == 1
        )
        self._back = pow(self._step, -1, count) if count > 1 else 0

    def bits(self, number: int) -> int:
        """Return 64 bits of chance, of which everything about a study is made."""
        return mixed(number, self._seed)

    # Names, and back

    def uid(self, study: int, series: int = 0, image: int = 0) -> str:
        """Return the UID of a study, of one of its series, or of an image of it; from 1 on."""
        number = (study << _SERIES_BITS | series) << _IMAGE_BITS | image
        return f"2.25.{self._root | number}"

    def parts(self, uid: str) -> Parts | None:
        """Return what a UID is of; None where it is none of these."""
        text = uid.removeprefix("2.25.")
        if not text.isascii() or not text.isdigit() or len(text) > 39:
            return None
        number = int(text) ^ self._root
        image = number & (1 << _IMAGE_BITS) - 1
        series = number >> _IMAGE_BITS & (1 << _SERIES_BITS) - 1
        study = number >> _IMAGE_BITS + _SERIES_BITS
        return Parts(study, series, image) if study < self.count else None

    def accession(self, number: int) -> str:
        """Return a study's Accession Number: some name two studies, and some studies have none."""
        chance = self.bits(number) >> 52 & 1023
        if chance == 1:
            return ""
        shared = chance == 2 and number and self.bits(number - 1) >> 52 & 1023 not in (1, 2)
        return f"A{number - bool(shared):09d}"

    def by_accession(self, prefix: str) -> Iterable[int]:
        """Return the numbers of the studies that may have an Accession Number with this prefix."""
        digits = prefix[1:]
        if prefix[:1] != "A" or len(digits) > 9 or not (digits.isdigit() or not digits):
            return range(0) if prefix else range(self.count)
        width = 10 ** (9 - len(digits))
        first = int(digits or "0") * width
        return range(first, min(first + width + 1, self.count))

    def patient(self, number: int) -> int:
        """Return the number of the patient of a study."""
        group, place = divmod(number * self._step % self.count, len(_PATIENTS))
        return 4 * group + _PATIENTS[place]

    @property
    def patients(self) -> int:
        """How many patients there are at most."""
        return 4 * -(-self.count // len(_PATIENTS))

    def of_patient(self, patient: int) -> Iterator[int]:
        """Yield the numbers of a patient's studies."""
        group, person = divmod(patient, 4)
        for place, whose in enumerate(_PATIENTS):
            slot = group * len(_PATIENTS) + place
            if whose == person and slot < self.count:
                yield slot * self._back % self.count if self.count > 1 else 0

    def by_patient(self, prefix: str) -> Iterable[int]:
        """Return the numbers of the patients whose Patient ID has this prefix."""
        digits = prefix[1:]
        if prefix[:1] != "P" or len(digits) > 8 or not (digits.isdigit() or not digits):
            return range(0) if prefix else range(self.patients)
        width = 10 ** (8 - len(digits))
        first = int(digits or "0") * width
        return range(first, min(first + width, self.patients))

    # What is known of them

    @staticmethod
    def modalities(bits: int) -> tuple[str, ...]:
        """Return Modalities in Study."""
        return _MODALITIES[bits % len(_MODALITIES)]

    def time(self, block: Block, number: int, bits: int) -> str:
        """Return Study Time; empty where it has none."""
        return block.time(number, (bits >> 6 & 1023) / 1024) if block.timed else ""

    def of_person(self, patient: int, *, named: bool = True) -> dict[str, tuple[str, ...]]:
        """Return a patient's attributes."""
        bits = mixed(patient, ~self._seed)
        known: dict[str, tuple[str, ...]] = {
            "PatientID": (f"P{patient:08d}",),
            "IssuerOfPatientID": ("GENERATED",),
            "PatientBirthDate": (
                f"{1920 + (bits & 63)}{(bits >> 6) % 12 + 1:02}{(bits >> 10) % 28 + 1:02}",
            ),
            "PatientSex": (("F", "M", "O")[0 if bits >> 16 & 1 else 1 + (not bits >> 17 & 63)],),
        }
        if named:
            known["PatientName"] = (_name(bits >> 24),)
        return known

    def study(self, block: Block, number: int, bits: int) -> dict[str, tuple[str, ...]]:
        """Return a study's attributes, those of its patient included."""
        nameless = (bits >> 40 & 4095) < self._population.nameless * 4096
        modalities = self.modalities(bits)
        known = self.of_person(self.patient(number), named=not nameless)
        known["StudyInstanceUID"] = (self.uid(number),)
        known["StudyID"] = (str(number % 100_000),)
        known["ModalitiesInStudy"] = modalities
        known["SOPClassesInStudy"] = tuple(_SOP_CLASSES[modality] for modality in modalities)
        known["ReferringPhysicianName"] = (_name(bits >> 30 & 255),)
        if accession := self.accession(number):
            known["AccessionNumber"] = (accession,)
        if description := _DESCRIPTIONS[(bits >> 18 & 255) % len(_DESCRIPTIONS)]:
            known["StudyDescription"] = (f"{modalities[0]} {description}",)
        if block.day is not None:
            known["StudyDate"] = (f"{block.day.year:04}{block.day.month:02}{block.day.day:02}",)
        if time := self.time(block, number, bits):
            known["StudyTime"] = (time,)
        series = self._series(bits)
        known["NumberOfStudyRelatedSeries"] = (str(len(series)),)
        known["NumberOfStudyRelatedInstances"] = (
            str(sum(self._images(bits, place) for place in series)),
        )
        return known

    def series_of(self, number: int, bits: int) -> Iterator[tuple[int, dict[str, tuple[str, ...]]]]:
        """Yield the number of each series of a study, and its attributes."""
        for place in self._series(bits):
            modality = self._modality(bits, place)
            yield (
                place,
                {
                    "SeriesInstanceUID": (self.uid(number, place),),
                    "SeriesNumber": (str(place),),
                    "SeriesDescription": (f"{modality} {place}",),
                    "Modality": (modality,),
                    "NumberOfSeriesRelatedInstances": (str(self._images(bits, place)),),
                },
            )

    def images_of(self, number: int, bits: int, series: int) -> Iterator[HeldAttributes]:
        """Yield the attributes of each image of a series."""
        sop_class = _SOP_CLASSES[self._modality(bits, series)]
        for place in range(1, self._images(bits, series) + 1):
            yield {
                "SOPInstanceUID": (self.uid(number, series, place),),
                "SOPClassUID": (sop_class,),
                "InstanceNumber": (str(place),),
            }

    def size(self, number: int, series: int, image: int) -> int:
        """Return how many bytes the pixels of an image have, about."""
        low, high = self._population.image_bytes
        return low + mixed(number << 24 | series << 16 | image, self._seed) % (high - low + 1)

    def _series(self, bits: int) -> Sequence[int]:
        """Return the numbers of a study's series that are here."""
        last = max(len(self.modalities(bits)), 1 + (bits >> 10 & 3))
        held = self._population.series
        if held is SeriesHeld.ODD:
            return range(1, last + 1, 2)
        return range(2, last + 1, 2) if held is SeriesHeld.EVEN else range(1, last + 1)

    def _modality(self, bits: int, series: int) -> str:
        modalities = self.modalities(bits)
        return modalities[(series - 1) % len(modalities)]

    def _images(self, bits: int, series: int) -> int:
        return 1 + (bits >> 12 + 6 * series & _IMAGES.get(self._modality(bits, series), 1))


def _name(bits: int) -> str:
    """Return a name in up to two component groups (PS3.5 6.2.1)."""
    family, _, ideographic = _FAMILIES[bits % len(_FAMILIES)].partition("=")
    given, _, second = _GIVEN[(bits >> 8) % len(_GIVEN)].partition("=")
    groups = [f"{family}^{given}"]
    if ideographic and second:
        groups.append(f"{ideographic}^{second}")
    return "=".join(groups)
