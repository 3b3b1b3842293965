"""What attempts came to, for those who want to be told: complete studies, given-up ones, alarms."""

from collections.abc import Collection
from dataclasses import asdict, dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from schema.hooking.kinds import EventKind
from schema.hooking.recording import record_alarm, record_complete, record_events


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """A study that is not asked for any more, until there is news of it.

    Attributes
    ----------
    peer
        The configured name of the PACS that it was asked for.
    state
        Where it stands there.
    images, expected
        How many images are here, and how many there should be, where that is known.
    status, message
        The PACS's last status, and why the study is not whole, in words.
    """

    study_uid: str
    peer: str
    state: str
    images: int
    expected: int | None
    status: int | None
    message: str | None


async def tell_verdicts(
    session: AsyncSession,
    *,
    peer: str,
    complete: Collection[str],
    given_up: Collection[GivenUp],
    troubles: Collection[str],
) -> None:
    """Record what attempts at a PACS came to, in their own transaction.

    Parameters
    ----------
    complete
        The Study Instance UIDs of what is complete now, and was not before.
    troubles
        Why the PACS sends nothing at all, as long as nobody changes a configuration.
    """
    await record_complete(session, complete, peer=peer)
    await record_events(session, EventKind.STUDY_FAILED, [asdict(one) for one in given_up])
    for message in sorted(set(troubles)):
        await record_alarm(session, message, peer=peer)
