"""A-ASSOCIATE-RQ, -AC and -RJ as values (PS3.8 section 9.3, PS3.7 Annex D)."""

from collections.abc import Sequence
from dataclasses import dataclass

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
"""The DICOM application context name (PS3.7 A.2.1)."""

PROTOCOL_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedContext:
    """A presentation context as it is proposed (PS3.8 9.3.2.2)."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextResult:
    """A presentation context as it is answered (PS3.8 9.3.3.2).

    Attributes
    ----------
    result
        0 acceptance, 1 user rejection, 2 no reason, 3 abstract syntax not supported,
        4 transfer syntaxes not supported.
    transfer_syntax
        The one that is used; without meaning unless accepted.
    """

    id: int
    result: int
    transfer_syntax: str

    @property
    def accepted(self) -> bool:
        """Whether the context can be used."""
        return self.result == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSelection:
    """SCP/SCU Role Selection of a SOP class (PS3.7 D.3.3.4)."""

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInformation:
    """The user information of a request or an acceptance (PS3.7 D.3.3).

    Attributes
    ----------
    maximum_length
        Bytes of P-DATA that its sender takes in one PDU; 0 means any (PS3.8 D.1).
    asynchronous_window
        Operations invoked and performed; None when not negotiated: one at a time.
    extended
        SOP class and its application information, as they came.
    user_identity
        Whether a user identity came; what it is, is nobody's business here.
    """

    maximum_length: int = 0
    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    asynchronous_window: tuple[int, int] | None = None
    roles: tuple[RoleSelection, ...] = ()
    extended: tuple[tuple[str, bytes], ...] = ()
    user_identity: bool = False
    identity_response_wanted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ (PS3.8 9.3.2)."""

    called_aetitle: str
    calling_aetitle: str
    contexts: tuple[ProposedContext, ...]
    user: UserInformation = UserInformation()
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateAccept:
    """A-ASSOCIATE-AC (PS3.8 9.3.3)."""

    called_aetitle: str
    calling_aetitle: str
    contexts: tuple[ContextResult, ...]
    user: UserInformation = UserInformation()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A-ASSOCIATE-RJ (PS3.8 9.3.4).

    Attributes
    ----------
    result
        1 permanent, 2 transient.
    source
        1 the service user, 2 the provider (ACSE), 3 the provider (presentation).
    reason
        Its meaning depends on the source.
    """

    result: int
    source: int
    reason: int


def accepted_contexts(
    proposed: Sequence[ProposedContext], results: Sequence[ContextResult]
) -> dict[int, ContextResult]:
    """Return the contexts that can be used, by their ID (PS3.8 7.1.1.14).

    One that was not proposed, or not with that transfer syntax, cannot.
    """
    syntaxes = {context.id: context.transfer_syntaxes for context in proposed}
    return {
        result.id: result
        for result in results
        if result.accepted and result.transfer_syntax in syntaxes.get(result.id, ())
    }
