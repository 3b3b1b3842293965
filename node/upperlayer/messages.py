"""From fragments to messages: a command set, and the dataset that it announces (PS3.7 6.3).

The fragments of a command set (PS3.8 Annex E) are put together, for it is small; those of a
dataset are handed on as they come. A dataset ends before the next command begins.
"""

from node.upperlayer.dimse import Command, decode_command
from node.upperlayer.errors import InvalidPDU
from node.upperlayer.events import CommandReceived, DatasetFragment
from node.upperlayer.framing import Fragment

MAXIMUM_COMMAND_LENGTH = 1 << 14
"""Bytes of the longest command set that is taken; the longest of the standard has some 300, but
for the Attribute Identifier List of an N-GET (PS3.7 10.1.2), which has 4 for each attribute."""


class Messages:
    """Follows the fragments of one association."""

    def __init__(self) -> None:
        self._command = bytearray()
        self._latest: tuple[bytes, Command] | None = None
        self._command_context: int | None = None
        self._dataset_context: int | None = None

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun that has not ended."""
        return self._dataset_context is not None or self._command_context is not None

    def take(self, fragment: Fragment) -> CommandReceived | DatasetFragment | None:
        """Take the next fragment, and return what it completes or continues.

        Raises
        ------
        InvalidPDU
            When it does not belong where it comes, or ends a command set that makes no sense.
        """
        if fragment.command:
            return self._take_command(fragment)
        if fragment.context_id != self._dataset_context:
            raise InvalidPDU("data of a dataset that no command has announced")
        if fragment.last:
            self._dataset_context = None
        elif not fragment.data:
            return None
        return DatasetFragment(fragment.context_id, fragment.data, fragment.last)

    def _take_command(self, fragment: Fragment) -> CommandReceived | None:
        context_id = fragment.context_id
        if self._dataset_context is not None:
            raise InvalidPDU("a command before the dataset of the last one has ended")
        if self._command_context not in (None, context_id):
            raise InvalidPDU("a command set in two presentation contexts")
        if len(self._command) + len(fragment.data) > MAXIMUM_COMMAND_LENGTH:
            raise InvalidPDU(f"a command set of more than {MAXIMUM_COMMAND_LENGTH} bytes")
        self._command += fragment.data
        self._command_context = context_id
        if not fragment.last:
            return None
        encoded = bytes(self._command)
        self._command.clear()
        self._command_context = None
        if self._latest is None or self._latest[0] != encoded:
            self._latest = encoded, decode_command(encoded)
        command = self._latest[1]  # of the responses to one C-FIND all but the last are equal
        if command.has_dataset:
            self._dataset_context = context_id
        return CommandReceived(context_id, command)
