"""The database in trouble while the node receives, starts and stops."""

import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import pytest
from pydicom.uid import MRImageStorage
from sqlalchemy import text

from node.upperlayer import (
    AssociateAccept,
    Association,
    ContextResult,
    Role,
    UserInformation,
)
from node.upperlayer.events import CommandReceived, Requested
from schema import Database, DatabaseUnavailable
from tests.acceptance.test_receive_faults import (
    SUCCESS,
    RawSender,
    assert_stored,
    count,
    execute,
    new_node,
    send,
    spooled,
    wait_indexed,
)
from tests.bench import sender
from tests.support.images import generate
from tests.support.node import Node
from tests.support.postgresql import PostgresServer
from tests.support.processes import LOOPBACK
from tests.support.proxy import Proxy

SHORT = {"node": {"grace": "1s"}}


@pytest.fixture
def cli(inside):
    return inside


class Server(PostgresServer):
    """A PostgreSQL server that a test may do anything to."""

    def __init__(self, background_pids):
        super().__init__(settings={"max_connections": "40", "shared_buffers": "8MB"})
        self._pids = background_pids

    def start(self):
        super().start()
        self._pids.add(self.pid)


@pytest.fixture(scope="module")
def own_server(background_pids):
    with Server(background_pids) as server:
        yield server
        server.kill()  # quicker than an end in order


@pytest.fixture
def server(own_server):
    """Return a server of this module's own; whatever a test does to it, it runs afterwards."""
    yield own_server
    if own_server.pid is not None:
        own_server.thaw()
    own_server.start()


@pytest.fixture
def role(server):
    """Return the name of a role that is no superuser, and of a database that is its own."""
    name = server.create_database().replace("test", "role")
    server._statement(f"CREATE ROLE {name} LOGIN PASSWORD '{server.password}'")
    server._statement(f"ALTER DATABASE {name.replace('role', 'test')} OWNER TO {name}")
    return name


def url_of(server, role, port=None):
    login = f"postgresql://{role}:{server.password}@{LOOPBACK}:{port or server.port}"
    return f"{login}/{role.replace('role', 'test')}"


def disconnect(server, role):
    server._statement(
        f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '{role}'"
    )


@contextmanager
def pulse(node):
    """Ask a node all the time whether it is there, and assert that it says so within a second."""
    taken, stopped, failures = [], threading.Event(), []

    def ask():
        try:
            while not (stopped.wait(0.1) and taken):
                began = time.monotonic()
                association = sender.Association(
                    node.port, "NODE", [], abstract_syntax=sender.VERIFICATION
                )
                assert association.echo() == SUCCESS
                association.release()
                taken.append(time.monotonic() - began)
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(30)
    assert not failures, failures
    assert taken
    assert max(taken) < 1.0, max(taken)


def paths(images):
    return [image.path for image in images]


# 1. PostgreSQL, while the node receives


class Url:
    """What `execute` needs of a node."""

    def __init__(self, database_url):
        self.database_url = database_url


@dataclass
class Fault:
    """Something that happens to a PostgreSQL server, how it is mended, and what the node says."""

    begin: Callable
    end: Callable
    says: str


def _refuse(server, role):
    server._statement(f"ALTER ROLE {role} CONNECTION LIMIT 0")
    disconnect(server, role)


def _admit(server, role):
    server._statement(f"ALTER ROLE {role} CONNECTION LIMIT -1")


def _stand_by(server, role):
    server._statement(f"ALTER ROLE {role} SET default_transaction_read_only = on")
    disconnect(server, role)


def _take_over(server, role):
    server._statement(f"ALTER ROLE {role} RESET default_transaction_read_only")
    disconnect(server, role)


def _take_rights(server, role):
    execute(Url(url_of(server, role)), f"REVOKE INSERT ON images FROM {role}")


def _give_rights(server, role):
    execute(Url(url_of(server, role)), f"GRANT INSERT ON images TO {role}")


KILLED = Fault(
    lambda server, _: server.kill(),
    lambda server, _: server.start(),
    "the (database cannot be reached|connection to the database was lost)",
)
FROZEN = Fault(
    lambda server, _: server.freeze(),
    lambda server, _: server.thaw(),
    "the database has not answered for 5 s",
)
FULL = Fault(_refuse, _admit, "the database is unavailable: too many connections for role")
READ_ONLY = Fault(
    _stand_by, _take_over, "the database may only be read here: .*in a read-only transaction"
)
WITHOUT_RIGHTS = Fault(
    _take_rights, _give_rights, "the database is unavailable: .*permission denied for table images"
)


@pytest.mark.parametrize(
    "faults",
    [(KILLED, FROZEN), (FULL, READ_ONLY, WITHOUT_RIGHTS)],
    ids=["does-not-answer", "refuses"],
)
def test_receiving_goes_on_and_the_index_catches_up(cli, tmp_path, server, role, faults):
    node = new_node(cli, tmp_path / "node", url_of(server, role))
    images = generate(tmp_path / "images", images=4 * len(faults) + 1)
    with node.running() as process, pulse(node):
        assert send(node, images[0].path) == [SUCCESS]
        for number, fault in enumerate(faults):
            wait_indexed(node)
            fault.begin(server, role)
            first = 4 * number + 1
            assert send(node, *paths(images[first : first + 3])) == [SUCCESS] * 3
            process.wait_for_line(f"Images wait in the spool: {fault.says}")
            assert len(spooled(node)) == 3
            if fault is KILLED:
                assert_status_tells_what_is_wrong(node, waiting=3)
            fault.end(server, role)
            # some that wait for the database come again
            assert send(node, *paths(images[first + 2 : first + 4])) == [SUCCESS] * 2
        wait_indexed(node)
        assert process.output().count("Images are indexed again") == len(faults)
        assert "Traceback" not in process.output()
    assert_stored(node, images)
    assert count(node, "quarantine") == 0


def assert_status_tells_what_is_wrong(node, *, waiting):
    told = node("status")
    assert told.code == 1
    assert "is running\n" in told.stdout
    assert f"{waiting} received objects wait to be indexed" in told.stdout
    assert "the database cannot be reached" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_slow_database_slows_nobody_but_the_index(cli, tmp_path, server, role):
    node = new_node(cli, tmp_path / "node", url_of(server, role))
    execute(
        node,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$",
        "CREATE TRIGGER slow BEFORE INSERT ON images FOR EACH STATEMENT EXECUTE FUNCTION slow()",
    )
    images = generate(tmp_path / "images", images=40)
    with node.running(), pulse(node):
        assert send(node, *paths(images)) == [SUCCESS] * 40
        assert count(node) < 40
        wait_indexed(node)
    assert_stored(node, images)


def test_a_connection_that_is_cut_in_the_middle_of_a_commit_doubles_nothing(
    cli, tmp_path, server, role
):
    new_node(cli, tmp_path / "node", url_of(server, role))
    images = generate(tmp_path / "images", images=6)
    with Proxy(server.port) as proxy:
        node = Node(cli, tmp_path / "node", url_of(server, role, proxy.port))
        with node.running() as process, pulse(node):
            for number, delivered in enumerate((True, False)):
                sent = images[3 * number : 3 * number + 3]
                uid = sent[0].sop_instance_uid.encode()
                proxy.cut_at(b"COMMIT", delivered=delivered, after=uid)
                assert send(node, *paths(sent)) == [SUCCESS] * 3
                wait_indexed(node)
            assert process.output().count("Images are indexed again") == 2
        assert proxy.cut == 2
        assert_stored(node, images)
        assert count(node, "quarantine") == 0


async def test_a_network_that_has_come_apart_is_noticed(server):
    url = server.url(server.create_database())
    async with Database(url) as database:
        await database.initialize()
    with Proxy(server.port) as proxy:
        url = url.replace(f":{server.port}/", f":{proxy.port}/")
        async with Database(url, transaction_timeout=0.5) as database:
            await database.check()
            proxy.fall_silent()
            for transaction in (database.begin, database.session):
                with pytest.raises(DatabaseUnavailable, match="has not answered for 0.5 s"):
                    async with transaction() as session:
                        await session.scalar(text("SELECT 1"))


# 2. SQLite, while the node receives


@contextmanager
def locked(node):
    """Hold the write lock of a node's SQLite database, as another program does."""
    path = node.database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def test_a_locked_database_gets_the_images_when_it_is_free(cli, tmp_path, sqlite_url):
    node = new_node(cli, tmp_path / "node", sqlite_url)
    images = generate(tmp_path / "images", images=4)
    with node.running() as process, pulse(node):
        with locked(node):
            assert send(node, *paths(images)) == [SUCCESS] * 4
            assert len(spooled(node)) == 4
        wait_indexed(node)
        assert "Images wait" not in process.output()
    assert_stored(node, images)


# 3. The database is away when the node starts


def test_a_node_that_has_received_before_starts_without_its_database(cli, tmp_path, server, role):
    node = new_node(
        cli,
        tmp_path / "node",
        url_of(server, role),
        peers={"pacs": ("PACS", 1)},
        settings={"find": {"peers": ["pacs"], "every": "1h", "lookback": "1d"}, **SHORT},
    )
    images = generate(tmp_path / "images", images=6)
    with node.running():
        pass
    cycles = count(node, "cycles")
    server.stop()
    with node.start() as process:
        process.wait_for_line("The database is away: the database cannot be reached")
        assert send(node, *paths(images[:2])) == [SUCCESS] * 2
        stop(process)
    assert len(spooled(node)) == 2
    with node.running() as process:
        with pulse(node):
            assert send(node, *paths(images[2:4])) == [SUCCESS] * 2
            assert len(spooled(node)) == 4
            status = node.json("status", code=1)
            server.start()
            process.wait_for_line("The database is there now")
            assert send(node, *paths(images[4:])) == [SUCCESS] * 2
            wait_indexed(node)
        # the find has waited for it as well, instead of being lost until the next hour
        process.wait_for_line("Find at pacs failed: .*nobody answers")
        assert count(node, "cycles") == cycles + 1
    assert_stored(node, images)
    assert "cannot be reached" in status["database"]
    assert status.pop("error")["message"] == status.pop("database")
    assert status.pop("free") > 0
    assert status.pop("as_of")
    assert status == {
        "running": True,
        "waiting": 4,
        "summary": None,
        "peers": [],
        "studies": [],
    }


def test_a_new_node_does_not_start_without_its_database(cli, tmp_path, server, role):
    node = new_node(cli, tmp_path / "node", url_of(server, role))
    server.stop()
    result = node("run", timeout=30)
    assert result.code == 1, result
    assert "the database cannot be reached" in result.stderr
    assert "Traceback" not in result.stderr
    assert not node.directory.exists()


def test_a_database_that_comes_back_as_another_one_stops_the_node(cli, tmp_path, server, role):
    node = new_node(cli, tmp_path / "node", url_of(server, role))
    (image,) = generate(tmp_path / "images", images=1)
    with node.running():
        pass
    execute(node, "UPDATE alembic_version SET version_num = '0001'")
    server.stop()
    with node.start() as process:
        assert send(node, image.path) == [SUCCESS]
        server.start()
        assert process.wait(30.0) == 1, process.output()
    assert f"run `dicom-node db upgrade -f {node.config}`" in process.output()
    assert "Traceback" not in process.output()
    assert len(spooled(node)) == 1


# 4. Stops


class SilentPACS:
    """A peer that takes every association, and answers no request.

    `asked` is set when a request has come.
    """

    def __init__(self):
        self._listening = socket.create_server((LOOPBACK, 0))
        self.port = self._listening.getsockname()[1]
        self.asked = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self):
        with closing(self._listening.accept()[0]) as connection:
            core = Association(Role.ACCEPTOR, maximum_length=131072)
            core.transport_opened()
            while data := connection.recv(1 << 16):
                for event in core.receive(data):
                    if isinstance(event, Requested):
                        core.accept(self._accepting(event.request))
                    elif isinstance(event, CommandReceived):
                        self.asked.set()
                connection.sendall(b"".join(core.take_output()))

    @staticmethod
    def _accepting(request):
        return AssociateAccept(
            called_aetitle=request.called_aetitle,
            calling_aetitle=request.calling_aetitle,
            contexts=tuple(
                ContextResult(id=c.id, result=0, transfer_syntax=c.transfer_syntaxes[0])
                for c in request.contexts
            ),
            user=UserInformation(maximum_length=131072, implementation_class_uid="1.2.3"),
        )

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._thread.join(10)
        self._listening.close()
        assert not self._thread.is_alive()


@contextmanager
def in_the_middle_of_everything(node):
    """Leave a connection half open, an association idle, and an object half sent."""
    with (
        closing(socket.create_connection((LOOPBACK, node.port))),
        closing(RawSender(node)._socket),
        closing(RawSender(node)._socket) as halfway,
    ):
        command = sender.store_request(1, str(MRImageStorage), "1.2.3.9")
        halfway.sendall(sender.data_pdu(0x03, command) + b"\x04\0\0\0\xff\0half")
        yield


def stop(process):
    """Ask a node to stop, and assert that it does, in time and in order."""
    began = time.monotonic()
    process.signal(signal.SIGTERM)
    code = process.wait(30.0)
    output = process.output()
    assert code == 0, output
    assert "Traceback" not in output
    assert "never retrieved" not in output
    assert "ResourceWarning" not in output
    return time.monotonic() - began


def test_a_node_stops_in_the_middle_of_a_move_while_postgresql_is_frozen(cli, tmp_path, server):
    images = generate(tmp_path / "images", images=6)
    with SilentPACS() as pacs:
        node = cycling(cli, tmp_path, server, pacs, "move")
        with node.start() as process:
            assert pacs.asked.wait(20)
            server.freeze()
            assert send(node, *paths(images)) == [SUCCESS] * 6
            with in_the_middle_of_everything(node):
                stop(process)
    assert "6 images are left in the spool for the next start" in process.output()
    assert len(spooled(node)) == 6
    server.thaw()
    # nobody could write its end down; the next start does
    assert node.value("SELECT outcome FROM cycles") == "running"
    node._settings = {}
    node.configure({})
    with node.running():
        wait_indexed(node)
    assert_stored(node, images)
    assert_interrupted(node)


def test_a_node_stops_in_the_middle_of_a_find(cli, tmp_path, server):
    with SilentPACS() as pacs:
        node = cycling(cli, tmp_path, server, pacs, "find")
        with node.start() as process:
            assert pacs.asked.wait(20)
            stop(process)
    assert_interrupted(node)


def cycling(cli, tmp_path, server, pacs, cycle):
    """Return a node that asks a PACS at once; of one study it knows already."""
    node = new_node(
        cli,
        tmp_path / "node",
        server.url(server.create_database()),
        peers={"pacs": ("PACS", pacs.port)},
        settings=SHORT | {cycle: {"peers": ["pacs"], "every": "1h"}},
    )
    execute(
        node,
        "INSERT INTO studies_find (study_uid, peer, state, found_on, expected_images)"
        " VALUES ('1.2.3', 'pacs', 'found', now(), 1)",
    )
    return node


def assert_interrupted(node):
    assert node.value("SELECT outcome FROM cycles") == "interrupted"
    assert node.value("SELECT retrieved_on FROM studies_find") is None


def test_a_node_stops_and_starts_in_time_while_sqlite_is_locked(cli, tmp_path, sqlite_url):
    node = new_node(cli, tmp_path / "node", sqlite_url, settings=SHORT)
    images = generate(tmp_path / "images", images=5)
    with ExitStack() as lock:
        with node.start() as process:
            assert send(node, images[0].path) == [SUCCESS]
            wait_indexed(node)
            lock.enter_context(locked(node))
            assert send(node, *paths(images[1:3])) == [SUCCESS] * 2
            stop(process)
        assert len(spooled(node)) == 2
        with node.running() as process:
            process.wait_for_line("Images wait in the spool: the database has not answered for")
            assert send(node, *paths(images[3:])) == [SUCCESS] * 2
            lock.close()
            wait_indexed(node)
    assert_stored(node, images)
