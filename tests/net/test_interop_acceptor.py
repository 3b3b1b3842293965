"""Other makers' senders with the running node, plain and over TLS: it keeps what they send.

Every sender is given one object in each transfer syntax that pydicom's files have. What the node
keeps has to be what the sender put on the wire: as `storescp`, which keeps bytes as they come, has
it from the same sender, or as the sender itself tells. How much of that still is the file's own
bytes is the sender's doing, and stands in the table.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.association import Association

from tests.support.certificates import Authority, Identity
from tests.support.cli import CommandLine
from tests.support.images import dataset_bytes, one_per_transfer_syntax
from tests.support.node import Node
from tests.support.peers import dcmjs_dimse, dcmtk
from tests.support.peers.orthanc import Orthanc
from tests.support.peers.pynetdicom_race import mend
from tests.support.peers.qrscp import client_context
from tests.support.received import spooled
from tests.support.waiting import wait_until

pytestmark = pytest.mark.peers

IMPLICIT, EXPLICIT, BIG_ENDIAN = (f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".2"))
DEFLATED, RLE = f"{EXPLICIT}.99", "1.2.840.10008.1.2.5"
BASELINE, EXTENDED, LOSSLESS, JPEG_LS, NEAR_LOSSLESS, J2K_LOSSLESS, J2K = (
    f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 70, 80, 81, 90, 91)
)
EVERY = {
    *(IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED, RLE),
    *(BASELINE, EXTENDED, LOSSLESS, JPEG_LS, NEAR_LOSSLESS, J2K_LOSSLESS, J2K),
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """Whom to send to, and how: `ours` is what the sender shows, over TLS."""

    aetitle: str
    port: int
    ours: tuple[Identity, Authority] | None

    @property
    def dcmtk(self) -> list[str]:
        """The options that make a DCMTK tool speak TLS, where it is to."""
        return dcmtk.tls_options(*self.ours) if self.ours else []


Sent = dict[str, tuple[str, bytes]]
"""Transfer syntax and dataset by SOP Instance UID."""


def from_storescu(targets: list[Target], files: Mapping[str, Path], folder: Path) -> None:
    for target in targets:
        for uid, path in files.items():
            options = ["-R", *target.dcmtk, *dcmtk.PROPOSE[uid]]
            done = dcmtk.storescu(target.port, path, called=target.aetitle, options=options)
            assert done.code == 0, done.output
            assert "Received Store Response (Success)" in done.output


def from_dcmsend(targets: list[Target], files: Mapping[str, Path], folder: Path) -> None:
    for target in targets:
        paths = files.values()
        done = dcmtk.dcmsend(target.port, *paths, called=target.aetitle, options=["-dn"])
        assert done.code == 0, done.output


def from_orthanc(targets: list[Target], files: Mapping[str, Path], folder: Path) -> None:
    peers = {target.aetitle: target.port for target in targets}
    with Orthanc(folder, peers=peers, tls=targets[0].ours) as orthanc:
        orthanc.fill(files.values())
        for aetitle in peers:
            orthanc.echo(aetitle)
            orthanc.store(aetitle, [uid_of(path) for path in files.values()])


def from_pynetdicom(targets: list[Target], files: Mapping[str, Path], folder: Path) -> Sent:
    (target,) = targets
    datasets = [dcmread(path) for path in files.values()]
    entity = AE("PYNETDICOM")
    entity.add_requested_context("1.2.840.10008.1.1")
    for ds in datasets:
        entity.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
    tls = {"tls_args": (client_context(*target.ours), None)} if target.ours else {}
    association = entity.associate("127.0.0.1", target.port, ae_title=target.aetitle, **tls)
    assert association.is_established
    try:
        assert association.send_c_echo().Status == 0x0000
        for ds in datasets:
            assert association.send_c_store(ds).Status == 0x0000
    finally:
        association.release()
    return {uid_of(path): (uid, dataset_bytes(path)) for uid, path in files.items()}


def from_dcmjs(targets: list[Target], files: Mapping[str, Path], folder: Path) -> Sent:
    (target,) = targets
    answers = dcmjs_dimse.send(
        target.port, *files.values(), folder=folder, called=target.aetitle, tls=target.ours
    )
    assert (answers.echo, answers.errors) == (0x0000, [])
    assert answers.stores == [0x0000] * len(files)
    # It proposes Implicit VR Little Endian before the file's own, and we take the first.
    as_sent = {uid: IMPLICIT if uid == EXPLICIT else uid for uid in files}
    return {
        uid_of(path): (as_sent[uid], answers.datasets[uid_of(path)]) for uid, path in files.items()
    }


@dataclass(frozen=True, kw_only=True)
class Sender:
    """How somebody sends.

    Attributes
    ----------
    send
        Sends files, by transfer syntax, and returns what it has put on the wire.
    referred
        Whether `storescp` has to tell that instead: it is sent everything as well.
    leaves_out
        What it cannot send: dcmjs-dimse inflates a deflated dataset, and sends it as a deflated
        one nevertheless.
    anew
        The transfer syntaxes whose files are encoded anew by the sender.
    """

    send: Callable[[list[Target], Mapping[str, Path], Path], Sent | None]
    referred: bool = False
    leaves_out: frozenset[str] = frozenset()
    anew: frozenset[str] = frozenset()


# DCMTK writes undefined lengths of sequences as defined ones, and drops trailing padding.
BY_DCMTK = frozenset({EXTENDED, JPEG_LS, J2K_LOSSLESS, J2K})

SENDERS = {
    "storescu": Sender(send=from_storescu, referred=True, anew=BY_DCMTK),
    "dcmsend": Sender(send=from_dcmsend, referred=True, anew=BY_DCMTK | {IMPLICIT, BIG_ENDIAN}),
    "Orthanc": Sender(send=from_orthanc, referred=True, anew=BY_DCMTK),
    "pynetdicom": Sender(send=from_pynetdicom),
    "dcmjs": Sender(
        send=from_dcmjs,
        leaves_out=frozenset({DEFLATED}),
        anew=frozenset(EVERY - {DEFLATED, NEAR_LOSSLESS}),
    ),
}
CASES = [("plain", name) for name in SENDERS]
CASES += [("TLS", name) for name in SENDERS if name != "dcmsend"]  # it has no TLS
ALWAYS = {"storescu": "plain", "dcmsend": "plain", "Orthanc": "TLS", "pynetdicom": "plain"}
ALWAYS["dcmjs"] = "TLS"
"""How each sender sends in `make test`; the other way is left to `make test-long`."""
CASES = [
    case if ALWAYS[case[1]] == case[0] else pytest.param(*case, marks=pytest.mark.long)
    for case in CASES
]


def uid_of(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, the node's identity, and one that the senders show."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    return authority, authority.issue("NODE", names="IP:127.0.0.1"), authority.issue("SENDER")


@pytest.fixture(scope="module")
def nodes(request, tmp_path_factory, certificates, background_pids, forks):
    """Running nodes by transport, each from its first use on.

    The plain one has SQLite, that with TLS has PostgreSQL.
    """
    authority, theirs, ours = certificates
    tls = {
        "certificate": str(theirs.certificate),
        "key": str(theirs.key),
        "ca": str(authority.certificate),
    }
    started: dict[str, tuple[Node, Target]] = {}

    def start(transport: str) -> tuple[Node, Target]:
        if transport in started:
            return started[transport]
        folder = tmp_path_factory.mktemp("node")
        (folder / "cli").mkdir()
        url, settings = f"sqlite:///{folder / 'node.db'}", {}
        if transport == "TLS":
            server = request.getfixturevalue("postgresql")
            url, settings = server.url(server.create_database()), {"node": {"tls": tls}}
        node = Node(CommandLine(folder / "cli", forks), folder / "node", url, settings=settings)
        node.ok("db", "init")
        background_pids.add(stack.enter_context(node.running()).pid)
        shown = (ours, authority) if transport == "TLS" else None
        started[transport] = node, Target(aetitle="NODE", port=node.port, ours=shown)
        return started[transport]

    with ExitStack() as stack:
        yield start


@pytest.fixture
def mended(monkeypatch):
    """Take pynetdicom's race out of this process, for the length of a test."""
    monkeypatch.setattr(Association, "__init__", Association.__init__)
    mend()


@pytest.mark.usefixtures("mended")
@pytest.mark.parametrize(("transport", "name"), CASES)
def test_every_transfer_syntax_is_kept_as_it_was_sent(
    transport, name, nodes, certificates, tmp_path
):
    node, to = nodes(transport)
    sender = SENDERS[name]
    files = one_per_transfer_syntax(tmp_path / "files", first=10 + 15 * list(SENDERS).index(name))
    assert set(files) == EVERY
    files = {uid: path for uid, path in files.items() if uid not in sender.leaves_out}
    if sender.referred:
        with storescp(tmp_path, certificates, to) as (reference, also):
            sender.send([to, also], files, tmp_path / "sender")
            sent = {
                uid: (str(dcmread(path).file_meta.TransferSyntaxUID), dataset_bytes(path))
                for uid, path in reference.files().items()
            }
    else:
        sent = sender.send([to], files, tmp_path / "sender")
    wait_until(lambda: spooled(node) == [], describe=lambda: spooled(node))
    kept = kept_by(node, files.values())
    assert kept.keys() == sent.keys() == {uid_of(path) for path in files.values()}
    assert [uid for uid in kept if kept[uid] != sent[uid]] == []
    different = {
        uid for uid, path in files.items() if kept[uid_of(path)] != (uid, dataset_bytes(path))
    }
    assert different <= sender.anew


@contextmanager
def storescp(folder, certificates, like):
    """Run `storescp`, with TLS where the node has it."""
    authority, theirs, _ = certificates
    options = dcmtk.tls_options(theirs, authority) if like.ours else ()
    with dcmtk.StoreScp(folder / "storescp", options=options) as server:
        yield server, Target(aetitle=server.aetitle, port=server.port, ours=like.ours)


def kept_by(node: Node, files) -> Sent:
    named = ", ".join(f"'{uid_of(path)}'" for path in files)
    rows = node.rows(
        f"SELECT image_uid, transfer_syntax_uid, filepath FROM images WHERE image_uid IN ({named})"
    )
    return {
        row["image_uid"]: (row["transfer_syntax_uid"], dataset_bytes(Path(row["filepath"])))
        for row in rows
    }


@pytest.mark.parametrize("transport", ["plain", "TLS"])
def test_echoscu_is_answered(transport, nodes):
    _, to = nodes(transport)
    done = dcmtk.echoscu(to.port, called=to.aetitle, options=to.dcmtk)
    assert done.code == 0, done.output
    assert "Received Echo Response (Success)" in done.output


def test_a_dataset_that_is_not_in_its_transfer_syntax_is_kept_in_quarantine(nodes, tmp_path):
    """dcmjs-dimse inflates a deflated file, and sends it as a deflated one nevertheless."""
    node, to = nodes("plain")
    path = one_per_transfer_syntax(tmp_path / "files", first=85)[DEFLATED]
    sent = from_dcmjs([to], {DEFLATED: path}, tmp_path / "sender")
    wait_until(lambda: spooled(node) == [], describe=lambda: spooled(node))
    assert kept_by(node, [path]) == {}
    (row,) = node.rows("SELECT kind, filepath, sop_instance_uid FROM quarantine")
    assert row["kind"] == "undecodable"
    assert dataset_bytes(Path(row["filepath"])) == sent[uid_of(path)][1]
