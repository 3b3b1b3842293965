"""What was agreed on when we accepted an association (PS3.8 7.1, PS3.7 D.3.3)."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from pynetdicom.ae import ApplicationEntity

from node.net.dimse.contexts import (
    ASKED_MODELS,
    FIND_MODELS,
    GET_MODELS,
    MOVE_MODELS,
    STORAGE_COMMITMENT,
    UNCOMPRESSED,
    VERIFICATION,
    choose_held,
    choose_to_store,
    is_storage,
    right_to,
)
from node.net.entity import introduction
from node.net.scp.access import ALL, Rights
from node.upperlayer import AssociateAccept, AssociateRequest
from node.upperlayer.associate import accepted_contexts
from node.upperlayer.negotiation import (
    abstract_syntaxes,
    agreed_extensions,
    agreed_roles,
    answer,
)

Held = Callable[[str], Sequence[str]]
"""Tells the transfer syntaxes in which there are objects of a SOP class."""


_FIND_EXTENSIONS = 5
"""Bytes of the extended negotiation of a C-FIND (PS3.4 C.5.1.1)."""


class Offer:
    """What an application entity offers to whom: its supported contexts, and what they stand for.

    The library's lists have no wildcard. An entity that supports any storage class takes every one,
    private and unknown ones included, in every transfer syntax: objects are kept as they come. One
    that supports C-GET is also the SCU of every storage class.

    Parameters
    ----------
    entity
        Its supported contexts are read once.
    held, relational
        See `node.net.messages.Services`.
    reported
        Whether we take reports of storage commitment, from peers of ours: as its SCU.
    """

    def __init__(
        self,
        entity: ApplicationEntity,
        held: Held,
        *,
        relational: bool = False,
        reported: bool = False,
    ) -> None:
        self.user = introduction(entity)
        self._relational = relational
        self._held = held
        self._reported = reported
        self._syntaxes = {
            str(context.abstract_syntax): {str(syntax) for syntax in context.transfer_syntax}
            for context in entity.supported_contexts
        }
        self._stores = any(is_storage(uid) for uid in self._syntaxes)
        self._gives = any(uid in GET_MODELS for uid in self._syntaxes)

    def takes(self, abstract_syntax: str, rights: Rights) -> bool:
        """Tell whether we are the SCP of an abstract syntax, for who has these rights."""
        if is_storage(abstract_syntax):
            return self._stores and rights.store
        return abstract_syntax in self._syntaxes and _is_allowed(abstract_syntax, rights)

    def lacking(self, asked: Iterable[str], rights: Rights) -> list[str]:
        """Return the rights that are missing for what is offered and asked for."""
        missing = (one for one in asked if self.takes(one, ALL) and not self.takes(one, rights))
        return sorted({right_to(one) for one in missing})

    def gives(self, abstract_syntax: str, rights: Rights) -> bool:
        """Tell whether we would be the SCU of a class, for a C-GET or a report of commitment."""
        if abstract_syntax == STORAGE_COMMITMENT:
            return self._reported and bool(rights.peers)
        return self._gives and rights.retrieve and is_storage(abstract_syntax)

    def grant(self, sop_class_uid: str, asked: bytes) -> bytes:
        """Return what we agree to of a class's extended negotiation; empty where to nothing.

        Of a C-FIND, a byte each: relational queries, combined date and time, fuzzy matching of
        names, timezone adjustment, enhanced multi-frame conversion (PS3.4 C.5.1.1); the first two
        are agreed to. Of a C-MOVE or a C-GET: relational retrieval (C.5.2.1, C.5.3.1).
        """
        if not self._relational:
            return b""
        if sop_class_uid in FIND_MODELS:
            wanted = bytes(one == 1 for one in asked[:2])
            return wanted + bytes(len(asked[2:_FIND_EXTENSIONS]))
        if sop_class_uid in MOVE_MODELS or sop_class_uid in GET_MODELS:
            return bytes(one == 1 for one in asked[:1])
        return b""

    def choose(self, abstract_syntax: str, proposed: tuple[str, ...], *, gives: bool) -> str | None:
        """Return the transfer syntax of a context; None when there is none.

        Parameters
        ----------
        gives
            Whether we are to send objects in it.
        """
        if abstract_syntax == STORAGE_COMMITMENT:
            return next((uid for uid in proposed if uid in UNCOMPRESSED), None)
        if gives:
            return choose_held(proposed, self._held(abstract_syntax))
        if is_storage(abstract_syntax):
            return choose_to_store(proposed)
        ours = self._syntaxes.get(abstract_syntax, ())
        return next((uid for uid in proposed if uid in ours), None)


def _is_allowed(abstract_syntax: str, rights: Rights) -> bool:
    """Tell whether a service that is none of storage is for who has these rights."""
    if abstract_syntax in ASKED_MODELS:
        return rights.query
    if abstract_syntax in MOVE_MODELS or abstract_syntax in GET_MODELS:
        return rights.retrieve
    if abstract_syntax == STORAGE_COMMITMENT:
        return rights.commit
    return abstract_syntax == VERIFICATION


class Agreement:
    """Our answer to a request, and what each presentation context may be used for.

    Parameters
    ----------
    offer
        What we offer.
    rights
        Of who requests.

    Attributes
    ----------
    accept
        The answer.
    """

    def __init__(self, request: AssociateRequest, offer: Offer, rights: Rights) -> None:
        def takes(abstract_syntax: str) -> bool:
            return offer.takes(abstract_syntax, rights)

        def choose(abstract_syntax: str, proposed: tuple[str, ...]) -> str | None:
            return offer.choose(abstract_syntax, proposed, gives=abstract_syntax in self._given)

        roles = agreed_roles(
            request, supports=takes, sends=lambda abstract: offer.gives(abstract, rights)
        )
        self._given = {role.sop_class_uid for role in roles}
        extended = agreed_extensions(request, supports=takes, grant=offer.grant)
        self._extended = dict(extended)
        self._abstract: Mapping[int, str] = abstract_syntaxes(request)
        self.accept: AssociateAccept = answer(
            request,
            supports=takes,
            choose=choose,
            user=offer.user,
            roles=roles,
            extended=extended,
        )
        self._contexts = accepted_contexts(request.contexts, self.accept.contexts)
        only_given = {role.sop_class_uid for role in roles if not role.scu}
        self._taken = {
            id_: abstract
            for id_ in self._contexts
            if takes(abstract := self._abstract[id_]) and abstract not in only_given
        }

    def transfer_syntax(self, context_id: int) -> str:
        """Return the transfer syntax of an accepted presentation context."""
        return self._contexts[context_id].transfer_syntax

    def takes(self, context_id: int, sop_class_uid: str | None) -> bool:
        """Tell whether we are the SCP of a SOP class in a context.

        Not so in the context of another class, whatever the two have in common: rights were asked
        for, and a transfer syntax was chosen, for the class of the context (PS3.8 7.1.1.13). Nor
        in one in which we only send.
        """
        return sop_class_uid is not None and self._taken.get(context_id) == sop_class_uid

    def extended(self, sop_class_uid: str) -> bytes:
        """Return what was agreed to of a class's extended negotiation; empty without one."""
        return self._extended.get(sop_class_uid, b"")

    def relational(self, context_id: int) -> bool:
        """Tell whether queries, or retrievals, in a context may be relational (PS3.4 C.5)."""
        return self.extended(self._abstract.get(context_id, ""))[:1] == b"\1"

    def combined(self, context_id: int) -> bool:
        """Tell whether date and time of queries in a context are matched as one (C.5.1.1)."""
        return self.extended(self._abstract.get(context_id, ""))[1:2] == b"\1"

    def commits(self, context_id: int) -> bool:
        """Tell whether a context is one of Storage Commitment, whatever our role in it."""
        accepted = context_id in self._contexts
        return accepted and self._abstract[context_id] == STORAGE_COMMITMENT

    def context_to_send(self, sop_class_uid: str, transfer_syntax_uid: str) -> int | None:
        """Return the context in which the peer takes an object, as the SCP; None without one."""
        if sop_class_uid in self._given:
            for context_id, context in self._contexts.items():
                wanted = self._abstract[context_id], context.transfer_syntax
                if wanted == (sop_class_uid, transfer_syntax_uid):
                    return context_id
        return None
