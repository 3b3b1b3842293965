"""Why a study of a project is not here, in a few words for a table."""

from typing import TYPE_CHECKING

from schema.text.words import counted

if TYPE_CHECKING:
    from schema.project.members import Member


def why(member: "Member") -> str:
    """Return why a study is not complete here; "" when it is.

    "Nobody has asked" and "the peer does not have it" are never the same.
    """
    if member.complete:
        return ""
    if member.missing:
        return _not_found(member)
    if member.state == "received":
        return "came without having been found: nobody has said how many images it has"
    due = member.next_attempt_on
    again = f"; due again {due:%Y-%m-%d %H:%M} UTC" if due else ""
    if member.last_error:
        return f"{member.last_error}{again}"
    return f"found at {member.peer or 'a peer'}, not moved yet"


def _not_found(member: "Member") -> str:
    asked = member.asked
    if asked is None:
        return "no peer was asked for it yet"
    when = f"{asked.peer}, asked {asked.on:%Y-%m-%d %H:%M} UTC,"
    if asked.outcome == "complete" and member.study_uid is None and asked.matches:
        return f"{when} answered {counted(asked.matches, 'study')} without this accession number"
    if asked.outcome == "complete":
        return f"{when} has no such study"
    return f"{when} gave no answer: {asked.message or asked.outcome}"
