"""Why a study of a project is not here, in a few words for a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from schema.text.words import counted

if TYPE_CHECKING:
    from schema.finding.drawing import SourceAnswer
    from schema.project.inquiries import Asked
    from schema.project.members import Member


def why(member: "Member") -> str:
    """Return why a study is not complete here, with every peer's answer; "" when it is complete.

    "Nobody has asked" and "the peer does not have it" are never the same.
    """
    if member.complete:
        return ""
    answers = [_answer(member, one) for one in member.inquiries]
    if member.missing:
        if not answers and member.asked is not None:
            answers = [_answer(member, member.asked)]
        return "; ".join(answers) or "no peer was asked for it yet"
    return "; ".join((_here(member), *answers))


def found_at(member: "Member") -> str | None:
    """Return the peers that have a study, or had it.

    Where several have it, and do not say the same number of images, with what each says.
    """
    sources = member.sources
    if not sources:
        return member.peer
    there = [source for source in sources if source.gone_on is None]
    if len({source.expected_images for source in there}) < 2:
        return peers_of(sources)
    told = [f"{source.peer} ({_images(source.expected_images)})" for source in there]
    return ", ".join((*told, *_gone(sources)))


def peers_of(sources: "Sequence[SourceAnswer]") -> str:
    """Return the peers that have a study, then those that have it no more; "" for none."""
    there = [source.peer for source in sources if source.gone_on is None]
    return ", ".join((*there, *_gone(sources)))


def _gone(sources: "Sequence[SourceAnswer]") -> list[str]:
    return [
        f"{source.peer} (gone since {source.gone_on:%Y-%m-%d})"
        for source in sources
        if source.gone_on is not None
    ]


def _here(member: "Member") -> str:
    if member.state == "received":
        return "came without having been found: nobody has said how many images it has"
    if member.sources and all(source.gone_on is not None for source in member.sources):
        return f"no peer has it any more: {peers_of(member.sources)}"
    due = member.next_attempt_on
    again = f"; due again {due:%Y-%m-%d %H:%M} UTC" if due else ""
    if member.last_error:
        return f"{member.last_error}{again}"
    done = [source.peer for source in member.sources if source.verified_on and not source.gone_on]
    if done:
        left = ", ".join(source.peer for source in member.sources if source.open)
        return f"all that {', '.join(done)} has is here; {left} was not asked for its images yet"
    return f"found at {found_at(member) or 'a peer'}, not moved yet"


def _images(count: int | None) -> str:
    if count is None:
        return "number of images unknown"
    return counted(count, "image")


def _answer(member: "Member", asked: "Asked") -> str:
    when = f"{asked.peer}, asked {asked.on:%Y-%m-%d %H:%M} UTC,"
    if asked.answered and member.study_uid is None and asked.matches:
        return f"{when} answered {counted(asked.matches, 'study')} without this accession number"
    if asked.answered:
        return f"{when} has no such study"
    if asked.outcome == "suspect":
        return f"{when} answered, which proves nothing: {asked.message or 'nothing came'}"
    if asked.outcome == "complete":
        return (
            f"{when} answered {asked.matches} of {counted(asked.together, 'study')} in one list, "
            "which does not say of which"
        )
    return f"{when} gave no answer: {asked.message or asked.outcome}"
