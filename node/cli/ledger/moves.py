"""Where the studies of a move stand, in words: why nothing is moved, and what is open elsewhere."""

import shlex
from typing import TYPE_CHECKING

from schema.text.words import are, counted, counted_are

if TYPE_CHECKING:
    from node.config import Config
    from schema.accounting.tally import PeerTally


def nothing_at(tally: "PeerTally", project: str | None, *, named: bool) -> str:
    """Say why there is nothing to move from a peer; only what is complete is called so.

    Parameters
    ----------
    project
        Whose studies were to be moved; None where it is no project's.
    named
        Whether studies were named.
    """
    if not tally.found and tally.gone:
        return (
            f"Nothing to move from {tally.peer}: it has the {counted(tally.gone, 'study')} found "
            "there no more"
        )
    if not tally.found:
        peer = shlex.quote(tally.peer or "PEER")
        how = f"`dicom-node find {peer} --last 7d` asks for a week's"
        which = "none of these studies" if named else "no study"
        if project is not None:
            how = f"`dicom-node find {peer}{_of(project)}` asks for them"
            which = f"no study of {project}"
        return f"Nothing to move from {tally.peer}: {which} was ever found there; {how}"
    if tally.open:
        held = min(tally.states.get("held", 0), tally.open)
        more = tally.open - held
        parts = [
            f"{held} {are(held)} held: `dicom-node release` ends that" if held else "",
            f"{more} {are(more)} open, and came up meanwhile" if more else "",
        ]
        return (
            f"Nothing to move from {tally.peer}: of {counted(tally.found, 'study')} found there, "
            + "; ".join(filter(None, parts))
        )
    if tally.unwanted:
        complete = f"{tally.complete} {are(tally.complete)} complete here"
        rest = f"{tally.unwanted} {are(tally.unwanted)} not wanted (`move.want`)"
        found = counted(tally.found, "study")
        return f"Nothing to move from {tally.peer}: of {found} found there, {complete}; {rest}"
    what = counted(tally.found, "study")
    return f"Nothing to move from {tally.peer}: what was found there is complete here ({what})"


def open_elsewhere(tally: "PeerTally", settings: "Config", project: str | None) -> str:
    """Say what is open at a peer that was not to be moved from, and what to do about it."""
    studies = counted_are(tally.open, "study")
    if tally.peer is None:
        return f"{studies} open, and no peer is known to have what is missing"
    if tally.peer not in settings.peers:
        return f"{studies} open at {tally.peer}, which is no peer of the configuration"
    move = f"`dicom-node move {shlex.quote(tally.peer)}{_of(project)}`"
    return f"{studies} open at {tally.peer}; {move} asks for what is open"


def _of(project: str | None) -> str:
    """Return the option that restricts a command to a project."""
    return "" if project is None else f" --project {shlex.quote(project)}"
