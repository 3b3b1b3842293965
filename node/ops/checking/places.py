"""Whether the folders, files and programs that a configuration names can be used: as it is now.

What nobody could use is a mistake. What this user cannot use now is worth a note: the node may run
as somebody else, or on another machine.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from node.config import Config
from node.config.paths import full_paths
from node.config.problems import InvalidConfiguration, Problem
from schema.engine.located import file_of

_DATABASE = "storage.resources"
_DIRECTORY = "storage.directory"


def check_places(config: Config) -> None:
    """Refuse what cannot be: a folder that is to be made below a file, a file that is a folder.

    Raises
    ------
    InvalidConfiguration
    """
    if problems := list(_impossible(config)):
        raise InvalidConfiguration(problems)


def _impossible(config: Config) -> Iterator[Problem]:
    for key, path in _places(config).items():
        folder = path if key == _DIRECTORY else path.parent
        above = _nearest(folder)
        if not above.is_dir():
            yield Problem(key=key, message=f"{path} cannot be: {above} is not a folder")
        elif key == _DATABASE and path.is_dir():
            yield Problem(key=key, message=f"{path} is a folder: a file is needed")


def doubtful_places(config: Config) -> Iterator[str]:
    """Say what cannot be used by this user, or is not there, and who needs it."""
    for key, path in _places(config).items():
        if key in (_DIRECTORY, _DATABASE):
            above = _nearest(path)
            if not os.access(above, os.W_OK | (os.X_OK if above.is_dir() else 0)):
                yield f"{key}: you may not write to {above}; whoever runs the node has to"
        elif not path.is_file():
            yield f"{key}: {path}: there is no such file"
        elif not os.access(path, os.R_OK):
            yield f"{key}: you may not read {path}; whoever runs the node has to"
    for name, hook in config.hooks.items():
        if hook.command and shutil.which(hook.command[0]) is None:
            program = hook.command[0]
            yield f"hooks.{name}.command: no program {program} can be run here; `run` needs it"


def _places(config: Config) -> dict[str, Path]:
    """Return all paths of a configuration, by their keys; of a server's database there is none."""
    places = {}
    for key, text in full_paths(config).items():
        place = file_of(text) if key == _DATABASE else Path(text)
        if place is not None:
            places[key] = place
    return places


def _nearest(path: Path) -> Path:
    """Return a path, or the nearest above it that is there."""
    return next(one for one in (path, *path.parents) if os.path.lexists(one) or one == one.parent)
