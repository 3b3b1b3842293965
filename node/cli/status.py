"""`dicom-node status`: what is here, what is missing, what ran last."""

import shlex
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.explaining.words import size, utc
from node.cli.ledger.calendar import kind_of
from node.cli.shell import completion
from node.cli.shell.options import ConfigOption, JsonOption
from node.cli.shell.output import Column, Output
from schema.text.words import counted, verb

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from node.config import Config, PeerSettings
    from node.ops.status import IndexState, NodeState
    from schema.accounting.tally import PeerTally
    from schema.committing.listing import OpenCommitments
    from schema.reports import StudySummary


def status(
    peer: Annotated[
        str | None,
        typer.Argument(
            metavar="PEER",
            autocompletion=completion.peers,
            help="Only the cycles and studies of this peer.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many studies to list, the latest first.")
    ] = 20,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show what is here, what is missing and why, and whether the node is running."""
    from node.cli.shell.start import configured, run
    from node.ops.status import as_it_runs, node_state
    from schema.errors import DatabaseUnavailable

    settings = configured(config)
    output = Output(json=json)
    node = run(node_state(settings))
    known: dict[str, object] = {
        "running": node.running,
        "waiting": node.waiting,
        "free": node.free,
        "as_of": node.as_of,
        "database": None,
    }
    try:
        index = as_it_runs(run(_ask(settings, limit, peer)), node)
    except DatabaseUnavailable as error:
        if json:
            nothing: dict[str, object] = {"summary": None, "peers": [], "studies": []}
            output.document({**known, "database": str(error), **nothing})
        _print_node(output, settings, node)
        raise
    if peer is not None and not (index.peers or index.summary.last_cycles):
        settings.peer(peer)
    if json:
        peers = [
            {
                "peer": one.peer,
                "found": one.found,
                "complete": one.complete,
                "open": one.open,
                "gone": one.gone,
                "unwanted": one.unwanted,
                "to_compare": one.to_compare,
                "ready": one.ready,
                "waiting": one.waiting,
                "next_on": one.next_on,
                "given_up": one.given_up,
                "states": one.states,
                "hour": index.hour.get(one.peer or ""),
                "day": index.day.get(one.peer or ""),
                "rest": index.rest.get(one.peer or ""),
                "gaps": index.gaps.get(one.peer or "", (0, None))[0],
                "oldest_gap": index.gaps.get(one.peer or "", (0, None))[1],
                "wait": index.waits.get(one.peer or ""),
                "throttles": [row for row in index.throttles if row.peer == one.peer],
                "configured": one.peer in settings.peers,
                **_probe_of(index, one.peer),
            }
            for one in index.peers
        ]
        output.document(
            {
                **known,
                "summary": index.summary,
                "commitments": _by_state(index.commitments),
                "open_commitments": index.commitments,
                "peers": peers,
                "studies": index.studies,
            }
        )
        return
    _print_node(output, settings, node)
    _print(output, index, settings)


def _print_node(output: Output, settings: "Config", node: "NodeState") -> None:
    """Say what can be said without the database."""
    where = f"{settings.node.aetitle} at {settings.node.host} port {settings.node.port}"
    output.print(f"{where} is {'running' if node.running else 'not running'}")
    if node.trouble:
        output.print(node.trouble)
    if node.waiting:
        received = counted(node.waiting, "received object")
        output.print(f"{received} {verb(node.waiting, 'wait')} to be indexed")
    if node.free is not None:
        output.print(f"{size(node.free)} are free for {settings.storage.directory}")


async def _ask(settings: "Config", limit: int, peer: str | None) -> "IndexState":
    from node.cli.shell.start import database_of
    from node.ops.status import TO_ANSWER, index_state

    async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
        return await index_state(settings, database, limit=limit, peer=peer)


def _probe_of(index: "IndexState", peer: str | None) -> dict[str, object]:
    probe = index.probes.get(peer or "")
    return {
        "probed_on": probe and probe.probed_on,
        "stale_on": probe and probe.stale_on,
        "stale_reason": probe and probe.stale_reason,
    }


def _said_of_probe(index: "IndexState", peer: str | None) -> str:
    probe = index.probes.get(peer or "")
    if probe is None:
        return ""
    if probe.stale_on is None:
        return f"; probed on {probe.probed_on.isoformat(sep=' ', timespec='seconds')} UTC"
    again = f"`dicom-node probe {shlex.quote(peer or '')}`"
    return f"; its probe is stale: {probe.stale_reason}; {again} asks again"


def _said_of_sources(tally: "PeerTally", known: "Collection[str]") -> str:
    compared = (
        f"; {tally.to_compare} to compare: all that another peer has of them is here"
        if tally.to_compare
        else ""
    )
    if tally.peer is None or tally.peer in known:
        return compared
    return f"{compared}; it is no peer of the configuration: nobody can ask it"


def _print(output: Output, index: "IndexState", settings: "Config") -> None:
    _print_totals(output, index)
    _print_commitments(output, index)
    _print_peers(output, index, settings)
    _print_cycles(output, index)
    _print_studies(output, index, settings)


def _print_totals(output: Output, index: "IndexState") -> None:
    summary = index.summary
    gone = f", {summary.gone} gone" if summary.gone else ""
    unwanted = f", {summary.unwanted} not wanted" if summary.unwanted else ""
    output.print(
        f"As of {utc(index.as_of)}: {counted(summary.found, 'study')} found, "
        f"{summary.retrieved} retrieved, {summary.to_move} to move{unwanted}{gone}"
    )
    output.print(
        f"{counted(summary.images, 'image')} here, of {counted(summary.patients, 'patient')}, "
        f"{counted(summary.studies, 'study')}, "
        f"{summary.series} series; {counted(summary.quarantined, 'object')} in quarantine"
    )


def _by_state(commitments: "Sequence[OpenCommitments]") -> dict[str, int]:
    counts = Counter[str]()
    for one in commitments:
        counts[one.state] += one.count
    return dict(counts)


def _print_commitments(output: Output, index: "IndexState") -> None:
    """Say which requests for storage commitment are open."""
    theirs = [one for one in index.commitments if one.state != "asked"]
    ours = [f"{one.count} by {_who(one)}" for one in index.commitments if one.state == "asked"]
    if theirs:
        said = ", ".join(f"{one.count} {one.state} for {_who(one)}{_tried(one)}" for one in theirs)
        output.print(f"storage commitments that others wait for: {said}")
    if ours:
        output.print(f"storage commitments that others are to report: {', '.join(ours)}")


def _who(one: "OpenCommitments") -> str:
    return one.aetitle if one.peer in {None, one.aetitle} else f"{one.peer} ({one.aetitle})"


def _tried(one: "OpenCommitments") -> str:
    """Say when a report is tried again that was not taken; "" where none was tried."""
    if one.next_on is None:
        return ""
    return f" (not taken, tried {counted(one.attempts, 'time')}; again at {utc(one.next_on)})"


def _print_peers(output: Output, index: "IndexState", settings: "Config") -> None:
    from node.cli.accounting.groups import GROUPS

    known = settings.peers
    for tally in index.peers:
        output.print(
            f"{tally.peer or 'at no known peer'}: {tally.found} found, {tally.complete} complete, "
            f"{tally.open} open{f', {tally.unwanted} not wanted' if tally.unwanted else ''}"
            f"{f', {tally.gone} gone' if tally.gone else ''}"
            f"{_said_of_sources(tally, known)}{_said_of_probe(index, tally.peer)}"
        )
        for group in GROUPS:
            for line in group(settings, index, tally):
                output.print(f"  {line}")


def _why(study: "StudySummary", known: "Mapping[str, PeerSettings]") -> str:
    from node.cli.project.reasons import why_open

    at, here = study.interrupted_at, study.received_images
    return why_open(study, known, interrupted_at=at, here=here)


def _print_cycles(output: Output, index: "IndexState") -> None:
    for cycle in index.summary.last_cycles:
        counts = ", ".join(f"{name} {count}" for name, count in cycle.counts.items())
        output.print(
            f"last {kind_of(cycle)} at {cycle.peer}: {cycle.outcome}, "
            f"{cycle.started_on.isoformat(sep=' ', timespec='seconds')} UTC"
            f"{': ' + (cycle.message or counts) if cycle.message or counts else ''}"
        )


def _print_studies(output: Output, index: "IndexState", settings: "Config") -> None:
    from node.cli.project.reasons import peers_of

    studies, known = index.studies, settings.peers
    if not studies:
        return
    output.print("")
    output.table(
        [
            Column(key="study_uid", title="study"),
            "date",
            "modalities",
            "peer",
            "state",
            Column(key="received", right=True),
            Column(key="expected", right=True),
            "why",
        ],
        [
            {
                "study_uid": study.study_uid,
                "date": study.study_date.date().isoformat() if study.study_date else None,
                "modalities": study.modalities,
                "peer": peers_of(study.sources) or study.peer,
                "state": study.state,
                "received": study.received_images,
                "expected": study.expected_images,
                "why": "" if study.retrieved_on else _why(study, known),
            }
            for study in studies
        ],
    )
