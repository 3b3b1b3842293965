"""What is known of a peer while it is asked: what its profile says, and what its answers show."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from node.dicom.profile import CapKind, PeerProfile
from node.ops.finding.planning.known_days import KnownDays
from node.ops.finding.planning.tree import Heard, Node, WindowOutcome

LEAVES_OUT_LAST = "the peer leaves out the last day of a range of dates"

FEWEST_REPEATED = 5
"""Studies in an answer below which the same number twice is no sign of a ceiling."""

_BARREN = 8
"""Windows in a row without anything from which on their number may matter."""

_OFTEN = 3
"""Days with the same few studies without a date: one more shows that it ignores dates."""


@dataclass(slots=True)
class Knowledge:
    """What is known of a peer; it only grows.

    Attributes
    ----------
    cap
        The most studies that it answers; 0: without a limit; None: not known.
    largest, most
        The most studies, and the most responses, that any answer had.
    widest
        The most days that a window of this find had whose answer held something.
    before
        The same of earlier finds: it says how wide to ask, and is no proof once anything denies it.
    cut
        The most studies at which earlier finds saw an answer cut off; 0: at none.
    expected
        What it is known to have.
    contradicted
        What of its profile or of earlier finds it was seen not to do, and what it did; else None.
    samples
        Whether a few studies of a window can be asked for by another key; None is not known.
    whole
        The most studies of an answer of which the parts, each smaller, brought no more.
    fickle
        It was seen to cut off answers at different numbers.
    confirmed
        Whether the number at which it was seen to cut off an answer was met again.
    cuts_last
        It was seen to hold times against a question before it cuts off: ranges of times of a day
        brought more than the day.
    too_wide
        The fewest days of a window that brought nothing, or a failure, for no other reason than
        that they are too many.
    empty, seen_silent
        It was seen to answer nothing where there is something; in this find, for a question that
        was put again.
    over
        The fewest studies of a window that it refused, or answered with nothing.
    refuses
        It was seen to refuse, again and again, what it answers in parts.
    transient
        It was seen to answer a question that it had refused or broken off before.
    shows_dates, untimed, timed
        Whether any answer had a date; any study no time; any range of times brought something.
    shows_last, leaves_out_last
        It was seen to answer a study of the last day of a range of dates; or only without that day.
    timeless
        How many days brought nothing for all of their times, as long as none did.
    dated
        How many studies with a date are known by now.
    ignored
        What it was seen to ignore: "dates", "times", or the keyword of an axis.
    peak
        The most studies for each day of dates, in any window.
    barren, spoiled
        How many windows in a row brought nothing, nor did their parts; and had useless answers.
    repeated
        How many answers had so many studies, but for the parts that had as many as their whole.
    version
        Grows with whatever can change the judgement of an earlier answer.
    """

    profile: PeerProfile
    cap: int | None
    empty: bool
    refuses: bool
    largest: int = 0
    most: int = 0
    widest: int = 0
    before: int = 0
    cut: int = 0
    expected: KnownDays = field(default_factory=KnownDays)
    contradicted: tuple[str, str] | None = None
    samples: bool | None = None
    seen_silent: bool = False
    whole: int = 0
    fickle: bool = False
    confirmed: bool = False
    cuts_last: bool = False
    too_wide: int | None = None
    over: int | None = None
    transient: bool = False
    shows_dates: bool = False
    shows_last: bool = False
    leaves_out_last: bool = False
    untimed: bool = False
    times: bool = True
    timed: bool = False
    timeless: int = 0
    dated: int = 0
    ignored: set[str] = field(default_factory=set)
    peak: float = 0.0
    barren: int = 0
    spoiled: int = 0
    version: int = 0
    repeated: Counter[int] = field(default_factory=Counter)
    _outside: dict[tuple[str, int], set[int]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        profile: PeerProfile,
        *,
        before: int = 0,
        cut: int = 0,
        silent: bool = False,
        expected: KnownDays,
    ) -> "Knowledge":
        """Return what a profile says, and what earlier finds have found.

        What they have found against a peer holds unless the profile says how it is: else the same
        answer would be doubted in one find, and believed in the next one, which asks for less.
        """
        known = cls(
            profile=profile,
            cap=profile.cap,
            empty=profile.cap_kind is CapKind.EMPTY or (silent and profile.cap_kind is None),
            refuses=profile.cap_kind is CapKind.REFUSED,
            times=profile.times is not False,
            before=before,
            cut=cut if profile.cap is None else 0,
            expected=expected,
        )
        if profile.dates is False:
            known.ignored.add("dates")
        if profile.modalities is False:
            known.ignored.add("ModalitiesInStudy")
        if profile.wildcards is False:
            known.ignored.update({"AccessionNumber", "PatientID"})
        return known

    @property
    def limitless(self) -> bool:
        """Whether it answers any number of studies."""
        return self.cap == 0

    @property
    def cuts(self) -> bool:
        """Whether it answers a part of what is too much for it, or says that it is."""
        kind = self.profile.cap_kind if self.cap == self.profile.cap else CapKind.CUT
        return bool(self.cap) and not self.empty and kind is not None

    def contradiction(self) -> tuple[str, str] | None:
        """Return the field of the profile that the answers contradict, and what was seen."""
        if self.contradicted is not None:
            return self.contradicted
        profile = self.profile
        if profile.cap and self.largest > profile.cap:
            return "cap", f"it answered {self.largest} studies, not {profile.cap} at most"
        if profile.dates and "dates" in self.ignored:
            return "dates", "it answered studies of other dates than it was asked for"
        return None

    def learn(self, node: Node) -> None:
        """Take in the answer to a window."""
        answer = node.answer
        if answer is None:
            return
        self.spoiled += bool(answer.nameless)
        if node.attempts > 1 and not self.transient and answer.answered:
            self._set(transient=True, refuses=False, too_wide=None)
        self._learn_what_is_ignored(node, answer)  # what came shows it, however it ended
        if not answer.answered:
            return
        self._learn_size(node, answer)
        if answer.matches > answer.undated:
            self.shows_dates = True
        if (node.days or 0) > 1 and answer.latest == node.query.window.end:
            self.shows_last = True
        if answer.untimed and not self.untimed and not node.query.window.undated:
            self._set(untimed=True)
        if answer.size:
            if node.by == "times" and not self.timed:
                self._set(timed=True)
            self._learn_of_those_above(node)

    def found_a_cap(self, size: int) -> None:
        """Note that an answer of this many studies was seen to be cut off.

        It is no limit where another answer had more.
        """
        if size >= max(1, self.largest) and (self.cap is None or not 0 < self.cap <= size):
            if self.profile.cap is not None:
                self.contradict("cap", f"it cut off an answer of {size} studies")
            self._set(cap=size)

    def contradict(self, name: str, seen: str) -> None:
        """Note that the peer does otherwise than a field of its profile or earlier finds say."""
        if self.contradicted is None:
            self._set(contradicted=(name, seen))

    def is_sampled(self, *, possible: bool) -> None:
        """Note whether a few studies of a window can be asked for by another key."""
        self._set(samples=possible)

    def is_whole(self, size: int) -> None:
        """Note that an answer of this many studies was all that there is."""
        if size > self.whole:
            self._set(whole=size)

    def is_fickle(self) -> None:
        """Note that the peer cuts off answers at different numbers."""
        self._set(fickle=True)

    def is_confirmed(self) -> None:
        """Note that what was taken for the cap is one."""
        self._set(confirmed=True)

    def is_cutting_last(self) -> None:
        """Note that ranges of times of a day bring more than the peer answers for the day."""
        if not self.cuts_last:
            self._set(cuts_last=True)

    def is_leaving_out_last(self) -> None:
        """Note that the last day of a range of dates is not among what the peer answers."""
        if self.profile.dates:
            self.contradict("dates", LEAVES_OUT_LAST)
        self._set(leaves_out_last=True)

    def is_fruitless(self, axis: str) -> None:
        """Note that nothing comes of splitting by a key."""
        self._set(ignored=self.ignored | {axis})

    def learn_from_parts(self, node: Node) -> None:
        """Take in what the parts of a window came to that brought nothing itself."""
        counted = node.counted()
        if node.of_dates and node.days:
            self.peak = max(self.peak, counted / node.days)
        if not self.timed and node.all_day and node.children and node.children[0].by == "times":
            self.timeless += 1
        if node.is_zero:
            before, self.barren = self.barren, 0 if counted else self.barren + 1
            if max(before, self.barren) >= _BARREN:  # fewer decide nothing
                self.version += 1
        if node.answer is None or node.size:
            return
        refused = node.answer.outcome is WindowOutcome.REFUSED and not self.transient
        whole = all(part.size for part in node.children)
        nothing = refused and all(part.is_zero for part in node.children)
        wider = node.days is not None and node.days > self.widest  # else as many days were answered
        if node.days and wider and (nothing or (whole and 0 < counted <= self.largest)):
            # as many came in one answer, or none are there: it is not their number that is too much
            self.too_wide = min(self.too_wide or node.days, node.days)
        if counted:
            self.over = counted if self.over is None else min(self.over, counted)

    def _learn_size(self, node: Node, answer: Heard) -> None:
        if answer.outcome is WindowOutcome.TRUNCATED:
            self.found_a_cap(answer.answers)
        if answer.size > self.largest or answer.answers > self.most:
            self._set(largest=max(self.largest, answer.size), most=max(self.most, answer.answers))
        if self.cap and answer.size > self.cap:  # what was taken for a cap is none
            self._set(cap=None)
        parent = node.parent
        new = node.counted_as != answer.at_most  # the same window once more is not another one
        if new and (parent is None or parent.size != answer.size):  # a part may be all of the whole
            node.counted_as = answer.at_most
            self.repeated[answer.at_most] += 1
            if self.repeated[answer.at_most] == 2 and answer.at_most >= self.largest:
                self._set()
        days = node.days
        if node.of_dates and days and answer.size:
            if days > self.widest:
                self._set(widest=days)
            if self.too_wide is not None and days >= self.too_wide:
                self.too_wide = None  # it was not the days
            if not node.aside:  # which is asked for because there is one: it is no denser for that
                self.peak = max(self.peak, answer.matches / days)

    def _learn_what_is_ignored(self, node: Node, answer: Heard) -> None:
        hidden = (
            node.by == "dates"
            and node.days == 1
            and answer.undated == answer.size == self.largest
            and answer.size > 1
        )
        if not answer.size or not (answer.outside or hidden) or node.query.window.undated:
            return
        alike = self._outside.setdefault((node.by, answer.size), set())
        alike.add(node.key)
        parent = node.parent
        as_the_parent = bool(answer.outside) and parent is not None and parent.size == answer.size
        sure = answer.outside or answer.size >= FEWEST_REPEATED
        often = len(alike) > (1 if sure else _OFTEN)
        if (as_the_parent or often) and node.by not in self.ignored:
            self._set(ignored=self.ignored | {node.by})

    def _learn_of_those_above(self, node: Node) -> None:
        above = (one.answer for one in node.above())
        refused = any(answer is not None and not answer.answered for answer in above)
        if refused and not self.refuses and not self.transient:
            self._set(refuses=True)

    @property
    def is_to_be_seen_silent(self) -> bool:
        """Whether a window that brought nothing, and studies in parts, would show something new."""
        return not self.seen_silent and self.profile.cap_kind is not CapKind.EMPTY

    def learn_of_silence(self, nothing: Sequence[Node]) -> None:
        """Take in that there is something where windows brought nothing, also when asked again."""
        self.seen_silent = True
        kind = self.profile.cap_kind
        for one in nothing:
            vouched = 0 < (one.days or 0) <= self.before
            if kind is not CapKind.EMPTY and (kind is not None or vouched):
                seen = f"it answered nothing for {one.query.window}, where it has studies"
                self.contradict("widest", seen)
        if not self.empty:
            self._set(empty=True)

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            setattr(self, name, value)
        self.version += 1
