"""Read a behaviour from a YAML file, or say what is wrong with it so that it can be put right."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from node.config.problems import Problem
from node.config.sources import read_yaml
from node.config.suggest import did_you_mean
from node.config.values import SettingKey
from node.errors import ConfigurationError
from node.simulator.misbehaving.settings import Misbehaviour


def read_behaviour(path: Path) -> Misbehaviour:
    """Read a behaviour file.

    Raises
    ------
    ConfigurationError
        It cannot be read, is not YAML, or says something that cannot be: all of it, each with the
        line, the key, and what would be right.
    """
    values, lines = read_yaml(path)
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"{path}: keys are needed, such as cap: or archive:")
    try:
        return Misbehaviour(**{str(key): value for key, value in values.items()})
    except ValidationError as error:
        problems = [_problem(details, path, lines) for details in error.errors()]
        head = [f"the behaviour has {len(problems)} errors:"] if len(problems) > 1 else []
        raise ConfigurationError("\n  ".join([*head, *map(str, problems)])) from None


def _problem(details: ErrorDetails, path: Path, lines: Mapping[SettingKey, int]) -> Problem:
    key = tuple(str(part) for part in details["loc"] if part != "[key]")
    known = next((lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in lines), None)
    where = str(path) if known is None else f"{path}, line {known}"
    return Problem(key=".".join(key), message=_message(details, key), where=where)


def _message(details: ErrorDetails, key: SettingKey) -> str:
    kind, context, value = details["type"], details.get("ctx", {}), details["input"]
    if kind == "extra_forbidden":
        there = _keys(key[:-1])
        return f"unknown key{did_you_mean(key[-1], there)}; known here: {', '.join(there)}"
    if kind == "missing":
        return "is needed"
    if not isinstance(value, Mapping) and (there := _keys(key)):
        return f"a section is needed, with the keys {', '.join(there)}; it is {value!r}"
    if kind == "enum":
        allowed = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")
        return f"one of {allowed} is needed; it is {value!r}"
    message = str(context.get("error") or details["msg"])
    return message if isinstance(value, Mapping) else f"{message}; it is {value!r}"


def _keys(key: SettingKey) -> tuple[str, ...]:
    """Return the keys that a section may have; none where `key` is no section."""
    model: type[BaseModel] | None = Misbehaviour
    for name in key:
        if model is None:
            return ()
        if name.isdigit():
            continue  # the place in a list of sections
        field = model.model_fields.get(name)
        model = None if field is None else next(_models(field.annotation), None)
    return tuple(model.model_fields) if model is not None else ()


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the sections that a field may be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
