"""`dicom-node probe`: find out what a peer can do, or show what is known of it."""

import re
import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell.options import (
    ConfigOption,
    JsonOption,
    PeerArgument,
    QuietOption,
    seconds_of,
)
from node.cli.shell.output import Output
from schema.text.words import counted

if TYPE_CHECKING:
    from node.config import Config
    from node.ops.probing.knowledge import PeerKnowledge
    from node.ops.probing.questions import ProbeAnswer, ProbeQuestion

_UNLIMITED = ("cap", "widest", "operations", "associations")
"""Of which 0 is any number."""

_SHORT = re.compile(r"Query/Retrieve Information Model - | SOP Class")
"""What goes without saying in the name of a SOP class."""


def probe(
    peer: PeerArgument,
    show: Annotated[
        bool, typer.Option("--show", help="Ask nobody: show what is known already.")
    ] = False,
    load: Annotated[
        bool,
        typer.Option(
            "--load", help="Also find out how many associations it takes at once, up to ten."
        ),
    ] = False,
    interval: Annotated[
        str | None,
        typer.Option(
            metavar="10s", help="How long to wait between two questions; 0.5s unless said."
        ),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find out what a peer can do, in at most 60 small questions, and keep it as its profile."""
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run
    from node.errors import UsageError
    from node.ops.probing.facts import why_nothing

    settings = configured(config)
    settings.peer(peer)
    if show and (load or interval is not None):
        raise UsageError("--show asks nobody: --load and --interval do not go with it")
    output = Output(json=json, quiet=quiet)
    pause = None if interval is None else seconds_of(interval)
    known = run(_probe(settings, peer, output, pause=pause, load=load, only_show=show))
    _print(known, output)
    if not show and (why := why_nothing(known.facts)) is not None:
        output.note(f"{known.peer}: nothing was learned of how it answers queries: {why}")
        raise typer.Exit(Exit.FAILED)


async def _probe(
    settings: "Config",
    name: str,
    output: Output,
    *,
    pause: float | None,
    load: bool,
    only_show: bool,
) -> "PeerKnowledge":
    from node.cli.shell.start import database_of
    from node.ops.database import TO_ANSWER
    from node.ops.probing.knowledge import knowledge_of

    async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
        if not only_show:
            from datetime import date

            from node.ops.peers import peer_of
            from node.ops.probing.probe import PAUSE, probe
            from node.ops.stalls import limits_of

            with output.progress(f"probe of {name}", unit="questions") as progress:

                def watch(question: "ProbeQuestion", answer: "ProbeAnswer") -> None:
                    progress.update(text=question.purpose)
                    progress.advance(answer.attempts)

                await probe(
                    database,
                    peer_of(settings.peer(name)),
                    limits=limits_of(settings.find),
                    today=date.today(),  # noqa: DTZ011 - a study date is of our own calendar
                    pause=PAUSE if pause is None else pause,
                    load=load,
                    watch=watch,
                )
        return await knowledge_of(settings, database, name)


def _print(known: "PeerKnowledge", output: Output) -> None:
    from dataclasses import asdict

    from node.ops.probing.facts import to_document

    probe = known.probe
    if output.json:
        output.document(
            {
                "peer": known.peer,
                "probed_on": probe and probe.probed_on,
                "questions": probe and probe.questions,
                "stale_on": probe and probe.stale_on,
                "stale_reason": probe and probe.stale_reason,
                "profile": asdict(known.profile),
                "configured": sorted(known.configured),
                "facts": to_document(known.facts),
            }
        )
        return
    if probe is None:
        output.print(f"{known.peer} was never probed")
    else:
        when = probe.probed_on.isoformat(sep=" ", timespec="seconds")
        asked = counted(probe.questions, "question")
        output.print(f"{known.peer} was probed on {when} UTC, with {asked}")
    if probe is not None and probe.stale_on is not None:
        since = probe.stale_on.isoformat(sep=" ", timespec="seconds")
        output.note(
            f"that probe is stale since {since} UTC, and nobody goes by it: {probe.stale_reason}; "
            f"`dicom-node probe {shlex.quote(known.peer)}` asks again"
        )
    rows = _rows(known)
    if rows:
        output.print("")
        output.table(["what", "value", "how"], rows)


def _rows(known: "PeerKnowledge") -> list[dict[str, object]]:
    """Return what is known, and how: the configuration goes before what was found out."""
    from node.ops.probing.facts import NAMES

    rows: list[dict[str, object]] = []
    for name in NAMES:
        fact = known.facts.get(name)
        if name in known.configured:
            how = f"configured; probed: {_value(name, fact.value)}" if fact else "configured"
            rows.append(_row(name, getattr(known.profile, name), how))
        elif fact is not None and name == "contexts" and fact.value is not None:
            rows += [
                _row(_SHORT.sub("", sop_class), "accepted", ", ".join(syntaxes))
                for sop_class, syntaxes in fact.value.items()
            ]
        elif fact is not None:
            rows.append(_row(name, fact.value, fact.how))
    return rows


def _row(name: str, value: object, how: str) -> dict[str, object]:
    return {"what": name.replace("_", " "), "value": _value(name, value), "how": how}


def _value(name: str, value: object) -> object:
    if value is None:
        return "unknown"
    return "any number" if value == 0 and name in _UNLIMITED else value
