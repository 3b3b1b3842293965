"""What a command shows while peers are visited one after the other."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from node.cli.shell.output import Output

if TYPE_CHECKING:
    from node.cli.shell.progress import Progress
    from node.ops.tour import PeerTrouble, Tour


class TourDisplay:
    """A line of progress for each peer, and a message where one is in trouble.

    Parameters
    ----------
    alone
        Whether a single peer is visited: its trouble is the command's own error.
    """

    def __init__(self, output: Output, *, alone: bool) -> None:
        self._output = output
        self._alone = alone
        self._shown = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._shown.close()

    def begin(self, label: str, *, unit: str, total: int | None) -> "Progress":
        """Show the progress at the next peer; parameters as `Output.progress` has them."""
        self._shown.close()
        return self._shown.enter_context(self._output.progress(label, unit=unit, total=total))

    def note(self, text: str) -> None:
        """Say what is to be known meanwhile."""
        self._output.note(text)

    def end(self, trouble: "PeerTrouble | None" = None) -> None:
        """Show no more of this peer than how it ended."""
        self._shown.close()
        if trouble is not None and not self._alone:
            self._output.note(str(trouble))


def troubles_of(tour: "Tour[Any]") -> dict[str, object]:
    """Return what a document says of peers with which nothing could be done, if there were any."""
    troubles = [{"peer": one.peer, "message": str(one.error)} for one in tour.troubles]
    return {"troubles": troubles} if troubles else {}
