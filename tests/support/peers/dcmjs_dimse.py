"""dcmjs-dimse, of the JavaScript world: its client run to its end, and its server.

`make peers` installs it below `var/peers/dcmjs`, in the versions of `dcmjs/package-lock.json`.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import pytest

from tests.support.certificates import Authority, Identity
from tests.support.processes import LOOPBACK, Process, free_port

_SCRIPTS = Path(__file__).parent / "dcmjs"
_MODULES = Path(__file__).parents[3] / "var" / "peers" / "dcmjs" / "node_modules"

TLS = tuple[Identity, Authority]


class Sent(NamedTuple):
    """What a client was answered, and the datasets that it sent, by their SOP Instance UIDs."""

    echo: int | None
    stores: list[int | None]
    errors: list[str]
    datasets: dict[str, bytes]


def send(
    port: int,
    *files: Path,
    folder: Path,
    called: str,
    calling: str = "DCMJS",
    tls: TLS | None = None,
) -> Sent:
    """Verify a peer, and store files at it, in one association; `folder` is for what was sent."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "port": port,
        "called": called,
        "calling": calling,
        "files": [str(path) for path in files],
        "sent": str(folder),
        **_secure(tls),
    }
    answers = _run("scu.js", told)
    datasets = {path.name: path.read_bytes() for path in folder.iterdir()}
    return Sent(**answers, datasets=datasets)


class Asked(NamedTuple):
    """What was found, the last statuses, and the pixel data of what came, by SOP Instance UID."""

    matches: list[dict[str, Any]]
    find: int | None
    move: int | None
    get: int | None
    images: dict[str, bytes]
    errors: list[str]


def ask(
    port: int,
    *,
    find: Mapping[str, str],
    move: tuple[str, str],
    get: str,
    called: str,
    calling: str = "DCMJS",
    tls: TLS | None = None,
) -> Asked:
    """Query a peer for studies, have it move one, and get one.

    `find` are the keys, `move` is the destination and the study, `get` the study.
    """
    told = {
        "port": port,
        "called": called,
        "calling": calling,
        "find": dict(find),
        "move": list(move),
        "get": get,
        **_secure(tls),
    }
    answers = _run("ask.js", told)
    images = {uid: base64.b64decode(pixels) for uid, pixels in answers.pop("images").items()}
    return Asked(**answers, images=images)


class DcmjsScp:
    """A running server for C-ECHO and C-STORE; a context manager."""

    def __init__(self, folder: Path, *, aetitle: str = "DCMJS", tls: TLS | None = None) -> None:
        self.aetitle = aetitle
        self.host = LOOPBACK
        self.port = free_port()
        self.folder = folder
        self._tls = tls
        self._process: Process | None = None

    def __enter__(self) -> Self:
        received = self.folder / "received"
        received.mkdir(parents=True)
        told = {"port": self.port, "folder": str(received), **_secure(self._tls)}
        self._process = Process(
            [_node(), _SCRIPTS / "scp.js", json.dumps(told)],
            log=self.folder / "dcmjs.log",
            env=_environment(),
        )
        try:
            self._process.wait_for_port(self.port)
        except BaseException:
            self._process.terminate()
            raise
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process = None

    def datasets(self) -> dict[str, bytes]:
        """Return what has come: SOP Instance UID to the dataset's bytes."""
        return {path.name: path.read_bytes() for path in (self.folder / "received").iterdir()}


def _secure(tls: TLS | None) -> dict[str, Sequence[str]]:
    if tls is None:
        return {}
    identity, authority = tls
    paths = (identity.certificate, identity.key, authority.certificate)
    return {"tls": [str(path) for path in paths]}


def _run(script: str, told: dict[str, Any]) -> Any:
    """Run a script to its end, and return what it says."""
    done = subprocess.run(
        [_node(), _SCRIPTS / script, json.dumps(told)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=_environment(),
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _environment() -> dict[str, Any]:
    return os.environ | {"NODE_PATH": str(_MODULES)}


def _node() -> str:
    found = shutil.which("node")
    if found is None or not (_MODULES / "dcmjs-dimse").is_dir():
        pytest.skip("dcmjs-dimse is not installed: run `make peers`")
    return found
