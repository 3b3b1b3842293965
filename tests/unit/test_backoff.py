"""How long to wait before something that has failed is tried again."""

import pytest

from schema.engine.backoff import Backoff


def test_waits_double_up_to_the_longest_one():
    backoff = Backoff(first=0.5, longest=6.0)
    assert [backoff.pause(failures) for failures in range(1, 7)] == [0.5, 1.0, 2.0, 4.0, 6.0, 6.0]


@pytest.mark.parametrize("failures", [100, 10_000, 10**9])
def test_no_number_of_failures_is_too_many(failures):
    assert Backoff(first=1e-6, longest=86400.0).pause(failures) == 86400.0


def test_a_first_wait_beyond_the_longest_is_the_longest():
    assert Backoff(first=90.0, longest=60.0).pause(1) == 60.0
