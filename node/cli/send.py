"""`dicom-node send`: C-STORE files to a peer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell.options import ConfigOption, JsonOption, PeerArgument, QuietOption
from node.cli.shell.output import Output

if TYPE_CHECKING:
    from node.ops.send import SendResult


def send(
    peer: PeerArgument,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="DICOM files, and folders of them.")
    ],
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Send DICOM files to a peer as they are (C-STORE). Exit code 1 when one is not taken."""
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run
    from node.errors import UsageError
    from node.ops.peers import peer_of
    from node.ops.send import send as store

    if missing := [str(path) for path in paths if not path.exists()]:
        raise UsageError(f"there is no {', '.join(missing)}")
    target = peer_of(configured(config).peer(peer))
    output = Output(json=json, quiet=quiet)
    with output.progress(f"send to {peer}", unit="files") as progress:

        def watch(result: "SendResult") -> None:
            progress.advance()
            if not result.sent:
                output.note(f"{result.path}: {result.message}")

        results = run(store(target, paths, watch))
    sent = sum(result.sent for result in results)
    if json:
        output.document(
            {
                "peer": peer,
                "sent": sent,
                "failed": [
                    {"path": str(result.path), "message": result.message}
                    for result in results
                    if not result.sent
                ],
            }
        )
    else:
        output.print(f"{peer}: {sent} of {len(results)} files sent")
    if sent < len(results) or not results:
        raise typer.Exit(Exit.FAILED)
