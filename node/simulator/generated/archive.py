"""Answers questions about made-up studies: it looks only at those that may match."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import takewhile

from node.dicom.querying.levels import LEVELS, UNIQUE_KEYS, HeldAttributes, Level
from node.dicom.querying.matching import matches, matches_all
from node.dicom.querying.question import Question
from node.dicom.status import Status
from node.net.messages import EndOfAnswers
from node.simulator.chance import fraction
from node.simulator.dates import span_of, times_of
from node.simulator.generated.calendar import Block, Timetable
from node.simulator.generated.images import TRANSFER_SYNTAX, SeriesImages
from node.simulator.generated.population import Population, SeriesHeld
from node.simulator.generated.studies import SOP_CLASSES, Studies
from node.simulator.hierarchy import continued
from node.simulator.instances import HeldInstance

_BY_ARITHMETIC = frozenset({"StudyInstanceUID", "StudyDate", "StudyTime", "ModalitiesInStudy"})
"""Keys that are matched before there is anything to be compared."""

_COUNTED = 10_000
"""Studies that are looked at one by one to tell how many are served: some tenths of a second."""


class GeneratedArchive:
    """The studies of a population; see `node.simulator.holdings.Holdings`.

    Some megabytes at most, however many studies there are, and made within tenths of a second.
    """

    def __init__(self, population: Population) -> None:
        self._calendar = Timetable(population)
        self._studies = Studies(population, self._calendar.studies)
        self._part = population.part
        self._series = population.series

    def __len__(self) -> int:
        """Return how many studies there are, those that another PACS has included."""
        return self._calendar.studies

    def served(self) -> tuple[int, bool]:
        """Return how many of the studies are served, and whether that is exact.

        Where a part of very many is, it is reckoned from the first of them.
        """
        studies = len(self)
        if self._part == (0.0, 1.0) and self._series is SeriesHeld.ALL:
            return studies, True
        found = self._matching(Question(level=Level.STUDY, root=Level.STUDY, keys={}))
        count = sum(1 for _ in takewhile(lambda one: one[0] < _COUNTED, found))
        return round(count * max(1, studies / _COUNTED)), studies <= _COUNTED

    def named(self, question: Question) -> Sequence[HeldInstance]:
        """See `Holdings.named`: each image is made when it is sent."""
        wanted = {
            keyword: frozenset(question.values(keyword))
            for keyword in UNIQUE_KEYS.values()
            if question.root <= LEVELS[keyword] <= question.level and question.values(keyword)
        }
        keys = {keyword: tuple(values) for keyword, values in wanted.items()}
        held: list[HeldInstance] = []
        for number, bits, study in self._matching(replace(question, keys=keys)):
            if study["PatientID"][0] in wanted.get("PatientID", study["PatientID"]):
                held += self._images(number, bits, study, wanted)
        return held

    def transfer_syntaxes(self, sop_class_uid: str) -> Sequence[str]:
        """Return those of a SOP class's images."""
        return (TRANSFER_SYNTAX,) if sop_class_uid in SOP_CLASSES else ()

    def _images(
        self, number: int, bits: int, study: HeldAttributes, wanted: Mapping[str, frozenset[str]]
    ) -> Iterator[HeldInstance]:
        """Yield those of a study's images that are wanted."""
        series_wanted, images_wanted = wanted.get("SeriesInstanceUID"), wanted.get("SOPInstanceUID")
        for place, series in self._studies.series_of(number, bits):
            series_uid = series["SeriesInstanceUID"][0]
            if series_wanted is not None and series_uid not in series_wanted:
                continue
            known = {**study, **series}
            common: SeriesImages | None = None
            for image in self._studies.images_of(number, bits, place):
                uid, sop_class_uid = image["SOPInstanceUID"][0], image["SOPClassUID"][0]
                if images_wanted is not None and uid not in images_wanted:
                    continue
                common = common or SeriesImages(known, sop_class_uid)
                at = int(image["InstanceNumber"][0])
                size = self._studies.size(number, place, at)
                yield HeldInstance(
                    patient_id=study["PatientID"][0],
                    study_uid=study["StudyInstanceUID"][0],
                    series_uid=series_uid,
                    sop_instance_uid=uid,
                    sop_class_uid=sop_class_uid,
                    transfer_syntax_uid=TRANSFER_SYNTAX,
                    encoded=partial(common.dataset, uid, at, size),
                    attributes=known,
                )

    def matching(self, question: Question) -> Iterator[HeldAttributes]:
        """See `Holdings.matching`."""
        if question.level is Level.PATIENT:
            return self._patients(question)
        if question.level is Level.STUDY:
            return (study for _, _, study in self._matching(question, self._start(question)))
        return continued(question, self._below(question, self._matching(question)))

    def _start(self, question: Question) -> int:
        """Return the number of the first study that may be answered: after Prior Record Key."""
        if not question.after:
            return 0
        prior = self._studies.parts(question.after)
        if prior is None or prior.series or prior.image:
            raise EndOfAnswers(Status.INVALID_PRIOR_RECORD_KEY)
        return prior.study + 1

    def _matching(
        self, question: Question, start: int = 0
    ) -> Iterator[tuple[int, int, HeldAttributes]]:
        """Yield the number, the bits of chance and the attributes of each study that matches."""
        keys = {**question.keys_of(Level.PATIENT), **question.keys_of(Level.STUDY)}
        rest = {
            keyword: values
            for keyword, values in keys.items()
            if any(values) and keyword not in _BY_ARITHMETIC
        }
        drawn = self._drawn(question)
        times = times_of(question.values("StudyTime"))
        studies, (low, high) = self._studies, self._part
        for block, numbers in self._candidates(question, start):
            for number in numbers:
                bits = studies.bits(number)
                if drawn is not None and bits % Studies.KINDS not in drawn:
                    continue
                if times and not _is_between(studies.time(block, number, bits), times):
                    continue
                if high - low < 1 and not low <= fraction(studies.uid(number), "part") < high:
                    continue
                study = studies.study(block, number, bits)
                if study["NumberOfStudyRelatedSeries"] == ("0",):
                    continue  # all of its series are at another PACS
                if not rest or matches_all(rest, study):
                    yield number, bits, study

    def _drawn(self, question: Question) -> frozenset[int] | None:
        """Return the kinds of the studies with these modalities; None: whatever they have."""
        modalities = question.values("ModalitiesInStudy")
        if not modalities:
            return None
        kinds = range(Studies.KINDS)
        return frozenset(n for n in kinds if matches("CS", modalities, Studies.modalities(n)))

    def _candidates(self, question: Question, start: int) -> Iterator[tuple[Block, Iterable[int]]]:
        """Yield the numbers that may match, by the key that leaves the fewest."""
        span = span_of(question.values("StudyDate"))
        named = self._named(question)
        if named is None:
            for block in self._calendar.within(span):
                yield block, block.numbers[max(start - block.first, 0) :]
            return
        for number in sorted(set(named)):
            block = self._calendar.block_of(number)
            if number >= start and span.contains(block.day):
                yield block, (number,)

    def _named(self, question: Question) -> Iterable[int] | None:
        """Return the studies that keys which name some allow; None where there is no such key."""
        studies = self._studies
        if uids := question.values("StudyInstanceUID"):
            parts = map(studies.parts, uids)
            return [one.study for one in parts if one and not one.series and not one.image]
        if (prefix := _prefix(question, "AccessionNumber")) is not None:
            return studies.by_accession(prefix)
        if (prefix := _prefix(question, "PatientID")) is not None:
            patients = studies.by_patient(prefix)
            return (number for one in patients for number in studies.of_patient(one))
        return None

    def _below(
        self, question: Question, found: Iterable[tuple[int, int, HeldAttributes]]
    ) -> Iterator[HeldAttributes]:
        """Yield the series of studies, or the images of those series, that match."""
        series_keys, image_keys = question.keys_of(Level.SERIES), question.keys_of(Level.IMAGE)
        for number, bits, study in found:
            for place, series in self._studies.series_of(number, bits):
                if not matches_all(series_keys, series):
                    continue
                if question.level is Level.SERIES:
                    yield {**study, **series}
                    continue
                for image in self._studies.images_of(number, bits, place):
                    if matches_all(image_keys, image):
                        yield {**study, **series, **image}

    def _patients(self, question: Question) -> Iterator[HeldAttributes]:
        prefix = _prefix(question, "PatientID") or ""
        for patient in self._studies.by_patient(prefix):
            studies = sum(1 for _ in self._studies.of_patient(patient))
            known = self._studies.of_person(patient)
            known["NumberOfPatientRelatedStudies"] = (str(studies),)
            if studies and matches_all(question.keys_of(Level.PATIENT), known):
                yield known


def _prefix(question: Question, keyword: str) -> str | None:
    """Return what a key's one value has before any wildcard; None where that is nothing."""
    values = question.values(keyword)
    if len(values) != 1:
        return None
    prefix = values[0].split("*")[0].split("?")[0]
    return prefix or None


def _is_between(time: str, times: tuple[str, str]) -> bool:
    return bool(time) and times[0] <= f"{time}.000000" <= times[1]
