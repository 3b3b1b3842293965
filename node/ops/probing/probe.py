"""Probe: find out what a peer can do, and keep it.

A row is made when the probe has come to its end; one that is interrupted leaves nothing behind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from pydicom.uid import UID

from node.errors import PeerRefused
from node.net.dimse.contexts import (
    NOBODYS,
    PATIENT_ROOT_FIND,
    PROBED,
    REPOSITORY_QUERY,
    Service,
    StorageContext,
)
from node.net.messages import Implementation, Peer
from node.net.scu.requestor import associate
from node.ops.probing.asking import Asker, count_associations
from node.ops.probing.deciding import plan
from node.ops.probing.evidence import Evidence
from node.ops.probing.facts import NAMES, NEGOTIATED, QUERIED, Fact, to_document
from node.ops.probing.questions import ProbeAnswer, ProbeQuestion
from node.ops.stalls import TimeLimits
from schema import AsyncSession, Database
from schema.finding.profiles import check_recordable, keep_probe

PAUSE = 0.5
"""Seconds between two questions, unless somebody wants it otherwise."""

ProbeWatcher = Callable[[ProbeQuestion, ProbeAnswer], None]
"""Told of each question, and what came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """What a probe has come to.

    Attributes
    ----------
    facts
        All facts, in the order of `NAMES`.
    questions
        How many queries the peer was asked.
    """

    peer: str
    facts: Mapping[str, Fact]
    questions: int


async def probe(
    database: Database,
    peer: Peer,
    *,
    limits: TimeLimits,
    today: date,
    pause: float = PAUSE,
    load: bool = False,
    watch: ProbeWatcher = lambda *_: None,
) -> ProbeReport:
    """Find out what a peer can do, in at most 60 queries, and keep that as its newest probe.

    Parameters
    ----------
    limits
        Of each question: how long it may take.
    today
        The last day that can have studies.
    pause
        Seconds between two questions.
    load
        Also find out how many associations the peer takes at once.
    watch
        Called after each question.

    Raises
    ------
    PeerUnreachable, PeerRefused
        There is no association, or none any more.
    AssociationLost, PeerStalled
        Several questions in a row were not answered.
    DatabaseReadOnly
        Nothing could be kept; nobody was asked.
    """
    await database.run(check_recordable)  # before the peer is troubled for nothing
    evidence = Evidence(today=today, now=datetime.now(UTC))
    await _negotiate(peer, evidence)
    if evidence.value("study_root"):
        await _query(peer, evidence, limits, pause, watch)
    else:
        evidence.leave(
            *QUERIED,
            "repository",
            "operations",
            why="it does not accept C-FIND in the Study Root model",
        )
    if load:
        at_once, how = await count_associations(peer)
        evidence.now = datetime.now(UTC)
        evidence.prove("associations", at_once, how)
    else:
        evidence.leave("associations", why="not tried: only --load does")
    report = ProbeReport(
        peer=peer.name,
        facts={name: evidence.facts[name] for name in NAMES},
        questions=evidence.used,
    )

    async def keep(session: AsyncSession) -> None:
        facts = to_document(report.facts)
        await keep_probe(session, peer=report.peer, facts=facts, questions=report.questions)

    await database.run(keep)
    return report


async def _query(
    peer: Peer, evidence: Evidence, limits: TimeLimits, pause: float, watch: ProbeWatcher
) -> None:
    """Ask what the plan says."""
    planned = plan(evidence)
    async with Asker(peer, limits, pause=pause) as asker:
        question = next(planned, None)
        while question is not None:
            answer = await asker.ask(question)
            watch(question, answer)
            try:
                question = planned.send(answer)
            except StopIteration:
                break
        operations, how = asker.operations()
    evidence.prove("operations", operations, how)


async def _negotiate(peer: Peer, evidence: Evidence) -> None:
    """Propose all that could be of use, and note what is accepted.

    A peer that rejects an association because of what is proposed beside C-FIND is proposed that
    alone.
    """
    try:
        async with associate(peer, storage=[*PROBED, NOBODYS]) as association:
            accepted, implementation = association.accepted_storage, association.implementation
    except PeerRefused as error:
        async with associate(peer, Service.FIND) as association:
            accepted, implementation = association.accepted_storage, association.implementation
        evidence.now = datetime.now(UTC)
        evidence.prove("study_root", True, "accepted in negotiation, by itself")
        _introduce(evidence, implementation)
        evidence.leave(*NEGOTIATED, why=f"an association for more than C-FIND was refused: {error}")
        return
    evidence.now = datetime.now(UTC)
    _introduce(evidence, implementation)
    _conclude(evidence, accepted)


def _introduce(evidence: Evidence, implementation: Implementation) -> None:
    for name, text in (
        ("implementation_class_uid", implementation.class_uid),
        ("implementation_version", implementation.version_name),
    ):
        if text:
            evidence.prove(name, text, "it says so")
        else:
            evidence.leave(name, why="it does not say")


def _conclude(evidence: Evidence, accepted: set[StorageContext]) -> None:
    classes: dict[str, list[str]] = {}
    for sop_class, syntax in PROBED:
        if (sop_class, syntax) in accepted:
            classes.setdefault(UID(sop_class).name, []).append(UID(syntax).name)
    evidence.prove("contexts", classes, f"accepted in negotiation, of {len(PROBED)} proposed")
    found = {sop_class for sop_class, _ in accepted}
    for name, sop_class in (
        ("study_root", Service.FIND.value),
        ("patient_root", PATIENT_ROOT_FIND),
        ("repository", REPOSITORY_QUERY),
        ("get", Service.GET.value),
    ):
        there = sop_class in found
        if there and name == "repository":
            if NOBODYS in accepted:
                evidence.leave(name, why="it accepts whatever is proposed, which proves nothing")
            continue  # else it is tried
        evidence.prove(name, there, f"{'accepted' if there else 'not accepted'} in negotiation")
