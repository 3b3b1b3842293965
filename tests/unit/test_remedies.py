"""What is said to close a gap, of the gaps that plans leave at PACSs that misbehave."""

from __future__ import annotations

from datetime import date, time, timedelta

import pytest

from node.dicom.profile import CapKind, PeerProfile
from node.dicom.query import Window
from node.ops.finding.planning.tree import WindowOutcome
from node.ops.finding.proving.remedies import Remedy, remedy_of
from schema.coverage.gaps import Gap
from tests.support.model_pacs import Held, ModelPacs, run

START = date(2024, 1, 1)
MONTH = Window(start=START, end=date(2024, 1, 31))
CUT = PeerProfile(cap=5, cap_kind=CapKind.CUT)
EVEN = [
    Held(uid=f"1.{number}", day=START + timedelta(days=number), moment=time(8, number))
    for number in range(31)
]
AT_ONCE = [Held(uid=f"2.{number}", day=START, moment=time(9)) for number in range(9)]
UNDATED = [Held(uid=f"3.{number}", day=None) for number in range(9)]


class Refusing(ModelPacs):
    """A PACS that refuses to say what it has of the first days."""

    def put(self, query):
        outcome, found = super().put(query)
        near = query.window.start is not None and query.window.start <= START + timedelta(days=3)
        return (WindowOutcome.REFUSED if near else outcome), [] if near else found


@pytest.mark.parametrize(
    ("pacs", "profile", "remedy"),
    [
        (ModelPacs(studies=EVEN + AT_ONCE, cap=5), CUT, Remedy.LIMIT),
        (ModelPacs(studies=EVEN + AT_ONCE, cap=5), PeerProfile(), Remedy.LIMIT),
        (ModelPacs(studies=EVEN, ignores=frozenset({"dates"})), PeerProfile(), Remedy.PROBE),
        (ModelPacs(studies=[]), PeerProfile(), Remedy.PROBE),
        (Refusing(studies=EVEN), PeerProfile(), Remedy.AGAIN),
    ],
)
def test_each_gap_has_its_remedy(pacs, profile, remedy):
    found = run(pacs, MONTH, profile)
    assert set(remedies(found)) == {remedy}


def test_studies_without_a_date_need_a_higher_limit_or_a_list():
    pacs = ModelPacs(studies=EVEN + UNDATED, cap=5)
    *_, limit = remedies(run(pacs, MONTH, CUT, undated=True))
    assert limit is Remedy.LIMIT
    mute = PeerProfile(cap=500, universal=False)
    (undated,) = remedies(run(ModelPacs(studies=EVEN), MONTH, mute, undated=True))
    assert undated is Remedy.UNDATED


def remedies(found) -> list[Remedy]:
    return [
        remedy_of(
            Gap(
                undated=node.query.window.undated,
                outcome=node.standing.outcome,
                message=node.standing.message,
            )
        )
        for node in found.planner.gaps()
    ]
