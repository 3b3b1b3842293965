"""`dicom-node echo`: ask whether a peer is there and accepts us."""

from node.cli.shell.options import ConfigOption, JsonOption, PeerArgument
from node.cli.shell.output import Output


def echo(peer: PeerArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Ask a peer whether it is there (C-ECHO; at its URL, a search for one study)."""
    from node.cli.shell.start import configured, run
    from node.ops.peers import echo as ask
    from node.ops.peers import echo_web, peer_of, web_peer_of

    settings = configured(config).peer(peer)
    output = Output(json=json)
    document: dict[str, object] = {"peer": settings.name}
    lines = []
    if settings.speaks_dimse:
        asked = peer_of(settings)
        seconds = run(ask(asked))
        document |= {
            "aetitle": asked.aetitle,
            "host": asked.host,
            "port": asked.port,
            "milliseconds": round(seconds * 1000, 1),
        }
        lines.append(
            f"{asked.name} ({settings.place}) answered {asked.calling_aetitle} "
            f"in {seconds * 1000:.0f} ms"
        )
    service = web_peer_of(settings)
    if service is not None:
        seconds = run(echo_web(service))
        document |= {"url": service.url, "url_milliseconds": round(seconds * 1000, 1)}
        lines.append(f"{service.name} ({service.url}) answered a search in {seconds * 1000:.0f} ms")
    if json:
        output.document(document)
    for line in lines:
        output.print(line)
