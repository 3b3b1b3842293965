"""A node under test: its configuration file, its commands, and the running daemon."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import text

from schema import Database
from tests.support.cli import CommandLine, Result
from tests.support.processes import LOOPBACK, Process, free_port


class Node:
    """A configured node: `node("find", "pacs", …)` runs a command of it to its end.

    `peers` are the remote application entities: name to (AE title, port). `settings` are more
    sections of the configuration file, as mappings.
    """

    def __init__(
        self,
        cli: CommandLine,
        folder: Path,
        database_url: str,
        *,
        peers: dict[str, tuple[str, int]] | None = None,
        settings: dict[str, dict[str, Any]] | None = None,
        aetitle: str = "NODE",
        port: int | None = None,
    ) -> None:
        self.cli = cli
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.database_url = database_url
        self.aetitle = aetitle
        self.port = port or free_port()
        self.directory = folder / "dicom"
        self.config = folder / "node.yaml"
        self._settings = settings or {}
        self._logs = 0
        self.configure(peers or {})

    def configure(
        self,
        peers: dict[str, tuple[str, int]],
        *,
        settings: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        """Write the configuration file (JSON is YAML); `settings` are instead of those before."""
        if settings is not None:
            self._settings = settings
        node = {"aetitle": self.aetitle, "host": LOOPBACK, "port": self.port}
        sections: dict[str, dict[str, Any]] = {
            "node": node,
            "storage": {"resources": self.database_url, "directory": str(self.directory)},
            "peers": {
                name: {"aetitle": aetitle, "host": LOOPBACK, "port": port}
                for name, (aetitle, port) in peers.items()
            },
            "move": {"settle": "3s"},
        }
        for name, values in self._settings.items():
            sections[name] = {**sections.get(name, {}), **values}
        self.config.write_text(json.dumps(sections, indent=2), encoding="utf-8")

    def __call__(self, *args: str | Path, timeout: float = 120.0) -> Result:
        """Run a command with this node's configuration."""
        return self.cli(*args, "--config", self.config, timeout=timeout)

    def ok(self, *args: str | Path, timeout: float = 120.0) -> Result:
        """Run a command that must succeed."""
        result = self(*args, timeout=timeout)
        assert result.code == 0, f"{args}: {result}"
        return result

    def json(self, *args: str | Path, code: int = 0, timeout: float = 120.0) -> Any:
        """Run a command with `--json` and return its document."""
        result = self(*args, "--json", timeout=timeout)
        assert result.code == code, f"{args}: {result}"
        return json.loads(result.stdout)

    def start(self) -> Process:
        """Start the daemon and wait until it listens; the caller ends it."""
        self._logs += 1
        log = self.folder / f"node-{self._logs}.log"
        process = self.cli.start("run", "--config", self.config, log=log)
        try:
            process.wait_for_line(f"listening on {LOOPBACK}:{self.port}")
        except BaseException:
            process.terminate()
            raise
        return process

    @contextmanager
    def running(self) -> Iterator[Process]:
        """Run the daemon for the length of the block; it must then stop cleanly."""
        process = self.start()
        try:
            yield process
        except BaseException:
            process.terminate()
            raise
        code = process.terminate(timeout=30.0)
        assert code == 0, process.output()

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of a query, as mappings."""

        async def ask() -> list[dict[str, Any]]:
            async with Database(self.database_url) as database, database.session() as session:
                return [dict(row) for row in (await session.execute(text(sql))).mappings()]

        return asyncio.run(ask())

    def change(self, sql: str) -> None:
        """Change rows as an administrator would."""

        async def write() -> None:
            async with Database(self.database_url) as database, database.begin() as session:
                await session.execute(text(sql))

        asyncio.run(write())

    def value(self, sql: str) -> Any:
        """Return the only value of a query."""
        ((value,),) = [tuple(row.values()) for row in self.rows(sql)]
        return value

    def files(self) -> list[Path]:
        """Return the images in the storage directory, and whatever else lies there."""
        ours = (path for path in self.directory.rglob("*") if path.is_file())
        return sorted(path for path in ours if not path.name.startswith((".move-", ".storage-")))

    def stored(self) -> dict[str, Path]:
        """Return the indexed files: SOP Instance UID to path."""
        return {
            row["image_uid"]: Path(row["filepath"])
            for row in self.rows("SELECT image_uid, filepath FROM images")
        }


def uids(values: Sequence[Any]) -> set[str]:
    """Return the SOP Instance UIDs of generated images."""
    return {value.sop_instance_uid for value in values}
