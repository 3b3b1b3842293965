"""The application entity (PS3.8 7.1): the network library's, made from our configuration.

A `pynetdicom.AE` describes one: its title, the presentation contexts that it supports and requests,
its longest PDU, its limits and time-outs, what it says of its implementation, and whose calls it
takes. Our acceptor and requestor read it; the library's own transport stays unused.
"""

import math
from collections.abc import Collection, Iterable

from pydicom.config import disable_value_validation
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import (
    AllStoragePresentationContexts,
    NonPatientObjectPresentationContexts,
)

from node.config import Config
from node.dicom.part10 import IMPLEMENTATION_CLASS_UID
from node.net.dimse.contexts import (
    FIND_MODELS,
    GET_MODELS,
    MAXIMUM_CONTEXTS,
    MOVE_MODELS,
    READABLE,
    REPOSITORY_QUERY,
    STORAGE_COMMITMENT,
    UNCOMPRESSED,
    VERIFICATION,
    Service,
    StorageContext,
)
from node.net.messages import Peer, Services, Timeouts
from node.net.transport.deadlines import Deadlines
from node.upperlayer import ProposedContext, RoleSelection, UserInformation

IMPLEMENTATION_VERSION_NAME = "DICOM_NODE"
"""PS3.7 D.3.3.2: up to 16 characters that tell peers what they are speaking to."""

MAXIMUM_PDU_LENGTH = 131072
"""Bytes of P-DATA that we take in one PDU (PS3.8 D.1): DCMTK's own maximum."""


_LONGEST_UID = 64
"""Characters (PS3.5 9.1)."""


def configured(config: Config, services: Services) -> ApplicationEntity:
    """Return the node itself, as others associate with it.

    Parameters
    ----------
    services
        What is offered: it decides about the supported contexts.
    """
    node = config.node
    timeouts = node.timeouts
    return accepting(
        node.aetitle,
        services,
        timeouts=Timeouts(acse=timeouts.acse, dimse=timeouts.dimse, network=timeouts.network),
        max_associations=node.max_associations,
        require_called_aetitle=node.require_called_aetitle,
        allowed_calling=node.allowed_calling,
    )


def accepting(
    aetitle: str,
    services: Services,
    *,
    timeouts: Timeouts | None = None,
    max_associations: int = 64,
    require_called_aetitle: bool = True,
    allowed_calling: Collection[str] = (),
) -> ApplicationEntity:
    """Return an application entity that others associate with.

    Its supported contexts name the storage classes of the standard, in the library's default
    transfer syntaxes. The acceptor takes more than these: see `node.net.scp.agreement.Offer`.

    Parameters
    ----------
    services
        What is offered beside C-ECHO.
    require_called_aetitle
        Whether associations that call another title are rejected (PS3.8 9.3.4, reason 7).
    allowed_calling
        When not empty, calling titles that are not in it are rejected (reason 3).

    Raises
    ------
    ValueError
        A title is none (PS3.5 6.2, AE); the configuration has none of those.
    """
    entity = _entity(aetitle, timeouts or Timeouts())
    entity.maximum_associations = max_associations
    entity.require_called_aet = require_called_aetitle
    entity.require_calling_aet = list(allowed_calling)
    offered = (
        ((VERIFICATION,), True),
        (FIND_MODELS, services.find is not None),
        ((REPOSITORY_QUERY,), services.find is not None and services.repository),
        (MOVE_MODELS, services.move is not None),
        (GET_MODELS, services.get is not None),
    )
    for abstract_syntaxes, is_offered in offered:
        for abstract_syntax in abstract_syntaxes if is_offered else ():
            entity.add_supported_context(abstract_syntax, list(READABLE))
    if services.commit is not None:
        entity.add_supported_context(STORAGE_COMMITMENT, list(UNCOMPRESSED))
    if services.store is not None:
        entity.supported_contexts = [
            *AllStoragePresentationContexts,
            *NonPatientObjectPresentationContexts,
        ]
    return entity


def requesting(
    peer: Peer, services: Iterable[Service] = (), storage: Iterable[StorageContext] = ()
) -> ApplicationEntity:
    """Return ourselves as we ask a peer for an association: its title for us, and its time-outs.

    Each storage pair has a requested context of its own, so that the peer's answer is for exactly
    that transfer syntax and nothing is ever converted. A pair with a UID that is too long for
    one is left out: no peer can accept it.

    Raises
    ------
    ValueError
        There are more contexts than an association can have.
    """
    pairs = sorted(set(storage))
    wanted: list[tuple[str, tuple[str, ...]]] = [(one.value, UNCOMPRESSED) for one in services]
    wanted += [(sop_class, (syntax,)) for sop_class, syntax in pairs]
    if len(wanted) > MAXIMUM_CONTEXTS:
        raise ValueError(f"{len(wanted)} presentation contexts; an association has at most 128")
    entity = _entity(peer.calling_aetitle, peer.timeouts)
    with disable_value_validation():  # what a file calls a UID is proposed as it is
        for abstract_syntax, syntaxes in wanted:
            if max(map(len, (abstract_syntax, *syntaxes))) <= _LONGEST_UID:
                entity.add_requested_context(abstract_syntax, list(syntaxes))
    return entity


def proposal(entity: ApplicationEntity) -> tuple[ProposedContext, ...]:
    """Return the contexts that an entity requests, with their IDs (PS3.8 9.3.2.2)."""
    return tuple(
        ProposedContext(
            id=2 * number + 1,
            abstract_syntax=str(context.abstract_syntax),
            transfer_syntaxes=tuple(str(syntax) for syntax in context.transfer_syntax),
        )
        for number, context in enumerate(entity.requested_contexts)
    )


def introduction(
    entity: ApplicationEntity,
    roles: tuple[RoleSelection, ...] = (),
    extended: tuple[tuple[str, bytes], ...] = (),
) -> UserInformation:
    """Return what an entity says of itself in every association (PS3.7 D.3.3)."""
    return UserInformation(
        maximum_length=entity.maximum_pdu_size,
        implementation_class_uid=str(entity.implementation_class_uid),
        implementation_version_name=entity.implementation_version_name or "",
        roles=roles,
        extended=extended,
    )


def deadlines(entity: ApplicationEntity) -> Deadlines:
    """Return how long an entity's associations may take; a time-out that is None never comes."""
    return Deadlines(
        negotiation=_seconds(entity.acse_timeout),
        message=_seconds(entity.dimse_timeout),
        idle=_seconds(entity.network_timeout),
    )


def peer_timeouts(entity: ApplicationEntity) -> Timeouts:
    """Return how long an entity waits for whom it asks; a time-out that is None never comes."""
    return Timeouts(
        connect=_seconds(entity.connection_timeout),
        acse=_seconds(entity.acse_timeout),
        dimse=_seconds(entity.dimse_timeout),
        network=_seconds(entity.network_timeout),
    )


def _entity(aetitle: str, timeouts: Timeouts) -> ApplicationEntity:
    entity = ApplicationEntity(aetitle)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.maximum_pdu_size = MAXIMUM_PDU_LENGTH
    entity.connection_timeout = timeouts.connect
    entity.acse_timeout = timeouts.acse
    entity.dimse_timeout = timeouts.dimse
    entity.network_timeout = timeouts.network
    return entity


def _seconds(timeout: float | None) -> float:
    return math.inf if timeout is None else timeout
