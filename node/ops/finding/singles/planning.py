"""Which questions to put for single studies: in lists where the peer understands them.

Pure: replies in, questions out.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from node.dicom.query import StudyQuery

LIST_LENGTH = 50
"""How many UIDs one question names: some 3,000 characters, which peers were seen to take."""

_DOUBTS = 100
"""How many single studies a peer is asked for, to see whether it understands lists of UIDs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of one question: whether the peer answered it, and with which studies."""

    complete: bool
    refused: bool = False
    study_uids: frozenset[str] = frozenset()


Plan = Generator[StudyQuery, Reply, None]
"""Questions to put one after the other; each may depend on the replies before."""


def by_key(study_uids: Sequence[str], accession_numbers: Sequence[str]) -> Plan:
    """Plan to ask for single studies by their keys, at any date."""
    if study_uids:
        yield from in_lists(StudyQuery(study_uids=tuple(study_uids)))
    for number in accession_numbers:
        yield StudyQuery(accession_number=number)


def in_lists(query: StudyQuery) -> Plan:
    """Plan to put one question, with as many UIDs at once as a peer understands.

    UIDs go in lists (PS3.4 C.2.2.2.2). Some peers refuse lists, match only the first UID of
    one, or none, and report success. So until a peer has answered a list with two studies,
    what it leaves out is asked for once more, one by one; at most so often that a peer that
    simply has none of them is not asked for each. Once a single question has brought what a list
    did not, there are no more lists.
    """
    study_uids = query.study_uids
    if len(study_uids) < 2:
        yield query
        return
    proven = singly = False
    doubts = _DOUBTS
    for first in range(0, len(study_uids), LIST_LENGTH):
        uids = tuple(study_uids[first : first + LIST_LENGTH])
        reply = Reply(complete=True)
        if not singly:
            reply = yield replace(query, study_uids=uids)
            proven = proven or len(reply.study_uids) > 1
            if proven or len(uids) == 1 or not (reply.complete or reply.refused):
                continue
        for uid in uids:
            if uid in reply.study_uids:
                continue
            if not singly and not doubts:
                break
            doubts -= not singly
            one = yield replace(query, study_uids=(uid,))
            if not one.complete and not singly:
                break  # it is not the list that the peer does not like
            singly = singly or bool(one.study_uids) or reply.refused
