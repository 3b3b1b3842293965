"""What an acceptor answers to a proposal: presentation contexts, roles, user information.

Rules: PS3.8 9.3.2 and 9.3.3, PS3.7 Annex D.3.3. Pure functions.
"""

from collections.abc import Callable, Mapping

from node.upperlayer.associate import (
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    RoleSelection,
    UserInformation,
)

ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
TRANSFER_SYNTAXES_NOT_SUPPORTED = 4

Choice = Callable[[str, tuple[str, ...]], str | None]
"""Chooses a transfer syntax for an abstract syntax from those proposed; None for none of them."""


def answer(
    request: AssociateRequest,
    *,
    supports: Callable[[str], bool],
    choose: Choice,
    user: UserInformation,
    roles: tuple[RoleSelection, ...] = (),
    extended: tuple[tuple[str, bytes], ...] = (),
) -> AssociateAccept:
    """Return the acceptance of a request.

    Parameters
    ----------
    supports
        Tells whether an abstract syntax is offered at all.
    choose
        Chooses its transfer syntax.
    user
        What we say of ourselves. The asynchronous window is answered by one operation at a
        time when it was proposed (PS3.7 D.3.3.3), a user identity by silence (D.3.3.7).
    roles
        What `agreed_roles` returned. A class in which the requestor is the SCP is supported; in
        those that are not mentioned each side keeps its default role (D.3.3.4).
    extended
        What `agreed_extensions` returned.
    """
    theirs = {role.sop_class_uid for role in roles if role.scp}
    results = tuple(
        _result(context, lambda uid: supports(uid) or uid in theirs, choose)
        for context in request.contexts
    )
    window = (1, 1) if request.user.asynchronous_window is not None else None
    return AssociateAccept(
        called_aetitle=request.called_aetitle,
        calling_aetitle=request.calling_aetitle,
        contexts=results,
        user=UserInformation(
            maximum_length=user.maximum_length,
            implementation_class_uid=user.implementation_class_uid,
            implementation_version_name=user.implementation_version_name,
            asynchronous_window=window,
            roles=roles,
            extended=extended,
        ),
    )


def agreed_roles(
    request: AssociateRequest,
    *,
    supports: Callable[[str], bool],
    sends: Callable[[str], bool],
) -> tuple[RoleSelection, ...]:
    """Return the roles that we agree to: of classes in which the requestor wants to be the SCP.

    That is what a C-GET takes (PS3.4 C.4.3, PS3.7 D.3.3.4): its images come as C-STOREs of ours.

    Parameters
    ----------
    supports
        Tells whether we are the SCP of an abstract syntax.
    sends
        Tells whether we would be its SCU.
    """
    wanted = {role.sop_class_uid: role for role in request.user.roles if role.scp}
    return tuple(
        RoleSelection(sop_class_uid=uid, scu=role.scu and supports(uid), scp=True)
        for uid, role in wanted.items()
        if sends(uid)
    )


def agreed_extensions(
    request: AssociateRequest,
    *,
    supports: Callable[[str], bool],
    grant: Callable[[str, bytes], bytes],
) -> tuple[tuple[str, bytes], ...]:
    """Return what we answer to the extended negotiation of SOP classes (PS3.7 D.3.3.5).

    A class that we do not support, or of which nothing can be negotiated, is not answered: then
    its defaults hold.

    Parameters
    ----------
    supports
        Tells whether an abstract syntax is offered at all.
    grant
        Returns the application information of a class, of what was asked for; empty for none.
    """
    proposed = {context.abstract_syntax for context in request.contexts}
    asked = {uid: asked for uid, asked in request.user.extended if uid in proposed}
    granted = (
        (uid, grant(uid, information)) for uid, information in asked.items() if supports(uid)
    )
    return tuple((uid, information) for uid, information in granted if information)


def _result(
    context: ProposedContext, supports: Callable[[str], bool], choose: Choice
) -> ContextResult:
    first = context.transfer_syntaxes[0] if context.transfer_syntaxes else ""
    if not supports(context.abstract_syntax):
        return ContextResult(
            id=context.id, result=ABSTRACT_SYNTAX_NOT_SUPPORTED, transfer_syntax=first
        )
    chosen = choose(context.abstract_syntax, context.transfer_syntaxes)
    if chosen is None:
        return ContextResult(
            id=context.id, result=TRANSFER_SYNTAXES_NOT_SUPPORTED, transfer_syntax=first
        )
    return ContextResult(id=context.id, result=0, transfer_syntax=chosen)


def abstract_syntaxes(request: AssociateRequest) -> Mapping[int, str]:
    """Return the abstract syntax of each proposed context, by its ID."""
    return {context.id: context.abstract_syntax for context in request.contexts}
