"""Which questions to put for single studies, and what their answers prove.

Pure: replies in, questions out. Studies are asked for by their UIDs in lists (PS3.4 C.2.2.2.2)
where the peer understands these, else one by one. Peers were seen that refuse lists, look at one
UID of them only, or none, or give up after so many, and report success. So

1. what a list brings is there; that it does not bring a study proves nothing: that one is asked for
   by itself;
2. a list that left out what a single question brings is too long for this peer, or any list is;
3. nothing, as the answer of a single question, is believed of a peer that has afterwards answered a
   question with the same keys with its study, and no other: one that is asked for anyway, or one
   that it is known to have. One that answers nothing any more has not lost all its studies.
"""

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import islice

from node.dicom.query import StudyQuery, Window
from schema.finding.known import DescribedStudy

LIST_LENGTH = 50
"""How many UIDs one question names: some 3,000 characters, which peers were seen to take."""

_TRIED = 3
"""Known studies by which a peer is tried before it is left open how it answers."""

_IN_VAIN = 10
"""Questions without any answer, one after the other, after which no more are asked."""

_OUTSIDE = "none of what it answered was asked for"
_UNTRIED = (
    "nothing came, and no question like this one has brought a study since: that it has none is "
    "not proven"
)
_GIVEN_UP = f"not asked: the last {_IN_VAIN} questions had no answer"


class Presence(StrEnum):
    """What is known of a study after it was asked for."""

    FOUND = "found"
    ABSENT = "absent"
    """The peer has no such study."""
    UNPROVEN = "unproven"
    """Nothing came, which proves nothing."""
    REFUSED = "refused"
    """The peer has answered with a failure."""
    FAILED = "failed"
    """There was no answer to the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of one question: whether the peer answered it, and with which studies.

    Attributes
    ----------
    outside
        How many studies came that were not asked for.
    asked_on
        When the question began, naive UTC.
    """

    complete: bool
    refused: bool = False
    study_uids: frozenset[str] = frozenset()
    outside: int = 0
    message: str = ""
    asked_on: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What one question for single studies came to, in the end.

    Attributes
    ----------
    study_uids
        Of those that are found.
    message
        Why it is neither found nor absent.
    asked_on
        When the last question for it began, naive UTC; None when none was put.
    """

    presence: Presence
    study_uids: tuple[str, ...] = ()
    message: str = ""
    asked_on: datetime | None = None


Resolutions = dict[StudyQuery, Resolved]
Plan = Generator[StudyQuery, Reply, None]
"""Questions to put one after the other; each may depend on the replies before."""


class SinglesPlanner:
    """Plans questions to one peer, and learns from the answers how it is to be asked.

    Parameters
    ----------
    uid_lists
        Whether the peer understands lists of UIDs, where that is known.
    known
        Studies that it is known to have, to try it with.

    Attributes
    ----------
    given_up
        Whether so many questions had no answer that no more are asked.
    """

    def __init__(
        self, *, uid_lists: bool | None = None, known: Iterable[DescribedStudy] = ()
    ) -> None:
        self._length = 1 if uid_lists is False else LIST_LENGTH
        self._lists_tried = uid_lists is not None
        self._known = {one.study_uid: one for one in known}
        self._seen: deque[str] = deque(maxlen=_TRIED)
        self._number = 0
        self._answers: dict[frozenset[str], int] = {}
        self._nothing: dict[frozenset[str], int] = {}
        self._worked: dict[frozenset[str], StudyQuery] = {}
        self._in_vain = 0

    @property
    def given_up(self) -> bool:
        """Whether the peer has answered none of the last questions."""
        return self._in_vain >= _IN_VAIN

    def plan(self, queries: Sequence[StudyQuery], resolved: Resolutions) -> Plan:
        """Plan to put some questions; each that names UIDs names one.

        Parameters
        ----------
        resolved
            What each came to, written as it is known.
        """
        for base, uids in _lists(queries):
            yield from self._by_uid(base, uids, resolved)
        for query in queries:
            if query not in resolved:
                yield from self._singly(query, resolved)
        yield from self._settle(resolved)

    def _by_uid(self, base: StudyQuery, uids: Sequence[str], resolved: Resolutions) -> Plan:
        """Ask for studies in lists for as long as these are of use."""
        left = list(uids)
        if len(left) > 1 and self._length > 1 and not self._lists_tried:
            yield from self._try_lists()
        while len(left) > 1 and self._length > 1 and not self.given_up:
            uids = left[: self._length]
            reply = yield from self._put(replace(base, study_uids=tuple(uids)))
            found = [uid for uid in uids if uid in reply.study_uids]
            for uid in found:
                self._note_found(_one(base, uid), reply, resolved)
            if reply.refused:
                self._length = len(uids) // 2
            elif reply.outside:
                self._length = 1  # it is ignored, and much more comes than was asked for
            elif len(found) < len(uids):
                yield from self._doubt(base, uids, reply, resolved)
            left = [uid for uid in left if _one(base, uid) not in resolved]

    def _doubt(
        self, base: StudyQuery, uids: Sequence[str], reply: Reply, resolved: Resolutions
    ) -> Plan:
        """Ask for each study that a list has left out, until one proves the list to be too long."""
        missing = [uid for uid in uids if uid not in reply.study_uids]
        for uid in missing:
            query = _one(base, uid)
            yield from self._singly(query, resolved)
            verdict = resolved[query].presence
            if reply.complete and verdict is Presence.FOUND:
                self._length = max(1, len(uids) - len(missing))
                return
            if not reply.complete and verdict is not Presence.FAILED:
                self._length = len(uids) // 2  # it is the list that was not answered
                return
            if not reply.complete:
                for other in missing:
                    resolved.setdefault(_one(base, other), resolved[query])
                return

    def _singly(self, query: StudyQuery, resolved: Resolutions) -> Plan:
        if self.given_up:
            resolved[query] = Resolved(presence=Presence.FAILED, message=_GIVEN_UP)
            return
        reply = yield from self._put(query)
        if reply.study_uids and (reply.complete or query.study_uids):
            self._note_answer(query, reply)
            self._note_found(query, reply, resolved)
            return
        verdict, message = Presence.UNPROVEN, _UNTRIED
        if reply.refused:
            verdict, message = Presence.REFUSED, reply.message
        elif not reply.complete:
            verdict, message = Presence.FAILED, reply.message
        elif reply.outside:
            message = _OUTSIDE
        else:
            self._nothing[_keys(query)] = self._number
        resolved[query] = Resolved(presence=verdict, message=message, asked_on=reply.asked_on)

    def _note_answer(self, query: StudyQuery, reply: Reply) -> None:
        """Note that the peer answers a question with these keys with what was asked for alone."""
        if reply.complete and not reply.outside:
            self._answers[_keys(query)] = self._number
            self._worked[_keys(query)] = query

    def _is_believed(self, query: StudyQuery) -> bool:
        """Tell whether it has answered such a question with a study since one brought nothing."""
        keys = _keys(query)
        return self._answers.get(keys, 0) > self._nothing.get(keys, 0)

    def _note_found(self, query: StudyQuery, reply: Reply, resolved: Resolutions) -> None:
        uids = reply.study_uids
        if query.study_uids:
            uids = uids.intersection(query.study_uids)
        self._seen.extend(uids)
        resolved[query] = Resolved(
            presence=Presence.FOUND, study_uids=tuple(sorted(uids)), asked_on=reply.asked_on
        )

    def _settle(self, resolved: Resolutions) -> Plan:
        """Decide what it means that nothing came."""
        open_ = [query for query, one in resolved.items() if one.message == _UNTRIED]
        tried: set[frozenset[str]] = set()
        for query in open_:
            keys = _keys(query)
            if keys not in tried and not self._is_believed(query) and not self.given_up:
                tried.add(keys)
                yield from self._try(query)
            if self._is_believed(query):
                resolved[query] = replace(resolved[query], presence=Presence.ABSENT, message="")

    def _try(self, like: StudyQuery) -> Plan:
        """Find out whether the peer answers a question with these keys with what it has."""
        if (worked := self._worked.get(_keys(like))) is not None:
            reply = yield from self._put(worked)
            if reply.study_uids:
                self._note_answer(worked, reply)
                return
        known = [*(DescribedStudy(study_uid=uid) for uid in self._seen), *self._known.values()]
        pairs = ((one.study_uid, like_known(like, one)) for one in known)
        usable = ((uid, query) for uid, query in pairs if query is not None)
        for uid, query in islice(usable, _TRIED):
            reply = yield from self._put(query)
            if uid in reply.study_uids:
                self._note_answer(query, reply)
                return

    def _try_lists(self) -> Plan:
        """Ask for two studies that the peer is known to have."""
        self._lists_tried = True
        uids = list(self._known)
        for first in range(0, min(len(uids) - 1, 2 * _TRIED), 2):
            two = uids[first : first + 2]
            if len(two) < 2:
                return
            reply = yield from self._put(StudyQuery(study_uids=tuple(two)))
            if reply.outside or reply.refused:
                self._length = 1
                return
            missing = [uid for uid in two if uid not in reply.study_uids]
            if not missing:
                return
            for uid in missing:
                single = yield from self._put(StudyQuery(study_uids=(uid,)))
                if uid in single.study_uids:
                    self._note_answer(StudyQuery(study_uids=(uid,)), single)
                    if reply.complete:
                        self._length = 1
                        return
                else:
                    self._known.pop(uid, None)  # perhaps it is there no more

    def _put(self, query: StudyQuery) -> Generator[StudyQuery, Reply, Reply]:
        self._number += 1
        reply = yield query
        answered = reply.complete and not (reply.outside and not reply.study_uids)
        self._in_vain = 0 if answered or reply.study_uids else self._in_vain + 1
        return reply


def like_known(query: StudyQuery, known: DescribedStudy) -> StudyQuery | None:
    """Return the question with the same keys that is about a known study.

    None where it is not known what the keys are of this study.
    """
    day, wildcards = known.study_date, set("*?\\")
    dated = query.window != Window()
    values = {
        "patient_id": (query.patient_id, known.patient_id),
        "accession_number": (query.accession_number, known.accession_number),
        "issuer": (query.issuer, known.issuer),
        "modality": (query.modality, known.modalities[0] if known.modalities else ""),
    }
    if any(asked and (not its or wildcards & set(its)) for asked, its in values.values()):
        return None
    if dated and day is None:
        return None
    return StudyQuery(
        window=Window(start=day, end=day) if dated else Window(),
        study_uids=(known.study_uid,) if query.study_uids else (),
        **{name: its for name, (asked, its) in values.items() if asked},
    )


def _lists(queries: Sequence[StudyQuery]) -> Iterable[tuple[StudyQuery, list[str]]]:
    """Return what may be asked for in lists: the UIDs of questions that differ in nothing else."""
    lists: dict[StudyQuery, list[str]] = {}
    for query in dict.fromkeys(queries):
        if query.study_uids:
            lists.setdefault(replace(query, study_uids=()), []).extend(query.study_uids)
    return [(base, uids) for base, uids in lists.items() if len(uids) > 1]


def _one(base: StudyQuery, uid: str) -> StudyQuery:
    return replace(base, study_uids=(uid,))


def _keys(query: StudyQuery) -> frozenset[str]:
    """Return which keys a question has."""
    dated = ("StudyDate",) if query.window != Window() else ()
    return frozenset((*query.keys(), *dated))
