"""Why a study of a project is not here, in a few words for a table."""

from typing import TYPE_CHECKING

from schema.text.words import counted

if TYPE_CHECKING:
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
    """Return the peers that have a study; where they are several, with what each says of it."""
    sources = member.sources
    if len(sources) < 2:
        return sources[0].peer if sources else member.peer
    counts = {source.expected_images for source in sources}
    if len(counts) == 1:
        return ", ".join(source.peer for source in sources)
    return ", ".join(f"{source.peer} ({_images(source.expected_images)})" for source in sources)


def _here(member: "Member") -> str:
    if member.state == "received":
        return "came without having been found: nobody has said how many images it has"
    due = member.next_attempt_on
    again = f"; due again {due:%Y-%m-%d %H:%M} UTC" if due else ""
    if member.last_error:
        return f"{member.last_error}{again}"
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
    return f"{when} gave no answer: {asked.message or asked.outcome}"
