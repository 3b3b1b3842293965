"""Find at several peers: by what is asked for, by a project's studies, or by the configuration.

The command and the daemon both come this way.
"""

from collections.abc import Sequence
from datetime import date, timedelta

from node.config import Config, FindSettings
from node.dicom.query import StudyQuery, Window, day_windows
from node.errors import UsageError
from node.ops.finding.find import find, find_by_key
from node.ops.finding.report import FindBegun, FindReport, FindWatcher
from node.ops.peers import peer_of
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


async def find_at_peers(
    config: Config,
    database: Database,
    peers: Sequence[str],
    queries: Sequence[StudyQuery],
    *,
    project_id: int | None = None,
    watch: FindWatcher = lambda _: None,
) -> Tour[FindReport]:
    """Put the queries to each peer in turn, in one find each, and record the studies they have.

    Parameters
    ----------
    peers
        Their names in the configuration.
    project_id
        The key of a project to which the studies that are found are added.
    watch
        Called as the peers are asked; it must not wait.
    """
    tour = Tour[FindReport]()
    by_uid = all(query.study_uids and query.window == Window() for query in queries)
    questions = sum(len(query.study_uids) for query in queries)
    if not by_uid:
        questions = sum(len(day_windows(query.window)) for query in queries)
    for name in peers:
        watch(FindBegun(peer=name, questions=questions, by_key=by_uid))
        work = find(
            database,
            peer_of(config.peer(name)),
            queries,
            node=config.node.aetitle,
            limits=limits_of(config.find),
            project_id=project_id,
            keywords=config.find.search_fields,
            watch=watch,
        )
        watch(await tour.visit(name, work))
    return tour


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
    questions = len(unfound.study_uids) + len(unfound.accession_numbers)
    if not questions:
        return FindReport(peer=name)
    watch(FindBegun(peer=name, questions=questions, by_key=True))
    return await find_by_key(
        database,
        peer_of(config.peer(name)),
        study_uids=unfound.study_uids,
        accession_numbers=unfound.accession_numbers,
        node=config.node.aetitle,
        limits=limits_of(config.find),
        keywords=config.find.search_fields,
        watch=watch,
    )
