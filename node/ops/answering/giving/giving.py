"""What all retrievals share, for as long as the node runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from node.config import Config
from node.ops.answering.giving.conversions import Conversions
from node.ops.answering.giving.held import HeldSyntaxes
from node.ops.answering.giving.retrieving import Retrieving
from node.ops.checking.home import Home
from schema import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Giving:
    """What answers retrievals.

    Attributes
    ----------
    retrieving
        The handlers.
    held
        How the objects here are encoded.
    """

    retrieving: Retrieving
    held: HeldSyntaxes


@asynccontextmanager
async def giving(config: Config, database: Database) -> AsyncIterator[Giving]:
    """Be ready to answer retrievals for the length of the block; it outlives the acceptor."""
    home = Home(config.storage.directory, aetitle=config.node.aetitle)
    held = HeldSyntaxes(database)
    conversions = Conversions(folder=config.storage.directory)
    retrieving = Retrieving(config, database, home=home, convert=conversions.convert)
    held.begin()
    try:
        yield Giving(retrieving=retrieving, held=held)
    finally:
        await held.close()
        await conversions.close()
