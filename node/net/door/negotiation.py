"""What is agreed on, by the library's rules: an entity's contexts exactly as it supports them."""

from collections.abc import Sequence
from typing import Any

from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import (
    PresentationContext,
    negotiate_as_acceptor,
    negotiate_unrestricted,
)

from node.net.entity import introduction
from node.net.scp.agreement import Agreement
from node.upperlayer import (
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    RoleSelection,
    UserInformation,
)
from node.upperlayer.associate import accepted_contexts
from node.upperlayer.negotiation import abstract_syntaxes


class ExactAgreement(Agreement):
    """Our answer to a request, by the library's negotiation (PS3.8 7.1.1.13, PS3.7 D.3.3.4).

    Parameters
    ----------
    asked
        The contexts of the request, as `proposed` returns them.
    entity
        Who answers.
    supported
        The contexts that are supported, with their roles.

    Attributes
    ----------
    accepted
        The library's values of the contexts that are accepted, by their ID.
    rejected
        Those that are not.
    """

    def __init__(  # its base's makes another answer
        self,
        request: AssociateRequest,
        asked: list[PresentationContext],
        entity: ApplicationEntity,
        supported: Sequence[PresentationContext],
    ) -> None:
        unrestricted = _config.UNRESTRICTED_STORAGE_SERVICE
        negotiate = negotiate_unrestricted if unrestricted else negotiate_as_acceptor
        wanted: dict[Any, Any] = {
            role.sop_class_uid: (role.scu, role.scp) for role in request.user.roles
        }
        results, agreed = negotiate(asked, list(supported), wanted)
        self.accepted = {int(one.context_id or 0): one for one in results if one.result == 0}
        # What the base is asked for beside what is overridden here.
        self._given: set[str] = set()
        self._extended: dict[str, bytes] = {}
        self._taken: dict[int, str] = {}
        self._abstract = abstract_syntaxes(request)
        self.rejected = [one for one in results if one.result != 0]
        ours = introduction(entity)
        self.accept = AssociateAccept(
            called_aetitle=request.called_aetitle,
            calling_aetitle=request.calling_aetitle,
            contexts=tuple(
                ContextResult(
                    id=int(one.context_id or 0),
                    result=int(one.result or 0),
                    transfer_syntax=str(one.transfer_syntax[0]) if one.transfer_syntax else "",
                )
                for one in sorted(results, key=lambda one: int(one.context_id or 0))
            ),
            user=UserInformation(
                maximum_length=ours.maximum_length,
                implementation_class_uid=ours.implementation_class_uid,
                implementation_version_name=ours.implementation_version_name,
                roles=tuple(
                    RoleSelection(
                        sop_class_uid=str(one.sop_class_uid),
                        scu=bool(one.scu_role),
                        scp=bool(one.scp_role),
                    )
                    for one in agreed
                ),
            ),
        )
        self._contexts = accepted_contexts(request.contexts, self.accept.contexts)

    def transfer_syntax(self, context_id: int) -> str:
        """Return the transfer syntax of an accepted presentation context."""
        return str(self.accepted[context_id].transfer_syntax[0])


def proposed(request: AssociateRequest) -> list[PresentationContext]:
    """Return the library's values of the contexts of a request."""
    found: list[PresentationContext] = []
    for context in request.contexts:
        one = PresentationContext()
        one.context_id = context.id
        one.abstract_syntax = context.abstract_syntax
        one.transfer_syntax = list(context.transfer_syntaxes)
        found.append(one)
    return found


def association_request(request: AssociateRequest, asked: list[PresentationContext]) -> A_ASSOCIATE:
    """Return the library's primitive of a request: `event.assoc.requestor` reads it."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = request.application_context
    primitive.calling_ae_title = request.calling_aetitle
    primitive.called_ae_title = request.called_aetitle
    primitive.presentation_context_definition_list = asked
    user = request.user
    items: list[Any] = []
    longest = MaximumLengthNotification()
    longest.maximum_length_received = user.maximum_length
    items.append(longest)
    if user.implementation_class_uid:
        program = ImplementationClassUIDNotification()
        program.implementation_class_uid = user.implementation_class_uid
        items.append(program)
    if user.implementation_version_name:
        version = ImplementationVersionNameNotification()
        version.implementation_version_name = user.implementation_version_name
        items.append(version)
    for role in user.roles:
        item = SCP_SCU_RoleSelectionNegotiation()
        item.sop_class_uid = role.sop_class_uid
        item.scu_role = role.scu
        item.scp_role = role.scp
        items.append(item)
    primitive.user_information = items
    return primitive
