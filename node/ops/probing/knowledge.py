"""What is in force of a peer: the configuration over its newest probe over nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from pydicom.uid import UID

from node.config import Config
from node.dicom.profile import CapKind, PeerProfile
from node.net.dimse.contexts import Service
from node.ops.probing.facts import Fact, from_document, profile_of
from schema import Database
from schema.finding.profiles import KeptProbe, mark_stale, newest_probes


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerKnowledge:
    """All that is known of a peer.

    Attributes
    ----------
    profile
        What is in force: what find and move go by.
    configured
        The fields of the profile that the configuration sets.
    facts
        Those of the newest probe, also where nobody goes by them: where it is stale, or the peer
        has a URL, so that it is not asked by what was probed. None when it was never probed.
    probe
        That probe.
    """

    peer: str
    profile: PeerProfile
    configured: frozenset[str]
    facts: Mapping[str, Fact]
    probe: KeptProbe | None

    @property
    def moves_nothing(self) -> bool:
        """Whether it accepted no C-MOVE in the Study Root model when it was probed."""
        return self.accepts(Service.MOVE) is False

    def accepts(self, service: Service) -> bool | None:
        """Tell whether it accepted a service when it was probed; None where it never was."""
        contexts = self.facts.get("contexts")
        told = None if contexts is None else contexts.value
        return None if told is None else UID(service.value).name in told


async def knowledge_of(config: Config, database: Database, peer: str) -> PeerKnowledge:
    """Return all that is known of a peer.

    Raises
    ------
    ConfigurationError
        No peer has that name.
    """
    configured = config.peer(peer)
    async with database.session() as session:
        probe = (await newest_probes(session, [peer])).get(peer)
    facts = {} if probe is None else from_document(probe.facts)
    idle = probe is None or probe.stale_on or configured.url
    probed = PeerProfile() if idle else profile_of(facts)
    said = {one.name: getattr(configured.profile, one.name) for one in fields(PeerProfile)}
    set_ = {name: value for name, value in said.items() if value is not None}
    if "cap_kind" in set_:
        set_["cap_kind"] = CapKind(set_["cap_kind"])
    return PeerKnowledge(
        peer=peer,
        profile=replace(probed, **set_),
        configured=frozenset(set_),
        facts=facts,
        probe=probe,
    )


async def effective_profile(config: Config, database: Database, peer: str) -> PeerProfile:
    """Return what find and move go by at a peer: see `PeerKnowledge.profile`."""
    return (await knowledge_of(config, database, peer)).profile


async def note_contradiction(
    database: Database, known: PeerKnowledge, contradiction: tuple[str, str] | None
) -> None:
    """Mark the probe of a peer as stale whose answers contradict it.

    Parameters
    ----------
    contradiction
        A field of the profile, and what was seen; what the configuration sets stays in force.
    """
    if contradiction is not None and contradiction[0] not in known.configured:
        reason = ": ".join(contradiction)
        await database.run(lambda session: mark_stale(session, known.peer, reason))
