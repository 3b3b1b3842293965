"""What another client of a PACS notices of a move; see `tests.bench.bench_harmless`."""

from __future__ import annotations

import statistics

import pytest

from tests.bench.bench_harmless import IDLE, OFF, ON, Capacity, run

pytestmark = pytest.mark.long

PACS = Capacity(workers=2, question=0.05, image=0.05)
"""Slower than most, so that what a machine with other work to do delays matters less."""


@pytest.mark.timeout(600)
def test_another_client_waits_less_for_a_move_that_is_throttled():
    (figures,) = run([PACS], rounds=1, seconds=40.0, after=15.0).values()
    waits = {
        way: statistics.mean(one.seconds) - statistics.mean(figures[IDLE].seconds)
        for way, one in figures.items()
    }
    for way, one in figures.items():
        print(f"{way}: {one.p95 * 1000:.0f} ms, {one.rate:.1f} images/s, {one.levels}")
    assert waits[ON] < 0.5 * waits[OFF]
    assert 0 < figures[ON].rate < figures[OFF].rate
    assert min(figures[ON].levels) < 2  # it is where it was seen to be
