"""pynetdicom: its example PACS `qrscp`, as a process of its own, with TLS where that is asked for.

    python -m tests.support.peers.qrscp '{"port": 11112, "folder": "…", …}'

is what the process runs: the application's own handlers, which its command line cannot give a
certificate.
"""

from __future__ import annotations

import json
import logging
import ssl
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Self

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.apps.qrscp import db, handlers
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from tests.support.certificates import Authority, Identity
from tests.support.forks import Forks
from tests.support.peers.pynetdicom_race import mend
from tests.support.processes import LOOPBACK, Process, free_port

ROOT = Path(__file__).resolve().parents[3]


class QrScp:
    """A running `qrscp`; a context manager.

    `peers` are the destinations that it knows: AE title to port on this machine. With `tls`, an
    identity and the authority of the others' certificates, it speaks TLS: to those who call it,
    and to its peers. With `forks`, its process is forked.
    """

    def __init__(
        self,
        folder: Path,
        *,
        aetitle: str = "QRSCP",
        peers: Mapping[str, int] | None = None,
        tls: tuple[Identity, Authority] | None = None,
        forks: Forks | None = None,
    ) -> None:
        self.aetitle = aetitle
        self.host = LOOPBACK
        self.port = free_port()
        self.folder = folder
        self.peers = dict(peers or {})
        self._tls = tls
        self._forks = forks
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        told: dict[str, Any] = {
            "aetitle": self.aetitle,
            "port": self.port,
            "folder": str(self.folder),
            "peers": self.peers,
        }
        if self._tls is not None:
            identity, authority = self._tls
            told["tls"] = [
                str(path) for path in (identity.certificate, identity.key, authority.certificate)
            ]
        self._process = Process(
            [sys.executable, "-m", __name__, json.dumps(told)],
            log=self.folder / "qrscp.log",
            cwd=ROOT,
            forks=self._forks,
        )
        try:
            self._process.wait_for_line("^listening")
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

    def file(self, uid: str) -> bytes:
        """Return an instance as the file that it keeps."""
        return (self.folder / "instances" / uid).read_bytes()


def client_context(identity: Identity, authority: Authority) -> ssl.SSLContext:
    """Return a context for who calls, which asks for a certificate of the authority."""
    return _context(
        ssl.PROTOCOL_TLS_CLIENT, identity.certificate, identity.key, authority.certificate
    )


def _context(protocol: int, certificate: Path, key: Path, ca: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(ca)
    context.load_cert_chain(certificate, key)
    return context


def _serve(told: dict[str, Any]) -> None:
    mend()
    folder = Path(told["folder"])
    (folder / "instances").mkdir()
    database = f"sqlite:///{folder / 'instances.sqlite'}"
    db.create(database)
    server = caller = None
    if "tls" in told:
        paths = [Path(path) for path in told["tls"]]
        server = _context(ssl.PROTOCOL_TLS_SERVER, *paths)
        caller = _context(ssl.PROTOCOL_TLS_CLIENT, *paths)
    destinations = {aetitle: (LOOPBACK, port) for aetitle, port in told["peers"].items()}

    def move(event: evt.Event, *args: Any) -> Iterator[Any]:
        answers = handlers.handle_move(event, *args)
        address = next(answers)
        if caller is not None and address[0] is not None:
            host, port, options = address
            address = (host, port, {**options, "tls_args": (caller, None)})
        yield address
        yield from answers

    entity = AE(told["aetitle"])
    entity.add_supported_context(Verification)
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(
            context.abstract_syntax, ALL_TRANSFER_SYNTAXES, scp_role=True, scu_role=True
        )
    for model in (
        StudyRootQueryRetrieveInformationModelFind,
        StudyRootQueryRetrieveInformationModelGet,
        StudyRootQueryRetrieveInformationModelMove,
    ):
        entity.add_supported_context(model)
    log = logging.getLogger("qrscp")
    entity.start_server(
        (LOOPBACK, told["port"]),
        block=False,
        ssl_context=server,
        evt_handlers=[
            (evt.EVT_C_ECHO, handlers.handle_echo, [None, log]),
            (evt.EVT_C_FIND, handlers.handle_find, [database, None, log]),
            (evt.EVT_C_GET, handlers.handle_get, [database, None, log]),
            (evt.EVT_C_MOVE, move, [destinations, database, None, log]),
            (
                evt.EVT_C_STORE,
                handlers.handle_store,
                [str(folder / "instances"), database, None, log],
            ),
        ],
    )
    print("listening", flush=True)
    Event().wait()


if __name__ == "__main__":
    _serve(json.loads(sys.argv[1]))
