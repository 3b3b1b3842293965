"""Whether what the database says of a study is true, by what its PACS really has; pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from schema.engine.backoff import Backoff
from schema.moving.evidence import STABLE
from schema.moving.patience import FailureKind, RetryLimits
from tests.moving.node import StudyStand

_LACKING = re.compile(r"^(\d+) of (\d+) images? (?:is|are) missing")
_OTHERS = "that came from others"

OF_THE_PEER = {one.value for one in FailureKind if one.is_of_the_peer}
"""Failures that say nothing of the study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What a PACS really has of a study: SOP Instance UIDs by Series Instance UID."""

    series: Mapping[str, frozenset[str]]

    @property
    def images(self) -> frozenset[str]:
        """All of them."""
        return frozenset().union(*self.series.values())


class Said:
    """The numbers that a PACS with these settings gives of a study; None where it gives none."""

    def __init__(self, truth: Truth, settings: Mapping[str, Any]) -> None:
        self._truth = truth
        self._settings = settings
        self.images = self._number("NumberOfStudyRelatedInstances", len(truth.images))
        self.series = self._number("NumberOfStudyRelatedSeries", len(truth.series))

    def of_series(self, uid: str) -> int | None:
        """Return how many images it says that a series has."""
        return self._number("NumberOfSeriesRelatedInstances", len(self._truth.series[uid]))

    def refuted(self, images: frozenset[str]) -> str:
        """Return which of its numbers says that there is more than these images; "" if none."""
        if self.images is not None and len(images) < self.images:
            return f"it says that there are {self.images} images"
        return ""

    def refuted_list(self, listing: Mapping[str, int]) -> str:
        """Return which of its numbers says that a list is cut off: images by series."""
        if self.images is not None and sum(listing.values()) < self.images:
            return f"it says that there are {self.images} images"
        if self.series is not None and len(listing) < self.series:
            return f"it says that there are {self.series} series"
        for uid, images in listing.items():
            own = self.of_series(uid)
            if own is not None and images < own:
                return f"it says that a series has {own} images"
        return ""

    def _number(self, keyword: str, true: int) -> int | None:
        for absent in ("omit", "blank"):
            left_out = self._settings.get(absent, ())
            if keyword in left_out:
                return None
        wrong: int = self._settings.get("miscount", {}).get(keyword, 0)
        return max(true + wrong, 0) or None


def wrong_with(truth: Truth, stand: StudyStand, settings: Mapping[str, Any]) -> list[str]:
    """Return what the database says of a study that is not true, or could be known to be false."""
    missing = truth.images - stand.images
    said = Said(truth, settings)
    wrong = []
    if invented := stand.images - truth.images:
        wrong.append(f"{len(invented)} images are in the index that the PACS does not have")
    retrieved = stand.state == "retrieved"
    if retrieved != stand.whole or retrieved != (stand.evidence is not None):
        wrong.append(f"{stand.state}, evidence {stand.evidence}, retrieved: {stand.whole}")
    if retrieved and missing and (known := _known_better(truth, stand, said, settings)):
        wrong.append(
            f"retrieved ({stand.evidence}), and {len(missing)} of {len(truth.images)} images are "
            f"missing, although {known}"
        )
    if retrieved and _on_its_word(stand):
        whole = sum(one.level == "STUDY" for one in stand.attempts)
        if whole < STABLE:
            wrong.append(f"retrieved by its word alone, and it was asked {whole} times")
    if not retrieved:
        wrong += _wrong_while_open(truth, stand, said, settings)
    if stand.again:
        wrong.append(f"asked for {stand.again} times after it was retrieved")
    return wrong


def trips(stands: Iterable[StudyStand]) -> list[datetime]:
    """Return when attempts at any study of a PACS failed for a reason that concerns them all."""
    return [
        one.ended_on
        for stand in stands
        for one in stand.attempts
        if one.ended_on is not None and one.failure in OF_THE_PEER
    ]


def unbounded(
    stand: StudyStand, limits: RetryLimits, *, slack: float, trips: Collection[datetime] = ()
) -> list[str]:
    """Return in what the attempts at a study are not as `schema.moving.patience` has it.

    Parameters
    ----------
    slack
        Seconds by which a study may be late: until the next cycle, and while another one goes on.
    trips
        From when on the PACS may not have been asked for a while.
    """
    assert limits.attempts is not None
    wrong = []
    backoff = Backoff(first=limits.retry, longest=limits.retry_limit)
    counted = nothing = vain = 0
    ready, not_before, ended = None, None, None
    for one in stand.attempts:
        if ended is not None and any(ended <= trip <= one.claimed_on for trip in trips):
            ready = None
        if not_before is not None and one.claimed_on < not_before:
            wrong.append(f"attempt {counted + 1} was begun {not_before - one.claimed_on} too early")
        if ready is not None and one.claimed_on > ready + timedelta(seconds=slack):
            wrong.append(f"attempt {counted + 1} was begun {one.claimed_on - ready} too late")
        if vain >= limits.attempts or nothing >= 3 * limits.attempts:
            wrong.append(f"attempt {counted + 1} was begun after {vain} in vain, {nothing} in all")
        assert one.ended_on is not None
        ready = not_before = ended = one.ended_on
        if one.failure in OF_THE_PEER:  # it may end the move before this study's turn, each time
            ready = None
            continue
        counted += 1
        if one.arrived:
            nothing = vain = 0
            continue
        nothing += 1
        vain += one.failure != FailureKind.BUSY
        pause = backoff.pause(nothing)
        not_before = one.ended_on + timedelta(seconds=pause * 0.8)
        ready = one.ended_on + timedelta(seconds=pause * 1.2)
    enough = vain >= limits.attempts or nothing >= 3 * limits.attempts
    if stand.given_up != (enough and not stand.whole):
        given_up = "given up" if stand.given_up else "not given up"
        wrong.append(f"{given_up} after {counted} attempts, {vain} in vain, {nothing} in all")
    last = stand.attempts[-1] if stand.attempts else None
    if not stand.ended and last is not None and last.failure not in OF_THE_PEER:
        wrong.append(f"{stand.state}, not given up, and it is not asked for again")
    return wrong


def _on_its_word(stand: StudyStand) -> bool:
    listing = stand.listing
    more = listing is not None and not listing.vouched and stand.images - listing.images
    return stand.evidence == "stable" or (stand.evidence == "listed" and bool(more))


def _known_better(truth: Truth, stand: StudyStand, said: Said, settings: Mapping[str, Any]) -> str:
    """Return what would have told that a study is not all here; "" when nothing would."""
    listed = (
        {}
        if stand.listing is None
        else {uid: len(one.images) for uid, one in stand.listing.series.items()}
    )
    match stand.evidence:
        case "listed":
            if stand.listing is None:
                return "no list is kept"
            if not stand.listing.images <= stand.images:
                return "it lists images that are not here"
            return said.refuted_list(listed)
        case "counted":
            if said.images is not None:
                return said.refuted(stand.images)
            return _known_of_series(truth, stand, said, settings)
        case _:
            return said.refuted(stand.images) or _known_of_series(truth, stand, said, settings)


def _known_of_series(
    truth: Truth, stand: StudyStand, said: Said, settings: Mapping[str, Any]
) -> str:
    """Return what its series, as far as it names them, would have told; "" when nothing."""
    if "SERIES" not in settings.get("levels", ("SERIES",)):
        return ""
    seen = list(truth.series)[: settings.get("short", {}).get("SERIES")]
    known = sum(said.of_series(uid) or 0 for uid in seen)
    if len(stand.images) >= known:
        return ""
    return f"{len(seen)} of its series have {known} images, as it says"


def _wrong_while_open(
    truth: Truth, stand: StudyStand, said: Said, settings: Mapping[str, Any]
) -> list[str]:
    wrong = []
    last = stand.attempts[-1] if stand.attempts else None
    missing = truth.images - stand.images
    if last is not None and not stand.error:
        wrong.append(f"{stand.state}, and nothing says why")
    if (stand.state == "partial") != bool(last is not None and last.images):
        wrong.append(f"{stand.state}, with {len(stand.images)} images here")
    if stand.state in {"empty", "failed"} and last is not None:
        failed = last.failure != "none"
        if failed != (stand.state == "failed"):
            wrong.append(f"{stand.state}, and the last attempt's failure was {last.failure}")
    if stand.state in {"moving", "settling"}:
        wrong.append(f"{stand.state} after the move has ended")
    if _OTHERS in (stand.error or ""):  # nobody can tell that this PACS has sent them
        return wrong
    found = _LACKING.match(stand.error or "")
    if found and last is not None and last.images == len(stand.images):
        lacking, of = int(found[1]), int(found[2])
        if of == len(truth.images) and lacking != len(missing):
            wrong.append(f"{len(missing)} images are missing, and it says {lacking}")
    if not missing and last is not None and last.images == len(truth.images):
        if said.images == len(truth.images):
            wrong.append(f"{stand.state}, although all is here: {stand.error}")
        elif found and int(found[2]) <= len(truth.images):
            wrong.append(f"{stand.state}, although nothing is missing: {stand.error}")
    return wrong
