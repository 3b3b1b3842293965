"""Find the configuration, read it, and put its layers together.

1. The file is the one that is named, else the first of `candidates` that there is. None at
   all is no error: the defaults are a node with a SQLite database under ``var/``.
2. Each source becomes a layer; a later one overrides: file, environment, flags.
3. The result is validated as a whole, and all of its errors are reported at once.
4. Relative paths of the file, and those that nobody has set, start from the file's folder.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from node.config.models import Config
from node.config.paths import located
from node.config.peer.rights import asked_without_need, doubtful_names, doubtful_rights
from node.config.peer.sharing import shared_titles
from node.config.problems import InvalidConfiguration, problem, problems_of
from node.config.sources import (
    Layer,
    SettingOrigin,
    read_environment,
    read_file,
    read_flags,
)
from node.config.values import SettingKey
from node.config.wanted.modalities import doubtful_modalities
from node.errors import ConfigurationError

FILE_VARIABLE = "DICOM_NODE_CONFIG"
"""The environment variable that names the configuration file."""

DEFAULT_NAME = "dicom-node.yaml"
"""What the file is called in the working directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration, and how it came about.

    Attributes
    ----------
    config
        The result.
    path
        The file that was read, if there was one.
    layers
        What each source said, the strongest first.
    notes
        Settings that have no effect, and those that have another one than they may seem to.
    """

    config: Config
    path: Path | None
    layers: tuple[Layer, ...]
    notes: tuple[str, ...] = ()

    def origin(self, key: SettingKey) -> SettingOrigin:
        """Return where a setting came from."""
        for layer in self.layers:
            if _has(layer.values, key) and (found := layer.origin(key)) is not None:
                return found
        return SettingOrigin(kind="default")


def candidates(environ: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """Return where a configuration is looked for when none is named, in this order."""
    environ = os.environ if environ is None else environ
    named = environ.get(FILE_VARIABLE, "").strip()
    if named:
        return (Path(named).expanduser(),)
    home = environ.get("XDG_CONFIG_HOME", "").strip() or "~/.config"
    return Path(DEFAULT_NAME), _expand(Path(home) / "dicom-node" / "config.yaml")


def find_file(path: Path | None = None, *, environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the configuration file, or None when there is none.

    Raises
    ------
    ConfigurationError
        The file that `path` or ``$DICOM_NODE_CONFIG`` names is not there.
    """
    environ = os.environ if environ is None else environ
    if path is not None:
        if not path.is_file():
            raise ConfigurationError(_absent(path))
        return path
    found = next((candidate for candidate in candidates(environ) if candidate.is_file()), None)
    if found is None and environ.get(FILE_VARIABLE, "").strip():
        raise ConfigurationError(f"${FILE_VARIABLE}: {_absent(candidates(environ)[0])}")
    return found


def load(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Loaded:
    """Load the configuration, with where each setting came from.

    Parameters
    ----------
    path
        The file; searched for when None.
    environ
        The environment; the process's own when None.
    flags
        Dotted keys that override everything, such as ``{"node.port": 104}``; None values
        are ignored.

    Raises
    ------
    ConfigurationError
        A file that was named is not there, or is not YAML; `InvalidConfiguration` with all
        problems when it says something that cannot be.
    """
    environ = os.environ if environ is None else environ
    found = find_file(path, environ=environ)
    file = read_file(found) if found is not None else Layer()
    peers = file.values.get("peers")
    environment = read_environment(environ, peers if isinstance(peers, Mapping) else ())
    layers = (read_flags(flags or {}), environment, file)
    values: dict[str, Any] = {}
    for layer in layers:
        values = _merge(layer.values, values)
    problems = [
        problem(key, value, message, layer.origin)
        for layer in layers
        for key, value, message in layer.problems
    ]
    notes = tuple(note for layer in layers for note in layer.notes)
    try:
        config = Config(**values)
    except ValidationError as error:
        problems += problems_of(error, lambda key: _origin(layers, key))
        raise InvalidConfiguration(problems) from None
    if problems:
        raise InvalidConfiguration(problems)
    notes += tuple(shared_titles(config.peers.values()))
    notes += tuple(doubtful_modalities(_modalities(config)))
    notes += tuple(_of_rights(config))
    loaded = Loaded(config=config, path=found, layers=layers, notes=notes)
    if found is None:
        return loaded
    return replace(loaded, config=located(config, found, lambda key: loaded.origin(key).in_file))


def _modalities(config: Config) -> dict[str, tuple[str, ...]]:
    """Return which modalities are wanted, or shown, by the setting."""
    of_peers = {f"peers.{name}.want": peer.want for name, peer in config.peers.items()}
    wanted = {"move.want": config.move.want} | of_peers
    of_finds = {"find.modality": config.find.modality}
    shown = {
        f"peers.{name}.only_modalities": peer.only_modalities for name, peer in config.peers.items()
    }
    return of_finds | {f"{name}.modality": want.modality for name, want in wanted.items()} | shown


def _of_rights(config: Config) -> Iterator[str]:
    """Say what of peers' rights, and of who is asked, may not be what was meant."""
    yield from doubtful_rights(config.peers, allowed_calling=config.node.allowed_calling)
    yield from doubtful_names(config.peers)
    if config.find.every is not None and not config.find.peers:
        yield from asked_without_need(config.peers)


def load_config(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Config:
    """Load the configuration; parameters and errors are those of `load`."""
    return load(path, environ=environ, flags=flags).config


def _absent(path: Path) -> str:
    reason = "is not a file" if path.exists() else "there is no such file"
    return f"{path}: {reason}; `dicom-node config init {path}` writes one"


def _expand(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # a user without a home directory
        return path


def _merge(weaker: Mapping[str, Any], stronger: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(weaker)
    for key, value in stronger.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def _has(values: object, key: SettingKey) -> bool:
    for part in key:
        if not isinstance(values, Mapping) or part not in values:
            return False
        values = values[part]
    return True


def _origin(layers: tuple[Layer, ...], key: SettingKey) -> SettingOrigin | None:
    """Return the origin of the most precise key that a layer has, the strongest layer first."""

    def found() -> Iterator[tuple[int, SettingOrigin]]:
        for layer in layers:
            for length in range(len(key), 0, -1):
                if (origin := layer.origins.get(key[:length])) is not None:
                    yield length, origin
                    break

    return max(found(), key=lambda pair: pair[0], default=(0, None))[1]
