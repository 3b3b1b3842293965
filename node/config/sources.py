"""Where settings come from: a YAML file, the environment, flags.

Each source is read into a layer: settings as nested mappings, and for each of them its
origin, so that a message can name the line or the variable to change.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from node.config.pacsanini import translate
from node.config.values import SettingKey
from node.errors import ConfigurationError

ENVIRONMENT_PREFIX = "DICOM_NODE__"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingOrigin:
    """Where one setting came from.

    Attributes
    ----------
    kind
        ``file``, ``environment``, ``flag`` or ``default``.
    where
        The file and the line, the variable, or the flag.
    written
        The key as it was written, where that is not ours.
    """

    kind: str
    where: str = ""
    written: SettingKey = ()

    @property
    def in_file(self) -> bool:
        """Whether it belongs to the file, where there is one: also what nobody has set."""
        return self.kind in ("file", "default")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one source says.

    Attributes
    ----------
    values
        Nested mappings of settings, not yet validated.
    origins
        By key; sections have one too.
    notes, problems
        As `node.config.pacsanini.Translation` has them.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[SettingKey, SettingOrigin] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    problems: tuple[tuple[SettingKey, object, str], ...] = ()

    def origin(self, key: SettingKey) -> SettingOrigin | None:
        """Return the origin of a setting, or of the innermost section that has one."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.origins:
                return self.origins[key[:length]]
        return None


class _Loader(yaml.SafeLoader):
    """YAML without dates: they stay text, and a wrong one is reported with its key."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as its base declares it
        first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_file(path: Path) -> Layer:
    """Read a YAML file.

    Raises
    ------
    ConfigurationError
        It cannot be read, or is not YAML; the message has the line.
    """
    values, lines = read_yaml(path)
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        message = "sections are needed (node:, storage:, peers: …), each with keys below it"
        raise ConfigurationError(f"{path}: {message}")
    origins = {
        key: SettingOrigin(kind="file", where=f"{path}, line {line}") for key, line in lines.items()
    }
    return _translated(values, origins)


def read_yaml(path: Path) -> tuple[Any, dict[SettingKey, int]]:
    """Read a YAML file as it is: what it says, and the line of each of its keys.

    Raises
    ------
    ConfigurationError
        It cannot be read, or is not YAML; the message has the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 text") from error
    return _parse(text, path)


def read_environment(environ: Mapping[str, str], peers: Iterable[str] = ()) -> Layer:
    """Read ``DICOM_NODE__SECTION__KEY`` variables.

    Empty variables count as absent, and those in braces may hold whole sections.

    Parameters
    ----------
    environ
        The environment.
    peers
        Names of peers in the file: variables cannot spell them exactly, since they have
        upper-case letters and no hyphen.
    """
    spelt = {name.upper().replace("-", "_"): name for name in peers}
    values: dict[str, Any] = {}
    origins: dict[SettingKey, SettingOrigin] = {}
    for variable in sorted(environ):
        text = environ[variable]
        if not variable.startswith(ENVIRONMENT_PREFIX) or not text.strip():
            continue
        parts = variable.removeprefix(ENVIRONMENT_PREFIX).split("__")
        if len(parts) > 1 and parts[0].lower() == "peers":
            name = spelt.get(parts[1].upper(), parts[1].lower())
            key: SettingKey = ("peers", name, *(part.lower() for part in parts[2:]))
        else:
            key = tuple(part.lower() for part in parts)
        value = _parse(text, variable)[0] if re.match(r"\s*\{", text) else text
        _put(values, key, value)
        origins[key] = SettingOrigin(kind="environment", where=variable)
    return _translated(values, origins)


def read_flags(flags: Mapping[str, object]) -> Layer:
    """Read flags: dotted keys with values, where None means that a flag was not given."""
    values: dict[str, Any] = {}
    origins: dict[SettingKey, SettingOrigin] = {}
    for dotted, value in flags.items():
        if value is not None:
            key = tuple(dotted.split("."))
            _put(values, key, value)
            origins[key] = SettingOrigin(kind="flag", where=f"--{key[-1].replace('_', '-')}")
    return Layer(values=values, origins=origins)


def _put(values: dict[str, Any], key: SettingKey, value: object) -> None:
    for part in key[:-1]:
        inner = values.get(part)
        if not isinstance(inner, dict):
            inner = values[part] = {}
        values = inner
    if isinstance(value, Mapping) and isinstance(values.get(key[-1]), dict):
        value = {**value, **values[key[-1]]}  # the more precise variable wins
    values[key[-1]] = value


def _translated(values: Mapping[str, Any], origins: dict[SettingKey, SettingOrigin]) -> Layer:
    result = translate(values)
    written = Layer(origins=origins)
    for ours, theirs in result.written.items():
        if (found := written.origin(theirs)) is not None:
            origins[ours] = SettingOrigin(kind=found.kind, where=found.where, written=theirs)
    return Layer(
        values=result.values,
        origins=origins,
        notes=tuple(result.notes),
        problems=tuple(result.problems),
    )


def _parse(text: str, source: object) -> tuple[Any, dict[SettingKey, int]]:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        lines = dict(_lines(node, (), str(source), frozenset())) if node is not None else {}
        value = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        reason = " ".join(filter(None, (error.context, error.problem)))
        raise ConfigurationError(f"{source}{line}: not valid YAML: {reason}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{source}: not valid YAML: {error}") from error
    finally:
        loader.dispose()
    return value, lines


def _lines(
    node: yaml.Node, key: SettingKey, source: str, seen: frozenset[int]
) -> Iterator[tuple[SettingKey, int]]:
    """Walk through a document: the line of each key, and an error for one that comes twice."""
    if not isinstance(node, yaml.MappingNode):
        return
    if id(node) in seen:
        raise ConfigurationError(f"{source}: not valid YAML: an alias contains itself")
    first: dict[str, int] = {}
    for key_node, value_node in node.value:
        name, line = str(key_node.value), key_node.start_mark.line + 1
        inner = (*key, name)
        if name in first and name != "<<":
            message = f"{'.'.join(inner)} is there twice, first in line {first[name]}"
            raise ConfigurationError(f"{source}, line {line}: {message}")
        first[name] = line
        yield inner, line
        yield from _lines(value_node, inner, source, seen | {id(node)})
