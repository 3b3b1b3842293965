"""What a receiving node does when disk, database, sender or the operator get in its way."""

import asyncio
import os
import resource
import signal
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import CTImageStorage, MRImageStorage
from sqlalchemy import text

from node.net.messages import Peer, Timeouts
from node.net.scu.requestor import associate
from schema import Database
from tests.bench import sender
from tests.support.encoded import element
from tests.support.images import dataset_bytes, generate
from tests.support.node import Node
from tests.support.processes import LOOPBACK
from tests.support.waiting import wait_until

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
KEPT_APART = 0xB007
SOP_CLASS_NOT_SUPPORTED = 0x0122


@pytest.fixture
def cli(inside):
    return inside


def new_node(cli, folder, url, **options):
    """Return a node whose database is ready: in this process, which is quicker than the command."""

    async def initialize():
        async with Database(url) as database:
            await database.initialize()

    node = Node(cli, folder, url, **options)
    asyncio.run(initialize())
    return node


@pytest.fixture
def node(cli, tmp_path, migrated_url):
    return Node(cli, tmp_path / "node", migrated_url)


@pytest.fixture
def one_node(cli, tmp_path, migrated_sqlite_url):
    """Return a node on SQLite alone, where no SQL of its own is at stake."""
    return Node(cli, tmp_path / "node", migrated_sqlite_url)


def peer_of(node):
    return Peer(
        name="node",
        aetitle="NODE",
        host=LOOPBACK,
        port=node.port,
        calling_aetitle="TESTER",
        timeouts=Timeouts(connect=5, acse=10, dimse=60, network=60),
    )


MR = (str(MRImageStorage), "1.2.840.10008.1.2.1")


def send(node, *steps):
    """Send over one association: paths are stored, functions are called between them."""

    async def go():
        statuses = []
        async with associate(peer_of(node), storage=[MR]) as association:
            for step in steps:
                if callable(step):
                    await asyncio.to_thread(step)
                else:
                    statuses.append(await association.store(step))
        return statuses

    return asyncio.run(go())


class RawSender(sender.Association):
    """An association that sends whatever command and dataset it is told to."""

    def __init__(self, node):
        super().__init__(node.port, "NODE", [])

    def store(self, dataset, uid, sop_class=str(MRImageStorage)):
        command = sender.store_request(1, sop_class, uid)
        step = sender.MAXIMUM_LENGTH - 6
        pdus = [sender.data_pdu(0x03, command)]
        for start in range(0, max(len(dataset), 1), step):
            last = 0x02 if start + step >= len(dataset) else 0
            pdus.append(sender.data_pdu(last, dataset[start : start + step]))
        self._socket.sendall(b"".join(pdus))
        return self._status()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if kind is None:
            self.release()
        self._socket.close()


def dataset_of(*, uid, study="1.2.3", series="1.2.3.4", patient_id="P1", comment="x"):
    """Encode a small MR dataset whose identifiers may be anything."""

    def ui(tag, value):
        raw = value.encode()
        return element(tag, "UI", raw + b"\0" * (len(raw) % 2))

    def lo(tag, vr, value):
        raw = value.encode()
        return element(tag, vr, raw + b" " * (len(raw) % 2))

    return b"".join(
        (
            ui(0x00080016, str(MRImageStorage)),
            ui(0x00080018, uid),
            lo(0x00080060, "CS", "MR"),
            lo(0x00100010, "PN", "Doe^Jane"),
            lo(0x00100020, "LO", patient_id),
            ui(0x0020000D, study),
            ui(0x0020000E, series),
            lo(0x00204000, "LT", comment),
        )
    )


def execute(node, *statements):
    """Run statements at the node's database, over a connection of our own."""

    async def run():
        async with Database(node.database_url) as database, database.begin() as session:
            for statement in statements:
                await session.execute(text(statement))

    asyncio.run(run())


def refuse_inserts(node, table):
    """Let the database refuse every new row of a table."""
    if node.database_url.startswith("sqlite"):
        execute(
            node,
            f"CREATE TRIGGER refuse BEFORE INSERT ON {table}"
            " BEGIN SELECT RAISE(ABORT, 'refused'); END",
        )
    else:
        # as a CHECK constraint it quotes the row, patient included, in its error
        execute(node, f"ALTER TABLE {table} ADD CONSTRAINT refuse CHECK (false) NOT VALID")


def take_inserts(node, table):
    if node.database_url.startswith("sqlite"):
        execute(node, "DROP TRIGGER refuse")
    else:
        execute(node, f"ALTER TABLE {table} DROP CONSTRAINT refuse")


def count(node, table="images"):
    return node.value(f"SELECT count(*) FROM {table}")


def assert_stored(node, images):
    """Assert that just these images are in the index and on the disk, bit for bit."""
    stored = node.stored()
    assert stored.keys() == {image.sop_instance_uid for image in images}
    assert sorted(stored.values()) == node.files()
    for image in images:
        path = stored[image.sop_instance_uid]
        assert dataset_bytes(path) == dataset_bytes(image.path), path


def spooled(node):
    """Return what has been acknowledged and is not indexed, or is being received."""
    return [path for path in node.files() if ".spool" in path.parts]


def wait_indexed(node):
    """Wait until nothing that was acknowledged waits for the index."""
    wait_until(lambda: not spooled(node), 30)


# 1. The disk


def test_a_disk_that_takes_only_part_of_a_file_is_out_of_resources(one_node, tmp_path):
    node = one_node
    first, second, third = generate(tmp_path / "images", images=3, size="large")
    empty = []
    with node.running() as process:
        before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)

        def fill():
            # room for the database's own files, but not for 512 KB
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (400_000, before[1]))

        def free():
            empty.append((node.files(), count(node)))
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)

        statuses = send(node, fill, first.path, second.path, free, first.path, third.path)
    assert statuses == [OUT_OF_RESOURCES, OUT_OF_RESOURCES, SUCCESS, SUCCESS]
    assert empty == [([], 0)]
    assert_stored(node, [first, third])
    assert "File too large" in process.output()


def test_a_folder_that_cannot_be_made_holds_up_only_its_own_images(one_node, tmp_path):
    node = one_node
    (image,) = generate(tmp_path / "images", images=1)
    (other,) = generate(tmp_path / "others", images=1, seed=1)
    obstacle = node.directory / image.study_uid
    with node.running() as process:
        obstacle.write_text("in the way")
        assert send(node, image.path, other.path) == [SUCCESS, SUCCESS]
        wait_until(lambda: count(node) == 1, 20)
        wait_until(lambda: len(spooled(node)) == 1, 20)  # the other's name goes after its row
        process.wait_for_line("Images wait in the spool: cannot place")
        obstacle.unlink()
        wait_indexed(node)
        process.wait_for_line("Images are indexed again")
    assert_stored(node, [image, other])


def test_an_unreadable_object_that_cannot_be_set_aside_waits(one_node):
    node = one_node
    obstacle = node.directory / ".quarantine"
    with node.running() as process, RawSender(node) as raw:
        obstacle.write_text("in the way")
        assert raw.store(b"not a dataset", "1.2.3.5") == SUCCESS
        process.wait_for_line("Images wait in the spool: cannot put")
        assert count(node, "quarantine") == 0
        assert len(spooled(node)) == 1
        obstacle.unlink()
        wait_indexed(node)
    assert count(node, "quarantine") == 1
    assert len(node.files()) == 1


def test_what_is_left_in_the_spool_is_indexed_by_the_next_start(one_node, tmp_path):
    node = one_node
    (image,) = generate(tmp_path / "images", images=1)
    obstacle = node.directory / image.study_uid
    with node.running() as process:
        obstacle.write_text("in the way")
        assert send(node, image.path) == [SUCCESS]
        process.wait_for_line("Images wait in the spool")
    assert "1 image is left in the spool for the next start" in process.output()
    assert count(node) == 0
    obstacle.unlink()
    with node.running() as process:
        process.wait_for_line("1 image of an earlier process is still to be indexed")
        wait_indexed(node)
    assert_stored(node, [image])


def test_a_storage_directory_that_cannot_be_written_to_is_named_at_the_start(one_node):
    node = one_node
    node.directory.mkdir()
    (node.directory / ".spool").write_text("in the way")
    result = node("run", timeout=30)
    assert result.code == 1, result
    assert f"cannot use the storage directory {node.directory}: " in result.stderr
    assert "Traceback" not in result.stderr


# 2. The database


@pytest.mark.parametrize("table", ["patients", "images"])
def test_a_database_that_refuses_the_row_gets_it_when_it_takes_it(node, tmp_path, table):
    first, second = generate(tmp_path / "images", images=2)
    with node.running() as process:
        refuse_inserts(node, table)
        assert send(node, first.path, second.path) == [SUCCESS, SUCCESS]
        process.wait_for_line("Images wait in the spool: IntegrityError")
        assert len(spooled(node)) == 2
        assert count(node) == 0
        take_inserts(node, table)
        wait_indexed(node)
    assert_stored(node, [first, second])
    assert count(node, "quarantine") == 0
    assert_no_patient(process.output(), first)


def test_a_database_that_goes_away_and_comes_back_gets_every_image_once(
    cli, tmp_path, postgresql, migrated_postgresql_url
):
    node = Node(cli, tmp_path / "node", migrated_postgresql_url)
    first, second, third = generate(tmp_path / "images", images=3)
    name = migrated_postgresql_url.rpartition("/")[2]
    left = []
    with node.running() as process:

        def take_away():
            wait_indexed(node)
            postgresql._statement(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            postgresql._statement(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                f" WHERE datname = '{name}'"
            )

        def give_back():
            process.wait_for_line("Images wait in the spool")
            left.extend(spooled(node))
            postgresql._statement(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

        statuses = send(
            node,
            first.path,
            take_away,
            second.path,
            second.path,
            give_back,
            second.path,
            third.path,
        )
        wait_indexed(node)
    assert statuses == [SUCCESS] * 5
    assert len(left) == 2
    assert_stored(node, [first, second, third])
    assert count(node, "quarantine") == 0


def test_a_quarantine_without_a_row_waits_and_holds_up_no_image(node):
    good = dataset_of(uid="1.2.3.9")
    other = dataset_of(uid="1.2.3.9", comment="another")
    with node.running() as process, RawSender(node) as raw:
        assert raw.store(good, "1.2.3.9") == SUCCESS
        wait_indexed(node)
        refuse_inserts(node, "quarantine")
        assert raw.store(b"not a dataset", "1.2.3.5") == SUCCESS
        assert raw.store(other, "1.2.3.9") == SUCCESS
        assert raw.store(dataset_of(uid="1.2.3.10"), "1.2.3.10") == SUCCESS
        process.wait_for_line("Images wait in the spool: IntegrityError")
        wait_until(lambda: count(node) == 2, 20)
        wait_until(lambda: len(spooled(node)) == 2, 20)  # the image's name goes after its row
        take_inserts(node, "quarantine")
        wait_indexed(node)
    assert count(node, "quarantine") == 2
    assert len(node.files()) == 4


# 3. Duplicates, conflicts, and what is no image


def test_the_same_bytes_again_change_nothing(one_node, tmp_path):
    node = one_node
    images = generate(tmp_path / "images", images=2)
    snapshots = []
    with node.running():

        def look():
            wait_indexed(node)
            rows = node.rows("SELECT * FROM images ORDER BY id")
            snapshots.append((rows, [(path, path.stat().st_mtime_ns) for path in node.files()]))

        paths = [image.path for image in images]
        statuses = send(node, *paths, look, *paths, look)
    assert statuses == [SUCCESS] * 4
    assert snapshots[0] == snapshots[1]
    assert count(node, "quarantine") == 0
    assert_stored(node, images)


def test_other_bytes_under_a_known_uid_are_kept_beside_the_image(node):
    first = dataset_of(uid="1.2.3.9")
    second = dataset_of(uid="1.2.3.9", comment="other")
    third = dataset_of(uid="1.2.3.9", comment="elsewhere", study="1.2.9", series="1.2.9.1")
    with node.running(), RawSender(node) as raw:
        # each of the others twice: the second time they are in quarantine already
        for dataset in (first, second, third, second, third, first):
            assert raw.store(dataset, "1.2.3.9") == SUCCESS
            wait_indexed(node)
    (image,) = node.rows("SELECT image_uid, study_uid FROM images")
    assert image == {"image_uid": "1.2.3.9", "study_uid": "1.2.3"}
    path = node.stored()["1.2.3.9"]
    assert dataset_bytes(path) == first
    rows = node.rows("SELECT * FROM quarantine ORDER BY id")
    assert {row["kind"] for row in rows} == {"conflict"}
    assert {row["sop_instance_uid"] for row in rows} == {"1.2.3.9"}
    assert {row["source"] for row in rows} == {"BENCH"}
    kept = {row["filepath"]: dataset_bytes(Path(row["filepath"])) for row in rows}
    assert sorted(kept.values()) == sorted([second, third])
    assert node.files() == sorted([path, *map(Path, kept)])


WHOLE = dataset_of(uid="1.2.3.9")

NO_IMAGES = {
    "1.2.3.20": b"",
    "1.2.3.21": b"not a dataset at all",
    "1.2.3.22": dataset_of(uid="1.2.3.22")[:60],
    "1.2.3.23": dataset_of(uid="1.2.3.23") + struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OW", 0, 5000),
    "1.2.3.24": dataset_of(uid="1.2.3.24").replace(b"\x20\x00\x0d\x00UI", b"\x21\x00\x0d\x00UI"),
    "../../\0hostile": b"garbage",
}


def test_what_cannot_be_an_image_is_taken_and_kept_in_quarantine(one_node):
    node = one_node
    with node.running(), RawSender(node) as raw:
        for uid, dataset in NO_IMAGES.items():
            assert raw.store(dataset, uid) == SUCCESS, uid
        assert raw.store(WHOLE, "1.2.3.9") == SUCCESS
    assert node.stored().keys() == {"1.2.3.9"}
    rows = {row["sop_instance_uid"]: row for row in node.rows("SELECT * FROM quarantine")}
    assert rows.keys() == {uid.replace("\0", "\ufffd") for uid in NO_IMAGES}
    assert {row["kind"] for row in rows.values()} == {"undecodable"}
    assert all(row["reason"] for row in rows.values())
    for uid, dataset in NO_IMAGES.items():
        kept = Path(rows[uid.replace("\0", "\ufffd")]["filepath"])
        assert kept.parent == node.directory / ".quarantine"
        assert dataset_bytes(kept) == dataset
    assert len(node.files()) == len(NO_IMAGES) + 1


def test_a_dataset_that_the_command_does_not_name_is_kept_and_indexed_when_told(one_node):
    node = one_node
    with node.running(), RawSender(node) as raw:
        ct = WHOLE.replace(str(MRImageStorage).encode(), str(CTImageStorage).encode())
        # the presentation context is for MR
        assert raw.store(ct, "1.2.3.9", str(CTImageStorage)) == SOP_CLASS_NOT_SUPPORTED
        assert raw.store(WHOLE, "1.2.3.9", str(CTImageStorage)) == SOP_CLASS_NOT_SUPPORTED
        assert node.files() == []
        assert count(node) == count(node, "quarantine") == 0
        assert raw.store(WHOLE, "1.2.3.10") == KEPT_APART
        assert raw.store(ct, "1.2.3.11") == KEPT_APART
        wait_indexed(node)
    assert count(node) == 0
    rows = node.rows("SELECT * FROM quarantine ORDER BY sop_instance_uid")
    assert [(row["kind"], row["sop_instance_uid"]) for row in rows] == [
        ("mismatch", "1.2.3.10"),
        ("mismatch", "1.2.3.11"),
    ]
    assert [dataset_bytes(Path(row["filepath"])) for row in rows] == [WHOLE, ct]
    first = str(rows[0]["id"])
    assert "stays (mismatch): its C-STORE named SOP Instance UID 1.2.3.10" in (
        node("quarantine", "retry", first).stdout
    )
    assert node.ok("quarantine", "retry", "--as-dataset", first).stdout.startswith(
        f"{first}: indexed"
    )
    ((uid, path),) = node.stored().items()
    assert (uid, dataset_bytes(path)) == ("1.2.3.9", WHOLE)
    meta = pydicom.dcmread(path).file_meta
    assert (meta.MediaStorageSOPInstanceUID, meta.MediaStorageSOPClassUID) == (
        "1.2.3.9",
        MRImageStorage,
    )
    assert [path.name for path in (node.directory / ".quarantine").iterdir()] == [
        Path(rows[1]["filepath"]).name
    ]
    assert node.json("verify")["correct"] == 1
    assert node.json("reconcile")["found"] == {}
    # the other one has the same instance, and is another dataset
    stays = node("quarantine", "retry", "--as-dataset", "--all")
    assert (stays.code, "stays (conflict)" in stays.stdout) == (1, True)
    assert dataset_bytes(Path(rows[1]["filepath"])) == ct
    assert len(node.files()) == 2


# 4. Hostile identifiers

HOSTILE = [
    "../../../escaped",
    "/tmp/escaped-dicom-node",
    "1.2/../../escaped",
    "..",
    ".spool",
    "1.2\0.3",
    "1.2\n.3",
    "CON",
    "9" * 65,
    "1." * 140 + "1",
    "1." * 200 + "1",
]


@pytest.mark.parametrize("layout", ["patient", "study", "image"])
def test_hostile_identifiers_stay_inside_the_storage_directory(cli, tmp_path, request, layout):
    # PostgreSQL is the one that cannot keep a NUL
    url = request.getfixturevalue(
        "migrated_postgresql_url" if layout == "patient" else "migrated_sqlite_url"
    )
    settings = {"storage": {"layout": layout}}
    node = Node(cli, tmp_path / "deep" / "er" / "node", url, settings=settings)
    sent = {}
    with node.running(), RawSender(node) as raw:
        around = outside(node, tmp_path)
        for number, bad in enumerate(HOSTILE):
            plain = f"1.2.3.{number + 100}"
            named = [(bad, {})] if len(bad) <= 64 else []  # longer ones: see below
            for uid, changes in (
                *named,
                (f"{plain}.1", {"study": bad}),
                (f"{plain}.2", {"series": bad}),
                (f"{plain}.3", {"patient_id": bad[:64]}),
            ):
                dataset = dataset_of(uid=uid, **changes)
                assert raw.store(dataset, uid) == SUCCESS, (uid, changes)
                sent[dataset] = uid
        assert outside(node, tmp_path) == around
    files = node.files()
    assert len(files) == len(sent)
    assert {dataset_bytes(path) for path in files} == sent.keys()
    stored = [row["filepath"] for row in node.rows("SELECT filepath FROM images")]
    assert sorted(stored) == [str(path) for path in files]
    root = os.path.realpath(node.directory)
    assert all(os.path.realpath(path).startswith(root + os.sep) for path in files)
    assert count(node, "quarantine") == 0


def test_a_sop_instance_uid_that_is_too_long_is_taken(cli, tmp_path, migrated_sqlite_url):
    node = Node(cli, tmp_path / "node", migrated_sqlite_url)
    with node.running(), RawSender(node) as raw:
        for uid in (name for name in HOSTILE if len(name) > 64):
            assert raw.store(dataset_of(uid=uid), uid) == SUCCESS
    assert count(node) == len(node.files()) == 3


def outside(node, folder):
    """Return every file that is not in the storage directory, nor a database or log."""
    kept = (node.directory, node.folder / "database", folder / "database")
    found = [path for path in folder.rglob("*") if not any(path.is_relative_to(k) for k in kept)]
    return sorted(map(str, found)), Path("/tmp/escaped-dicom-node").exists()


# 5. The end of the node


def test_sigterm_while_images_come_loses_nothing_that_was_acknowledged(node, tmp_path):
    node._settings = {"node": {"grace": "0.2s"}}
    node.configure({})
    senders = 4
    images = {
        number: generate(tmp_path / f"images-{number}", images=500, seed=number)
        for number in range(senders)
    }
    acknowledged = []

    def keep_sending(number):
        with RawSender(node) as raw:
            for image in images[number]:
                try:
                    status = raw.store(dataset_bytes(image.path), image.sop_instance_uid)
                except (OSError, SystemExit, AssertionError):
                    raw._socket.close()
                    raise ConnectionError from None
                if status == SUCCESS:
                    acknowledged.append(image)

    process = node.start()
    try:
        with ThreadPoolExecutor(senders) as pool:
            sending = [pool.submit(keep_sending, number) for number in images]
            wait_until(lambda: len(acknowledged) >= 40, 30)
            process.signal(signal.SIGTERM)
            code = process.wait(30.0)
            errors = [task.exception() for task in sending]
    finally:
        process.terminate()
    assert code == 0, process.output()
    assert any(isinstance(error, ConnectionError) for error in errors), "it was not cut off"
    assert "Traceback" not in process.output()
    if spooled(node):  # there was no time left for them: the next start indexes them
        with node.running():
            wait_indexed(node)
    stored = node.stored()
    for image in acknowledged:
        assert dataset_bytes(stored[image.sop_instance_uid]) == dataset_bytes(image.path)
    everything = {image.sop_instance_uid for part in images.values() for image in part}
    assert stored.keys() <= everything
    assert not list((node.directory / ".spool").iterdir())


def test_peers_that_say_nothing_do_not_hold_up_the_end(cli, tmp_path, migrated_sqlite_url):
    settings = {"node": {"grace": "1s"}}
    node = Node(cli, tmp_path / "node", migrated_sqlite_url, settings=settings)
    with node.start() as process, closing(socket.create_connection((LOOPBACK, node.port))):
        idle, halfway = RawSender(node), RawSender(node)
        with closing(idle._socket), closing(halfway._socket):
            command = sender.store_request(1, str(MRImageStorage), "1.2.3.9")
            halfway._socket.sendall(sender.data_pdu(0x03, command) + b"\x04\0\0\0\xff\0half")
            process.signal(signal.SIGTERM)
            assert process.wait(30.0) == 0, process.output()
    assert "Traceback" not in process.output()
    assert node.files() == []


def test_a_background_task_that_dies_stops_the_node_with_a_message(cli, tmp_path, migrated_url):
    node = Node(
        cli,
        tmp_path / "node",
        migrated_url,
        peers={"pacs": ("PACS", 1)},
        settings={"find": {"peers": ["pacs"], "every": "1h", "lookback": "1d"}},
    )
    # A database that refuses a statement, as against one that is away, is a mistake of ours.
    refuse_inserts(node, "cycles")
    result = node("run", timeout=30)
    assert result.code == 1, result
    assert "the task 'find cycles' died" in result.stderr
    assert f"listening on {LOOPBACK}:{node.port}" in result.stderr
    take_inserts(node, "cycles")
    with node.running():
        pass


# 6. Patients and logs


def assert_no_patient(log, image):
    for secret in ("Doe", "Jane", image.patient_id, "19470314"):
        assert secret not in log, [line for line in log.splitlines() if secret in line]


def test_no_patient_is_named_in_the_log(cli, tmp_path, migrated_url):
    settings = {"storage": {"layout": "patient"}}
    node = Node(cli, tmp_path / "node", migrated_url, settings=settings)
    (image,) = generate(tmp_path / "images", images=1)
    private = {"patient_id": "SECRET-4711"}
    with node.running() as process:
        assert send(node, image.path, image.path) == [SUCCESS] * 2
        obstacle = node.directory / "SECRET-4711"
        obstacle.write_text("in the way")
        with RawSender(node) as raw:
            dataset = dataset_of(uid="1.2.3.9", **private)
            assert raw.store(dataset, "1.2.3.9") == SUCCESS
            process.wait_for_line("Images wait in the spool: cannot place")
            obstacle.unlink()
            wait_indexed(node)
            again = dataset_of(uid="1.2.3.9", comment="other", **private)
            assert raw.store(again, "1.2.3.9") == SUCCESS
            assert raw.store(again, "1.2.3.10") == KEPT_APART
            assert raw.store(again[:100], "1.2.3.9") == SUCCESS
            wait_indexed(node)
            refuse_inserts(node, "images")
            third = dataset_of(uid="1.2.3.12", **private)
            assert raw.store(third, "1.2.3.12") == SUCCESS
            process.wait_for_line("Images wait in the spool: IntegrityError")
            take_inserts(node, "images")
            wait_indexed(node)
    log = process.output()
    assert "Association from TESTER" in log
    assert_no_patient(log, image)
    assert "SECRET-4711" not in log, [line for line in log.splitlines() if "SECRET" in line]
