"""What was tried, in sentences."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from node.cli.explaining.words import named, size, utc
from schema.text.words import counted

if TYPE_CHECKING:
    from schema.explaining.story import AttemptStory

_LEVELS = {"SERIES": "series", "IMAGE": "image"}


def told(number: int, one: "AttemptStory") -> Iterator[str]:
    """Tell an attempt: who asked whom for what, what was answered, what came of it.

    Parameters
    ----------
    number
        Which of the attempts it is.
    """
    yield f"{number}. {_asked(one)}. {_answered(one)}"
    came = " ".join(filter(None, (_came(one), _late(one))))
    yield f"   {came}"
    if one.failed_uids:
        yield f"   It could not send {named(one.failed_uids)}."
    if one.refused:
        yield f"   These presentation contexts were refused: {', '.join(one.refused)}."


def in_short(one: "AttemptStory") -> str:
    """Say which attempt it is."""
    when = utc(one.started_on or one.claimed_on)
    by = f"{one.node} asked" if one.node else "asked"
    cycle = "" if one.cycle_id is None else f", in move {one.cycle_id}"
    return f"the attempt of {when}, when {by} {one.peer} by {one.method}{cycle}"


def _asked(one: "AttemptStory") -> str:
    cycle = "" if one.cycle_id is None else f" (move {one.cycle_id})"
    who = one.node or "a node"
    if one.started_on is None and one.level is None:
        return f"{utc(one.claimed_on)}: {who} took the study, to ask {one.peer} for it{cycle}"
    what = "it" if one.level is None else "the whole study"
    if one.level in _LEVELS and one.requested is not None:
        what = f"{counted(one.requested, _LEVELS[one.level])} by name"
        if one.requests is not None and one.requests > 1:
            what += f", in {counted(one.requests, 'request')}"
    when = utc(one.started_on or one.claimed_on)
    asked = "was about to ask" if _never_asked(one) else "asked"
    return f"{when}: {who} {asked} {one.peer} by {one.method} for {what}{cycle}"


def _never_asked(one: "AttemptStory") -> bool:
    """Tell whether the PACS could not be asked at all."""
    return one.status is None and one.failure in ("outage", "configuration")


def _answered(one: "AttemptStory") -> str:
    from node.net.categories import describe

    if _never_asked(one):
        return "It could not be asked."
    if one.started_on is None and one.level is None and one.outcome == "retrieved":
        return "All of it was here already: nothing was asked for."
    if one.status is None:
        return "It got no last answer." if one.ended_on else "It has not ended."
    answer = f"The answer was {describe(one.status)}" if one.method != "WADO-RS" else _web(one)
    if one.comment:
        answer += f", {one.comment!r}"
    counts = [
        f"{count} {word}"
        for count, word in (
            (one.completed, "sent"),
            (one.failed, "failed"),
            (one.warning, "with warnings"),
            (one.remaining, "left"),
        )
        if count is not None and (count or word in ("sent", "failed"))
    ]
    return f"{answer}{': ' if counts else ''}{', '.join(counts)}."


def _web(one: "AttemptStory") -> str:
    return f"The answer was {one.status}"


def _came(one: "AttemptStory") -> str:
    if one.ended_on is None:
        heard = f", of which was heard last on {utc(one.heard_on)}" if one.heard_on else ""
        return f"It goes on, unless its process has died{heard}."
    begun = one.started_on or one.claimed_on
    took = f"after {max((one.ended_on - begun).total_seconds(), 0):.1f} s"
    weight = f" ({size(one.arrived_bytes)})" if one.arrived_bytes else ""
    if one.outcome == "interrupted":
        came = f"; {counted(one.arrived, 'new image')} came{weight}" if one.arrived else ""
        return f"It came to no verdict: it was interrupted {took}{came}."
    arrived = counted(one.arrived or 0, "new image")
    evidence = f" ({one.evidence})" if one.evidence else ""
    message = f": {one.message}" if one.message else ""
    return f"{arrived} came{weight}; {took} the study was {one.outcome}{evidence}{message}."


def _late(one: "AttemptStory") -> str:
    said = []
    if one.late and one.late_on is not None:
        said.append(f"{counted(one.late, 'image')} came late, the last on {utc(one.late_on)}.")
    if one.repeated:
        were = "was" if one.repeated == 1 else "were"
        said.append(f"{counted(one.repeated, 'image')} that it brought {were} here already.")
    return " ".join(said)
