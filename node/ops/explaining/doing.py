"""What the daemon does at this moment, by the configuration and the database."""

from node.config import Config
from node.ops.explaining.following import Doings, doings_of
from node.ops.guarding.entering import waits
from schema import AsyncSession


async def doings_now(config: Config, session: AsyncSession) -> Doings:
    """Return what the daemon does, and what it waits for: for all who say what happens next."""
    moved = config.move_peers if config.move.every is not None else ()
    held = await waits(config, session, [peer.name for peer in moved])
    return doings_of(config, held)
