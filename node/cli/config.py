"""`dicom-node config`: write, show and check the configuration."""

from pathlib import Path
from typing import Annotated

import typer

from node.cli.shell.options import ConfigOption, JsonOption
from node.cli.shell.output import Output

app = typer.Typer(help="Write, show and check the configuration.", no_args_is_help=True)


@app.command()
def init(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="The file to write; ./dicom-node.yaml unless said."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-f",
            metavar="FILE",
            help="The file to write, in place of the argument.",
            show_default=False,
            dir_okay=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write a commented configuration file. An existing one is never overwritten."""
    from node.config.load import DEFAULT_NAME
    from node.config.template import write_template
    from node.errors import UsageError

    if path is not None and config is not None:
        raise UsageError("name the file once: as an argument, or with --config")
    target = path or config or Path(DEFAULT_NAME)
    write_template(target)
    output = Output(json=json)
    output.print(f"{target} written; `dicom-node config check -f {target}` checks it.")
    if json:
        output.document({"file": target})


@app.command()
def show(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Print the configuration in force, and where each setting comes from; passwords masked."""
    from node.cli.shell.start import start
    from node.config.show import as_mapping, as_yaml, describe, settings

    loaded = start(config)
    output = Output(json=json)
    if json:
        origins = {".".join(key): describe(origin) for key, _, origin in settings(loaded)}
        file = str(loaded.path) if loaded.path else None
        output.document({"file": file, "settings": as_mapping(loaded), "origins": origins})
    else:
        output.print(f"# {loaded.path or 'no file'}")
        output.verbatim(as_yaml(loaded))


@app.command()
def check(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Check the configuration: report all of its errors at once, or where its files are."""
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import start
    from node.config.paths import full_paths
    from node.config.problems import InvalidConfiguration
    from node.ops.checking.places import check_places, doubtful_places

    output = Output(json=json)
    try:
        loaded = start(config)
        check_places(loaded.config)
    except InvalidConfiguration as error:
        if not json:
            raise
        problems = [
            {"key": problem.key, "message": problem.message, "where": problem.where}
            for problem in error.problems
        ]
        output.document({"ok": False, "problems": problems})
        raise typer.Exit(Exit.USAGE) from error
    file = str(loaded.path) if loaded.path else None
    paths = full_paths(loaded.config)
    notes = [*loaded.notes, *doubtful_places(loaded.config)]
    if json:
        output.document({"ok": True, "file": file, "notes": notes, "paths": paths})
        return
    for note in notes:
        output.note(f"note: {note}")
    output.print(f"{file or 'no file; the defaults'}: ok")
    for key, path in paths.items():
        output.print(f"  {key}: {path}")
