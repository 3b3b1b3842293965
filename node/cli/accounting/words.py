"""How much is left and how long it takes, in words."""

from typing import TYPE_CHECKING

from node.cli.explaining.words import size, utc
from schema.text.words import are, counted

if TYPE_CHECKING:
    from node.ops.accounting.expecting import Forecast

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"))


def period(seconds: float) -> str:
    """Write how long something takes, in its two largest units."""
    left = round(seconds)
    if left < 60:
        return f"{left} s"
    parts: list[str] = []
    for unit, name in _UNITS:
        if left >= unit or parts:
            parts.append(f"{left // unit} {name}")
            left %= unit
    return " ".join(parts[:2])


def ran(seconds: float) -> str:
    """Write how long something ran that did run: never for 0 s."""
    return period(seconds) if round(seconds) else "less than a second"


def left_of(said: "Forecast") -> str:
    """Say how much is left."""
    images = f", of {counted(said.images, 'image')}" if said.images else ""
    if said.bytes:
        images += f" (about {size(said.bytes)})"
    if said.unknown:
        images += f"; of {counted(said.unknown, 'study')} nobody says how many images they have"
    waiting = [(count, what) for count, what in _waiting(said) if count]
    others = " and ".join(f"{count} {what}" for count, what in waiting)
    them = "it" if sum(count for count, _ in waiting) == 1 else "them"
    more = f"; {others}: somebody has to ask for {them}" if others else ""
    if said.unwanted:
        more += f"; {counted(said.unwanted, 'study')} beside {are(said.unwanted)} not wanted"
    if said.coming and said.policy:
        more += f"; whether each is wanted ({said.policy}) is decided when it is its turn"
    return f"left: {counted(said.studies, 'study')}{images}{more}"


def rest_of(said: "Forecast") -> str:
    """Say how long that takes, and from what it is reckoned."""
    from node.ops.accounting.expecting import Unknown

    basis = said.basis
    from_what = (
        f"from {counted(basis.studies, 'study')} and {counted(basis.images, 'image')} in "
        f"{ran(basis.seconds)} of moves in the last 7 days, by {said.by}"
    )
    moves = f"{period(max(1.0, said.seconds or 0.0))} of moves"
    without_a_date = {
        Unknown.STRANGER: "nobody knows when; it is no peer of the configuration",
        Unknown.NOTHING_MEASURED: "nobody knows when; no study of it was complete in the last 7 "
        "days",
        Unknown.TOO_LITTLE: f"nobody knows when yet; moves ran for {ran(basis.seconds)} in the "
        "last 7 days, which is too little to tell",
        Unknown.NOBODY_ASKS: "nothing more by itself",
        Unknown.BY_COMMAND: f"{moves}, as soon as somebody moves: the daemon moves nothing from it "
        f"(`move.every`, `move.peers`); {from_what}",
        Unknown.NOT_RUNNING: f"{moves}, once a node runs: none does here, and nobody moves from "
        f"it; {from_what}",
        Unknown.BREAKER: f"{_while_broken(said)}{f'; {from_what}' if said.seconds else ''}",
        Unknown.NEVER_OPEN: "nobody knows when; its hours never open",
    }
    if said.why is not None or said.ends_on is None:
        return f"expected: {without_a_date[said.why or Unknown.NEVER_OPEN]}"
    cycles = openings = ""
    if said.cycles is not None:
        cycles = f" in {counted(said.cycles, 'cycle')} (`move.limit`, `move.every`),"
    if said.openings is not None:
        openings = f" in {counted(said.openings, 'opening')} of the hours,"
    if said.days is not None:
        openings = f" on {counted(said.days, 'day')},"
    if said.budgets:
        openings = f"{openings} as {' and '.join(said.budgets)} allows,"
    return f"expected: {moves}, done{cycles}{openings} about {utc(said.ends_on)}; {from_what}"


def _while_broken(said: "Forecast") -> str:
    """Say that nothing is moved for now, why, and when that may change."""
    moves = f"; then {period(max(1.0, said.seconds))} of moves" if said.seconds else ""
    tried = f" about {utc(said.tried_on)}" if said.tried_on else " with the next cycle"
    return (
        f"nobody knows when; nothing is moved from it now: {said.broken}; one study is "
        f"tried{tried}, and the rest when the peer takes it{moves}"
    )


def _waiting(said: "Forecast") -> tuple[tuple[int, str], ...]:
    return ((said.given_up, "given up"), (said.held, "held"))
