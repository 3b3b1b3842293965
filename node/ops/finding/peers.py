"""Find at several peers: by what is asked for, by a project's studies, or by the configuration.

The command and the daemon both come this way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from node.config import Config, FindSettings
from node.dicom.profile import CapKind
from node.dicom.query import StudyQuery, Window
from node.errors import UsageError
from node.ops.finding.find import find
from node.ops.finding.planning.estimate import Estimate, estimated
from node.ops.finding.report import FindBegun, FindReport, FindWatcher
from node.ops.finding.singles.studies import find_studies
from node.ops.peers import peer_of
from node.ops.probing.knowledge import effective_profile
from node.ops.stalls import limits_of
from node.ops.tour import Tour
from schema import AsyncSession, Database
from schema.coverage.ledger import get_coverage
from schema.finding.windows import cut_at, proven_spans, widest_answered
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


def configured_queries(settings: FindSettings, today: date) -> list[StudyQuery]:
    """Return what a find cycle of the daemon asks each peer for, one query for each modality.

    Parameters
    ----------
    today
        The last study date, unless the configuration names one.
    """
    start = settings.start_date or today - timedelta(days=settings.lookback // 86400)
    window = Window(start=start, end=settings.end_date or today)
    return [StudyQuery(window=window, modality=one) for one in settings.modality or ("",)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindPlan:
    """What a peer would be asked.

    Attributes
    ----------
    queries
        The ranges of dates, with their keys; none when everything is proven.
    """

    queries: tuple[StudyQuery, ...]
    estimate: Estimate


async def plan_at_peer(
    config: Config,
    database: Database,
    name: str,
    queries: Sequence[StudyQuery],
    *,
    only_gaps: bool = False,
) -> FindPlan:
    """Plan a find at a peer, from what earlier finds have found; nobody is asked.

    Parameters
    ----------
    only_gaps
        Leave out the days of which it is known what the peer has.
    """
    found = days = 0
    left: list[StudyQuery] = []
    async with database.session() as session:
        widest = await widest_answered(session, name)
        cut = await cut_at(session, name)
        for query in queries:
            spans = await proven_spans(session, name, query.keys())
            found += sum(span.matches or 0 for span in spans)
            days += sum((span.end - span.start).days + 1 for span in spans)
            left += _unproven(query, await _proven(session, name, query)) if only_gaps else [query]
    profile = await effective_profile(config, database, name)
    if profile.cap is None and cut:
        profile = replace(profile, cap=cut, cap_kind=CapKind.CUT)
    estimate = estimated(
        name,
        left,
        profile,
        per_day=found / days if days else None,
        axes=config.find.axes,
        undated=config.find.undated,
        widest=widest,
    )
    return FindPlan(queries=tuple(left), estimate=estimate)


async def _proven(session: AsyncSession, peer: str, query: StudyQuery) -> list[Window]:
    """Return the ranges of dates of which it is known what a peer has, the earliest first.

    What was asked for without keys vouches for these as well, where nothing was asked with them.
    """
    scopes = {
        tuple(sorted(one.query.items())): one for one in await get_coverage(session, peer=peer)
    }
    known = scopes.get(tuple(sorted(query.keys().items()))) or scopes.get(())
    if known is None:
        return []
    return [
        Window(start=one.first or date.min, end=one.last or date.max)
        for one in known.stretches
        if not one.is_gap
    ]


def _unproven(query: StudyQuery, proven: Sequence[Window]) -> list[StudyQuery]:
    """Return a query over the ranges of its dates that are not proven."""
    window = query.window
    if window.start is None or window.end is None:
        return [query]
    left = []
    day = window.start
    for span in proven:
        first, last = span.start or date.min, span.end or date.max
        if last < day or first > window.end:
            continue
        if first > day:
            left.append(replace(query, window=Window(start=day, end=first - timedelta(days=1))))
        if last >= window.end:
            return left
        day = last + timedelta(days=1)
    return [*left, replace(query, window=Window(start=day, end=window.end))]


async def find_at_peers(
    config: Config,
    database: Database,
    peers: Sequence[str],
    queries: Sequence[StudyQuery],
    *,
    project_id: int | None = None,
    only_gaps: bool = False,
    watch: FindWatcher = lambda _: None,
) -> Tour[FindReport]:
    """Put the queries to each peer in turn, in one find each, and record the studies they have.

    Parameters
    ----------
    peers
        Their names in the configuration.
    project_id
        The key of a project to which the studies that are found are added.
    only_gaps
        Leave out the days of which it is known what a peer has.
    watch
        Called as the peers are asked; it must not wait.
    """
    tour = Tour[FindReport]()
    for name in peers:
        work = _find_at(
            config,
            database,
            name,
            queries=queries,
            project_id=project_id,
            only_gaps=only_gaps,
            watch=watch,
        )
        watch(await tour.visit(name, work))
    return tour


async def _find_at(
    config: Config,
    database: Database,
    name: str,
    *,
    queries: Sequence[StudyQuery],
    project_id: int | None,
    only_gaps: bool,
    watch: FindWatcher,
) -> FindReport:
    peer, node, limits = peer_of(config.peer(name)), config.node.aetitle, limits_of(config.find)
    if any(query.study_uids for query in queries):
        uids = sum(len(query.study_uids) for query in queries)
        watch(FindBegun(peer=name, questions=uids, by_key=True))
        return await find_studies(
            database,
            peer,
            queries,
            node=node,
            limits=limits,
            profile=await effective_profile(config, database, name),
            project_id=project_id,
            keywords=config.find.search_fields,
            watch=watch,
        )
    plan = await plan_at_peer(config, database, name, queries, only_gaps=only_gaps)
    if not plan.queries:
        return FindReport(peer=name)
    watch(FindBegun(peer=name, questions=plan.estimate.queries))
    return await find(
        database,
        peer,
        plan.queries,
        node=node,
        limits=limits,
        axes=config.find.axes,
        undated=config.find.undated,
        profile=await effective_profile(config, database, name),
        project_id=project_id,
        keywords=config.find.search_fields,
        watch=watch,
    )


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
    return await find_studies(
        database,
        peer_of(config.peer(name)),
        queries,
        node=config.node.aetitle,
        limits=limits_of(config.find),
        profile=await effective_profile(config, database, name),
        keywords=config.find.search_fields,
        watch=watch,
    )
