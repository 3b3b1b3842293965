"""What an acceptor does with those who associate: what is agreed on, and what is answered."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pynetdicom.ae import ApplicationEntity

from node.net.messages import Services
from node.net.scp.access import Rights, why_not
from node.net.scp.agreement import Agreement, Offer
from node.net.scp.answers import answers_of
from node.net.scp.session import Answers
from node.upperlayer import AssociateRequest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Practice:
    """How associations are negotiated, and requests answered.

    Attributes
    ----------
    agree
        Returns what is agreed on with who requests an association, by what he may.
    answers
        What requests are answered with.
    """

    agree: Callable[[AssociateRequest, Rights], Agreement]
    answers: Answers


def usual(entity: ApplicationEntity, services: Services) -> Practice:
    """Return the node's own: any storage class where it stores, and services by their handlers."""
    offer = Offer(
        entity,
        services.held,
        relational=services.relational,
        reported=services.report is not None,
    )
    return Practice(agree=partial(_agree, offer), answers=answers_of(services))


def _agree(offer: Offer, request: AssociateRequest, rights: Rights) -> Agreement:
    # who would be the SCP of a class, as who reports a commitment, asks for nothing by it
    only_scp = {one.sop_class_uid for one in request.user.roles if one.scp and not one.scu}
    asked = {context.abstract_syntax for context in request.contexts} - only_scp
    if lacking := offer.lacking(asked, rights):
        log.info(
            "%s may not %s: %s",
            request.calling_aetitle,
            ", ".join(lacking),
            why_not(request.calling_aetitle, lacking, rights),
        )
    return Agreement(request, offer, rights)
