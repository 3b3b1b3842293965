"""How much may be moved in a night: `move.budget`, and `peers.<name>.budget`."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from node.config.durations import Deadline
from node.config.values import Count

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?")


class Size(int):
    """A number of bytes that remembers how to write itself.

    Reads ``500MB``, ``200 GB``, ``1.5TB``, ``1GiB``; a plain number is bytes.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> "Size":
        """Read a number of bytes.

        Raises
        ------
        ValueError
            It is none, or nothing.
        """
        size = 0
        if isinstance(value, int) and not isinstance(value, bool):
            size = value
        elif isinstance(value, str) and (found := _SIZE.fullmatch(value.strip().lower())):
            number, unit, binary = found.groups()
            power = "kmgt".index(unit) + 1 if unit else 0
            factor = 1024**power if binary else _UNITS[unit]
            whole = number.isdecimal() and not binary
            size = int(float(number) * factor) if unit or whole else 0
        if size < 1:
            raise ValueError('a size is needed: "500MB", "200GB", "1TB", or a number of bytes')
        return cls(size)

    @property
    def text(self) -> str:
        """How a person would write it: ``200GB``."""
        for unit in "tgmk":
            if not self % _UNITS[unit]:
                return f"{self // _UNITS[unit]}{'k' if unit == 'k' else unit.upper()}B"
        return str(int(self))

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return core_schema.no_info_plain_validator_function(cls.parse)


def _or_none(value: object) -> object:
    return None if value == "" else value


Bytes = Annotated[Size | None, BeforeValidator(_or_none)]
Most = Annotated[Count | None, BeforeValidator(_or_none)]
Longest = Annotated[Deadline | None, BeforeValidator(_or_none)]


class BudgetSettings(BaseModel):
    """How much is moved at most from when hours open until they close; a day where there are none.

    What is absent is any number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    studies: Most = None
    """How many studies are asked for."""
    bytes: Bytes = None
    """How much comes, in bytes of files: 500MB, 200GB."""
    duration: Longest = None
    """How long retrievals take, added up: two at once count twice."""

    @property
    def is_any(self) -> bool:
        """Whether there is no limit."""
        return self.studies is None and self.bytes is None and self.duration is None
