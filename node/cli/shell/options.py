"""Options that commands share, so that they are called and explained alike everywhere."""

from pathlib import Path
from typing import Annotated

import typer

from node.cli.shell import completion

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-f",
        metavar="FILE",
        help="The configuration file. Else $DICOM_NODE_CONFIG, ./dicom-node.yaml, "
        "~/.config/dicom-node/config.yaml; else the defaults.",
        show_default=False,
        dir_okay=False,
    ),
]

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on the standard output.")
]

QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing but what went wrong, and JSON.")
]

LARGEST_PRIORITY = 1_000_000
"""Of a study, and with a minus the lowest; 0 is what it has when it is found."""

PeerArgument = Annotated[
    str,
    typer.Argument(
        metavar="PEER",
        help="A peer's name in the configuration.",
        autocompletion=completion.peers,
    ),
]
