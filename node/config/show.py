"""Write the effective configuration: every setting, and where it came from.

What is written can be read again, except for the passwords, which are stars.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from node.config.durations import Duration
from node.config.hooks import shown_url
from node.config.hours import Hours
from node.config.load import Loaded
from node.config.problems import keys_at
from node.config.sources import SettingOrigin
from node.config.values import SettingKey, mask_url
from schema.text.document import to_json
from schema.text.harmless import escape


def settings(loaded: Loaded) -> Iterator[tuple[SettingKey, object, SettingOrigin]]:
    """Yield each setting's key, its value as JSON has it, secrets masked, and its origin."""
    for name in keys_at(()):
        section = getattr(loaded.config, name)
        for key, value in _leaves((name,), section):
            yield key, _plain(value), loaded.origin(key)


def as_mapping(loaded: Loaded) -> dict[str, Any]:
    """Return the settings as nested mappings for JSON, secrets masked."""
    result: dict[str, Any] = {}
    for key, value, _ in settings(loaded):
        inner = result
        for part in key[:-1]:
            inner = inner.setdefault(part, {})
        inner[key[-1]] = value
    return result


def as_yaml(loaded: Loaded) -> str:
    """Return the settings as YAML, secrets masked, with each one's origin as a comment."""
    lines: list[tuple[str, str]] = []
    previous: SettingKey = ()
    for key, value, origin in settings(loaded):
        for depth, part in enumerate(key[:-1]):
            if previous[: depth + 1] != key[: depth + 1]:
                lines.append((f"{'  ' * depth}{part}:", ""))
        previous = key[:-1]
        text = f"{'  ' * (len(key) - 1)}{key[-1]}: {_scalar(value)}"
        lines.append((text, _comment(origin)))
    width = min(48, max(len(text) for text, _ in lines))
    return "".join(
        f"{text:{width}}  # {comment}\n" if comment else f"{text}\n" for text, comment in lines
    )


def describe(origin: SettingOrigin) -> str:
    """Say where a setting came from, in a few words."""
    where = origin.where or origin.kind
    return f"{where} ({'.'.join(origin.written)})" if origin.written else where


def _comment(origin: SettingOrigin) -> str:
    return escape(describe(origin))


def _leaves(key: SettingKey, value: object) -> Iterator[tuple[SettingKey, object]]:
    if isinstance(value, BaseModel):
        for name in keys_at(key):
            if name in type(value).model_fields:
                yield from _leaves((*key, name), getattr(value, name))
    elif isinstance(value, Mapping):
        if not value:
            yield key, {}
        for name, inner in value.items():
            yield from _leaves((*key, name), inner)
    elif key == ("storage", "resources"):
        yield key, mask_url(str(value))
    elif key[0] == "hooks" and key[-1] == "url" and isinstance(value, str):
        yield key, shown_url(value)
    else:
        yield key, value


def _plain(value: object) -> object:
    if isinstance(value, Duration):
        return value.text
    if isinstance(value, SecretStr):
        return "***"
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Hours | Path | date):
        return str(value)
    return value


def _scalar(value: object) -> str:
    """Write a value in JSON, which YAML contains; None is what YAML leaves empty."""
    return "null" if value is None else to_json(value)
