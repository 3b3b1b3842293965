"""What becomes of the matches on their way into answers. Pure."""

from collections.abc import Iterator
from functools import partial

from node.dicom.querying.answers import AnswerWriter
from node.dicom.querying.levels import UNIQUE_KEYS, HeldAttributes
from node.dicom.querying.question import Question
from node.simulator.chance import fraction
from node.simulator.misbehaving.settings import Misbehaviour

_NAME = "Renamed^Patient"


class Spoiler:
    """Writes the answers to one question as a PACS with these settings does.

    Parameters
    ----------
    writer
        Writes an answer as it should be.
    renamed
        Whether patients have another name by now.
    """

    def __init__(
        self, settings: Misbehaviour, question: Question, writer: AnswerWriter, *, renamed: bool
    ) -> None:
        self._settings = settings
        self._writer = writer
        self._unique = UNIQUE_KEYS[question.level]
        self._renamed = settings.renamed if renamed else None
        self._always = {keyword for keyword, share in settings.omit.items() if share >= 1}
        if settings.charset.declared == "none":
            self._always.add("SpecificCharacterSet")
        self._sometimes = {k: share for k, share in settings.omit.items() if share < 1}
        self._dressed = bool(settings.padded or settings.lower_case)
        self._changed = bool(settings.blank or settings.miscount or self._renamed)

    def answers(self, entity: HeldAttributes) -> Iterator[bytes]:
        """Yield the answers for one match: one, unless it comes twice."""
        name = next(iter(entity.get(self._unique, ())), "")
        chance = partial(fraction, name)
        without = self._always
        if self._sometimes:
            left_out = {k for k, share in self._sometimes.items() if chance(f"o{k}"[:16]) < share}
            without = without | left_out
        if self._changed:
            entity = self._change(entity, name)
        copies = 2 if self._settings.twice and chance("twice") < self._settings.twice else 1
        for copy in range(copies):
            shown = self._dress(entity, f"{name}/{copy}") if self._dressed else entity
            yield self._writer.write(shown, without)

    def nothing(self) -> bytes:
        """Return an answer that names nothing, for a question without a match."""
        return self._writer.write({}, self._always)

    def _change(self, entity: HeldAttributes, name: str) -> HeldAttributes:
        """Say what is not so."""
        changed = dict(entity)
        for keyword, share in self._settings.blank.items():
            if fraction(name, f"b{keyword}"[:16]) < share:
                changed[keyword] = ()
        for keyword, difference in self._settings.miscount.items():
            if count := changed.get(keyword):
                changed[keyword] = (str(max(int(count[0]) + difference, 0)),)
        study = next(iter(entity.get("StudyInstanceUID", ())), name)
        if self._renamed is not None and fraction(study, "renamed") < self._renamed.share:
            changed["PatientName"] = (_NAME,)
        return changed

    def _dress(self, entity: HeldAttributes, name: str) -> HeldAttributes:
        """Say it in other words: in lower case, or with padding."""
        dressed = dict(entity)
        settings = self._settings
        if settings.lower_case and fraction(name, "lower_case") < settings.lower_case:
            dressed = {k: tuple(value.lower() for value in values) for k, values in dressed.items()}
        if settings.padded and fraction(name, "padded") < settings.padded:
            dressed |= {
                keyword: tuple(self._padded(keyword, value) for value in values)
                for keyword, values in dressed.items()
            }
        return dressed

    @staticmethod
    def _padded(keyword: str, value: str) -> str:
        """Pad a value: UIDs with NULs, others with spaces; both more than the standard allows."""
        if keyword.endswith("UID"):
            return f"{value}\0\0"
        return value if value.isdigit() else f" {value}  "
