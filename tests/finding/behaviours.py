"""What PACSs do when they are asked for studies: each by itself, and in random combinations."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

from node.dicom.profile import CapKind, PeerProfile
from tests.finding.programme import Case

UNKNOWN = PeerProfile()

MONTH_OF_300 = {
    "studies": 325,
    "start_date": "2024-01-01",
    "end_date": "2024-01-31",
    "undated": 5,
    "migrations": [{"date": "1900-01-01", "studies": 20}],
}
YEAR_OF_600 = {
    "studies": 600,
    "start_date": "2023-01-01",
    "end_date": "2023-12-31",
    "weekends": 0.0,
}
YEAR_OF_30 = {"studies": 30, "start_date": "2023-01-01", "end_date": "2023-12-31"}
EMPTY_YEAR = {"studies": 0, "start_date": "2023-01-01", "end_date": "2023-12-31"}
BURSTS = {
    "studies": 500,
    "start_date": "2023-01-01",
    "end_date": "2023-12-31",
    "bursts": {"days": 3, "studies": 90, "minutes": 5},
}
MIGRATED = {
    "studies": 420,
    "start_date": "2024-01-01",
    "end_date": "2024-01-31",
    "migrations": [{"date": "2024-01-15", "studies": 120}],
}
UNTIMED = {
    "studies": 360,
    "start_date": "2024-01-01",
    "end_date": "2024-01-31",
    "migrations": [{"date": "2024-01-15", "studies": 60, "time": "none"}],
}
ARCHIVES = (MONTH_OF_300, YEAR_OF_600, YEAR_OF_30, EMPTY_YEAR, BURSTS, MIGRATED, UNTIMED)

PIECES: tuple[dict[str, Any], ...] = (
    {"cap": {"studies": 5}},
    {"cap": {"studies": 20}},
    {"cap": {"studies": 37}},
    {"cap": {"studies": 100}},
    {"cap": {"studies": 7, "kind": "empty"}},
    {"cap": {"studies": 40, "kind": "empty"}},
    {"cap": {"studies": 9, "kind": "refused"}},
    {"cap": {"studies": 50, "kind": "refused", "first": True}},
    {"cap": {"studies": 30, "kind": "announced"}},
    {"short": {"STUDY": 25}},
    {"widest": {"days": 1, "then": "nothing"}},
    {"widest": {"days": 7, "then": "nothing"}},
    {"widest": {"days": 3, "then": "refused"}},
    {"widest": {"days": 30, "then": "refused"}},
    {"ignore": ["StudyDate"]},
    {"ignore": ["StudyTime"]},
    {"ignore": ["StudyTime", "ModalitiesInStudy"]},
    {"ignore": ["ModalitiesInStudy", "AccessionNumber", "PatientID"]},
    {"date_ranges": "refused"},
    {"date_ranges": "nothing"},
    {"date_ranges": "ignored"},
    {"time_ranges": "ignored"},
    {"time_ranges": "nothing"},
    {"time_ranges": "refused"},
    {"times": "combined"},
    {"wildcards": "nothing"},
    {"wildcards": "refused"},
    {"no_date": "refused"},
    {"no_date": "nothing"},
    {"omit": {"StudyDate": 1.0}},
    {"omit": {"StudyTime": 1.0}},
    {"omit": {"StudyDate": 0.3, "StudyTime": 0.3}},
    {"omit": {"StudyInstanceUID": 0.2}},
    {"blank": {"StudyDate": 0.3}},
    {"blank": {"StudyTime": 0.3, "PatientName": 1.0}},
    {"miscount": {"NumberOfStudyRelatedInstances": -1000}},
    {"twice": 0.5},
    {"padded": 0.5},
    {"lower_case": 0.5},
    {"charset": {"declared": "none", "written": "latin-1"}},
    {"late": {"share": 0.2, "after_questions": 6}},
    {"gone": {"share": 0.2, "after_questions": 6}},
    {"renamed": {"share": 0.5, "after_questions": 3}},
    {"refuse": {"first": 1}},
    {"refuse": {"first": 2}},
    {"refuse": {"every": 3}},
    {"operations": {"most": 1}},
    {"operations": {"most": 3, "then": "refused"}},
    {"drop": {"answers": 3, "every": 4}},
    {"drop": {"answers": 12, "every": 1}},
    {"silent": {"every": 9}},
    {"endless": {"every": 9, "interval": 0.01}},
    {"slow": {"question": 0.002}},
    {"repository": True},
)
"""What the simulated PACS can do about studies, in its settings' names."""


def alone() -> list[Case]:
    """Return each behaviour over one archive, and honest PACSs over all of them."""
    honest = [_case(f"honest {n}", archive, {}) for n, archive in enumerate(ARCHIVES)]
    return honest + [
        _case(f"alone {n} {piece}", ARCHIVES[0 if n % 2 else 1], piece)
        for n, piece in enumerate(PIECES)
    ]


def combined(seed: int) -> Case:
    """Return a PACS with some behaviours at once: the same seed is the same PACS."""
    drawn = random.Random(f"find {seed}")
    settings: dict[str, Any] = {}
    for piece in drawn.sample(PIECES, drawn.randint(2, 5)):
        settings |= piece
    archive = {**drawn.choice(ARCHIVES), "seed": seed}
    known = drawn.random() < 0.3 and "cap" in settings
    profile = UNKNOWN
    if known:
        cap = settings["cap"]
        profile = PeerProfile(cap=cap["studies"], cap_kind=CapKind(cap.get("kind", "cut")))
    return _case(f"seed {seed}", archive, settings, profile, undated=drawn.random() < 0.5)


def _case(
    name: str,
    archive: dict[str, Any],
    settings: dict[str, Any],
    profile: PeerProfile = UNKNOWN,
    *,
    undated: bool = False,
) -> Case:
    start, end = (date.fromisoformat(archive[key]) for key in ("start_date", "end_date"))
    return Case(
        name=name,
        start=start,
        end=end,
        settings={"archive": archive, **settings},
        profile=profile,
        undated=undated,
    )
