"""Every error that the node raises on purpose.

`NodeError` has two kinds: a `PermanentError` will fail again until somebody changes
something; a `RetriableError` may succeed when it is tried again. Exceptions of libraries
are translated into one of these where they enter. Each message says what was wrong,
where, and what would be right.
"""

_REJECTED_TRANSIENT = 2


class NodeError(Exception):
    """The base of every error that the node raises on purpose."""


class PermanentError(NodeError):
    """It fails again until somebody changes the configuration, the peer or the data."""


class RetriableError(NodeError):
    """It may succeed when it is tried again later."""


class ConfigurationError(PermanentError):
    """The configuration is missing, malformed, or says something that cannot be."""


class UsageError(PermanentError):
    """The command was asked for something that makes no sense."""


class PeerUnreachable(RetriableError):  # noqa: N818 - reads as a sentence where it is raised
    """No association: nobody listens there, or nobody answered in time."""


class PeerRefused(PermanentError):  # noqa: N818
    """The peer rejected the association, or all the presentation contexts it needed.

    Attributes
    ----------
    rejection
        Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 9.3.4); None when it was none.
    """

    def __init__(
        self, message: str, *, rejection: tuple[int | None, int | None, int | None] | None = None
    ) -> None:
        super().__init__(message)
        self.rejection = rejection

    @property
    def transient(self) -> bool:
        """Whether the peer said that it is only for the moment."""
        return self.rejection is not None and self.rejection[0] == _REJECTED_TRANSIENT


class AssociationLost(RetriableError):  # noqa: N818
    """The association ended (abort, time-out, connection closed) before the answer was complete."""


class PeerStalled(RetriableError):  # noqa: N818
    """The peer takes too long: it is silent, or it goes on answering and nothing comes of it."""


class PeerFailure(RetriableError):  # noqa: N818
    """The peer answered with a failure status.

    Attributes
    ----------
    status
        The DIMSE status as the peer sent it (PS3.7 Annex C); None where it was asked over HTTP.
    comment
        The peer's words to it, Error Comment (0000,0902), or the status of HTTP; not harmless yet.
    """

    def __init__(self, message: str, *, status: int | None, comment: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.comment = comment

    @property
    def impersonal(self) -> str:
        """The message without the peer's own words, which may name a patient."""
        said = self.comment.strip()
        return str(self).replace(f": {said}", "", 1) if said else str(self)


class ListenError(PermanentError):
    """The node cannot listen at its own address."""


class StorageError(RetriableError):
    """The storage directory could not take or give a file."""


class FileGone(StorageError):  # noqa: N818
    """An indexed file is not there any more."""


class FileDamaged(StorageError):  # noqa: N818
    """An indexed file is not what its row says: of another size, or with another dataset."""


class NotConverted(PermanentError):  # noqa: N818
    """An object could not be put into another transfer syntax."""


class CycleCancelled(RetriableError):  # noqa: N818
    """An operator has cancelled the cycle; what it had recorded until then is kept."""


class Busy(RetriableError):  # noqa: N818
    """Another process is doing the same thing right now."""


class NoPlace(RetriableError):  # noqa: N818
    """A peer has as many associations of ours as it may have, and none was waited for."""
