"""The states of a study at a source, and how it comes from one to another; pure.

`TRANSITIONS` is the whole of it, and docs/moving.md shows the same table. What is not in it leaves
the state as it is: a study whose attempt ends while it is held stays held. What becomes `pending`
while an attempt is open is claimed by that at once: nobody is to begin a second one.
"""

from collections.abc import Mapping
from enum import StrEnum


class StudyState(StrEnum):
    """Where a study stands: the values of `study_sources.state` and `studies_find.state`."""

    PENDING = "pending"
    """It is to be asked for."""
    MOVING = "moving"
    """It is being asked for, or is next."""
    SETTLING = "settling"
    """The PACS has answered; what is still on its way is waited for."""
    RETRIEVED = "retrieved"
    """All that there is of it is verified to be here."""
    PARTIAL = "partial"
    """Some of it is here."""
    EMPTY = "empty"
    """Nothing came, although the PACS reported no failure."""
    FAILED = "failed"
    """Nothing came, and the PACS said why."""
    HELD = "held"
    """An operator does not want it to be asked for."""
    UNWANTED = "unwanted"
    """Nothing of it is wanted, by the policy."""
    GONE = "gone"
    """The PACS has it no more."""


class StudyEvent(StrEnum):
    """What happens to a study at a source."""

    CLAIMED = "claimed"
    """A node has taken it, to ask for it."""
    ANSWERED = "answered"
    """The PACS's last response has come."""
    WHOLE = "whole"
    """All of it is verified to be here."""
    SOME = "some"
    """The attempt has ended, and some of it is here."""
    NOTHING = "nothing"
    """The attempt has ended without a failure, and nothing of it is here."""
    FAILURE = "failure"
    """The attempt has failed, and nothing of it is here."""
    LET_GO = "let go"
    """Who had claimed it has given it back, or has died: the attempt says nothing of the study."""
    REOPENED = "reopened"
    """There is more of it, or less of it is here, than was known; or somebody wants it again."""
    HOLD = "hold"
    """An operator does not want it to be asked for."""
    RELEASE = "release"
    """An operator wants it to be asked for again."""
    UNWANTED = "not wanted"
    """The policy wants nothing of it."""
    VANISHED = "vanished"
    """The PACS answers it no more."""
    BACK = "back"
    """The PACS answers it again."""


_WAITING = (StudyState.PENDING, StudyState.PARTIAL, StudyState.EMPTY, StudyState.FAILED)
_BUSY = (StudyState.MOVING, StudyState.SETTLING)
_ENDED = (StudyState.PENDING, *_BUSY, StudyState.PARTIAL, StudyState.EMPTY, StudyState.FAILED)

TRANSITIONS: Mapping[StudyEvent, Mapping[StudyState, StudyState]] = {
    StudyEvent.CLAIMED: dict.fromkeys(_WAITING, StudyState.MOVING),
    StudyEvent.ANSWERED: {StudyState.MOVING: StudyState.SETTLING},
    StudyEvent.WHOLE: dict.fromkeys(
        (*_ENDED, StudyState.HELD, StudyState.UNWANTED, StudyState.GONE), StudyState.RETRIEVED
    ),
    StudyEvent.SOME: dict.fromkeys(_ENDED, StudyState.PARTIAL),
    StudyEvent.NOTHING: dict.fromkeys(_ENDED, StudyState.EMPTY),
    StudyEvent.FAILURE: dict.fromkeys(_ENDED, StudyState.FAILED),
    StudyEvent.LET_GO: dict.fromkeys(_BUSY, StudyState.PENDING),
    StudyEvent.REOPENED: dict.fromkeys(
        (
            StudyState.RETRIEVED,
            StudyState.PARTIAL,
            StudyState.EMPTY,
            StudyState.FAILED,
            StudyState.UNWANTED,
        ),
        StudyState.PENDING,
    ),
    StudyEvent.HOLD: dict.fromkeys((*_WAITING, *_BUSY, StudyState.UNWANTED), StudyState.HELD),
    StudyEvent.RELEASE: {StudyState.HELD: StudyState.PENDING},
    StudyEvent.UNWANTED: dict.fromkeys((*_WAITING, *_BUSY), StudyState.UNWANTED),
    StudyEvent.VANISHED: dict.fromkeys(
        (*_WAITING, *_BUSY, StudyState.HELD, StudyState.UNWANTED), StudyState.GONE
    ),
    StudyEvent.BACK: {StudyState.GONE: StudyState.PENDING},
}
"""The state that follows, by event and by the state before."""


def after(state: StudyState, event: StudyEvent) -> StudyState:
    """Return the state that follows."""
    return TRANSITIONS[event].get(state, state)
