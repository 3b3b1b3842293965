"""What happens next, in sentences."""

from typing import TYPE_CHECKING

from node.cli.explaining.words import utc
from node.cli.shell.hints import pasteable
from schema.text.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.ops.explaining.following import Following


def told(one: "Following", *, again: bool = False) -> str:
    """Say what happens next at a PACS.

    Parameters
    ----------
    again
        Whether it was asked for before.
    """
    from node.ops.explaining.following import Step

    peer, when = one.peer, "" if one.on is None else utc(one.on)
    asked = "asked again" if again else "asked"
    command = _commands(one.commands)
    if one.step is Step.COMPLETE:
        return f"{peer}: nothing; all that it has is here." if peer else "Nothing: all is here."
    if one.step is Step.REOPEN:
        return f"Nothing, until it is opened again: {command} does that, for the next move."
    if one.step is Step.UNSOUND:
        return f"Nothing, until what is not sound is set aside: {command} has it asked for again."
    if one.step is Step.LOST:
        return _lost(one.images or 0, command)
    if one.step is Step.DUE:
        due = f"is due at {when}" if when else "is due with the next cycle"
        return f"{peer} {due}, when `dicom-node run` runs. {command} asks at once."
    since = f" since {when}" if when else ""
    why = f" ({one.reason})" if one.reason else ""
    said = {
        Step.GONE: f"{peer}: nothing. It has the study no more, since {when}.",
        Step.STRANGER: f"{peer} is no peer of the configuration: nobody can ask it.",
        Step.URL_ALONE: f"nothing can be moved from {peer}, which has a url alone.",
        Step.HELD: f"{peer} is not {asked}: an operator holds the study{since}{why}.",
        Step.UNWANTED: f"{peer} is not {asked}: the policy (`move.want`) wants nothing of it{why}.",
        Step.UNDER_WAY: f"{peer} is being asked, or is next: wait for the verdict.",
        Step.GIVEN_UP: f"{peer} is not {asked}: the study was given up on {when}, until a find "
        "has news of it, or images of it come.",
        Step.BY_COMMAND: f"{peer} is {asked} by command alone: the configuration has no "
        "move.every, or move.peers leaves it out.",
        Step.BREAKER: f"{peer} is not {asked} by itself: {one.why}. {_tried(when)}",
        Step.CANARY: f"{peer} is {asked} when a study that goes alone has come: {one.why}. "
        f"{_tried(when)}",
        Step.BUDGET: f"{peer} is {asked} {f'at {when}' if when else 'some time'}: {one.why}.",
        Step.HOURS: f"{peer} is {asked} at {when}: it waits for the hours {one.hours}.",
        Step.FIND: "Nothing, until a PACS answers it.",
    }[one.step]
    return f"{said} {command} {_asks(one.commands)}." if one.commands else said


def _lost(images: int, command: str) -> str:
    has, its, it = ("have", "their files", "them") if images != 1 else ("has", "its file", "it")
    return (
        f"No PACS that has the study lists {counted(images, 'image')} without a file: "
        f"{'they' if images != 1 else 'it'} {has} to be sent again, or {its} put back into the "
        f"storage directory from a backup, where {command} indexes {it}."
    )


def _tried(when: str) -> str:
    return f"One study is tried {f'at {when}' if when else 'with the next cycle'}."


def _commands(commands: "Sequence[str]") -> str:
    return ", ".join(f"`{pasteable(command)}`" for command in commands)


def _asks(commands: "Sequence[str]") -> str:
    if any(" release " in command for command in commands):
        return "lets it be asked for"
    if any(" find " in command for command in commands):
        return "asks for it" if len(commands) == 1 else "ask for it"
    return "asks at once"
