"""What every command does first: load the configuration, set up logging."""

import asyncio
import logging
import os
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # pydantic takes longer to import than `--help` may take
    from node.config import Config, Loaded

Result = TypeVar("Result")

DEBUG_VARIABLE = "DICOM_NODE_DEBUG"
"""Set to anything but 0, it makes the node log at debug level and show tracebacks."""


def debugging() -> bool:
    """Whether ``--debug`` was given, or its variable is set."""
    return os.environ.get(DEBUG_VARIABLE, "").lower() not in ("", "0", "false", "no")


def configured(
    path: Path | None, *, flags: Mapping[str, object] | None = None, verbose: bool = False
) -> "Config":
    """Load the configuration, and log as it says.

    Parameters
    ----------
    path
        The file that ``--config`` names, if it does.
    flags
        Dotted keys that override the file and the environment; None values are ignored.
    verbose
        Log at the configured level, as the long-running node does. Other commands log
        warnings only: they print what they do.
    """
    return start(path, flags=flags, verbose=verbose).config


def start(
    path: Path | None, *, flags: Mapping[str, object] | None = None, verbose: bool = False
) -> "Loaded":
    """Do as `configured` does, and return also where the settings came from."""
    from node import logs
    from node.config import load

    loaded = load(path, flags=flags)
    level = loaded.config.log.level.value
    if debugging():
        level = "debug"
    elif not verbose and level == "info":
        level = "warning"
    logs.setup(level=level, style=loaded.config.log.format.value)
    for note in loaded.notes:
        logging.getLogger(__name__).info("%s", note)
    return loaded


def run(main: Coroutine[object, object, Result]) -> Result:
    """Run a command's coroutine to its end."""
    return asyncio.run(main)
