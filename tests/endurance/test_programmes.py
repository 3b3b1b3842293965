"""The long programmes, as far as a quarter of an hour goes; each has a target of its own for more.

They are seeded: a failure is the same one the next time. `make test-long` runs them one after the
other, because some of them measure what a machine that is their own does; but a refused call is
followed by seconds of waiting, and those programmes wait side by side.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaign.programme import Campaign
from tests.crash.__main__ import programme
from tests.crash.programme import Crash
from tests.faults.programme import SCENARIOS, Faults
from tests.finds.programme import Finds
from tests.support.strace import MISSING, find_strace

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
KILLS = 100
FUZZ_RUNS = 300_000
SEED = 20_240_301


@pytest.mark.timeout(900)
def test_a_node_that_is_killed_again_and_again_loses_nothing(tmp_path, database_url):
    with Crash(tmp_path / "crash", database_url, seed=SEED) as crash:
        programme(crash, KILLS, SEED)
        journal = crash.journal
    print(f"{crash.kills} kills, {len(journal.acknowledged)} objects acknowledged")
    assert crash.kills >= KILLS
    assert len(journal.acknowledged) > KILLS


@pytest.mark.timeout(300)
def test_a_find_that_is_killed_again_and_again_finds_everything_once(tmp_path):
    with Finds(tmp_path, studies=20_000, cap=500, seed=SEED) as finds:
        finds.kill_at_random(4)
        finds.finish()
        finds.reckon()
    print(f"{finds.kills} kills, {finds.asked().total()} questions, {finds.peak:.0f} MB")


@pytest.mark.timeout(600)
def test_a_campaign_whose_nodes_and_database_are_killed_brings_every_image_once(tmp_path):
    with Campaign(tmp_path / "campaign", studies=100, nodes=4, seed=SEED) as campaign:
        campaign.run(kills=6, server_kills=1, limit=400)
        print(campaign.reckon())


@pytest.mark.waits
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_call_of_a_store_may_be_refused_in_each_way(scenario, tmp_path):
    if find_strace() is None:
        pytest.skip(MISSING)
    with Faults(tmp_path / "faults") as faults:
        refused = list(faults.exhaust(scenario))
        faults.settled()
    print(f"{scenario}: {len(refused)} calls refused")
    assert len(refused) > 20


@pytest.mark.timeout(900)
def test_nothing_that_a_peer_sends_makes_the_upper_layer_fail(tmp_path):
    pytest.importorskip("atheris", reason="atheris is not installed: make test-long installs it")
    (tmp_path / "corpus").mkdir()
    options = (f"-runs={FUZZ_RUNS}", f"-seed={SEED}", "-max_len=2048")
    # a process takes over the peak of memory of the one that forked it: a shell's is small
    shell = ("sh", "-c", '"$@"; exit $?', "sh")
    done = subprocess.run(
        [
            *(*shell, sys.executable, "-m", "tests.fuzz.fuzz_upperlayer", *options),
            *(f"-artifact_prefix={tmp_path}/", tmp_path / "corpus", ROOT / "tests/fuzz/corpus"),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"number_of_executed_units: {FUZZ_RUNS}" in done.stderr
