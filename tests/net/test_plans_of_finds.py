"""What `find --plan` says beside what the find then asks.

It is no less than the fewest, and no more than the most: a fifth more or less is in these already.
"""

import logging
from datetime import date

import pytest

from node.config import Config
from node.dicom.query import StudyQuery, Window
from node.ops.finding import find as finds
from node.ops.finding.peers import find_at_peers
from node.ops.finding.proving.plans import plan_at_peer
from tests.support.misbehaving import misbehaving_pacs

WINDOW = Window(start=date(2024, 1, 1), end=date(2024, 2, 29))
BEGIN = Window(start=date(2024, 1, 1), end=date(2024, 1, 31))
MANY = {"studies": 130, "start_date": "2024-01-01", "end_date": "2024-02-29", "undated": 4}
FEW = MANY | {"studies": 9}
CASES = {
    "honest": {"archive": MANY},
    "honest, few": {"archive": FEW},
    "capped": {"archive": MANY, "cap": {"studies": 12}},
    "capped, announced": {"archive": MANY, "cap": {"studies": 15, "kind": "announced"}},
}


@pytest.fixture(autouse=True)
def quick(monkeypatch, caplog):
    monkeypatch.setattr(finds, "_PAUSE", 0.001)
    caplog.set_level(logging.CRITICAL)


def configured(pacs, profile, *, undated=True):
    peer = pacs.peer()
    settings = {"aetitle": peer.aetitle, "host": peer.host, "port": peer.port, "profile": profile}
    return Config(peers={"pacs": settings}, find={"undated": undated})


@pytest.mark.parametrize("case", CASES)
async def test_a_find_asks_as_much_as_its_plan_says(case, sqlite):
    settings = CASES[case]
    async with misbehaving_pacs(**settings) as pacs:
        config = configured(pacs, {})
        for window in (BEGIN, WINDOW, WINDOW):
            queries = [StudyQuery(window=window)]
            plan = (await plan_at_peer(config, sqlite, "pacs", queries, times=True)).estimate()
            (report,) = (await find_at_peers(config, sqlite, ["pacs"], queries)).reports
            asked = report.counts()["windows"]
            assert plan.fewest <= asked, window
            assert (plan.most is None) == (window is BEGIN)  # nothing was known of it
            assert plan.most is None or asked <= plan.most, window
            assert len(set(plan.windows)) == len(plan.windows)
            assert plan.windows[0] == report.windows[0].query


async def test_a_plan_knows_the_cap_of_a_profile_from_the_start(sqlite):
    async with misbehaving_pacs(**CASES["capped"]) as pacs:
        config = configured(pacs, {"cap": 12, "cap_kind": "cut"}, undated=False)
        queries = [StudyQuery(window=BEGIN)]
        await find_at_peers(config, sqlite, ["pacs"], queries)
        plan = (await plan_at_peer(config, sqlite, "pacs", queries)).estimate()
        (report,) = (await find_at_peers(config, sqlite, ["pacs"], queries)).reports
        assert plan.fewest <= report.counts()["windows"] <= plan.most
        assert plan.most - plan.fewest <= report.counts()["windows"] / 2


async def test_a_plan_knows_at_which_minutes_the_studies_of_a_burst_are(sqlite):
    burst = {"days": 1, "studies": 30, "minutes": 3}
    async with misbehaving_pacs(archive=MANY | {"bursts": burst}, cap={"studies": 14}) as pacs:
        config = configured(pacs, {"cap": 14, "cap_kind": "cut"}, undated=False)
        queries = [StudyQuery(window=WINDOW)]
        await find_at_peers(config, sqlite, ["pacs"], queries)
        even = (await plan_at_peer(config, sqlite, "pacs", queries)).estimate()
        plan = (await plan_at_peer(config, sqlite, "pacs", queries, times=True)).estimate()
        (report,) = (await find_at_peers(config, sqlite, ["pacs"], queries)).reports
    asked = report.counts()["windows"]
    assert plan.fewest <= asked <= plan.most
    assert even.most < asked
