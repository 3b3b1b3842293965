"""What every command does first: load the configuration, set up logging, open the database."""

import gc
import os
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from node.cli.shell.hints import complete, name_configuration, note_defaults

if TYPE_CHECKING:  # pydantic and SQLAlchemy take longer to import than `--help` may take
    from node.config import Config, Loaded
    from schema.engine.database import Database

Result = TypeVar("Result")

DEBUG_VARIABLE = "DICOM_NODE_DEBUG"
"""Set to anything but 0, it makes the node log at debug level and show tracebacks."""

_GARBAGE = 20_000, 10, 10
"""What is new before garbage is looked for (`gc.set_threshold`). A page of rows or of answers is
thousands of things, and none of them garbage: to look at each 700 takes a quarter of the time."""


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
    import logging

    from node import logs
    from node.config import load

    name_configuration(path)
    loaded = load(path, flags=flags)
    if not any(layer.values for layer in loaded.layers):
        note_defaults()
    level = loaded.config.log.level.value
    if debugging():
        level = "debug"
    elif not verbose and level == "info":
        level = "warning"
    logs.setup(level=level, style=loaded.config.log.format.value).addFilter(complete)
    for note in loaded.notes:
        logging.getLogger(__name__).info("%s", note)
    return loaded


@asynccontextmanager
async def database_of(
    settings: "Config", *, transaction_timeout: float | None = None
) -> "AsyncIterator[Database]":
    """Open the configured database for the length of the block.

    Parameters
    ----------
    transaction_timeout
        Seconds after which a transaction is given up; never when None.

    Raises
    ------
    SchemaError
        It is missing, of another version, or away.
    """
    from node.ops.hooking.listeners import listeners_of
    from schema.engine.database import Database

    async with Database(
        settings.storage.resources,
        transaction_timeout=transaction_timeout,
        info=listeners_of(settings).info(),
    ) as database:
        await database.check()
        yield database


def run(main: Coroutine[object, object, Result]) -> Result:
    """Run a command's coroutine to its end; from here on, garbage is collected.

    SIGTERM cancels it as asyncio lets Control-C do, also where a shell has its jobs ignore that.
    """
    import asyncio
    import signal

    async def until_terminated() -> Result:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"  # noqa: S101
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await main

    if not gc.isenabled():
        gc.freeze()
        gc.set_threshold(*_GARBAGE)
        gc.enable()
    before = signal.getsignal(signal.SIGTERM)
    try:
        return asyncio.run(until_terminated())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGTERM, before)
