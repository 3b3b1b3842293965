"""DCMTK: its command-line tools, run to their end, and its two servers.

Every tool runs with `TCP_NODELAY=1`: DCMTK leaves Nagle's algorithm on otherwise, and each image
costs a delayed acknowledgement.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pydicom

from tests.support.certificates import Authority, Identity
from tests.support.peers.programs import Finished, require_program, run_program
from tests.support.processes import LOOPBACK, Process, free_port

# What makes `storescu` propose a transfer syntax; the uncompressed ones but deflated and big
# endian need nothing.
PROPOSE = {
    "1.2.840.10008.1.2": ["-xi"],
    "1.2.840.10008.1.2.1": ["-xe"],
    "1.2.840.10008.1.2.1.99": ["-xd"],
    "1.2.840.10008.1.2.2": ["-xb"],
    "1.2.840.10008.1.2.4.50": ["-xy"],
    "1.2.840.10008.1.2.4.51": ["-xx"],
    "1.2.840.10008.1.2.4.70": ["-xs"],
    "1.2.840.10008.1.2.4.80": ["-xt"],
    "1.2.840.10008.1.2.4.81": ["-xu"],
    "1.2.840.10008.1.2.4.90": ["-xv"],
    "1.2.840.10008.1.2.4.91": ["-xw"],
    "1.2.840.10008.1.2.5": ["-xr"],
}


def dcmtk_program(name: str) -> Path:
    """Return the path of a DCMTK program, or skip the test."""
    return require_program(name, "dcmtk")


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for DCMTK's programs."""
    return os.environ | {"TCP_NODELAY": "1"} | dict(changes or {})


def run(name: str, *args: str | Path, timeout: float = 120.0) -> Finished:
    """Run a DCMTK tool to its end, at most `timeout` seconds."""
    return run_program(dcmtk_program(name), *args, env=environment(), timeout=timeout)


def echoscu(
    port: int, *, called: str, calling: str = "ECHOSCU", options: Sequence[str] = ()
) -> Finished:
    """Verify a peer with C-ECHO."""
    return run("echoscu", "-v", "-aet", calling, "-aec", called, *options, LOOPBACK, str(port))


def storescu(
    port: int,
    *paths: Path,
    called: str,
    calling: str = "STORESCU",
    options: Sequence[str] = ("-R",),
    timeout: float = 120.0,
) -> Finished:
    """Send files, or the folders' files; `-v` shows a status for each."""
    names = ("-aet", calling, "-aec", called)
    where = (LOOPBACK, str(port))
    return run("storescu", "-v", "+sd", "+r", *names, *options, *where, *paths, timeout=timeout)


def dcmsend(
    port: int,
    *paths: Path,
    called: str,
    calling: str = "DCMSEND",
    options: Sequence[str] = (),
    timeout: float = 120.0,
) -> Finished:
    """Send files, or the folders' files, with as many associations as they need."""
    names = ("-aet", calling, "-aec", called)
    where = (LOOPBACK, str(port))
    return run("dcmsend", "-v", "+sd", "+r", *names, *options, *where, *paths, timeout=timeout)


def findscu(
    port: int,
    *keys: str,
    called: str,
    calling: str = "FINDSCU",
    level: str = "STUDY",
    model: str = "-S",
    options: Sequence[str] = (),
) -> tuple[Finished, list[pydicom.Dataset]]:
    """Query a peer; each key is `Keyword` or `Keyword=value`.

    `model` is `-S`, Study Root, or `-P`, Patient Root.
    """
    given = [part for key in (f"QueryRetrieveLevel={level}", *keys) for part in ("-k", key)]
    with tempfile.TemporaryDirectory() as folder:
        names = (model, "-aet", calling, "-aec", called, *options)
        where = (LOOPBACK, str(port))
        done = run("findscu", "-v", *names, "-X", "-od", folder, *given, *where)
        answers = [pydicom.dcmread(path, force=True) for path in sorted(Path(folder).iterdir())]
        for answer in answers:
            answer.decode()
    return done, answers


def movescu(
    port: int,
    *keys: str,
    called: str,
    destination: str,
    calling: str = "MOVESCU",
    level: str = "STUDY",
    model: str = "-S",
    options: Sequence[str] = (),
    timeout: float = 300.0,
) -> Finished:
    """Ask a peer to move what the keys name to the AE title `destination`."""
    given = [part for key in (f"QueryRetrieveLevel={level}", *keys) for part in ("-k", key)]
    names = (model, "-aet", calling, "-aec", called, "-aem", destination, *options)
    return run("movescu", "-v", *names, *given, LOOPBACK, str(port), timeout=timeout)


def getscu(
    port: int,
    *keys: str,
    called: str,
    folder: Path,
    calling: str = "GETSCU",
    level: str = "STUDY",
    model: str = "-S",
    options: Sequence[str] = (),
    timeout: float = 120.0,
) -> tuple[Finished, list[Path]]:
    """Get what the keys name over the association that asks, into `folder`, bytes as they come.

    `model` is `-S`, Study Root, or `-P`, Patient Root. `options` say which transfer syntaxes are
    proposed besides the uncompressed ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given = [part for key in (f"QueryRetrieveLevel={level}", *keys) for part in ("-k", key)]
    names = (model, "-aet", calling, "-aec", called)
    done = run(
        *("getscu", "-v", "+B", "-od", folder, *names, *options, *given, LOOPBACK, str(port)),
        timeout=timeout,
    )
    return done, sorted(folder.iterdir())


def tls_options(identity: Identity, authority: Authority) -> list[str]:
    """Return what makes a DCMTK program show a certificate, and ask for one of the authority."""
    return ["+tls", str(identity.key), str(identity.certificate), "+cf", str(authority.certificate)]


class _Server:
    """A DCMTK server: a context manager around its process."""

    def __init__(self, folder: Path, *, aetitle: str, port: int | None) -> None:
        self.aetitle = aetitle
        self.host = LOOPBACK
        self.port = free_port() if port is None else port
        self.folder = folder
        self._process: Process | None = None

    def _command(self) -> list[str | Path]:
        raise NotImplementedError

    @property
    def process(self) -> Process:
        """The running server."""
        assert self._process is not None, "the server is stopped"
        return self._process

    def start(self) -> None:
        """Start the server and wait until it listens."""
        command = self._command()
        log = self.folder / f"{self.aetitle}.log"
        self._process = Process(command, log=log, env=environment())
        self._process.wait_for_port(self.port)

    def stop(self) -> None:
        """Stop the server; what it stored stays."""
        if self._process is not None:
            self._process.terminate()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class StoreScp(_Server):
    """`storescp`, writing every object to `received` with the dataset's bytes as they came.

    It takes every transfer syntax and SOP class that it knows or does not know, each association in
    a process of its own. `options` are added to the command line.
    """

    def __init__(
        self,
        folder: Path,
        *,
        aetitle: str = "STORESCP",
        port: int | None = None,
        options: Sequence[str] = (),
    ) -> None:
        super().__init__(folder, aetitle=aetitle, port=port)
        self.received = folder / "received"
        self._options = options

    def _command(self) -> list[str | Path]:
        self.received.mkdir(parents=True, exist_ok=True)
        return [
            dcmtk_program("storescp"),
            *("--fork", "--bit-preserving", "--accept-all", "--promiscuous"),
            *("-aet", self.aetitle, "-od", self.received),
            *self._options,
            str(self.port),
        ]

    def files(self) -> dict[str, Path]:
        """Return what it has received: SOP Instance UID to file, `MODALITY.UID` by name."""
        return {path.name.split(".", 1)[1]: path for path in self.received.iterdir()}


class DcmQrScp(_Server):
    """`dcmqrscp`, a small PACS: C-ECHO, C-STORE, C-FIND, C-MOVE and C-GET.

    `peers` are the destinations that it knows: AE title to port on this machine.
    """

    def __init__(
        self,
        folder: Path,
        *,
        aetitle: str = "DCMQRSCP",
        port: int | None = None,
        peers: Mapping[str, int] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        super().__init__(folder, aetitle=aetitle, port=port)
        self.peers = dict(peers or {})
        self.storage = folder / "storage"
        self._options = options

    def _command(self) -> list[str | Path]:
        program = dcmtk_program("dcmqrscp")
        self.storage.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "dcmqrscp.cfg"
        configuration.write_text(self._configuration(), encoding="ascii")
        return [program, "--config", configuration, *self._options]

    def _configuration(self) -> str:
        hosts = "\n".join(
            f"peer{number} = ({aetitle}, {LOOPBACK}, {port})"
            for number, (aetitle, port) in enumerate(self.peers.items())
        )
        return (
            f"NetworkTCPPort = {self.port}\nMaxPDUSize = 65536\nMaxAssociations = 16\n"
            f"HostTable BEGIN\n{hosts}\nHostTable END\n"
            "VendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\n{self.aetitle} {self.storage} RW (1000, 4096mb) ANY\nAETable END\n"
        )

    def fill(self, *paths: Path) -> None:
        """Store files, or the folders' files, in it."""
        done = storescu(self.port, *paths, called=self.aetitle)
        assert done.code == 0, done.output
