"""What a query may do beyond the baseline, proposed and agreed to (PS3.7 D.3.3.5)."""

from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryExtension:
    """The service class application information of a C-FIND (PS3.4 C.5.1.1), in its order.

    Attributes
    ----------
    relational
        Keys of any level in one question, without the unique keys above it.
    combined
        A date and its time are one moment: a range of both is one range.
    fuzzy
        Person names are matched by what they mean; how, the peer decides.
    """

    relational: bool = False
    combined: bool = False
    fuzzy: bool = False

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return self.relational or self.combined or self.fuzzy

    def encoded(self) -> bytes:
        """Return its bytes: one for each, 1 or 0."""
        return bytes((self.relational, self.combined, self.fuzzy))

    @classmethod
    def agreed(cls, proposed: Self, answered: bytes) -> Self:
        """Return what of a proposal the peer has agreed to; what it leaves out is not agreed to."""
        names = [field.name for field in fields(cls)]
        said = dict(zip(names, answered, strict=False))
        return cls(**{name: getattr(proposed, name) and said.get(name) == 1 for name in names})
