"""Which questions to put for single studies, and what their answers prove.

Pure: replies in, questions out. Studies are asked for by their UIDs in lists (PS3.4 C.2.2.2.2)
where the peer understands these, else one by one. Peers were seen that refuse lists, look at one
UID of them only, or none, or give up after so many, and report success. So

1. what a list brings is there; that it does not bring a study proves nothing: that one is asked for
   by itself;
2. a list that left out what a single question brings is too long for this peer, or any list is;
3. nothing, as the answer of a single question, is believed of a peer that has afterwards answered a
   question with the same keys with its study, and no other: one that is asked for anyway, or one
   that it is known to have. One that answers nothing any more has not lost all its studies;
4. a peer may look at recent studies alone where no date is asked for. So a study that it is known
   to have is asked for once more, together with its date; and one that answers such questions is
   asked for the oldest that it is known to have. Where a date brings what the question without one
   did not, that this brought nothing is no answer at this peer;
5. as many studies as it answers at most, or more, are perhaps not all.
"""

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from itertools import islice

from node.dicom.query import StudyQuery, Window
from node.ops.finding.singles.alike import KnownStudies, dated_like, keys_of, like_known
from node.ops.finding.singles.resolved import Plan, Presence, Reply, Resolutions, Resolved
from schema.finding.known import DescribedStudy
from schema.text.words import counted

LIST_LENGTH = 50
"""How many UIDs one question names: some 3,000 characters, which peers were seen to take."""

_TRIED = 3
"""Known studies by which a peer is tried before it is left open how it answers."""

_IN_VAIN = 10
"""Questions without any answer, one after the other, after which no more are asked."""

_NAMESAKES = 10
"""Known studies that one question names which are asked for by themselves."""

_OUTSIDE = "none of what it answered was asked for"
_UNTRIED = (
    "nothing came, and no question like this one has brought a study since: that it has none is "
    "not proven"
)
ANSWERS_DATES_ALONE = "it has studies that it answers only together with their dates"
LEFT_OUT = f"not confirmed: {ANSWERS_DATES_ALONE}, so that none came without one proves nothing"
_NOT_CONFIRMED = "not confirmed: none came, and asked once more, with its date, for one that it had"
_GIVEN_UP = f"not asked: the last {_IN_VAIN} questions had no answer"


class SinglesPlanner:
    """Plans questions to one peer, and learns from the answers how it is to be asked.

    Parameters
    ----------
    uid_lists
        Whether the peer understands lists of UIDs, where that is known.
    known
        Studies that it is known to have, to try it with.
    oldest
        Those of them with the earliest dates.
    universal
        Whether it is said of the peer that it answers questions without a date.
    cap
        How many studies it answers at most; None or 0 is any number.

    Attributes
    ----------
    given_up
        Whether so many questions had no answer that no more are asked.
    """

    def __init__(
        self,
        *,
        uid_lists: bool | None = None,
        known: Iterable[DescribedStudy] = (),
        oldest: Iterable[DescribedStudy] = (),
        universal: bool | None = None,
        cap: int | None = None,
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
        self._named = KnownStudies()
        self._oldest = {one.study_uid: one for one in oldest if one.study_date is not None}
        self._looked_back: set[frozenset[str]] = set()
        self._leaves_out: set[frozenset[str]] = set()
        self._universal = universal
        self._cap = cap

    @property
    def given_up(self) -> bool:
        """Whether the peer has answered none of the last questions."""
        return self._in_vain >= _IN_VAIN

    @property
    def contradiction(self) -> tuple[str, str] | None:
        """The field of the profile that the answers contradict, and what was seen."""
        if self._universal and self._leaves_out:
            return "universal", ANSWERS_DATES_ALONE
        return None

    def recall(self, known: Iterable[DescribedStudy]) -> None:
        """Take in which studies with a date the next questions name, as far as it is known."""
        self._named = KnownStudies(known)

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
            brought = yield from self._singly(query, resolved)
            verdict = resolved[query].presence
            if reply.complete and brought:
                self._length = max(1, len(uids) - len(missing))
                return
            if not reply.complete and verdict is not Presence.FAILED:
                self._length = len(uids) // 2  # it is the list that was not answered
                return
            if not reply.complete:
                for other in missing:
                    resolved.setdefault(_one(base, other), resolved[query])
                return

    def _singly(
        self, query: StudyQuery, resolved: Resolutions
    ) -> Generator[StudyQuery, Reply, bool]:
        """Ask for one study; return whether it came, when nothing else was asked for."""
        if self.given_up:
            resolved[query] = Resolved(presence=Presence.FAILED, message=_GIVEN_UP)
            return False
        reply = yield from self._put(query)
        brought = bool(reply.study_uids and (reply.complete or query.study_uids))
        if brought:
            self._note_answer(query, reply)
            self._note_found(query, reply, resolved)
        else:
            verdict, message = Presence.UNPROVEN, _UNTRIED
            if reply.refused:
                verdict, message = Presence.REFUSED, reply.message
            elif not reply.complete:
                verdict, message = Presence.FAILED, reply.message
            elif reply.outside:
                message = _OUTSIDE
            else:
                self._nothing[keys_of(query)] = self._number
            resolved[query] = Resolved(presence=verdict, message=message, asked_on=reply.asked_on)
        if reply.complete and not reply.outside:
            yield from self._ask_with_dates(query, reply, resolved)
        return brought

    def _ask_with_dates(self, query: StudyQuery, reply: Reply, resolved: Resolutions) -> Plan:
        """Ask once more, with its date, for each study that an answer without one denies."""
        known = [
            one for one in self._named.named_by(query) if one.study_uid not in reply.study_uids
        ]
        left_out: set[str] = set()
        answered = True
        for one in known[:_NAMESAKES]:
            again = yield from self._put(dated_like(query, one))
            left_out |= again.study_uids & {one.study_uid}
            answered = answered and again.complete and not again.outside
        if left_out:
            self._leaves_out.add(keys_of(query))
            before = resolved[query]
            if before.presence is Presence.UNPROVEN:
                before = replace(before, presence=Presence.FOUND, message="")
            uids = left_out.union(before.study_uids)
            resolved[query] = replace(before, study_uids=tuple(sorted(uids)))
        elif not answered and not reply.study_uids:
            resolved[query] = replace(resolved[query], message=_NOT_CONFIRMED)

    def _note_answer(self, query: StudyQuery, reply: Reply) -> None:
        """Note that the peer answers a question with these keys with what was asked for alone."""
        if reply.complete and not reply.outside:
            self._answers[keys_of(query)] = self._number
            self._worked[keys_of(query)] = query

    def _is_believed(self, query: StudyQuery) -> bool:
        """Tell whether it has answered such a question with a study since one brought nothing."""
        keys = keys_of(query)
        return self._answers.get(keys, 0) > self._nothing.get(keys, 0)

    def _note_found(self, query: StudyQuery, reply: Reply, resolved: Resolutions) -> None:
        uids = reply.study_uids
        if query.study_uids:
            uids = uids.intersection(query.study_uids)
        self._seen.extend(uids)
        if not self._oldest.keys().isdisjoint(uids):
            self._looked_back.add(keys_of(query))
        presence, message = Presence.FOUND, ""
        if self._cap and not query.study_uids and len(uids) + reply.outside >= self._cap:
            studies = counted(len(uids), "study")
            presence = Presence.CUT
            message = f"{studies}, and this peer answers {self._cap} at most: there may be more"
        resolved[query] = Resolved(
            presence=presence,
            study_uids=tuple(sorted(uids)),
            message=message,
            asked_on=reply.asked_on,
        )

    def _settle(self, resolved: Resolutions) -> Plan:
        """Decide what it means that nothing came."""
        open_ = [query for query, one in resolved.items() if one.message == _UNTRIED]
        tried: set[frozenset[str]] = set()
        for query in open_:
            keys = keys_of(query)
            yield from self._look_back(query)
            if keys in self._leaves_out:
                resolved[query] = replace(resolved[query], message=LEFT_OUT)
                continue
            if keys not in tried and not self._is_believed(query) and not self.given_up:
                tried.add(keys)
                yield from self._try(query)
            if self._is_believed(query):
                resolved[query] = replace(resolved[query], presence=Presence.ABSENT, message="")

    def _look_back(self, like: StudyQuery) -> Plan:
        """Find out once whether such a question without a date brings the oldest known study."""
        keys = keys_of(like)
        if like.window != Window() or keys in self._looked_back | self._leaves_out:
            return
        self._looked_back.add(keys)
        for uid, one in self._oldest.items():
            query = like_known(like, one)
            if query is None or self.given_up:
                continue
            reply = yield from self._put(query)
            if uid in reply.study_uids:
                self._note_answer(query, reply)
            if uid in reply.study_uids or not reply.complete or reply.outside:
                return
            again = yield from self._put(dated_like(query, one))
            if uid in again.study_uids:
                self._leaves_out.add(keys)
                return

    def _try(self, like: StudyQuery) -> Plan:
        """Find out whether the peer answers a question with these keys with what it has."""
        if (worked := self._worked.get(keys_of(like))) is not None:
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


def _lists(queries: Sequence[StudyQuery]) -> Iterable[tuple[StudyQuery, list[str]]]:
    """Return what may be asked for in lists: the UIDs of questions that differ in nothing else."""
    lists: dict[StudyQuery, list[str]] = {}
    for query in dict.fromkeys(queries):
        if query.study_uids:
            lists.setdefault(replace(query, study_uids=()), []).extend(query.study_uids)
    return [(base, uids) for base, uids in lists.items() if len(uids) > 1]


def _one(base: StudyQuery, uid: str) -> StudyQuery:
    return replace(base, study_uids=(uid,))
