"""A running node that other makers' clients ask, what it holds, and where it sends to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.data import get_charset_files, get_testdata_file

from tests.support.certificates import Authority, Identity
from tests.support.cli import CommandLine
from tests.support.images import dataset_bytes, one_per_transfer_syntax
from tests.support.node import Node
from tests.support.peers import dcmtk
from tests.support.processes import LOOPBACK, Process, free_port
from tests.support.proxy import Proxy

TITLES = ("DCMTK", "ORTHANC", "PYNETDICOM", "DCMJS", "GDCMSCU", "PIXELMED", "CTN", "STORESCP")

Digests = dict[str, str]
"""The SHA-256 of the encoded dataset, by SOP Instance UID."""


@dataclass(frozen=True, kw_only=True)
class HeldStudy:
    """A study that the node holds: its files by SOP Instance UID, and how its patient is called."""

    uid: str
    patient_id: str
    name: str
    charset: tuple[str, ...]
    images: Mapping[str, Path]

    @property
    def digests(self) -> Digests:
        """What its images are, as they were stored."""
        return {uid: digest(dataset_bytes(path)) for uid, path in self.images.items()}


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """What the node holds.

    Attributes
    ----------
    folder
        Where its files are.
    every_syntax
        An image in each of 12 transfer syntaxes; Latin-1.
    uncompressed
        Three in Explicit VR Little Endian; Japanese, by code extensions (ISO 2022).
    greek
        One, in Implicit VR Little Endian, under UIDs of its own.
    """

    folder: Path
    every_syntax: HeldStudy
    uncompressed: HeldStudy
    greek: HeldStudy

    @property
    def studies(self) -> tuple[HeldStudy, ...]:
        """All of them."""
        return (self.every_syntax, self.uncompressed, self.greek)

    @property
    def names(self) -> dict[str, str]:
        """The name of the patient of each study, by its Study Instance UID."""
        return {study.uid: study.name for study in self.studies}


@dataclass(frozen=True, kw_only=True)
class AskedNode:
    """Whom the clients ask.

    Attributes
    ----------
    ours
        What a client shows, and whose certificates it takes; None without TLS.
    ports
        Where the node believes that each of its peers listens, by AE title.
    gdcm_port
        Where gdcmscu has to listen. Between it and the node is one who waits until it does: it has
        the node move first, and listens then.
    destination
        Takes what is moved to `STORESCP`, byte for byte.
    """

    aetitle: str
    port: int
    held: Holdings
    ours: tuple[Identity, Authority] | None
    ports: Mapping[str, int]
    gdcm_port: int
    destination: dcmtk.StoreScp
    node: Node

    @property
    def dcmtk(self) -> list[str]:
        """The options that make a DCMTK tool speak TLS, where it is to."""
        return dcmtk.tls_options(*self.ours) if self.ours else []

    def moved(self, study: HeldStudy) -> Digests:
        """Return what has come of a study at the destination, and forget it there."""
        files = self.destination.files()
        came = {uid: files[uid] for uid in study.images if uid in files}
        found = {uid: digest(dataset_bytes(path)) for uid, path in came.items()}
        for path in came.values():
            path.unlink()
        return found


def digest(dataset: bytes) -> str:
    """Return the SHA-256 of an encoded dataset."""
    return hashlib.sha256(dataset).hexdigest()


def digests(paths: Iterator[Path] | list[Path]) -> Digests:
    """Return what is in files, by the SOP Instance UIDs in them."""
    found = {}
    for path in paths:
        uid = str(pydicom.dcmread(path, force=True, stop_before_pixels=True).SOPInstanceUID)
        found[uid] = digest(dataset_bytes(path))
    return found


def make_holdings(folder: Path, *, greek: tuple[str, str]) -> Holdings:
    """Write what the node is to hold; `greek` are the UIDs of a study and of its only series."""
    every = list(one_per_transfer_syntax(folder.with_name(f"{folder.name}-sources")).values())
    (japanese,) = get_charset_files("chrH31.dcm")
    implicit = get_testdata_file("MR_small_implicit.dcm", download=False)
    return Holdings(
        folder=folder,
        every_syntax=_study(
            folder / "every", every, ("ISO_IR 100",), "Äneas^Rüdiger", ("1.2.3.1", "1.2.3.1.1")
        ),
        uncompressed=_study(
            folder / "japanese",
            [Path(japanese)] * 3,
            ("", "ISO 2022 IR 87"),
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
            ("1.2.3.2", "1.2.3.2.1"),
        ),
        greek=_study(folder / "greek", [Path(str(implicit))], ("ISO_IR 126",), "Διονυσιος", greek),
    )


def _study(
    folder: Path, sources: list[Path], charset: tuple[str, ...], name: str, uids: tuple[str, str]
) -> HeldStudy:
    folder.mkdir(parents=True)
    images = {}
    patient_id = f"ID-{folder.name}"
    for number, source in enumerate(sources, start=1):
        ds = pydicom.dcmread(source)
        ds.decode()
        ds.SpecificCharacterSet = list(charset)
        ds.PatientName, ds.PatientID = name, patient_id
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uids
        ds.StudyDate, ds.StudyTime, ds.Modality = "20240131", "101500", ds.get("Modality", "OT")
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{uids[1]}.{number}"
        path = folder / f"{number}.dcm"
        ds.save_as(path, enforce_file_format=True)
        images[str(ds.SOPInstanceUID)] = path
    return HeldStudy(uid=uids[0], patient_id=patient_id, name=name, charset=charset, images=images)


@contextmanager
def asked_node(
    cli: CommandLine,
    folder: Path,
    database_url: str,
    held: Holdings,
    *,
    theirs: Identity | None = None,
    ours: Identity | None = None,
    authority: Authority | None = None,
) -> Iterator[tuple[AskedNode, Process]]:
    """Run a node that holds something, with all peers' titles known to it, and a destination.

    With `theirs`, the node's certificate, all of them speak TLS.
    """
    settings: dict[str, Any] = {"node": {"known_peers_only": True}}
    client: dict[str, Any] = {"enabled": False}
    shown, options = None, []
    if theirs is not None and ours is not None and authority is not None:
        files = {"certificate": str(theirs.certificate), "key": str(theirs.key)}
        files["ca"] = str(authority.certificate)
        settings["node"]["tls"] = files
        client = {"enabled": True, **files, "check_name": False}
        shown, options = (ours, authority), dcmtk.tls_options(theirs, authority)
    gdcm_port = free_port()
    waiting = Proxy(gdcm_port, patience=10)
    ports = {title: free_port() for title in TITLES} | {"GDCMSCU": waiting.port}
    settings["peers"] = {
        title.lower(): {
            "aetitle": title,
            "host": LOOPBACK,
            "port": port,
            "may_query": [title],
            "may_retrieve": [title],
            "tls": client,
        }
        for title, port in ports.items()
    }
    node = Node(cli, folder, database_url, settings=settings)
    node.ok("db", "init")
    node.ok("parse", "--input", held.folder)
    receiver = dcmtk.StoreScp(folder / "storescp", port=ports["STORESCP"], options=options)
    with waiting, receiver, node.running() as process:
        asked = AskedNode(
            aetitle=node.aetitle,
            port=node.port,
            held=held,
            ours=shown,
            ports=ports,
            gdcm_port=gdcm_port,
            destination=receiver,
            node=node,
        )
        yield asked, process
