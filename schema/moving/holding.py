"""What of studies is in the index, with a file, and which of it a PACS has sent."""

from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.moving.evidence import Here
from schema.moving.senders import Senders, peer_key
from schema.tables.ledger import MoveAttempt, RepeatedArrival
from schema.tables.models import Image
from schema.tables.statements import among


@dataclass(slots=True, kw_only=True)
class HeldImages:
    """What of a study is in the index, with a file.

    Attributes
    ----------
    images, sent, lost
        SOP Instance UIDs; of those that a PACS has sent; and of what has a row and no file now.
    of_attempt
        The sizes of the images' files, in bytes, by the key of the attempt that has brought them.
    again
        The keys of attempts that have brought images that were here already.
    """

    images: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    of_attempt: dict[int, list[int]] = field(default_factory=dict)
    again: set[int] = field(default_factory=set)

    def frozen(self) -> Here:
        """Return it for a verdict."""
        return Here(
            images=frozenset(self.images), sent=frozenset(self.sent), lost=frozenset(self.lost)
        )


async def look_at(
    session: AsyncSession, study_uids: Collection[str], *, peer: str, senders: Senders
) -> dict[str, Here]:
    """Return what of studies is here, and what of that a PACS has sent, by Study Instance UID."""
    held = await held_images(session, study_uids, peer=peer, senders=senders)
    return {uid: one.frozen() for uid, one in held.items()}


async def held_images(
    session: AsyncSession, study_uids: Collection[str], *, peer: str, senders: Senders
) -> dict[str, HeldImages]:
    """Return what of studies is here; the parameters are those of `look_at`."""
    uids = sorted(study_uids)
    name = peer_key(peer)
    query = (
        select(
            Image.study_uid,
            Image.image_uid,
            Image.size,
            Image.source,
            Image.attempt_id,
            MoveAttempt.peer,
            or_(Image.filepath.is_not(None), Image.size.is_(None)),
        )
        .outerjoin(MoveAttempt, MoveAttempt.id == Image.attempt_id)
        .where(among(session, Image.study_uid, uids))
    )
    titles = senders.of(peer)
    held = {uid: HeldImages() for uid in uids}
    for row in await session.execute(query):
        uid, image, size, source, attempt, brought_from, has_file = row
        one = held[str(uid)]
        if not has_file:
            one.lost.add(image)
            continue
        one.images.add(image)
        if brought_from == name or (attempt is None and source in titles):
            one.sent.add(image)
        if attempt is not None:
            one.of_attempt.setdefault(attempt, []).append(size or 0)
    again = (
        select(Image.study_uid, Image.image_uid, MoveAttempt.id)
        .join(RepeatedArrival, RepeatedArrival.image_id == Image.id)
        .join(MoveAttempt, MoveAttempt.id == RepeatedArrival.attempt_id)
        .where(among(session, Image.study_uid, uids), MoveAttempt.peer == name)
    )
    for uid, image, attempt in await session.execute(again):
        one = held[str(uid)]
        one.again.add(attempt)
        if image in one.images:
            one.sent.add(image)
    return held
