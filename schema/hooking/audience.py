"""Who wants to be told of what.

A session carries it, so that whoever records what has happened need not be handed it through
everything in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from schema.hooking.kinds import EventKind

_KEY = "audience"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who wants to be told of what.

    Attributes
    ----------
    hooks
        Their names, by what they want to be told of.
    """

    hooks: Mapping[EventKind, tuple[str, ...]] = field(default_factory=dict)

    def of(self, kind: EventKind) -> tuple[str, ...]:
        """Return who wants to be told of something."""
        return self.hooks.get(kind, ())

    def info(self) -> dict[str, Any]:
        """Return it as `Database` gives it to its sessions; nothing where nobody listens."""
        return {_KEY: self} if self.hooks else {}


NOBODY = Audience()


def audience_of(session: AsyncSession) -> Audience:
    """Return who is to be told of what a session records."""
    known = session.info.get(_KEY, NOBODY)
    return known if isinstance(known, Audience) else NOBODY
