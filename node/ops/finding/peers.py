"""Find at several peers: by what is asked for, by a project's studies, or by the configuration.

The command and the daemon both come this way.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from node.config import Config
from node.dicom.query import StudyQuery
from node.errors import UsageError
from node.ops.counting.peers import count_uncounted
from node.ops.finding.find import find
from node.ops.finding.proving.plans import FindPlan, plan_at_peer
from node.ops.finding.report import FindBegun, FindReport, FindWatcher
from node.ops.finding.singles.studies import find_studies
from node.ops.guarding.slots import slots_kept
from node.ops.peers import peer_to_query
from node.ops.probing.knowledge import knowledge_of, note_contradiction
from node.ops.stalls import limits_of
from node.ops.tour import Tour
from schema import Database
from schema.project.members import get_unfound


def peers_to_ask(config: Config, name: str | None) -> list[str]:
    """Return the names of the peers to ask: the one that is named, else all.

    Raises
    ------
    ConfigurationError
        No peer has that name.
    UsageError
        The configuration has no peer at all.
    """
    names = list(config.peers) if name is None else [config.peer(name).name]
    if not names:
        raise UsageError("the configuration has no peer to ask (they go under peers)")
    return names


async def find_at_peers(
    config: Config,
    database: Database,
    peers: Sequence[str],
    queries: Sequence[StudyQuery],
    *,
    project_id: int | None = None,
    only_gaps: bool = False,
    due: datetime | None = None,
    proceed: Callable[[str], bool] = lambda _: True,
    concurrency: int | asyncio.Semaphore = 1,
    watch: FindWatcher = lambda _: None,
) -> Tour[FindReport]:
    """Put the queries to each peer, in one find each, and record the studies they have.

    Parameters
    ----------
    peers
        Their names in the configuration.
    project_id
        The key of a project to which the studies that are found are added.
    only_gaps
        Leave out the days of which it is known what a peer has.
    due
        As `plan_at_peer` has it.
    proceed
        Asked before each question to a peer, by its name: the find there ends when it says no, and
        what is left is due later.
    concurrency
        How many peers are asked at once; each of them is asked one question after the other. Or
        the turns that peers wait for, of this call and others.
    watch
        Called as the peers are asked; it must not wait.
    """
    tour = Tour[FindReport]()
    visits = [
        (
            name,
            partial(
                _find_at,
                config,
                database,
                name,
                queries=queries,
                project_id=project_id,
                only_gaps=only_gaps,
                due=due,
                proceed=partial(proceed, name),
                watch=watch,
            ),
        )
        for name in peers
    ]
    async with slots_kept(config, database):
        await tour.visit_all(visits, at_once=concurrency, told=watch)
    return tour


async def _find_at(
    config: Config,
    database: Database,
    name: str,
    *,
    queries: Sequence[StudyQuery],
    project_id: int | None,
    only_gaps: bool,
    due: datetime | None,
    proceed: Callable[[], bool],
    watch: FindWatcher,
) -> FindReport:
    if not proceed():
        return FindReport(peer=name, stopped=True)
    peer, limits = peer_to_query(config.peer(name)), limits_of(config.find)
    node = config.node.aetitle
    if queries and all(query.names_studies for query in queries):
        studies = sum(max(1, len(query.study_uids)) for query in queries)
        watch(FindBegun(peer=name, questions=studies, by_key=True))
        return await _find_singles(
            config, database, name, queries, project_id=project_id, watch=watch
        )
    plan = await plan_at_peer(config, database, name, queries, only_gaps=only_gaps, due=due)
    report = FindReport(peer=name)
    if plan.queries:
        report = await _find_planned(
            config, database, plan, project_id=project_id, proceed=proceed, watch=watch
        )
    if config.find.counts and proceed():
        try:
            images = await count_uncounted(
                database, peer, limits, recount=config.find.recount, node=node
            )
        except asyncio.CancelledError:
            watch(replace(report, interrupted=True))
            raise
        report = replace(report, images=images)
    return report


async def _find_planned(
    config: Config,
    database: Database,
    plan: FindPlan,
    *,
    project_id: int | None,
    proceed: Callable[[], bool],
    watch: FindWatcher,
) -> FindReport:
    name = plan.peer
    watch(FindBegun(peer=name))
    known = await knowledge_of(config, database, name)
    report = await find(
        database,
        peer_to_query(config.peer(name)),
        plan.queries,
        node=config.node.aetitle,
        limits=limits_of(config.find),
        axes=config.find.axes,
        expected=plan.known.expected,
        proceed=proceed,
        profile=known.profile,
        project_id=project_id,
        keywords=config.find.search_fields,
        watch=watch,
    )
    await note_contradiction(database, known, report.contradiction)
    return report


async def find_unfound(
    config: Config,
    database: Database,
    peers: Sequence[str],
    project_id: int,
    *,
    watch: FindWatcher = lambda _: None,
) -> Tour[FindReport]:
    """Ask each peer in turn for the studies of a project that no peer has answered yet.

    What one peer has answered, the next one is not asked for. Parameters as `find_at_peers`.
    """
    tour = Tour[FindReport]()
    async with slots_kept(config, database):
        for name in peers:
            work = _find_unfound_at(config, database, name, project_id, watch)
            watch(await tour.visit(name, work))
    return tour


async def _find_unfound_at(
    config: Config, database: Database, name: str, project_id: int, watch: FindWatcher
) -> FindReport:
    async with database.session() as session:
        unfound = await get_unfound(session, project_id)
    queries = [
        *(StudyQuery(study_uids=(uid,)) for uid in unfound.study_uids),
        *(StudyQuery(accession_number=number) for number in unfound.accession_numbers),
    ]
    if not queries:
        return FindReport(peer=name)
    watch(FindBegun(peer=name, questions=len(queries), by_key=True))
    return await _find_singles(config, database, name, queries, watch=watch)


async def _find_singles(
    config: Config,
    database: Database,
    name: str,
    queries: Sequence[StudyQuery],
    *,
    project_id: int | None = None,
    watch: FindWatcher,
) -> FindReport:
    known = await knowledge_of(config, database, name)
    report = await find_studies(
        database,
        peer_to_query(config.peer(name)),
        queries,
        node=config.node.aetitle,
        limits=limits_of(config.find),
        profile=known.profile,
        project_id=project_id,
        keywords=config.find.search_fields,
        watch=watch,
    )
    await note_contradiction(database, known, report.contradiction)
    return report
