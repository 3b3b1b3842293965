"""The configuration as one frozen, validated object.

Nothing here reads a file or the environment: `node.config.load` does, and remembers where
each value came from.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from node.config.hooks import HookSettings, check_hook_name
from node.config.hours import CommonHours, Hours
from node.config.peer.answering import AnswerSettings
from node.config.peer.settings import NAME_KEY, PeerSettings
from node.config.sections import (
    FindSettings,
    LogSettings,
    MoveSettings,
    NodeSettings,
    Section,
    StorageSettings,
)
from node.config.suggest import did_you_mean
from node.config.values import check_aetitle, check_name, section
from node.errors import ConfigurationError

Named = TypeVar("Named", PeerSettings, HookSettings)

_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)
"""From here on it is tried whether hours open at all: the same whenever a configuration is read."""


def _freeze(named: Mapping[str, Named]) -> Mapping[str, Named]:
    return MappingProxyType(dict(named))


def _common(*hours: Hours | None) -> CommonHours:
    return CommonHours(tuple(part for part in hours if part is not None))


def _our_aetitle(node: object) -> str:
    ours = node.get("aetitle", "NODE") if isinstance(node, Mapping) else "NODE"
    try:
        return node.aetitle if isinstance(node, NodeSettings) else check_aetitle(ours)
    except ValueError:
        return "NODE"  # reported where it stands, and only there


def _complete(peer: object, name: object, ours: str) -> object:
    if isinstance(peer, PeerSettings):
        implied = {} if "calling_aetitle" in peer.model_fields_set else {"calling_aetitle": ours}
        return peer.model_copy(update={"name": name, **implied})
    return {"calling_aetitle": ours, **peer, NAME_KEY: name} if isinstance(peer, Mapping) else peer


class Config(Section):
    """Everything that an operator can set."""

    node: Annotated[NodeSettings, BeforeValidator(section)] = NodeSettings()
    """This node."""
    storage: Annotated[StorageSettings, BeforeValidator(section)] = StorageSettings()
    """Images and their index."""
    peers: Annotated[
        Mapping[Annotated[str, BeforeValidator(check_name)], PeerSettings],
        BeforeValidator(section),
        AfterValidator(_freeze),
    ] = Field(default_factory=dict)
    """The remote application entities, by the names that the operator gives them."""
    find: Annotated[FindSettings, BeforeValidator(section)] = FindSettings()
    """Cycles of queries."""
    move: Annotated[MoveSettings, BeforeValidator(section)] = MoveSettings()
    """Cycles of retrievals."""
    answer: Annotated[AnswerSettings, BeforeValidator(section)] = AnswerSettings()
    """Queries and retrievals of others."""
    hooks: Annotated[
        Mapping[Annotated[str, BeforeValidator(check_hook_name)], HookSettings],
        BeforeValidator(section),
        AfterValidator(_freeze),
    ] = Field(default_factory=dict)
    """Who is told what has happened, by the names that the operator gives them."""
    log: Annotated[LogSettings, BeforeValidator(section)] = LogSettings()
    """Logging."""

    @model_validator(mode="before")
    @classmethod
    def _complete_peers(cls, values: object) -> object:
        """Tell each peer its name, and under which title we call it."""
        if not isinstance(values, Mapping) or not isinstance(values.get("peers"), Mapping):
            return values
        ours = _our_aetitle(values.get("node"))
        peers = {name: _complete(peer, name, ours) for name, peer in values["peers"].items()}
        return {**values, "peers": peers}

    @model_validator(mode="after")
    def _check_references(self) -> Self:
        """Find what is right by itself, but not together."""
        problems: list[tuple[str, object, str]] = []
        for key, names in (("find.peers", self.find.peers), ("move.peers", self.move.peers)):
            problems += [
                (key, name, self._unknown_peer(name)) for name in names if name not in self.peers
            ]
        if self.find.every and not self.peers:
            problems.append(("find.every", None, "there is no peer to ask; add one under peers"))
        if (
            self.find.start_date
            and self.find.end_date
            and self.find.end_date < self.find.start_date
        ):
            problems.append(("find.end_date", self.find.end_date, "it is before find.start_date"))
        problems += self._check_hours()
        if problems:
            raise PydanticCustomError("references", "{problems}", {"problems": problems})
        return self

    def peer(self, name: str) -> PeerSettings:
        """Return a peer by its name.

        Raises
        ------
        ConfigurationError
            No peer has that name; the message lists those that there are.
        """
        if name not in self.peers:
            raise ConfigurationError(self._unknown_peer(name))
        return self.peers[name]

    @property
    def find_peers(self) -> tuple[PeerSettings, ...]:
        """The peers that find cycles ask."""
        return tuple(self.peers[name] for name in self.find.peers or self.peers)

    @property
    def move_peers(self) -> tuple[PeerSettings, ...]:
        """The peers that move cycles retrieve from."""
        return tuple(self.peers[name] for name in self.move.peers or self.peers)

    def find_hours(self, name: str) -> CommonHours:
        """Return the hours in which a peer is asked, by its name: those of find, and its own."""
        return _common(self.find.open_times, self.peers[name].open_times)

    def move_hours(self, name: str) -> CommonHours:
        """Return the hours in which a peer is retrieved from, by its name: of move, and its own."""
        return _common(self.move.open_times, self.peers[name].open_times)

    def _check_hours(self) -> Iterator[tuple[str, object, str]]:
        """Find peers of which the hours are never open together with the general ones."""
        for key, names, hours in (
            ("find.hours", self.find.peers or self.peers, self.find_hours),
            ("move.hours", self.move.peers or self.peers, self.move_hours),
        ):
            for name in names:
                if name in self.peers and hours(name).opens_next(_SOME_DAY) is None:
                    message = f"they never open together with {key}"
                    yield f"peers.{name}.hours", str(self.peers[name].hours), message

    def _unknown_peer(self, name: str) -> str:
        if not self.peers:
            return f"no peer is named {name!r}: the configuration has none (they go under peers)"
        known = ", ".join(self.peers)
        return f"no peer is named {name!r}{did_you_mean(name, self.peers)}; known are: {known}"
