"""Options that commands share, so that they are called and explained alike everywhere."""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from node.cli.shell import completion

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-f",
        metavar="FILE",
        help="The configuration file. Else $DICOM_NODE_CONFIG, ./dicom-node.yaml, "
        "~/.config/dicom-node/config.yaml; else the defaults.",
        show_default=False,
        dir_okay=False,
    ),
]

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on the standard output.")
]

QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing but what went wrong, and JSON.")
]

LARGEST_PRIORITY = 1_000_000
"""Of a study, and with a minus the lowest; 0 is what it has when it is found."""

PeerArgument = Annotated[
    str,
    typer.Argument(
        metavar="PEER",
        help="A peer's name in the configuration.",
        autocompletion=completion.peers,
    ),
]


class WayChoice(StrEnum):
    """How studies are retrieved; see `node.config.peer.settings.RetrieveWay`."""

    AUTO = "auto"
    MOVE = "move"
    GET = "get"
    WADO = "wado"


ForceOption = Annotated[
    bool,
    typer.Option("--force", help="Replace files that are there, once the new ones are complete."),
]


def leave_what_is_there(paths: Iterable[Path], *, force: bool) -> None:
    """Refuse to write over files, unless ``--force`` says so.

    Raises
    ------
    UsageError
        One of them is there.
    """
    from node.errors import UsageError

    there = next((path for path in paths if path.exists()), None)
    if there is not None and not force:
        raise UsageError(f"{there} is there already, and is left as it is; --force replaces it")


def needs_its_folder(option: str, path: Path | None) -> None:
    """Refuse to write a file where there is no folder for it: its name may be mistyped.

    Raises
    ------
    UsageError
        There is none; where nothing is to be written, nothing is.
    """
    from node.errors import UsageError

    if path is not None and not path.absolute().parent.is_dir():
        raise UsageError(f"{option} {path}: the folder {path.parent} does not exist")


def seconds_of(interval: str, option: str = "--interval") -> float:
    """Return what an option says that is a duration, in seconds.

    Raises
    ------
    UsageError
        It says nothing.
    """
    from node.config import Duration
    from node.errors import UsageError

    try:
        return float(Duration.parse(interval))
    except ValueError as error:
        given = interval or "''"
        raise UsageError(f"{option} {given}: {error}") from error
