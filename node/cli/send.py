"""`dicom-node send`: C-STORE files to a peer."""

from pathlib import Path
from typing import Annotated

import typer

from node.cli.shell.options import ConfigOption, JsonOption, PeerArgument, QuietOption
from node.cli.shell.output import Output
from schema.text.words import counted


def send(
    peer: PeerArgument,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="DICOM files, and folders of them.")
    ],
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Send DICOM files to a peer as they are (C-STORE). Exit code 1 when one is not taken.

    A file during which the association is lost is failed, and the rest goes over a new one.
    """
    from node.cli.shell.exits import Exit, explain
    from node.cli.shell.start import configured, run
    from node.errors import UsageError
    from node.ops.peers import peer_of
    from node.ops.send import SendResult
    from node.ops.send import send as store

    if missing := [str(path) for path in paths if not path.exists()]:
        raise UsageError(f"there is no {', '.join(missing)}")
    target = peer_of(configured(config).peer(peer))
    output = Output(json=json, quiet=quiet)
    known: list[SendResult] = []
    trouble: BaseException | None = None
    with output.progress(f"send to {peer}", unit="files") as progress:

        def watch(result: SendResult) -> None:
            progress.advance()
            known.append(result)
            if not result.sent:
                output.note(f"{result.path}: {result.message}")

        try:
            trouble = run(store(target, paths, watch)).trouble
        except KeyboardInterrupt as error:
            trouble = error  # what is done is told all the same
    message, code = "", Exit.DONE
    if trouble is not None and (explained := explain(trouble)) is not None:
        message, code = explained
    sent = sum(result.sent for result in known)
    if json:
        failed = [result for result in known if not result.sent]
        output.document(
            {
                "peer": peer,
                "sent": sent,
                "failed": [{"path": str(one.path), "message": one.message} for one in failed],
                "error": message or None,
            }
        )
    else:
        output.print(f"{peer}: {sent} of {counted(len(known), 'file')} sent")
    if message and code != Exit.INTERRUPTED:
        output.note(f"dicom-node: {message}")
    if sent < len(known) or not known:
        code = code or Exit.FAILED
    if code:
        raise typer.Exit(code)
