"""The tables of the conformance statement are what the code says."""

import pytest

from node.dicom.status import Status
from tests.conformance.statement import STATEMENT, renewed
from tests.conformance.statuses import USES
from tests.conformance.tables import tables


def test_the_statement_has_the_tables_that_the_code_makes():
    text = STATEMENT.read_text(encoding="utf-8")
    assert renewed(text, tables()) == text, "run `python -m tests.conformance`"


def test_a_table_that_is_not_marked_is_missed():
    with pytest.raises(LookupError, match="should have"):
        renewed("nothing is marked here", {"statuses": "| |"})


def test_every_status_comes_up_in_a_service():
    used = {status for use in USES.values() for status in (*use.sent, *use.simulated, *use.read)}
    assert set(Status) - used == set()
