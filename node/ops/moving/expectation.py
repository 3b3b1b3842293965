"""How many images a study should have: from its own counts, else by asking the peer.

A study whose expectation is unknown is never called complete.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from node.dicom.query import image_identifier, series_identifier, text_of
from node.errors import AssociationLost, PeerFailure, PeerStalled
from node.net.dimse.contexts import Service
from node.net.messages import Peer
from node.net.scu.requestor import ServiceUser, associate
from node.ops.stalls import TimeLimits, limited

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The images of a study that a peer lists.

    Attributes
    ----------
    images
        SOP Instance UIDs.
    vouched
        Whether each series has as many as the peer's own Number of Series Related Instances:
        a peer that cuts its answers off says Success all the same.
    """

    images: frozenset[str]
    vouched: bool


async def images_at(peer: Peer, study_uid: str, limits: TimeLimits) -> Listing | None:
    """Ask a peer for the list of a study's images.

    Parameters
    ----------
    limits
        How long that may take without a series or an image that is new, and in all.

    Returns
    -------
    Listing or None
        None when the peer does not answer image-level queries, lists nothing, or fewer images
        than its own counts say.

    Raises
    ------
    PeerUnreachable, PeerRefused
        No association.
    """
    async with associate(peer, Service.FIND) as association:
        try:
            async with limited(f"the C-FIND at {peer.name}", limits) as progressed:
                return await _list(association, study_uid, progressed)
        except (PeerFailure, AssociationLost, PeerStalled) as error:
            log.info("%s cannot be asked for single images: %s", peer.name, error)
            return None
        except (ValueError, TypeError, NotImplementedError, ArithmeticError, LookupError) as error:
            # answers are decoded as they are read
            log.warning("%s lists images undecodably: %s", peer.name, type(error).__name__)
            return None


async def _list(
    association: ServiceUser, study_uid: str, progressed: Callable[[], None]
) -> Listing | None:
    counts: dict[str, int | None] = {}
    async for answer in association.find(series_identifier(study_uid)):
        if (text_of(answer, "StudyInstanceUID") or study_uid) != study_uid:
            continue  # a peer that ignores a key answers with other studies too
        if uid := text_of(answer, "SeriesInstanceUID"):
            if uid not in counts:  # a peer can say the same for ever
                progressed()
            said = text_of(answer, "NumberOfSeriesRelatedInstances")
            counts[uid] = int(said) if said.isdecimal() else None
    images: set[str] = set()
    vouched = bool(counts)
    for series_uid, count in sorted(counts.items(), key=lambda item: item[0]):
        of_series: set[str] = set()
        async for answer in association.find(image_identifier(study_uid, series_uid)):
            if (text_of(answer, "StudyInstanceUID") or study_uid) != study_uid:
                continue
            if (uid := text_of(answer, "SOPInstanceUID")) and uid not in of_series:
                of_series.add(uid)
                progressed()
        if count is not None and len(of_series) < count:
            return None
        vouched = vouched and count is not None
        images |= of_series
    return Listing(images=frozenset(images), vouched=vouched) if images else None
