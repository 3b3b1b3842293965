"""What was proven of each peer and how old that is, and what cannot be said."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from node.config import Config
from node.ops.finding.due import drifts_at, policy_of
from schema.coverage.gaps import NOT_ASKED, Gap
from schema.coverage.ledger import Coverage, get_coverage
from schema.engine.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCoverage:
    """What is known of a peer.

    Attributes
    ----------
    configured
        Whether it is a peer of the configuration.
    scopes
        What finds without further keys came to, then those with some; none where it was never
        asked for dates.
    """

    peer: str
    configured: bool
    scopes: tuple[Coverage, ...]

    @property
    def asked(self) -> bool:
        """Whether it was ever asked for any dates."""
        return any(
            stretch.question is not None and stretch.question.was_put
            for scope in self.scopes
            for stretch in scope.stretches
        )

    @property
    def gaps(self) -> int:
        """How many gaps there are, in all scopes."""
        return sum(len(scope.gaps) for scope in self.scopes)

    @property
    def stale(self) -> int:
        """How many ranges of dates there are whose proof has expired, in all scopes."""
        return sum(len(scope.stale) for scope in self.scopes)


def _known(found: Iterable[Coverage], peer: str) -> bool:
    """Tell whether a peer was asked for any of the dates."""
    return any(scope.stretches for scope in found if scope.peer == peer)


def _never_asked(peer: str, first: date, last: date) -> Coverage:
    gap = Gap(first=first, last=last, outcome=NOT_ASKED, questions=0)
    return Coverage(peer=peer, query={}, stretches=(), months=(), gaps=(gap,), undated=None)


async def coverage_of(
    config: Config,
    database: Database,
    *,
    peer: str | None = None,
    as_of: datetime | None = None,
    dates: tuple[date, date] | None = None,
) -> list[PeerCoverage]:
    """Return what is known of peers: those of the configuration in its order, then others by name.

    Parameters
    ----------
    peer
        Only this one.
    as_of
        What was known at this moment (naive UTC); now when None.
    dates
        Only the study dates from the first of these to the last; all when None. They are a gap at
        the peer, or each one that finds ask, that was never asked for any of them.

    Raises
    ------
    ConfigurationError
        There is no such peer, neither in the configuration nor in the ledger.
    DatabaseUnavailable
    """
    now = (as_of or datetime.now(UTC)).replace(tzinfo=UTC).astimezone()
    policy = policy_of(config.find.proof)
    async with database.session() as session:
        bare = await get_coverage(session, peer=peer, as_of=as_of)
        drifts = {
            name: [
                drift
                for drift in await drifts_at(
                    session, name, [one for one in bare if one.peer == name]
                )
                if as_of is None or drift.found_on <= as_of
            ]
            for name in {one.peer for one in bare}
        }
    found = [one.aged(policy, now=now, drifts=drifts[one.peer]) for one in bare]
    names = [*config.peers] if peer is None else [peer]
    names += sorted({scope.peer for scope in found}.difference(names))
    if peer is not None and not found:
        config.peer(peer)
    if dates is not None:
        found = [one.within(*dates) for one in found]
        wanted = {peer, *(one.name for one in config.find_peers)}
        unknown = [name for name in names if name in wanted and not _known(found, name)]
        found = [one for one in found if one.peer not in unknown]
        found += [_never_asked(name, *dates) for name in unknown]
    return [
        PeerCoverage(
            peer=name,
            configured=name in config.peers,
            scopes=tuple(scope for scope in found if scope.peer == name),
        )
        for name in names
    ]
