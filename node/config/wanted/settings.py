"""What of studies is to be brought here."""

import re
from typing import Annotated, Self

from pydantic import BeforeValidator, model_validator

from node.config.section import Section
from node.config.values import Count, Modalities, items


def _texts(value: object) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else items(value)
    return tuple(dict.fromkeys(str(one).strip() for one in texts if str(one).strip()))


def _sop_classes(value: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(check_sop_class(str(one)) for one in items(value)))


def check_sop_class(text: str) -> str:
    """Return the UID of a SOP class: of a UID, of its name, or of its keyword (PS3.6 A).

    Raises
    ------
    ValueError
        It is none.
    """
    text = text.strip()
    if re.fullmatch(r"[0-2](\.[0-9]+)+", text):
        return text
    # the dictionary takes longer to load than all else that a configuration needs
    from pydicom._uid_dict import UID_dictionary  # noqa: PLC0415

    wanted = text.lower().removesuffix(" storage")
    for uid, (name, kind, _, _, keyword) in UID_dictionary.items():
        known = (keyword.lower(), name.lower(), name.lower().removesuffix(" storage"))
        if kind == "SOP Class" and (wanted in known or text.lower() in known):
            return uid
    raise ValueError(f"{text!r} is no SOP class: a UID, or a name such as 'CT Image Storage'")


class WantSettings(Section):
    """What of studies is wanted; whatever is empty or absent restricts nothing."""

    modality: Modalities = ()
    """Only series of these modalities, and studies that have one."""
    sop_class: Annotated[tuple[str, ...], BeforeValidator(_sop_classes)] = ()
    """Only images of these SOP classes: UIDs, or names such as CT Image Storage."""
    min_images: Count | None = None
    """Only studies with at least so many images."""
    max_images: Count | None = None
    """Only studies with at most so many images."""
    study_description: Annotated[tuple[str, ...], BeforeValidator(_texts)] = ()
    """Only studies whose description matches one of these patterns, with * and ?."""
    series_description: Annotated[tuple[str, ...], BeforeValidator(_texts)] = ()
    """Only series whose description does."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        least, most = self.min_images or 0, self.max_images
        if most is not None and least > most:
            raise ValueError(f"min_images ({least}) must not be more than max_images ({most})")
        return self
