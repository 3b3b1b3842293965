"""What the sans-IO layer raises."""


class InvalidPDU(ValueError):  # noqa: N818 - reads as a sentence where it is raised
    """Bytes that are no PDU, or a PDU that must not come now; says where and why."""


class UnrecognizedPDU(InvalidPDU):
    """A PDU of a type that there is not (PS3.8 9.3.1)."""


class InvalidCommand(InvalidPDU):
    """A command set that cannot be understood (PS3.7 section 6.3)."""


class LocalMistake(RuntimeError):  # noqa: N818
    """The local user asked for something that the association's state does not allow."""
