"""How many images a study should have: from its own counts, else by asking the peer.

A study whose expectation is unknown is never called complete.
"""

import logging

from node.dicom.query import image_identifier, series_identifier
from node.errors import AssociationLost, PeerFailure
from node.net.contexts import Service
from node.net.messages import Peer
from node.net.requestor import Association, associate

log = logging.getLogger(__name__)


async def images_at(peer: Peer, study_uid: str) -> set[str] | None:
    """Return the SOP Instance UIDs of a study that a peer says it has.

    Returns
    -------
    set of str or None
        None when the peer does not answer image-level queries, or has none for this study.

    Raises
    ------
    PeerUnreachable, PeerRefused
        No association.
    """
    async with associate(peer, Service.FIND) as association:
        try:
            return await _images(association, study_uid) or None
        except (PeerFailure, AssociationLost) as error:
            log.info("%s cannot be asked for single images: %s", peer.name, error)
            return None


async def _images(association: Association, study_uid: str) -> set[str]:
    series = {
        uid
        async for answer in association.find(series_identifier(study_uid))
        if (uid := str(answer.get("SeriesInstanceUID", "") or "").strip(" \0"))
    }
    images: set[str] = set()
    for series_uid in sorted(series):
        async for answer in association.find(image_identifier(study_uid, series_uid)):
            # a peer that ignores a key answers with other studies' images too
            of_study = str(answer.get("StudyInstanceUID", "") or study_uid).strip(" \0")
            uid = str(answer.get("SOPInstanceUID", "") or "").strip(" \0")
            if uid and of_study == study_uid:
                images.add(uid)
    return images
