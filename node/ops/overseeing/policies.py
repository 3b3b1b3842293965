"""What of studies is wanted from each peer, and what another policy has judged before."""

import logging
from collections.abc import Mapping, Sequence

from node.config import Config
from node.config.wanted.settings import WantSettings
from schema.choosing.policy import Policy
from schema.deciding.policies import count_judged, reopen_judged
from schema.engine.database import Database
from schema.text.words import counted_are

log = logging.getLogger(__name__)


def policy_of(config: Config, peer: str) -> Policy:
    """Return what is wanted from a peer: what it says of itself, else what `move` says."""
    own = config.peer(peer).want
    want = config.move.want if own == WantSettings() else own
    return Policy(
        modalities=want.modality,
        sop_classes=want.sop_class,
        least=want.min_images,
        most=want.max_images,
        studies=want.study_description,
        series=want.series_description,
    )


def policies_of(config: Config) -> dict[str, Policy]:
    """Return what is wanted from each peer, by its name."""
    return {peer: policy_of(config, peer) for peer in config.peers}


async def to_judge_anew(database: Database, policies: Mapping[str, Policy]) -> int:
    """Return how many judgements of another policy than the one of now `judge_anew` would open."""
    async with database.session() as session:
        return sum(
            [
                await count_judged(session, peer=peer, policy=str(policy) or None)
                for peer, policy in policies.items()
            ]
        )


async def judge_anew(config: Config, database: Database, peers: Sequence[str]) -> int:
    """Open what another policy than the one of now has judged at peers; return how many studies.

    Both what was unwanted and what was complete under it: they are asked for, and judged anew.
    """
    opened = 0
    for peer in peers:
        policy = str(policy_of(config, peer)) or None
        while more := await database.run(reopen_judged, peer=peer, policy=policy):
            opened += more
    if opened:
        log.info("%s judged anew: the policy has changed", counted_are(opened, "study"))
    return opened
