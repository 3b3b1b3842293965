"""The paths of a configuration: where relative ones start from, and where they lead.

Pure, but for asking which folder is the current one. A new setting that is a path is found by its
kind: `Directory`, `FilePath`, or the database's URL.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from node.config.models import Config
from node.config.sections import Section
from node.config.values import SettingKey, mask_url
from schema.engine.located import folder_of, from_folder

_DATABASE = ("storage", "resources")

Part = TypeVar("Part", bound=Section)


def located(config: Config, file: Path, of_file: Callable[[SettingKey], bool]) -> Config:
    """Return a configuration whose relative paths start from where they were written.

    Parameters
    ----------
    config
        As it was put together from its sources.
    file
        The configuration file.
    of_file
        Whether a setting is the file's, and not the environment's or the command line's.
    """
    folder = folder_of(file)
    return config if folder == Path() else _moved((), config, folder, of_file)


def full_paths(config: Config) -> dict[str, str]:
    """Return where the configured files and folders are, by their keys; passwords masked."""
    here = Path.cwd()
    found = {}
    for key, value in _paths((), config):
        full = here / value if isinstance(value, Path) else mask_url(from_folder(value, here))
        found[".".join(key)] = str(full)
    return found


def _moved(
    key: SettingKey, part: Part, folder: Path, of_file: Callable[[SettingKey], bool]
) -> Part:
    def moved(inner: SettingKey, value: Any) -> Any:  # noqa: ANN401 - whatever a setting is
        if isinstance(value, Section):
            return _moved(inner, value, folder, of_file)
        if isinstance(value, Mapping):
            return MappingProxyType({name: moved((*inner, name), v) for name, v in value.items()})
        if not of_file(inner):
            return value
        if inner == _DATABASE:
            return from_folder(value, folder)
        return folder / value if isinstance(value, Path) else value

    values = {name: moved((*key, name), getattr(part, name)) for name in type(part).model_fields}
    return part.model_copy(update=values)


def _paths(key: SettingKey, value: object) -> Iterator[tuple[SettingKey, Any]]:
    if isinstance(value, Section):
        for name in type(value).model_fields:
            yield from _paths((*key, name), getattr(value, name))
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _paths((*key, name), inner)
    elif isinstance(value, Path) or key == _DATABASE:
        yield key, value
