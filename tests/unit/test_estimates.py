"""The numbers that a plan tells beside what a find then asks: at generated archives, all honest."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, time, timedelta

import pytest

from node.dicom.profile import CapKind, PeerProfile
from node.dicom.query import StudyQuery, Window
from node.ops.finding.planning.estimate import Estimate, PriorKnowledge, estimated
from node.ops.finding.planning.expecting import Expectation
from node.ops.finding.planning.known_days import KnownDays
from tests.support.model_pacs import Held, ModelPacs, Result, run

START = date(2023, 1, 1)


def generated(chance: random.Random) -> list[Held]:
    """Return studies of up to a year: by day and weekday, in bursts, of one moment, without any."""
    days = chance.choice((31, 90, 180))
    per_day = chance.choice((0.3, 2, 8, 20))
    moments: list[tuple[date | None, time | None]] = []
    for number in range(days):
        day = START + timedelta(days=number)
        count = (
            int(chance.gauss(per_day, per_day / 2)) if day.weekday() < 5 else chance.randint(0, 1)
        )
        hours = [min(23, max(0, int(chance.gauss(12, 3)))) for _ in range(count)]
        moments += [(day, time(hour, chance.randrange(60), chance.randrange(60))) for hour in hours]
    for _ in range(chance.choice((0, 0, 1, 2))):
        day, begin = START + timedelta(days=chance.randrange(days)), chance.randrange(1400)
        for _ in range(chance.randint(20, 120)):
            minute = begin + chance.randrange(chance.choice((1, 5, 30)))
            moments.append((day, time(minute // 60, minute % 60, chance.randrange(60))))
    if chance.random() < 0.2:
        day = START + timedelta(days=chance.randrange(days))
        moments += [(day, None)] * chance.randint(5, 60)
    moments += [(None, None)] * chance.choice((0, 0, 3))
    return [
        Held(
            uid=f"1.{number}",
            day=day,
            moment=moment,
            modality=chance.choice(("CT", "MR", "CR", "US", "DX", "SR")),
            accession=f"A{number:05}",
            patient=f"P{number * 7 % 100_003:06}",
        )
        for number, (day, moment) in enumerate(moments)
    ]


def played(seed: int) -> tuple[Estimate, Result]:
    """Return what a plan says of a find at a peer of which all is known, and what that asks."""
    chance = random.Random(f"plan {seed}")
    studies = generated(chance)
    cap = chance.choice((0, 10, 30, 100))
    kind = list(CapKind)[seed % len(CapKind)]
    undated = chance.random() < 0.3
    profile = PeerProfile(cap=cap, cap_kind=kind if cap else None, widest=0, universal=True)
    counts = Counter(one.day for one in studies if one.day is not None)
    end = max(counts)
    minutes: dict[int, list[int]] = {
        day.toordinal(): [] for day, count in counts.items() if count > cap > 0
    }
    for one in studies:
        if one.day is not None and one.moment is not None and one.day.toordinal() in minutes:
            minutes[one.day.toordinal()].append(one.moment.hour * 60 + one.moment.minute)
    window = Window(start=START, end=end)
    proven = Expectation([(START, end)], counts.items())
    estimate = estimated(
        [StudyQuery(window=one) for one in (window, Window(undated=True))[: 1 + undated]],
        PriorKnowledge(
            profile=profile,
            widest=31,
            expected=proven,
            known=KnownDays.of(counts),
            minutes={day: sorted(of_day) for day, of_day in minutes.items()},
        ),
        per_day=len(studies) / ((end - START).days + 1),
    )
    found = run(
        ModelPacs(studies=studies, cap=cap or None, kind=kind),
        window,
        profile,
        undated=undated,
        before=31,
        expected=studies,
        proven=proven,
    )
    return estimate, found


@pytest.mark.parametrize("seed", range(30))
def test_a_find_of_what_is_known_asks_as_much_as_its_plan_says(seed):
    estimate, found = played(seed)
    assert estimate.fewest <= found.asked
    assert estimate.most is not None
    assert found.asked <= estimate.most
