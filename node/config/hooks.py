"""Hooks: who is told what has happened, by a command or an HTTP request."""

import re
import shlex
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, model_validator

from node.config.durations import Deadline, Duration
from node.config.peer.web import Secret
from node.config.sections import Section
from node.config.values import Count, FilePath, Switch, check_name, items
from schema.hooking.kinds import EventKind

_NO_URL = "a URL is needed that begins with http:// or https://"


def check_hook_name(value: object) -> str:
    """Return a hook's name.

    Raises
    ------
    ValueError
        It is not writable as one word.
    """
    try:
        return check_name(value)
    except ValueError:
        raise ValueError("a hook's name has up to 64 letters, digits, - and _") from None


def _events(value: object) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(str(item).strip().lower() for item in items(value)))
    if not names:
        raise ValueError(f"one or more of {', '.join(EventKind)} are needed")
    return names


def _command(value: object) -> tuple[str, ...]:
    """Read a program with its arguments: a list, or one text with quotes as a shell has them."""
    if not value:
        return ()
    words = shlex.split(value) if isinstance(value, str) else [str(word) for word in items(value)]
    if not words or not words[0] or any("\0" in word for word in words):
        raise ValueError("a program and its arguments are needed, such as [/opt/told, dicom-node]")
    return tuple(words)


def _url(value: object) -> str | None:
    if value is None or value == "":
        return None
    address = value.strip() if isinstance(value, str) else ""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(_NO_URL) from None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f]", address):
        raise ValueError(_NO_URL)
    if "@" in parts.netloc:
        raise ValueError("a URL with a login in it is not understood: give a secret")
    return address


def shown_url(url: str) -> str:
    """Return the URL of a hook as it may be shown: its path is often a secret."""
    parts = urlsplit(url)
    return (
        f"{parts.scheme}://{parts.netloc}{'/***' if parts.path.strip('/') or parts.query else ''}"
    )


class HookSettings(Section):
    """Who is told of what, and how."""

    events: Annotated[tuple[EventKind, ...], BeforeValidator(_events)]
    """What it is told of: study_complete, study_failed, cycle_end, alarm."""
    command: Annotated[tuple[str, ...], BeforeValidator(_command)] = ()
    """A program and its arguments, run without a shell, with the event on its standard input."""
    url: Annotated[str | None, BeforeValidator(_url)] = None
    """Where the event is sent to, by POST."""
    secret: Secret = None
    """What requests are signed with; a file or the environment is a better place."""
    secret_file: FilePath = None
    """A file that holds the secret and nothing else."""
    timeout: Deadline = Duration(30)
    """How long the program may run, or a request may take."""
    include_patient_data: Switch = False
    """Whether it is told what is a patient's."""

    concurrency: Count = 1
    """How many events it is told at once."""
    retry: Deadline = Duration(5)
    """After how long an event that was not taken is told again; doubled each time ..."""
    retry_limit: Deadline = Duration(3600)
    """... up to this."""
    attempts: Count = 20
    """After so many attempts an event is given up."""
    give_up: Deadline = Duration(259200)
    """It is not told again when it is older than this."""
    keep: Deadline = Duration(2592000)
    """How long what became of an event is kept."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("give command or url, one of them")
        if self.command and (self.secret or self.secret_file):
            raise ValueError("a secret signs requests: it goes with url, not with command")
        if self.secret and self.secret_file:
            raise ValueError("give secret or secret_file, not both")
        return self
