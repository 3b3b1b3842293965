"""Starts nodes quickly: a process that has loaded the libraries, and forks.

    python -m tests.crash.zygote CONFIGURATION

Reads `start FAILPOINTS LOG` (`-` for no failpoints) and answers with the process id of a node;
reads `wait` and answers with how that one ended. None of the node's own modules is loaded before
the fork: they read the failpoints when they are.
"""

from __future__ import annotations

import importlib
import os
import sys

LIBRARIES = (
    *("aiosqlite", "asyncpg", "alembic.command", "orjson", "pydantic"),
    *("pydicom", "pydicom.filereader", "rich.console", "schema", "schema.engine.migrate"),
    *("sqlalchemy.dialects.postgresql.asyncpg", "sqlalchemy.dialects.sqlite.aiosqlite"),
    *("typer", "yaml"),
)


def main(configuration: str) -> None:
    """Serve until the standard input ends."""
    for name in LIBRARIES:
        importlib.import_module(name)
    assert not any(name.startswith("node") for name in sys.modules), "a node's module is loaded"
    print("ready", flush=True)
    pid = 0
    while line := sys.stdin.readline().split():
        if line[0] == "start":
            pid = os.fork()
            if not pid:
                run(configuration, *line[1:])
            print(pid, flush=True)
        else:
            _, status = os.waitpid(pid, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)


def run(configuration: str, failpoints: str, log: str) -> None:
    """Be a node; never return."""
    code = 70
    try:
        os.environ["DICOM_NODE_FAILPOINTS"] = "" if failpoints == "-" else failpoints
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for descriptor, target in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (output, 2)):
            os.dup2(descriptor, target)
        sys.argv = ["dicom-node", "run", "--config", configuration]
        try:
            importlib.import_module("node.cli.app").main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
