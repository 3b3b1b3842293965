"""The disk refuses one call of a store at a time: nothing is lost, doubled or left over.

`make fault-test` refuses every call in every way; here are all calls but those of SQLite, of
which there are many alike, in one way each.
"""

import pytest

from tests.crash.programme import OUT_OF_RESOURCES, SUCCESS
from tests.faults.calls import ERRORS
from tests.faults.programme import Faults

pytestmark = [pytest.mark.long, pytest.mark.waits]

SQLITE = ("pwrite64", "pread64", "fdatasync")


def selected(points):
    """Return a part of the points, each with one of its errors."""
    alike = 0
    for number, point in enumerate(points):
        if point.role == "database" and point.call in SQLITE:
            alike += 1
            if alike % 8:
                continue
        errors = ERRORS[point.call]
        yield point, errors[number % len(errors)]


def test_a_store_whose_calls_fail_is_refused_or_kept_and_the_node_goes_on(tmp_path):
    with Faults(tmp_path / "faults") as faults:
        points = faults.points("new")
        # the first ones: those after it may be another thread's first ones
        conflict = faults.points("conflict")
        points += [p for p in conflict if p.call in ("link", "unlink") and p.number == 1]
        for point, error in selected(points):
            assert faults.insist(point, error), f"{point} was not reached"
        faults.settled()
    statuses = {role: set() for role in ("gate", "spool", "headers", "index", "database")}
    for refused in faults.refused:
        statuses[refused.point.role].add(refused.status)
    # what is not acknowledged yet is refused; everything else is put right behind the sender
    assert statuses == {
        "gate": {OUT_OF_RESOURCES},
        "spool": {OUT_OF_RESOURCES},
        "headers": {SUCCESS},
        "index": {SUCCESS},
        "database": {SUCCESS},
    }
