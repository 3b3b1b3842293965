"""Which series and images of studies are wanted, and of which studies nothing is; pure.

What is not known excludes nothing. Of a study, the first of these that is so decides:

    what is known of it                                           what is asked for
    ─────────────────────────────────────────────────────────────────────────────────────────
    modalities, and none of them is wanted                        nothing: it is unwanted
    a description, and no pattern matches it                      nothing: it is unwanted
    a number of images below the least, or above the most         nothing: it is unwanted
    a list of its images that is not short                        the wanted series and images;
                                                                  unwanted where there is none
    no list, or one that is short                                 the whole study

Of a list, a series is wanted unless its modality or its description say otherwise, and of a wanted
series an image, unless its SOP class does.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import translate

from schema.text.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is wanted of studies; whatever is empty restricts nothing.

    Attributes
    ----------
    modalities
        Of series.
    sop_classes
        SOP Class UIDs of images.
    least, most
        How many images a study has.
    studies, series
        Patterns of their descriptions, with * and ?; capitals and small letters are the same.
    """

    modalities: tuple[str, ...] = ()
    sop_classes: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None
    studies: tuple[str, ...] = ()
    series: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(str(self))

    def __str__(self) -> str:
        parts = (
            self.modalities and f"modality {', '.join(self.modalities)}",
            self.sop_classes and f"SOP class {', '.join(self.sop_classes)}",
            "" if self.least is None else f"at least {counted(self.least, 'image')}",
            "" if self.most is None else f"at most {counted(self.most, 'image')}",
            self.studies and f"study description {' or '.join(map(repr, self.studies))}",
            self.series and f"series description {' or '.join(map(repr, self.series))}",
        )
        return "; ".join(filter(None, map(str, filter(None, parts))))

    @property
    def is_of_parts(self) -> bool:
        """Whether it may want some series or images of a study, and others not."""
        return bool(self.modalities or self.sop_classes or self.series)

    def refuses(
        self, *, modalities: str | None, description: str | None, images: int | None
    ) -> str:
        """Return why nothing of a study is wanted, in words; "" where something may be.

        Parameters
        ----------
        modalities
            Modalities in Study (0008,0061), joined by a backslash.
        images
            How many it has.
        """
        has = [one.strip() for one in (modalities or "").split("\\") if one.strip()]
        if self.modalities and has and not set(has) & set(self.modalities):
            return f"it has {', '.join(has)}, and wanted is {', '.join(self.modalities)}"
        if description and not _matches(description, self.studies):
            return f"its description matches none of {', '.join(map(repr, self.studies))}"
        if images is not None and self.least is not None and images < self.least:
            return f"it has {counted(images, 'image')}, and {self.least} is the least"
        if images is not None and self.most is not None and images > self.most:
            return f"it has {counted(images, 'image')}, and {self.most} is the most"
        return ""

    def wants_series(self, *, modality: str, description: str) -> bool:
        """Tell whether a series is wanted, or may be; "" is what is not known."""
        if self.modalities and modality and modality not in self.modalities:
            return False
        return not description or _matches(description, self.series)

    def wants_image(self, sop_class: str) -> bool:
        """Tell whether an image of a wanted series is wanted, or may be."""
        return not self.sop_classes or not sop_class or sop_class in self.sop_classes


ALL = Policy()
"""Everything is wanted."""


def _matches(text: str, patterns: Sequence[str]) -> bool:
    """Tell whether one of these patterns matches; no pattern restricts nothing."""
    return not patterns or any(
        re.fullmatch(translate(pattern), text.strip(), re.IGNORECASE) for pattern in patterns
    )
