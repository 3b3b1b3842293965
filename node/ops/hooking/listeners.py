"""Who of the configuration wants to be told of what."""

from node.config import Config
from schema.hooking.audience import Audience
from schema.hooking.kinds import EventKind


def listeners_of(config: Config) -> Audience:
    """Return which hooks want to be told of what."""
    wanted: dict[EventKind, tuple[str, ...]] = {}
    for name, hook in config.hooks.items():
        for kind in hook.events:
            wanted[kind] = (*wanted.get(kind, ()), name)
    return Audience(hooks=wanted)
