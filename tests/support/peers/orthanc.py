"""Orthanc, a real PACS with a REST interface, on ports and in a folder of its own."""

from __future__ import annotations

import http.client
import io
import json
import os
import zipfile
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.support.certificates import Authority, Identity
from tests.support.peers.programs import HOW, require_program
from tests.support.processes import LOOPBACK, Process, accepts_connections, free_port
from tests.support.waiting import wait_until

DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
"""Orthanc's plugin for DICOMweb, where Debian's package has it."""

_BATCH = 1000
"""Files that it is given at once."""


def dicomweb(**settings: Any) -> dict[str, Any]:
    """Return the settings of an Orthanc with its DICOMweb plugin, or skip the test.

    `settings` go over the plugin's own.
    """
    if not DICOMWEB.exists():
        pytest.skip(f"Orthanc's DICOMweb plugin is not installed: {HOW}")
    return {
        "Plugins": [str(DICOMWEB)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"} | settings,
    }


class Orthanc:
    """An Orthanc server; a context manager.

    `peers` are the modalities that it knows: AE title to port on this machine. More can be added
    while it runs (`add_peer`). `settings` go over its configuration, `environment` is added to its
    environment. Only this machine may use it. With `tls`, an identity and the authority of
    the others' certificates, it speaks TLS: to those who call it, and to its peers.
    """

    def __init__(
        self,
        folder: Path,
        *,
        aetitle: str = "ORTHANC",
        port: int | None = None,
        peers: Mapping[str, int] | None = None,
        settings: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        tls: tuple[Identity, Authority] | None = None,
    ) -> None:
        self.aetitle = aetitle
        self.host = LOOPBACK
        self.port = free_port() if port is None else port
        self.http_port = free_port()
        self.folder = folder
        self.peers = dict(peers or {})
        self._settings = dict(settings or {})
        self._tls = tls
        # Orthanc's DICOM is DCMTK's: without this, each image that it sends costs 40 ms
        self._environment = {"TCP_NODELAY": "1"} if environment is None else dict(environment)
        self._process: Process | None = None
        self._connection: http.client.HTTPConnection | None = None

    @property
    def url(self) -> str:
        """The base URL of its DICOMweb service, where it has `dicomweb`."""
        return f"http://{LOOPBACK}:{self.http_port}/dicom-web"

    @property
    def process(self) -> Process:
        """The running server."""
        assert self._process is not None, "Orthanc is stopped"
        return self._process

    def start(self) -> None:
        """Start the server and wait until both of its ports answer."""
        program = require_program("Orthanc", "orthanc")
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "orthanc.json"
        configuration.write_text(json.dumps(self._configuration(), indent=2), encoding="utf-8")
        self._process = Process(
            [program, configuration],
            log=self.folder / "orthanc.log",
            env=os.environ | self._environment,
        )
        self._process.wait_for_port(self.http_port)
        wait_until(lambda: accepts_connections(self.port), describe=self._process.output)
        self._connection = http.client.HTTPConnection(LOOPBACK, self.http_port, timeout=120)
        system = self.get("/system")
        assert system["DicomAet"] == self.aetitle, f"another server answers: {system}"

    def stop(self) -> None:
        """Stop the server; what it stored stays."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.terminate(timeout=20.0)
            self._process = None

    def fill(self, paths: Iterable[Path]) -> None:
        """Store files in it, through its REST interface, many with each request."""
        self.fill_encoded(path.read_bytes() for path in paths)

    def fill_encoded(self, files: Iterable[bytes]) -> None:
        """Store files that are no files yet."""
        left = iter(files)
        while batch := list(islice(left, _BATCH)):
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                for number, file in enumerate(batch):
                    archive.writestr(f"{number}.dcm", file)
            answers = self._request("POST", "/instances", packed.getvalue())
            told = [answer["Status"] for answer in answers]
            assert len(told) == len(batch), f"{len(batch)} files, and it took {len(told)}"
            assert {"Success", "AlreadyStored"}.issuperset(told), answers

    def add_peer(self, aetitle: str, port: int) -> None:
        """Let it know another AE title, as a destination and as a sender."""
        body = json.dumps(self._modality(aetitle, port)).encode()
        self._request("PUT", f"/modalities/{aetitle.lower()}", body)

    def store(self, aetitle: str, uids: Iterable[str]) -> None:
        """Send instances, by their SOP Instance UIDs, to a peer that it knows."""
        body = {"Resources": [self._instance(uid) for uid in uids], "Synchronous": True}
        self._request("POST", f"/modalities/{aetitle.lower()}/store", json.dumps(body).encode())

    def commit(self, aetitle: str, uids: Iterable[str]) -> str:
        """Ask a peer to commit to instances that it holds; return where its report will be."""
        instances = [self._instance(uid) for uid in uids]
        body = json.dumps({"Resources": instances}).encode()
        answer = self._request("POST", f"/modalities/{aetitle.lower()}/storage-commitment", body)
        return str(answer["Path"])

    def echo(self, aetitle: str) -> None:
        """Verify a peer that it knows with C-ECHO."""
        self._request("POST", f"/modalities/{aetitle.lower()}/echo", b"{}")

    def find(self, aetitle: str, level: str, **keys: str) -> tuple[str, list[dict[str, str]]]:
        """Query a peer that it knows; return the query's path, and the answers by keyword."""
        body = json.dumps({"Level": level, "Query": keys}).encode()
        path = self._request("POST", f"/modalities/{aetitle.lower()}/query", body)["Path"]
        return path, self.get(f"{path}/answers?expand&simplify")

    def retrieve(self, query: str, number: int) -> None:
        """Have what one of a query's answers names moved here (C-MOVE)."""
        target = json.dumps({"TargetAet": self.aetitle, "Synchronous": True}).encode()
        self._request("POST", f"{query}/answers/{number}/retrieve", target)

    def move(self, aetitle: str, destination: str, **keys: str) -> None:
        """Have a peer that it knows move a study to a third one (C-MOVE)."""
        told = {
            "Level": "Study",
            "Resources": [keys],
            "TargetAet": destination,
            "Synchronous": True,
        }
        body = json.dumps(told).encode()
        self._request("POST", f"/modalities/{aetitle.lower()}/move", body)

    def file(self, uid: str) -> bytes:
        """Return an instance as the file that it keeps."""
        content: bytes = self._ask("GET", f"/instances/{self._instance(uid)}/file")
        return content

    def count_images(self) -> int:
        """Return how many images it holds."""
        return int(self.get("/statistics")["CountInstances"])

    def delete(self, level: str, uid: str) -> None:
        """Delete the `patient`, `study`, `series` or `instance` with this DICOM identifier."""
        found = self._request("POST", "/tools/lookup", uid.encode())
        paths = [item["Path"] for item in found if item["Type"].lower() == level]
        assert paths, f"Orthanc has no {level} {uid}"
        for path in paths:
            self._request("DELETE", path)

    def get(self, path: str) -> Any:
        """Return the answer to a GET request."""
        return self._request("GET", path)

    def _instance(self, uid: str) -> str:
        found = self._request("POST", "/tools/lookup", uid.encode())
        (identifier,) = [item["ID"] for item in found if item["Type"] == "Instance"]
        return str(identifier)

    def _modality(self, aetitle: str, port: int) -> dict[str, Any]:
        return {
            "AET": aetitle,
            "Host": LOOPBACK,
            "Port": port,
            "UseDicomTls": self._tls is not None,
        }

    def _request(self, method: str, path: str, body: bytes | None = None) -> Any:
        content = self._ask(method, path, body)
        return json.loads(content) if content else None

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        assert self._connection is not None, "Orthanc is stopped"
        try:
            self._connection.request(method, path, body=body)
            response = self._connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            # Orthanc closes a connection that was idle for a second; all that we ask for may be
            # asked twice.
            self._connection.close()
            self._connection.request(method, path, body=body)
            response = self._connection.getresponse()
        content = response.read()
        assert response.status < 300, f"{method} {path}: {response.status} {content[:500]!r}"
        return content

    def _secure(self) -> dict[str, Any]:
        if self._tls is None:
            return {}
        identity, authority = self._tls
        return {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": str(identity.certificate),
            "DicomTlsPrivateKey": str(identity.key),
            "DicomTlsTrustedCertificates": str(authority.certificate),
            "DicomTlsRemoteCertificateRequired": True,
        }

    def _configuration(self) -> dict[str, Any]:
        storage = str(self.folder / "storage")
        return {
            "Name": self.aetitle,
            "StorageDirectory": storage,
            "IndexDirectory": storage,
            "StorageCompression": False,
            "Plugins": [],
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "KeepAlive": True,
            "TcpNoDelay": True,
            "DicomAet": self.aetitle,
            "DicomPort": self.port,
            "DicomCheckCalledAet": False,
            "DicomCheckModalityHost": True,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowMove": True,
            "DicomAlwaysAllowGet": True,
            "UnknownSopClassAccepted": True,
            "OverwriteInstances": False,
            "StableAge": 1,
            "DicomModalities": {
                aetitle.lower(): self._modality(aetitle, port)
                for aetitle, port in self.peers.items()
            },
        } | (self._secure() | self._settings)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
