"""Status values: what is said of them, and which kind they are."""

import pytest

from node.dicom.status import Status
from node.net.categories import describe, is_pending, is_success_or_warning

STANDARD = {
    0x0105: "no such attribute",
    0x0117: "invalid object instance",
    0x0124: "refused: not authorised",
    0xA7FF: "refused: out of resources",
    0xA9FF: "data set does not match SOP class",
    0xAA02: "unable to extract frames",
    0xB006: "warning: element discarded",
    0xC001: "unable to process",
    0xCFFF: "unable to process",
}
"""What the standard has, and the node has no name for."""


def test_statuses_are_described_for_people():
    assert describe(0xA801) == "0xA801 (move destination unknown)"
    assert describe(0xC123) == "0xC123 (unable to process)"
    assert describe(0x1234) == "0x1234 (not a status of the standard)"
    assert is_success_or_warning(0xB007)
    assert not is_success_or_warning(0xA700)


@pytest.mark.parametrize("status", Status, ids=lambda status: status.name)
def test_every_status_of_ours_has_its_meaning_in_words_and_a_source(status):
    assert describe(status) == f"0x{int(status):04X} ({status.meaning})"
    assert status.meaning
    assert status.meaning[0].islower() or status.meaning.startswith("SOP")
    assert status.source.startswith(("PS3.4 ", "PS3.7 "))


def test_what_the_node_has_a_name_for_is_not_among_the_others():
    named = {f"0x{status:04X}" for status in Status if status in STANDARD}
    assert named == set(), f"take {named} out of STANDARD: Status has names for them now"


@pytest.mark.parametrize(("status", "meaning"), STANDARD.items())
def test_other_statuses_of_the_standard_are_described_in_its_words(status, meaning):
    assert describe(status) == f"0x{status:04X} ({meaning})"


def test_a_status_that_the_standard_leaves_to_the_peer_is_named_by_its_kind():
    assert describe(0xA123) == "0xA123 (failure, without a meaning in the standard)"
    assert describe(0xB123) == "0xB123 (warning, without a meaning in the standard)"


def test_a_description_says_something_of_each_value_there_is():
    said = [describe(status) for status in range(1 << 16)]
    assert [words for words in said if "()" in words] == []


def test_only_two_statuses_say_that_more_responses_follow():
    assert [status for status in range(1 << 16) if is_pending(status)] == [
        Status.PENDING,
        Status.PENDING_WARNING,
    ]
    assert not is_pending(None)


def test_success_and_warnings_are_what_a_c_store_takes_an_object_with():
    taken = {status for status in range(1 << 16) if is_success_or_warning(status)}
    assert taken - set(range(0xB000, 0xC000)) == {Status.SUCCESS, 0x0001, 0x0107, 0x0116}
    assert taken >= set(range(0xB000, 0xC000))
