"""The question for studies without a date: what its answer proves, and how it is cut."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, time, timedelta

import pytest

from node.dicom.profile import CapKind, PeerProfile
from node.dicom.query import Window
from tests.support.model_pacs import Held, ModelPacs, run

START = date(2024, 1, 1)
MONTH = Window(start=START, end=date(2024, 1, 31))
CUT = PeerProfile(cap=50, cap_kind=CapKind.CUT)


def held(count: int, *, undated: int = 4) -> list[Held]:
    """Return studies on the days of a month, and some without a date, numbered one by one."""
    dated = [START + timedelta(days=number % 31) for number in range(count)]
    return [
        Held(
            uid=f"1.{number}",
            day=day,
            moment=None if day is None else time(8 + number % 10, number % 60),
            modality="CT" if number % 3 else "MR",
            accession=f"A{number:06}",
            patient=f"P{number:06}",
        )
        for number, day in enumerate([*dated, *[None] * undated])
    ]


def test_they_are_all_when_what_came_with_them_is_less_than_the_cap():
    found = run(ModelPacs(studies=held(40), cap=50), MONTH, CUT, undated=True)
    assert (found.missing, found.complete) == ([], True)


@pytest.mark.parametrize("kind", CapKind)
def test_they_are_asked_for_by_other_keys_where_all_that_the_peer_has_is_too_much(kind):
    studies = held(170)
    profile = PeerProfile(cap=50, cap_kind=kind)
    dated = run(ModelPacs(studies=studies, cap=50, kind=kind), MONTH, profile)
    found = run(ModelPacs(studies=studies, cap=50, kind=kind), MONTH, profile, undated=True)
    assert found.missing == []
    assert [str(one.query.window) for one in found.planner.gaps()] == ["without a date"]
    (gap,) = found.planner.gaps()
    assert "which no study without one is among" in gap.standing.message
    assert found.asked - dated.asked <= 36  # one that is refused is put twice


@pytest.mark.parametrize("kind", CapKind)
def test_few_questions_are_spent_where_no_key_makes_it_few_enough(kind):
    studies = [replace(one, modality="CT") for one in held(800)]
    profile = PeerProfile(cap=5, cap_kind=kind)
    dated = run(ModelPacs(studies=studies, cap=5, kind=kind), MONTH, profile)
    found = run(ModelPacs(studies=studies, cap=5, kind=kind), MONTH, profile, undated=True)
    assert found.asked - dated.asked <= 31
    assert found.silent() == []


@pytest.mark.parametrize("count", [0, 90])
def test_nothing_is_no_proof_of_a_peer_that_says_so_when_it_has_too_much(count):
    """Asked for alone, no answer of the find shows that there is anything."""
    studies = held(90)
    profile = PeerProfile(cap=50, cap_kind=CapKind.EMPTY, universal=True)
    pacs = ModelPacs(studies=studies, cap=50, kind=CapKind.EMPTY)
    found = run(pacs, Window(undated=True), profile, expected=studies[:count])
    assert not found.complete


def test_fewer_than_are_known_with_a_date_are_no_proof_though_none_is_asked_for():
    studies = held(40)
    found = run(ModelPacs(studies=studies[20:]), Window(undated=True), CUT, expected=studies[:40])
    (gap,) = found.planner.gaps()
    assert "and not the 40 that have one" in gap.standing.message
