"""What happens next to a study at each of its PACSs, and when; pure.

The first that applies:

    reopen      it was complete, and images of it are not here any more
    unsound     it is complete, and files of it are not sound
    gone        the PACS has it no more
    complete    all that it has is here
    stranger    it is no peer of the configuration: nobody can ask it
    url alone   nothing can be moved from it
    held        an operator does not want it to be asked for
    unwanted    the policy wants nothing of it
    under way   a node asks for it
    given up    the daemon asks no more, until there is news of it
    by command  the daemon moves nothing from it: `move.every` or `move.peers`
    breaker     nothing is moved from it until it takes a retrieval again
    canary      a study that goes alone has to come first
    budget      what may be moved in this night is
    hours       it is due, and its hours are not now
    due         at a time, or with the next cycle

And behind those of its PACSs: images whose files are gone, and that none of these lists (lost).
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType

from node.config import CommonHours, Config
from node.ops.guarding.entering import PeerWait
from schema.explaining.story import SourceStory, StudyStory
from schema.standing.states import StudyState

NOTHING: Mapping[str, str] = MappingProxyType({})


class Step(StrEnum):
    """What is next."""

    GONE = "gone"
    COMPLETE = "complete"
    STRANGER = "stranger"
    URL_ALONE = "url alone"
    HELD = "held"
    UNWANTED = "unwanted"
    UNDER_WAY = "under way"
    GIVEN_UP = "given up"
    BY_COMMAND = "by command"
    BREAKER = "breaker"
    CANARY = "canary"
    BUDGET = "budget"
    HOURS = "hours"
    DUE = "due"
    REOPEN = "reopen"
    """It was complete, and images of it are not here any more: nobody asks before it is opened."""
    UNSOUND = "unsound"
    """It is complete, and files of it are not sound: nobody asks before they are set aside."""
    LOST = "lost"
    """Files of it are gone, of images that no PACS that has it lists: nobody can be asked."""
    FIND = "find"
    """No PACS is known to have it: only a find can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """What happens next to a study at a PACS.

    Attributes
    ----------
    peer
        None: at none.
    on
        Since when, or when; naive UTC. None: with the next cycle, or never.
    hours
        The hours that are waited for.
    why
        Why nothing is asked for, in words.
    commands
        What asks at once, or lets it be asked for.
    reason
        Why an operator holds it, or the policy does not want it, in words.
    images
        How many images it is about; None: the study.
    """

    peer: str | None
    step: Step
    on: datetime | None = None
    hours: str | None = None
    why: str | None = None
    commands: tuple[str, ...] = ()
    reason: str | None = None
    images: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Doings:
    """What a configuration has the daemon do.

    Attributes
    ----------
    peers
        By name, whether images can be moved from it.
    found_from, moved_from
        Whom the daemon asks for studies, and moves from.
    hours
        When, by the name of the peer.
    waits
        What is waited for at peers from which nothing is moved now.
    """

    peers: Mapping[str, bool]
    found_from: tuple[str, ...] = ()
    moved_from: frozenset[str] = frozenset()
    hours: Mapping[str, CommonHours] = field(default_factory=dict)
    waits: Mapping[str, PeerWait] = field(default_factory=dict)


def doings_of(config: Config, waits: Mapping[str, PeerWait] | None = None) -> Doings:
    """Return what a configuration has the daemon do, and what it waits for."""
    moved = config.move_peers if config.move.every is not None else ()
    return Doings(
        peers={name: peer.speaks_dimse for name, peer in config.peers.items()},
        found_from=tuple(peer.name for peer in config.find_peers),
        moved_from=frozenset(peer.name for peer in moved),
        hours={peer.name: config.move_hours(peer.name) for peer in moved},
        waits=waits or {},
    )


def followings(
    story: StudyStory,
    doings: Doings,
    *,
    now: datetime,
    unsound: bool = False,
    refused: Mapping[str, str] = NOTHING,
) -> tuple[Following, ...]:
    """Return what happens next to a study, at each of its PACSs.

    Parameters
    ----------
    unsound
        Whether files of it are seen not to be as they should be.
    now
        Naive UTC.
    refused
        Why the policy of now wants nothing of the study, by the name of the PACS. A PACS that is
        not there is asked, also where another policy has refused the study.
    """
    if story.study.broken is not None:
        return (Following(peer=None, step=Step.REOPEN, commands=("dicom-node reconcile --fix",)),)
    last = story.verification
    found = last.unsound - story.study.lost if last is not None and last.holds else 0
    nowhere = (_lost(len(story.unlisted)),) if story.unlisted else ()
    if story.study.complete and (unsound or found > 0):
        aside = ("dicom-node verify --reopen",)
        return (Following(peer=None, step=Step.UNSOUND, commands=aside), *nowhere)
    if story.study.complete and not story.study.lost:
        return (Following(peer=None, step=Step.COMPLETE, on=story.study.retrieved_on),)
    if not story.sources:
        return (Following(peer=None, step=Step.FIND, commands=_finds(story, doings)),)
    uid = story.study.study_uid
    steps = (_following(one, uid, doings, now, refused) for one in story.sources)
    return (*steps, *nowhere)


def _lost(images: int) -> Following:
    fix = ("dicom-node reconcile --fix",)
    return Following(peer=None, step=Step.LOST, commands=fix, images=images)


def _following(
    source: SourceStory, uid: str, doings: Doings, now: datetime, refused: Mapping[str, str]
) -> Following:
    peer, of = source.peer, f"{shlex.quote(source.peer)} --study {uid}"
    known = peer in doings.peers
    find, move = (f"dicom-node find {of}",), (f"dicom-node move {of}",)
    busy = source.state in (StudyState.MOVING, StudyState.SETTLING)
    cases = (
        (
            source.gone_on is not None,
            Following(peer=peer, step=Step.GONE, on=source.gone_on, commands=find if known else ()),
        ),
        (
            source.verified_on is not None,
            Following(peer=peer, step=Step.COMPLETE, on=source.verified_on),
        ),
        (not known, Following(peer=peer, step=Step.STRANGER)),
        (not doings.peers.get(peer), Following(peer=peer, step=Step.URL_ALONE)),
        (source.state == StudyState.HELD, _held(source, of)),
        (
            peer in refused,
            Following(peer=peer, step=Step.UNWANTED, reason=refused.get(peer)),
        ),
        (busy, Following(peer=peer, step=Step.UNDER_WAY)),
        (
            source.given_up_on is not None,
            Following(peer=peer, step=Step.GIVEN_UP, on=source.given_up_on, commands=move),
        ),
        (
            peer not in doings.moved_from,
            Following(peer=peer, step=Step.BY_COMMAND, commands=move),
        ),
    )
    first = next((following for applies, following in cases if applies), None)
    return first or _due(source, doings, now, move)


def _held(source: SourceStory, of: str) -> Following:
    uid = of.rpartition(" ")[2]
    return Following(
        peer=source.peer,
        step=Step.HELD,
        on=source.held_on,
        reason=source.held_reason,
        commands=(f"dicom-node release {uid}",),
    )


def _due(
    source: SourceStory, doings: Doings, now: datetime, commands: tuple[str, ...]
) -> Following:
    peer, due = source.peer, source.next_attempt_on
    at = now if due is None else max(due, now)
    if (wait := doings.waits.get(peer)) is not None:
        return Following(
            peer=peer,
            step=Step(wait.what.value),
            on=at if wait.until is not None and at > max(wait.until, now) else wait.until,
            why=wait.reason,
            commands=commands,
        )
    if (open_times := doings.hours.get(peer)) is not None:
        opens = open_times.opens_next(at.replace(tzinfo=UTC))
        on = None if opens is None else opens.astimezone(UTC).replace(tzinfo=None)
        if on is None or on > at:
            hours = str(open_times)
            return Following(peer=peer, step=Step.HOURS, on=on, hours=hours, commands=commands)
    return Following(peer=peer, step=Step.DUE, on=at if at > now else None, commands=commands)


def _finds(story: StudyStory, doings: Doings) -> tuple[str, ...]:
    """Return what asks for a study that no PACS has answered.

    For its UID, at each peer; and for its date, where a peer has not been asked all of it.
    """
    uid, day = story.study.study_uid, story.study.study_date
    peers = doings.found_from or ("PEER",)
    commands = [f"dicom-node find {shlex.quote(peer)} --study {uid}" for peer in peers]
    if day is not None:
        proven = _proven(story)
        commands += [
            f"dicom-node find {shlex.quote(peer)} --from {day} --to {day}"
            for peer in doings.found_from
            if peer not in proven
        ]
    return tuple(commands)


def _proven(story: StudyStory) -> Sequence[str]:
    return [one.peer for one in story.dates if not one.keys and one.proven_on is not None]
