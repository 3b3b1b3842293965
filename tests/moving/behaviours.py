"""What PACSs do when they are asked what they have, and for it, in random combinations."""

from __future__ import annotations

import random
from typing import Any

from tests.moving.programme import MoveCase

COUNTS = (
    "NumberOfStudyRelatedInstances",
    "NumberOfStudyRelatedSeries",
    "NumberOfSeriesRelatedInstances",
)

RETRIEVALS: tuple[dict[str, Any], ...] = (
    {"levels": {"SERIES": "study"}},
    {"levels": {"SERIES": "nothing", "IMAGE": "nothing"}},
    {"levels": {"SERIES": "refused", "IMAGE": "study"}},
    {"levels": {"SERIES": "refused", "IMAGE": "refused"}},
    {"levels": {"IMAGE": "nothing"}},
    {"uid_lists": "first"},
    {"uid_lists": "nothing"},
    {"uid_lists": "refused"},
    {"empty": {"first": 1}},
    {"empty": {"share": 0.4}},
    {"empty": {"every": 3}},
    {"failures": {"status": 0xA702, "first": 2}},
    {"failures": {"status": 0xA701, "images": 2, "share": 0.4}},
    {"failures": {"status": 0xC000, "share": 0.4}},
    {"failures": {"status": 0xA801, "every": 7}},
    {"failures": {"status": 0xA900, "images": 1, "every": 3}},
    {"breaks": {"images": 2, "first": 1}},
    {"breaks": {"images": 1, "every": 4}},
    {"stall": {"images": 2, "first": 1}},
    {"stall": {"images": 1, "first": 1, "at": "pdu"}},
    {"endless": {"images": 2, "first": 1, "interval": 5}},
    {"endless": {"every": 5, "interval": 5}},
    {"left_out": {"images": 0.3, "first": 1}},
    {"left_out": {"images": 0.3, "first": 2, "told": "unmentioned"}},
    {"left_out": {"images": 0.3, "share": 0.5}},
    {"left_out": {"images": 0.3, "told": "unmentioned"}},
    {"left_out": {"images": 0.4, "told": "failed"}},
    {"left_out": {"images": 1, "share": 0.5}},
    {"twice": {}},
    {"twice": {"share": 0.5, "at_once": True}},
    {"two_series": 0.5},
    {"early": {"delay": 5}},
    {"early": {"delay": 40, "every": 2}},
    {"goes_on": True, "slow": {"start": 700}, "cancel": "ignored"},
    {"last": {"status": 0}},
    {"last": {"status": 0xB000}},
    {"failed_uids": "wrong"},
    {"failed_uids": "absent"},
    {"pending": 0},
    {"omit": ["remaining", "completed", "failed", "warning"]},
    {"omit": ["completed"]},
    {"miscount": {"completed": 3}},
    {"miscount": {"completed": -2, "failed": 1}},
    {"cancel": "ignored"},
    {"originator": "none"},
    {"calling": "STORER"},
    {"calling": "STORER", "originator": "none"},
    {"associations": 3},
    {"slow": {"start": 30, "image": 4}},
    {"restarts": {"every": 3, "seconds": 180}},
)
"""What the simulated PACS can do to retrievals, in its settings' names."""

QUERIES: tuple[dict[str, Any], ...] = (
    {"short": {"SERIES": 1}},
    {"short": {"IMAGE": 2}},
    {"short": {"SERIES": 1, "IMAGE": 1}},
    {"omit": COUNTS[:1]},
    {"omit": COUNTS[:2]},
    {"omit": COUNTS},
    {"omit": COUNTS[2:]},
    {"blank": COUNTS[:1]},
    {"miscount": {COUNTS[0]: 2}},
    {"miscount": {COUNTS[0]: -2}},
    {"miscount": {COUNTS[1]: 1}},
    {"miscount": {COUNTS[2]: -1}},
    {"levels": ["PATIENT", "STUDY"]},
    {"levels": ["PATIENT", "STUDY", "SERIES"]},
    {"refuse": {"first": 1}},
    {"refuse": {"every": 2}},
    {"silent": {"every": 5}},
    {"endless": {"every": 7, "interval": 5}},
    {"drop": {"answers": 1, "every": 3}},
    {"operations": {"most": 1}},
    {"operations": {"most": 2, "then": "refused"}},
    {"capacity": {"associations": 2}},
    {"twice": 0.5},
    {"padded": 0.5},
    {"ignore": ["SeriesInstanceUID"]},
)
"""What it can do to the questions for what it has."""


def combined(seed: int) -> MoveCase:
    """Return a PACS with some behaviours at once: the same seed is the same PACS."""
    drawn = random.Random(f"move {seed}")
    retrieval: dict[str, Any] = {}
    for piece in drawn.sample(RETRIEVALS, drawn.randint(1, 3)):
        retrieval |= piece
    settings: dict[str, Any] = {"retrieval": retrieval}
    for piece in drawn.sample(QUERIES, drawn.randint(0, 3)):
        settings |= piece
    known = drawn.random() < 0.5
    return MoveCase(
        name=f"seed{seed}",
        settings=settings,
        seed=1000 + seed,
        storers=("STORER",) if known else (),
        peer={"retrieve": "get"} if drawn.random() < 0.2 else {},
        studies=3,
        most=8,
    )
