"""What an object is whose SOP Instance UID is known: every combination of facts, and what holds."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.judgement import (
    Came,
    Judgement,
    Kept,
    Known,
    Lies,
    disagreement,
    judge,
    why_conflict,
)
from tests.db.records import record

CAME, OTHER, THIRD = "a" * 64, "b" * 64, "c" * 64
RECEIVED = Came(sha256=CAME, size=100, received=True)
WITH_ITS_HEADER = Came(sha256=CAME, size=100, received=True, same_header=True)
FOUND = Came(sha256=CAME, size=100)
FOUND_WITH_ITS_HEADER = Came(sha256=CAME, size=100, same_header=True)

NEW, SAME, RESTORE = Judgement.NEW, Judgement.SAME, Judgement.RESTORE
ADOPT, REPAIR, CONFLICT = Judgement.ADOPT, Judgement.REPAIR, Judgement.CONFLICT

ROWS = (CAME, None, OTHER)
EQUAL = Kept(lies=Lies.DATASET, sha256=CAME)
CHANGED = Kept(lies=Lies.DATASET, sha256=THIRD)
ROWS_OWN = Kept(lies=Lies.DATASET, sha256=OTHER)

# what lies there: the judgement where the row has the digest of what came, none, and another one
IN_THE_ARCHIVE = {
    Kept(lies=Lies.NOTHING): (RESTORE, RESTORE, CONFLICT),
    Kept(lies=Lies.ITSELF): (SAME, SAME, Judgement.CHANGED),
    EQUAL: (SAME, SAME, CONFLICT),
    CHANGED: (REPAIR, CONFLICT, CONFLICT),
    ROWS_OWN: (REPAIR, CONFLICT, CONFLICT),
    Kept(lies=Lies.BROKEN): (REPAIR, CONFLICT, CONFLICT),
    Kept(lies=Lies.UNREADABLE): (REPAIR, CONFLICT, CONFLICT),
}
ELSEWHERE = {
    Kept(lies=Lies.NOTHING): (RESTORE, RESTORE, CONFLICT),
    EQUAL: (ADOPT, ADOPT, CONFLICT),
    CHANGED: (ADOPT, CONFLICT, CONFLICT),
    ROWS_OWN: (ADOPT, CONFLICT, CONFLICT),
    Kept(lies=Lies.BROKEN): (ADOPT, CONFLICT, CONFLICT),
    Kept(lies=Lies.UNREADABLE): (ADOPT, CONFLICT, CONFLICT),
}


def known(sha256, size=100):
    return Known(filepath="/there.dcm", sha256=sha256, size=size)


def lies_at(kept, *, archived):
    return Kept(lies=kept.lies, sha256=kept.sha256, archived=archived)


@pytest.mark.parametrize("archived", [True, False], ids=["in the archive", "elsewhere"])
def test_what_was_received_is_judged_by_digests_and_by_where_the_file_lies(archived):
    for kept, expected in (IN_THE_ARCHIVE if archived else ELSEWHERE).items():
        facts = lies_at(kept, archived=archived)
        judged = tuple(judge(known(row), facts, WITH_ITS_HEADER) for row in ROWS)
        assert judged == expected, kept


@pytest.mark.parametrize(
    "pair",
    [(RECEIVED, WITH_ITS_HEADER), (FOUND, FOUND_WITH_ITS_HEADER)],
    ids=["received", "found"],
)
def test_a_header_is_compared_only_where_nothing_else_is_left(pair):
    for kept, archived in product(IN_THE_ARCHIVE, (True, False)):
        facts = lies_at(kept, archived=archived)
        for row in ROWS:
            other, same = (judge(known(row), facts, one) for one in pair)
            if kept.lies is Lies.NOTHING and row is None:
                assert (other, same) == (CONFLICT, RESTORE)
            else:
                assert other is same


def test_the_reason_says_that_the_header_is_another_one():
    reason = why_conflict(known(None), Kept(lies=Lies.NOTHING))
    assert "another header" in reason


def test_what_was_found_needs_no_place_in_the_archive():
    for kept, expected in IN_THE_ARCHIVE.items():
        for archived in (True, False):
            facts = lies_at(kept, archived=archived)
            judged = tuple(judge(known(row), facts, FOUND_WITH_ITS_HEADER) for row in ROWS)
            assert judged == expected, kept


def test_where_nobody_has_read_the_file_of_what_was_found_its_row_is_believed():
    unread = Kept(lies=Lies.UNREAD)
    assert [judge(known(row), unread, FOUND) for row in ROWS] == [SAME, CONFLICT, CONFLICT]


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize(
    ("lies", "size", "kept_size", "expected"),
    [
        (Lies.UNREAD, 100, 100, SAME),
        (Lies.UNREAD, 99, 100, CONFLICT),
        (Lies.UNREAD, None, 100, SAME),
        (Lies.UNREAD, None, None, CONFLICT),
        (Lies.NOTHING, 100, None, RESTORE),
        (Lies.ITSELF, 100, None, SAME),
        (Lies.ITSELF, 99, None, Judgement.CHANGED),
        (Lies.ITSELF, None, None, SAME),
        (Lies.BROKEN, 100, 100, CONFLICT),
        (Lies.UNREADABLE, 100, None, CONFLICT),
    ],
)
def test_without_a_digest_the_size_decides_and_none_is_never_the_same(
    row, lies, size, kept_size, expected
):
    kept = Kept(lies=lies, size=kept_size)
    came = Came(sha256=None, size=100, same_header=True)
    assert judge(known(row, size), kept, came) is expected


def test_without_a_digest_another_size_does_not_take_the_place_of_what_is_gone():
    gone = Kept(lies=Lies.NOTHING)
    assert judge(known(OTHER, 99), gone, Came(sha256=None, size=100)) is CONFLICT
    for came, expected in (
        (Came(sha256=None, size=100), CONFLICT),
        (Came(sha256=None, size=100, same_header=True), RESTORE),
    ):
        assert judge(known(None, 99), gone, came) is expected


def test_what_has_no_row_is_new():
    assert judge(None, Kept(lies=Lies.NOTHING), RECEIVED) is NEW


def test_what_is_not_what_its_command_named_is_a_mismatch_whatever_else_it_is():
    came = Came(sha256=CAME, received=True, agrees=False)
    for row in (None, *map(known, ROWS)):
        for kept in IN_THE_ARCHIVE:
            assert judge(row, kept, came) is Judgement.MISMATCH


@pytest.mark.parametrize(
    ("lies", "sha256"), [(Lies.UNREAD, CAME), (Lies.DATASET, None), (Lies.NOTHING, None)]
)
def test_what_was_received_is_never_judged_without_looking(lies, sha256):
    with pytest.raises(ValueError, match="with the file itself"):
        judge(known(CAME), Kept(lies=lies), Came(sha256=sha256, received=True))


def test_every_combination_has_a_judgement_and_every_conflict_a_reason():
    lies = [*IN_THE_ARCHIVE, Kept(lies=Lies.UNREAD)]
    for row, kept, sha256, size in product(ROWS, lies, (CAME, None), (100, 99, None)):
        one = known(row, size)
        judgement = judge(one, kept, Came(sha256=sha256, size=100))
        assert judgement in Judgement
        assert "SOP Instance UID" in why_conflict(one, kept)


@pytest.mark.parametrize("lies", [Lies.BROKEN, Lies.UNREADABLE])
def test_the_reason_says_what_could_not_be_compared(lies):
    reason = why_conflict(known(None), Kept(lies=lies, reason="Input/output error"))
    assert "cannot be compared: Input/output error" in reason
    assert "perhaps" in reason


digests = st.sampled_from((CAME, OTHER, THIRD))


@st.composite
def facts(draw):
    """Draw facts as they can be: a file that was read has a digest, and no other has one."""
    row = draw(st.none() | st.builds(known, st.none() | digests, st.none() | st.just(100)))
    lies = draw(st.sampled_from([one for one in Lies if one is not Lies.UNREAD]))
    came = draw(digests)
    sha256 = draw(digests) if lies is Lies.DATASET else None
    kept = Kept(lies=lies, sha256=sha256, archived=draw(st.booleans()) or lies is Lies.ITSELF)
    return (
        row,
        kept,
        Came(
            sha256=came,
            size=100,
            received=True,
            agrees=draw(st.booleans()),
            same_header=draw(st.booleans()),
        ),
    )


@given(facts())
def test_what_was_received_is_given_up_only_for_a_sound_file_in_the_archive(drawn):
    row, kept, came = drawn
    if judge(row, kept, came) is SAME:
        assert kept.archived
        assert kept.lies is Lies.ITSELF or kept.sha256 == came.sha256


@given(facts())
def test_nothing_that_is_sound_is_replaced_by_other_content(drawn):
    row, kept, came = drawn
    judgement = judge(row, kept, came)
    if row is None or kept.lies is not Lies.DATASET:
        return
    sound = row.sha256 in (None, kept.sha256)
    if sound and kept.sha256 != came.sha256:
        assert judgement in (CONFLICT, Judgement.MISMATCH)
    if judgement is REPAIR:
        assert not sound
        assert row.sha256 == came.sha256
    assert judgement is not RESTORE


@given(facts())
def test_a_row_takes_only_what_it_knows_or_what_nothing_is_left_of(drawn):
    row, kept, came = drawn
    if judge(row, kept, came) in (RESTORE, ADOPT, REPAIR):
        assert row.sha256 == came.sha256 or (
            row.sha256 is None
            and ((kept.lies is Lies.NOTHING and came.same_header) or kept.sha256 == came.sha256)
        )


@given(facts())
def test_what_cannot_be_compared_is_never_the_same(drawn):
    row, kept, came = drawn
    if kept.lies in (Lies.BROKEN, Lies.UNREADABLE):
        assert judge(row, kept, came) is not SAME
        if row is not None and row.sha256 is None and came.agrees:
            assert judge(row, kept, came) is CONFLICT


# The command and the dataset


@pytest.mark.parametrize("uid", ["1.2.3", "1.2.3\0", " 1.2.3 ", "1." + "2" * 400])
def test_padding_and_length_make_no_other_uid(uid):
    one = record("1.2.3" if len(uid) < 10 else uid, "1", "1", sop_class_uid="1.2")
    assert disagreement(one, sop_instance_uid=uid, sop_class_uid="1.2\0") is None


def test_another_instance_or_class_is_named():
    one = record("1.2.3", "1", "1", sop_class_uid="1.2")
    assert disagreement(one, sop_instance_uid="9") == "its C-STORE named SOP Instance UID 9"
    reason = disagreement(one, sop_instance_uid="1.2.3", sop_class_uid="9")
    assert reason == "its C-STORE named SOP Class UID 9"
    assert disagreement(one, sop_instance_uid="1.2.3") is None
