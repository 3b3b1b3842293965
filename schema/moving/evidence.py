"""Whether all that a PACS has of a study is here, and what that rests on; pure.

What is expected of a source is a set of SOP Instance UIDs where it lists them, a number where it
does not, and unknown where it gives neither:

    evidence    all is here when                                       it rests on
    ────────────────────────────────────────────────────────────────────────────────────────
    listed      each image that the PACS lists is in the index,        the list, unless it is
                whoever has sent it                                    short of the PACS's own
                                                                       numbers
    counted     as many as the PACS says, or as its series were        its number of images
                counted to have, are here *and came from it*: what
                others have sent never stands in for what is missing
    stable      it was asked `STABLE` times, said each time that it    nothing but its word
                had sent everything, and as much as is here from it,
                and the same images were here; none of the study is
                known to be lost; all that since it was opened, and
                since the PACS says what it says

The first line that can be applied decides. Where a list or a count is short, or where the PACS
sends what it does not list, that is what there is at least: so much has to be here as well. A list
that is older than a number which says more is short. And nothing is whole while there is an image
that the PACS has named as one that it could not send, and that is not here.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from schema.choosing.policy import ALL, Policy
from schema.moving.listing import Listing
from schema.text.words import counted, counted_are

STABLE = 3
"""Attempts that have to come to the same, where nobody says how many images there are."""


class Basis(StrEnum):
    """What the verdict that a study is whole rests on, the best first."""

    LISTED = "listed"
    COUNTED = "counted"
    STABLE = "stable"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownOfSource:
    """What is known of what a PACS has of a study.

    Attributes
    ----------
    listing
        The images that it lists; None when it lists none, or was not asked.
    told
        How many images it has, by its own word or counted by its series; None when nobody knows.
    least, short
        How many its series were counted to have where it falls short of its own numbers, and why,
        for the name of the PACS before it; 0 where nothing was counted.
    agreeing
        How often, to the last attempt, it was asked for the whole study and said without a failure
        that it had sent everything, no fewer than are here from it, and the same images were here
        afterwards; since the study was opened, and since it says of it what it says.
    unsent, tried
        SOP Instance UIDs that it could not send, since it was last asked for the whole study; and
        how many images it says that it has tried to send then.
    sent
        How many images it says that it has sent, when it was asked for the whole study just now.
    """

    listing: Listing | None = None
    told: int | None = None
    least: int = 0
    short: str = ""
    agreeing: int = 0
    unsent: frozenset[str] = frozenset()
    tried: int = 0
    sent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """What of a study is in the index, with a file.

    Attributes
    ----------
    images
        SOP Instance UIDs.
    sent
        Those of them that this PACS has sent, be it that they were here before.
    lost
        SOP Instance UIDs of what has a row and no file any more: what came once, and is not here.
    """

    images: frozenset[str]
    sent: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyVerdict:
    """Whether all that a PACS has of a study is here.

    Attributes
    ----------
    basis
        What it rests on that all is; None when not.
    expected
        How many images there should be; None when nobody knows.
    lacking
        How many are missing; None when nobody knows, or none is.
    missing
        Which, as far as they are known by name.
    reason
        Why not, in words; "" when all is here.
    unwanted
        Whether nothing of it is wanted.
    policy
        The policy, in words, where not all that the PACS has is wanted; else None.
    """

    basis: Basis | None = None
    expected: int | None = None
    lacking: int | None = None
    missing: frozenset[str] = frozenset()
    reason: str = ""
    unwanted: bool = False
    policy: str | None = None

    @property
    def complete(self) -> bool:
        """Whether all is here."""
        return self.basis is not None


def judge(known: KnownOfSource, here: Here, *, peer: str, policy: Policy = ALL) -> StudyVerdict:
    """Return whether all that a PACS has of a study is here: see the table above.

    Parameters
    ----------
    peer
        Its name, for the reason.
    policy
        What of a study is wanted: of what the PACS lists, only that counts.
    """
    listing = known.listing
    if listing is not None and (part := listing.part(policy)) is not listing:
        if not part.images:
            reason = f"nothing of what {peer} lists of it is wanted"
            return StudyVerdict(reason=reason, unwanted=True, policy=str(policy))
        return replace(_by_list(known, part, here, peer), policy=str(policy))
    return _judge_all(known, here, peer)


def _judge_all(known: KnownOfSource, here: Here, peer: str) -> StudyVerdict:
    listing = known.listing
    listed = frozenset() if listing is None else listing.images
    unsent = known.unsent - here.images - listed
    came = here.sent | (listed & here.images)  # what others have sent stands in for nothing
    if unsent and known.tried > len(came):  # else it has named them wrongly
        there = max(known.told or 0, len(listed | here.sent | unsent))
        missing = unsent | (listed - here.images)
        verdict = _lacking(len(missing), there, missing)
        failed = f"{peer} could not send {counted(len(unsent), 'image')} that it does not list"
        return replace(verdict, reason=f"{verdict.reason}; {failed}")
    if listing is not None and not listing.short:
        return _by_list(known, listing, here, peer)
    if known.told:  # none at all is no number: a PACS that is overloaded says that too
        return _by_count(known.told, listing, here)
    least, short = known.least, known.short
    if listing is not None:
        least, short = max(listing.least, least), listing.short
    if not least:
        reason = f"{peer} does not say how many images the study has"
        return _unknown(known, reason, here, least=len(here.sent))
    missing = listed - here.images
    counts = here.sent | (listed & here.images)
    if lacking := max(len(missing), least - len(counts), 0):
        others = len(here.images - counts)
        return _lacking(lacking, least, missing, others=others, short=short)
    reason = f"{peer} {short}: it has at least {counted(least, 'image')}"
    return _unknown(known, reason, here, least=len(here.sent))


def unlisted(listing: Listing, here: Here) -> frozenset[str]:
    """Return what a PACS has sent and does not list, where its numbers do not vouch for its list.

    Then nobody knows what else it has.
    """
    return frozenset() if listing.vouched else here.sent - listing.images


def _by_list(known: KnownOfSource, listing: Listing, here: Here, peer: str) -> StudyVerdict:
    expected = len(listing.images)
    if missing := listing.images - here.images:
        return _lacking(len(missing), expected, missing)
    more = unlisted(listing, here)
    if not more:
        return StudyVerdict(basis=Basis.LISTED, expected=expected)
    reason = f"{peer} sends {counted(len(more), 'image')} that it does not list"
    return _unknown(known, reason, here, least=expected, basis=Basis.LISTED)


def _by_count(told: int, listing: Listing | None, here: Here) -> StudyVerdict:
    missing = frozenset() if listing is None else listing.images - here.images
    if missing or len(here.sent) < told:
        lacking = max(len(missing), told - len(here.sent))
        return _lacking(lacking, told, missing, others=len(here.images - here.sent))
    return StudyVerdict(basis=Basis.COUNTED, expected=told)


def _lacking(
    lacking: int, expected: int, missing: frozenset[str], *, others: int = 0, short: str = ""
) -> StudyVerdict:
    reason = f"{lacking} of {counted_are(expected, 'image')} missing"
    if short:
        reason += f", at least: it {short}"
    if others:
        reason += f"; {counted_are(others, 'image')} here that came from others"
    return StudyVerdict(
        expected=None if short else expected, lacking=lacking, missing=missing, reason=reason
    )


def _unknown(
    known: KnownOfSource, reason: str, here: Here, *, least: int, basis: Basis = Basis.STABLE
) -> StudyVerdict:
    """Judge by the PACS's word alone, when it was given often enough."""
    if here.lost:  # whatever it says: they were here
        lost = counted_are(len(here.lost), "image")
        return StudyVerdict(
            lacking=len(here.lost),
            missing=here.lost,
            reason=f"{reason}; {lost} missing that had a file before",
        )
    there = len(here.images)
    if known.sent > there:
        others = f"it says that it has sent {known.sent}, and {counted_are(there, 'image')} here"
        return StudyVerdict(reason=f"{reason}; {others}")
    if known.agreeing >= STABLE and least:
        return StudyVerdict(basis=basis, expected=least)
    return StudyVerdict(reason=reason)
