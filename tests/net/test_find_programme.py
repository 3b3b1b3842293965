"""Whatever a PACS does over the network, a study that is missing lies in a gap that is named."""

import logging
from dataclasses import replace
from datetime import date, time

import pytest

from node.dicom.profile import PeerProfile
from node.dicom.query import StudyQuery, Window
from node.ops.finding import find as finds
from node.ops.finding.find import find
from node.ops.stalls import TimeLimits
from schema import Database
from tests.finding.behaviours import PIECES, alone, combined
from tests.finding.oracle import Limits, fewest_questions
from tests.finding.programme import played
from tests.support.misbehaving import misbehaving_pacs

LIMITS = TimeLimits(quiet=20.0, total=20.0)
SEEDS = (5, 22, 24, 36, 67)
"""Of combinations that are played each time; `make find-test` plays them all."""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(finds, "_PAUSE", 0.001)


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL)


@pytest.fixture
async def sqlite(migrated_sqlite_url):
    async with Database(migrated_sqlite_url) as database:
        yield database


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_is_missing_is_named_whatever_is_combined(seed, sqlite):
    verdict = await played(combined(seed), sqlite)
    assert verdict.wrong == []


@pytest.mark.long
@pytest.mark.parametrize("number", range(0, len(PIECES), 3))
async def test_what_is_missing_is_named_for_behaviours_by_themselves(number, sqlite):
    verdict = await played(alone()[-len(PIECES) + number], sqlite)
    assert verdict.wrong == []


async def test_what_is_missing_is_named_on_postgresql(migrated_postgresql_url):
    async with Database(migrated_postgresql_url) as database:
        verdict = await played(combined(91), database)
    assert verdict.wrong == []
    assert verdict.missing


async def test_an_honest_year_of_1200_studies_takes_at_most_20_questions(sqlite):
    archive = {"studies": 1200, "start_date": "2019-01-01", "end_date": "2019-12-31"}
    year = [StudyQuery(window=Window(start=date(2019, 1, 1), end=date(2019, 12, 31)))]
    async with misbehaving_pacs(archive=archive) as pacs:
        report = await find(sqlite, pacs.peer(), year, node="NODE", limits=LIMITS)
        assert pacs.counters.questions <= 20
    assert (report.failures, report.counts()["found"]) == ([], 1200)


HONEST = [case for case in alone() if case.name.startswith("honest")]


@pytest.mark.parametrize("case", HONEST, ids=lambda case: case.name)
async def test_an_honest_peer_that_was_probed_is_asked_as_often_as_by_an_oracle(case, sqlite):
    """Its probe has seen no limit: the configuration says that there is none."""
    known = PeerProfile(cap=0, widest=0)
    verdict = await played(replace(case, profile=known), sqlite)
    assert (verdict.wrong, verdict.missing, verdict.gaps) == ([], 0, 0)
    # one question more where no answer has shown whether ranges hold their last day
    assert verdict.asked <= 1.2 * verdict.fewest + 1


# The oracle


def test_the_oracle_packs_days_up_to_the_cap_and_cuts_days_over_it_at_minutes():
    def on(day, *moments):
        return [(date(2024, 1, day), time(hour)) for hour in moments]

    studies = [*on(1, 8, 9), *on(2, 8), *on(4, 8, 9, 10, 10, 11), *on(6, 8)]
    first, last = date(2024, 1, 1), date(2024, 1, 7)
    assert fewest_questions(studies, first, last, Limits()) == 1
    assert fewest_questions(studies, first, last, Limits(widest=3)) == 3
    # 1 and 2, then 3; the 4th as 8 and 9 and 10, 10, 11; and 5 to 7
    assert fewest_questions(studies, first, last, Limits(cap=3)) == 1 + 2 + 1
    assert fewest_questions(studies, first, last, Limits(cap=3, times=False)) == 1 + 1 + 1
    assert fewest_questions(studies, first, last, Limits(cap=3, again=2.0)) == 8
    assert fewest_questions([], first, last, Limits(cap=3)) == 1
