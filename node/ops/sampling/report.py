"""What came of comparing studies with what a PACS has of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from node.dicom.comparing import Difference
from node.errors import NodeError
from schema.text.words import counted

_LISTED = 50
"""Images of a study that are told one by one; the others are counted."""


class ImageOutcome(StrEnum):
    """What an image is, held against what the PACS has."""

    IDENTICAL = "identical"
    """The datasets are the same, byte by byte, in the same transfer syntax."""
    EQUAL = "equal"
    """Encoded otherwise; all attributes and the pixel data are the same."""
    DIFFERENT = "different"
    """Something is another."""
    MISSING = "missing"
    """It is held, and did not come."""
    NEW = "new"
    """It came, and is not held."""
    UNWANTED = "unwanted"
    """It came, is not held, and is not wanted, by the policy under which the study is complete."""
    NOT_COMPARED = "not compared"
    """Nobody knows, for a reason that is told."""
    ELSEWHERE = "elsewhere"
    """It is held, has come from another peer than this one, and did not come from this one."""


_NO_FAULT = frozenset((ImageOutcome.ELSEWHERE, ImageOutcome.UNWANTED))
"""What is counted, and not told one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledImage:
    """An image that is not identical.

    Attributes
    ----------
    differences
        The first of them; `more` are left out.
    held_syntax, peer_syntax
        The transfer syntaxes, where both were there.
    """

    image_uid: str
    outcome: ImageOutcome
    reason: str = ""
    differences: tuple[Difference, ...] = ()
    more: int = 0
    held_syntax: str | None = None
    peer_syntax: str | None = None


@dataclass(slots=True, kw_only=True)
class StudySample:
    """A study that was retrieved again.

    Attributes
    ----------
    policy
        Under which only a part of it is wanted, in words.
    method
        C-MOVE, C-GET or WADO-RS; "" where it was not asked for.
    held, came
        Images with a row in the index, and different images that came.
    bytes
        Of what came.
    error
        Why it may not be all that came; None where the peer said that it was.
    images
        Those that are not identical, as far as they are kept; `unlisted` are not.
    attributes
        How often each attribute differs.
    """

    study_uid: str
    peer: str
    policy: str | None = None
    method: str = ""
    held: int = 0
    came: int = 0
    bytes: int = 0
    seconds: float = 0.0
    error: NodeError | None = None
    outcomes: Counter[str] = field(default_factory=Counter)
    images: list[SampledImage] = field(default_factory=list)
    unlisted: int = 0
    attributes: Counter[str] = field(default_factory=Counter)

    def add(self, image: SampledImage) -> None:
        """Take note of an image."""
        self.outcomes[image.outcome] += 1
        for name in {f"{one.name}: {one.kind}" for one in image.differences}:
            self.attributes[name] += 1
        if image.outcome in {ImageOutcome.IDENTICAL, *_NO_FAULT}:
            return
        if len(self.images) < _LISTED:
            self.images.append(image)
        else:
            self.unlisted += 1

    @property
    def same(self) -> bool:
        """Whether all of it was compared, and is the same here and there."""
        allowed = {ImageOutcome.IDENTICAL, ImageOutcome.EQUAL, *_NO_FAULT}
        compared = self.outcomes[ImageOutcome.IDENTICAL] + self.outcomes[ImageOutcome.EQUAL]
        wrong = any(count for outcome, count in self.outcomes.items() if outcome not in allowed)
        return self.error is None and compared > 0 and not wrong

    @property
    def compared(self) -> bool:
        """Whether anything came of it at all."""
        return self.came > 0


@dataclass(slots=True, kw_only=True)
class SampleReport:
    """What a sample came to, so far.

    Attributes
    ----------
    wanted, there
        How many studies were asked for, and among how many they were chosen.
    seed
        With which they are chosen again.
    studies
        Those that were gone through.
    complete
        Whether it came to its end.
    """

    wanted: int
    seed: int
    there: int = 0
    studies: list[StudySample] = field(default_factory=list)
    complete: bool = False

    @property
    def totals(self) -> Counter[str]:
        """How many images of all studies are what."""
        totals: Counter[str] = Counter()
        for study in self.studies:
            totals.update(study.outcomes)
        return totals

    @property
    def same(self) -> bool:
        """Whether as many studies as were asked for were compared, and all are the same."""
        return (
            self.complete
            and len(self.studies) == self.wanted
            and all(study.same for study in self.studies)
        )

    @property
    def trouble(self) -> NodeError | None:
        """Why nothing came at all; None where something did, or nothing was to come."""
        if any(study.compared for study in self.studies):
            return None
        return next((study.error for study in self.studies if study.error is not None), None)


def in_words(report: SampleReport, peers: Sequence[str]) -> str:
    """Return what is logged of it: no study, no patient."""
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(report.totals.items()))
    same = sum(study.same for study in report.studies)
    return (
        f"Sampled {counted(len(report.studies), 'study')} of {', '.join(peers)} with seed "
        f"{report.seed}: {same} the same; images: {said or 'none'}"
    )
