"""What was agreed on when we accepted an association (PS3.8 7.1, PS3.7 D.3.3)."""

from collections.abc import Callable, Mapping

from node.net.dimse.contexts import choose_held, choose_transfer_syntax, is_storage
from node.net.local import OURSELVES
from node.net.messages import Services
from node.upperlayer import AssociateAccept, AssociateRequest
from node.upperlayer.associate import accepted_contexts
from node.upperlayer.negotiation import abstract_syntaxes, agreed_roles, answer


class Agreement:
    """Our answer to a request, and what each presentation context may be used for.

    Parameters
    ----------
    services
        What is offered.
    supports
        Tells which abstract syntaxes we are the SCP of, for this peer.
    gives
        Whether this peer may have objects by a C-GET.

    Attributes
    ----------
    accept
        The answer.
    """

    def __init__(
        self,
        request: AssociateRequest,
        *,
        services: Services,
        supports: Callable[[str], bool],
        gives: bool,
    ) -> None:
        def sends(abstract_syntax: str) -> bool:
            return gives and services.get is not None and is_storage(abstract_syntax)

        roles = agreed_roles(request, supports=supports, sends=sends)
        self._sends = {role.sop_class_uid for role in roles}
        self._held = services.held
        self._abstract: Mapping[int, str] = abstract_syntaxes(request)
        self.accept: AssociateAccept = answer(
            request, supports=supports, choose=self._choose, user=OURSELVES, roles=roles
        )
        self._contexts = accepted_contexts(request.contexts, self.accept.contexts)
        self._taken = {id_ for id_ in self._contexts if supports(self._abstract[id_])}

    def _choose(self, abstract_syntax: str, proposed: tuple[str, ...]) -> str | None:
        if abstract_syntax in self._sends:
            return choose_held(abstract_syntax, proposed, self._held(abstract_syntax))
        return choose_transfer_syntax(abstract_syntax, proposed)

    def abstract_syntax(self, context_id: int) -> str:
        """Return the abstract syntax of an accepted presentation context."""
        return self._abstract[context_id]

    def transfer_syntax(self, context_id: int) -> str:
        """Return the transfer syntax of an accepted presentation context."""
        return self._contexts[context_id].transfer_syntax

    def takes(self, context_id: int) -> bool:
        """Tell whether we are the SCP of a context; else we only send in it."""
        return context_id in self._taken

    def context_to_send(self, sop_class_uid: str, transfer_syntax_uid: str) -> int | None:
        """Return the context in which the peer takes an object, as the SCP; None without one."""
        if sop_class_uid in self._sends:
            for context_id, context in self._contexts.items():
                wanted = self._abstract[context_id], context.transfer_syntax
                if wanted == (sop_class_uid, transfer_syntax_uid):
                    return context_id
        return None
