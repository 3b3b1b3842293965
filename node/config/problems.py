"""Say what is wrong with a configuration, so that it can be put right at once.

Each problem names the key with its full path, the value, what is allowed, and the line of
the file, the variable or the flag that says it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from node.config.hooks import HookSettings
from node.config.models import Config
from node.config.pacsanini import NET_KEYS, NOTHING
from node.config.peer.settings import PeerSettings
from node.config.peer.web import without_secrets
from node.config.sources import SettingOrigin
from node.config.suggest import nearest, right_meant
from node.config.values import SettingKey, mask_url
from node.errors import ConfigurationError

_SHOWN = 60

_WITHOUT_PASSWORD = re.compile(r"[\w./~-]+")
"""What may be a path, or a name; a password stands behind a colon, or an equals sign."""

_OFTEN_WRITTEN = dict.fromkeys(("database", "database_url", "db"), "storage.resources")
"""What people write for a key that no likeness leads to."""

_NAMED: Mapping[str, type[BaseModel]] = {"peers": PeerSettings, "hooks": HookSettings}
"""Sections of what operators give names to."""

_SEVERAL = "the configuration has {count} errors:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    Attributes
    ----------
    key
        The dotted key, as it was written.
    message
        What is wrong with it, and what would be right.
    where
        The file and the line, the variable, or the flag; empty where nothing says it.
    """

    key: str
    message: str
    where: str = ""

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.where, self.key, self.message)))


class InvalidConfiguration(ConfigurationError):  # noqa: N818 - reads as a sentence
    """The configuration says things that cannot be.

    Attributes
    ----------
    problems
        All of them, in the order of the sections.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        if len(self.problems) == 1:
            super().__init__(str(self.problems[0]))
        else:
            lines = [_SEVERAL.format(count=len(self.problems)), *map(str, self.problems)]
            super().__init__("\n  ".join(lines))


def keys_at(key: SettingKey) -> tuple[str, ...]:
    """Return the keys that a section may have; none where `key` is no section."""
    if key == ("net",):
        return NET_KEYS
    model = _model_at(key)
    if model is None:
        return ()
    return tuple(name for name in model.model_fields if (model, name) != (PeerSettings, "name"))


def every_key() -> tuple[str, ...]:
    """Return every dotted key; a peer's name is written ``<name>``."""
    return tuple(_keys_below((), Config))


def problems_of(
    error: ValidationError, origin: Callable[[SettingKey], SettingOrigin | None]
) -> tuple[Problem, ...]:
    """Translate pydantic's errors.

    Parameters
    ----------
    error
        From the validation of a `Config`.
    origin
        Returns where a key came from.
    """
    return tuple(
        problem(key, value, message, origin)
        for details in error.errors()
        for key, value, message in _read(details)
    )


def problem(
    key: SettingKey,
    value: object,
    message: str,
    origin: Callable[[SettingKey], SettingOrigin | None],
) -> Problem:
    """Make a problem of a key, a value and a message."""
    found = origin(key)
    written = found.written if found and found.written else key
    shown = message if value is NOTHING else f"{message}; it is {_show(key, value)}"
    return Problem(key=".".join(written), message=shown, where=found.where if found else "")


def _read(details: ErrorDetails) -> Iterator[tuple[SettingKey, object, str]]:
    key = tuple(str(part) for part in details["loc"] if part != "[key]")
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "references":
        for dotted, wrong, message in context["problems"]:
            yield tuple(dotted.split(".")), NOTHING if wrong is None else wrong, message
    elif kind == "extra_forbidden":
        yield from _unknown(key, value)
    elif kind == "missing":
        yield key, NOTHING, "is needed"
    elif kind == "enum":
        yield key, value, f"one of {_alternatives(context)} is needed"
    elif kind in ("model_type", "model_attributes_type", "dict_type", "mapping_type"):
        yield key, value, _section_wanted(key)
    elif (
        "[key]" not in details["loc"]
        and (known := keys_at(key))
        and not isinstance(value, Mapping | BaseModel)
    ):
        yield key, value, f"a section is needed, with the keys {', '.join(known)}"
    else:
        yield key, value, str(context.get("error") or details["msg"])


def _unknown(key: SettingKey, value: object) -> Iterator[tuple[SettingKey, object, str]]:
    if key == ("net",) and isinstance(value, Mapping):
        for name in value:
            yield from _unknown((*key, name), None)
        return
    known = keys_at(key[:-1])
    guess = right_meant(key[-1]) or nearest(key[-1], known)
    dotted = ".".join((*key[:-1], guess)) if guess in known else _elsewhere(key[-1])
    hint = f" (did you mean {dotted}?)" if dotted else ""
    yield key, NOTHING, f"unknown key{hint}; known here: {', '.join(known)}"


def _elsewhere(name: str) -> str | None:
    if name in _OFTEN_WRITTEN:
        return _OFTEN_WRITTEN[name]
    if right := right_meant(name):
        return f"peers.<name>.{right}"
    last = {dotted.rpartition(".")[2]: dotted for dotted in reversed(every_key())}
    guess = nearest(name, last)
    return last[guess] if guess else None


def _alternatives(context: Mapping[str, Any]) -> str:
    return str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")


def _section_wanted(key: SettingKey) -> str:
    return f"a section is needed, with the keys {', '.join(keys_at(key))}"


def _show(key: SettingKey, value: object) -> str:
    if key == ("storage", "resources"):
        value = _of_database(value)
    text = _written(without_secrets(key, value))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _of_database(value: object) -> str:
    """Return what is no database's URL as it can be shown: it may have a password in it."""
    if not isinstance(value, str):
        return "***"
    if "://" in value:
        return mask_url(value)
    return value if _WITHOUT_PASSWORD.fullmatch(value) else "***"


def _written(value: object) -> str:
    """Write a value about as the file has it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f"'{value}'"
        case Mapping():
            return f"{{{', '.join(f'{key}: {_written(one)}' for key, one in value.items())}}}"
        case list() | tuple():
            return f"[{', '.join(map(_written, value))}]"
    return str(value)


def _model_at(key: SettingKey) -> type[BaseModel] | None:
    model: type[BaseModel] = Config
    rest = list(key)
    while rest:
        name = rest.pop(0)
        if model is Config and name in _NAMED:
            if not rest:
                return None
            rest.pop(0)
            model = _NAMED[name]
            continue
        field = model.model_fields.get(name)
        if field is None or not _is_model(field.annotation):
            return None
        model = field.annotation  # type: ignore[assignment]
    return model


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _keys_below(key: SettingKey, model: type[BaseModel]) -> Iterator[str]:
    for name in keys_at(key):
        inner = (*key, name)
        if inner in {(section,) for section in _NAMED}:
            yield from _keys_below((*inner, "<name>"), _NAMED[name])
        elif (below := _model_at(inner)) is not None:
            yield from _keys_below(inner, below)
        elif name in model.model_fields:
            yield ".".join(inner)
