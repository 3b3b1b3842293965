"""`dicom-node manifest`: the group."""

import typer

from node.cli.manifest.create import create
from node.cli.manifest.verify import verify

app = typer.Typer(
    help="Lists of images with their digests, which anybody can check.", no_args_is_help=True
)
app.command()(create)
app.command()(verify)
