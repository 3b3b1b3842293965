"""`dicom-node send`: C-STORE files to a peer, and ask it to commit to them."""

from pathlib import Path
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
from schema.text.words import counted, counted_are

if TYPE_CHECKING:
    from node.cli.shell.progress import Progress
    from node.config import Config
    from node.net.messages import Peer
    from node.ops.committing.asking import CommitmentOutcome
    from node.ops.send import SendResult


def send(
    peer: PeerArgument,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="DICOM files, and folders of them.")
    ],
    commit: Annotated[
        bool,
        typer.Option(
            "--commit",
            help="Ask the peer then to commit to what it has taken (storage commitment).",
        ),
    ] = False,
    commit_wait: Annotated[
        str,
        typer.Option(metavar="60s", help="With --commit: how long its report is waited for."),
    ] = "60s",
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Send DICOM files to a peer as they are (C-STORE). Exit code 1 when one is not taken.

    A file during which the association is lost is failed, and the rest goes over a new one.
    """
    from node.cli.shell.answer import failure
    from node.cli.shell.exits import Exit, explain
    from node.cli.shell.start import configured, run
    from node.errors import UsageError
    from node.ops.peers import peer_of
    from node.ops.send import send as store

    if missing := [str(path) for path in paths if not path.exists()]:
        raise UsageError(f"there is no {', '.join(missing)}")
    wait = seconds_of(commit_wait, "--commit-wait")
    settings = configured(config)
    target = peer_of(settings.peer(peer))
    output = Output(json=json, quiet=quiet)
    if commit:
        run(_check(settings))  # a database that is away is told before anything is sent
    trouble: BaseException | None = None
    with output.progress(f"send to {peer}", unit="files") as progress:
        results = _Results(output, progress)
        try:
            trouble = run(store(target, paths, results.watch)).trouble
        except KeyboardInterrupt as error:
            trouble = error  # what is done is told all the same
    known, sent = results.known, results.sent
    outcome: CommitmentOutcome | None = None
    if commit and not isinstance(trouble, KeyboardInterrupt):
        outcome, late = _committed(settings, target, sent, wait)
        trouble = trouble or late
    message, code = explain(trouble) or ("", Exit.DONE) if trouble else ("", Exit.DONE)
    results.note_shared(but=message)
    if json:
        document = _document(peer, known) | ({"error": failure(code, message)} if message else {})
        output.document(document | ({"commitment": _said(sent, outcome)} if commit else {}))
    else:
        output.print(f"{peer}: {len(sent)} of {counted(len(known), 'file')} sent")
        if outcome is not None:
            _print(output, peer, sent, outcome, wait)
    if message and code != Exit.INTERRUPTED:
        output.note(f"dicom-node: {message}{results.costs_of(message)}")
    uncommitted = outcome is not None and outcome.committed < len(outcome.outcomes)
    if len(sent) < len(known) or not known or uncommitted:
        code = code or Exit.FAILED
    if code:
        raise typer.Exit(code)


class _Results:
    """What becomes of the files: each that fails is named, and at the end what many have alike."""

    def __init__(self, output: Output, progress: "Progress") -> None:
        self.known: list[SendResult] = []
        self.sent: list[SendResult] = []
        self._output = output
        self._progress = progress

    def watch(self, result: "SendResult") -> None:
        """Take note of what became of a file."""
        self.known.append(result)
        if result.sent:
            self.sent.append(result)
        elif not result.shared:
            self._output.note(f"{result.path}: {result.message}")
        failed = len(self.known) - len(self.sent)
        text = f"{counted(failed, 'file')} not sent" if failed else ""
        self._progress.update(len(self.sent), text=text)

    def note_shared(self, *, but: str) -> None:
        """Say why files are not sent, once for all that have the same reason.

        Parameters
        ----------
        but
            What is said at the end, and of how many files.
        """
        shared: dict[str, list[SendResult]] = {}
        for one in self.known:
            if one.shared and not (but and but in one.message):
                shared.setdefault(one.message, []).append(one)
        for why, ones in shared.items():
            files = f"{counted_are(len(ones), 'file')} not sent: {why}"
            hint = "" if self._output.json else "; --json names them"
            self._output.note(f"{ones[0].path}: {why}" if len(ones) == 1 else f"{files}{hint}")

    def costs_of(self, message: str) -> str:
        """Return of how many files a trouble is the reason, in words for the end of it."""
        count = sum(one.shared and message in one.message for one in self.known)
        return f"; {counted_are(count, 'file')} not sent for this" if count else ""


async def _check(settings: "Config") -> None:
    from node.cli.shell.start import database_of

    async with database_of(settings):
        pass


def _committed(
    settings: "Config", target: "Peer", sent: "list[SendResult]", wait: float
) -> "tuple[CommitmentOutcome | None, BaseException | None]":
    """Return what the peer commits to, and what went wrong: what was sent is told all the same."""
    from node.cli.shell.start import run
    from schema.errors import SchemaError

    try:
        outcome = run(_commit(settings, target, sent, wait))
    except (KeyboardInterrupt, SchemaError) as error:
        return None, error
    return outcome, outcome.trouble


async def _commit(
    settings: "Config", target: "Peer", sent: "list[SendResult]", wait: float
) -> "CommitmentOutcome":
    """Ask the peer to commit to what it has taken, and wait for its report."""
    from node.cli.shell.start import database_of
    from node.dicom.commitment import Reference
    from node.ops.committing.asking import ask_for_commitment

    references = [
        Reference(one.instance.sop_class_uid, one.instance.sop_instance_uid)
        for one in sent
        if one.instance is not None
    ]
    async with database_of(settings) as database:
        return await ask_for_commitment(settings, database, target, references, wait=wait)


def _print(
    output: Output, peer: str, sent: "list[SendResult]", outcome: "CommitmentOutcome", wait: float
) -> None:
    """Say what is committed, and name what is not."""
    if outcome.trouble is not None or not outcome.outcomes:
        return
    if not outcome.reported:
        output.note(
            f"{peer} has not reported within {wait:g} s what it commits to; the"
            f" node takes its report while it runs: transaction {outcome.transaction_uid}"
        )
        return
    objects = counted(len(outcome.outcomes), "object")
    output.print(f"{peer}: {outcome.committed} of {objects} committed")
    for uid, path, why in _uncommitted(sent, outcome):
        output.note(f"{path}: {uid} is not committed: {why}")


def _document(peer: str, known: "list[SendResult]") -> dict[str, object]:
    failed = [result for result in known if not result.sent]
    return {
        "peer": peer,
        "sent": len(known) - len(failed),
        "failed": [{"path": str(one.path), "message": one.message} for one in failed],
    }


def _said(
    sent: "list[SendResult]", outcome: "CommitmentOutcome | None"
) -> dict[str, object] | None:
    if outcome is None:
        return None
    return {
        "transaction_uid": outcome.transaction_uid or None,
        "reported": outcome.reported,
        "committed": outcome.committed,
        "uncommitted": [
            {"path": path, "sop_instance_uid": uid, "message": why}
            for uid, path, why in _uncommitted(sent, outcome)
        ],
    }


def _uncommitted(
    sent: "list[SendResult]", outcome: "CommitmentOutcome"
) -> list[tuple[str, str, str]]:
    """Return what is not committed: its SOP Instance UID, the file, and why."""
    paths = {one.instance.sop_instance_uid: str(one.path) for one in sent if one.instance}
    return [(uid, paths.get(uid, ""), why) for uid, why in outcome.uncommitted.items()]
