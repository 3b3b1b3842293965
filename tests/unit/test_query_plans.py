"""Asking for single studies by key: lists where the peer understands them, else one by one."""

from collections.abc import Iterable
from datetime import date

import pytest

from node.dicom.query import StudyQuery, Window
from node.ops.finding.singles.planning import LIST_LENGTH, Reply, by_key

UIDS = [f"1.2.{n}" for n in range(120)]
CHUNKS = [tuple(UIDS[n : n + LIST_LENGTH]) for n in range(0, 120, LIST_LENGTH)]


class Peer:
    """A peer that has some studies, and its own idea of a list of UIDs."""

    def __init__(self, has: Iterable[str], *, lists: str = "matched") -> None:
        self.has = frozenset(has)
        self.lists = lists

    def reply(self, query: StudyQuery) -> Reply:
        uids = query.study_uids
        if len(uids) > 1:
            if self.lists == "refused":
                return Reply(complete=False, refused=True)
            if self.lists == "lost":
                return Reply(complete=False)
            uids = {"matched": uids, "first": uids[:1], "none": ()}[self.lists]
        elif self.lists == "lost":
            return Reply(complete=False)
        return Reply(complete=True, study_uids=self.has.intersection(uids))


def ask(peer: Peer, uids=UIDS, numbers=()) -> tuple[list[StudyQuery], set[str]]:
    plan = by_key(uids, numbers)
    asked, found = [], set()
    query = next(plan, None)
    while query is not None:
        asked.append(query)
        reply = peer.reply(query)
        found |= reply.study_uids
        try:
            query = plan.send(reply)
        except StopIteration:
            break
    return asked, found


def test_a_peer_that_understands_lists_is_asked_in_lists():
    asked, found = ask(Peer(UIDS[:40]))
    assert [query.study_uids for query in asked] == CHUNKS
    assert found == set(UIDS[:40])


@pytest.mark.parametrize("lists", ["first", "none", "refused"])
def test_a_peer_that_does_not_is_asked_for_each(lists):
    asked, found = ask(Peer(UIDS, lists=lists))
    assert found == set(UIDS)
    assert sum(len(query.study_uids) > 1 for query in asked) == 1
    assert len(asked) <= 1 + len(UIDS)


def test_a_peer_that_has_none_is_doubted_only_so_long():
    many = [f"1.3.{n}" for n in range(1000)]
    asked, found = ask(Peer(()), many)
    assert found == set()
    assert sum(len(query.study_uids) > 1 for query in asked) == 20
    assert len(asked) == 20 + 100


def test_a_peer_that_answers_nothing_at_all_is_not_asked_one_by_one():
    asked, _ = ask(Peer(UIDS, lists="lost"))
    assert [query.study_uids for query in asked] == CHUNKS


def test_a_peer_that_refuses_single_questions_too_is_asked_once_for_each_list():
    class Refusing(Peer):
        def reply(self, query: StudyQuery) -> Reply:
            return Reply(complete=False, refused=True)

    asked, _ = ask(Refusing(UIDS))
    assert sum(len(query.study_uids) > 1 for query in asked) == len(CHUNKS)
    assert len(asked) == 2 * len(CHUNKS)


def test_accession_numbers_are_asked_for_one_by_one_at_any_date():
    asked, _ = ask(Peer(()), (), ("A1", "A2"))
    assert asked == [StudyQuery(accession_number="A1"), StudyQuery(accession_number="A2")]


def test_nothing_is_asked_when_nothing_is_wanted():
    assert ask(Peer(()), (), ()) == ([], set())


@pytest.mark.parametrize(
    ("query", "unbounded"),
    [
        (StudyQuery(), True),
        (StudyQuery(modality="CT"), True),
        (StudyQuery(patient_id="*"), True),
        (StudyQuery(patient_id="?*"), True),
        (StudyQuery(accession_number="**", modality="CT"), True),
        (StudyQuery(patient_id="A*"), False),
        (StudyQuery(accession_number="7"), False),
        (StudyQuery(study_uids=("1.2",)), False),
    ],
)
def test_what_may_match_everything_is_known(query, unbounded):
    assert query.unbounded is unbounded


def test_a_range_of_dates_is_a_bound():
    assert not StudyQuery(window=Window(start=date(2024, 1, 1)), modality="CT").unbounded
