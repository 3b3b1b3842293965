"""Options that both commands have."""

from pathlib import Path
from typing import Annotated

import typer

DirectoryOption = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        metavar="DIR",
        help="The folder that the paths start from; else the storage directory.",
        show_default=False,
        file_okay=False,
    ),
]
ThreadsOption = Annotated[
    int, typer.Option("--threads", "-t", min=1, metavar="N", help="Files read at once.")
]
ListOption = Annotated[
    Path,
    typer.Option("--list", metavar="FILE", help="Where what is wrong is listed, if anything is."),
]

DEFAULT_THREADS = 4
"""Files that are read at once, unless said."""
