"""`dicom-node echo`: ask whether a peer is there and accepts us."""

from node.cli.shell.options import ConfigOption, JsonOption, PeerArgument
from node.cli.shell.output import Output


def echo(peer: PeerArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Ask a peer whether it is there (C-ECHO)."""
    from node.cli.shell.start import configured, run
    from node.ops.peers import echo as ask
    from node.ops.peers import peer_of

    asked = peer_of(configured(config).peer(peer))
    seconds = run(ask(asked))
    output = Output(json=json)
    if json:
        output.document(
            {
                "peer": asked.name,
                "aetitle": asked.aetitle,
                "host": asked.host,
                "port": asked.port,
                "milliseconds": round(seconds * 1000, 1),
            }
        )
    else:
        output.print(
            f"{asked.name} ({asked.aetitle} at {asked.host} port {asked.port}) answered "
            f"{asked.calling_aetitle} in {seconds * 1000:.0f} ms"
        )
