"""Storage commitment between programs: `send --commit`, nodes that die, and other makers' peers."""

import asyncio
import shutil
import threading
from contextlib import contextmanager

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from node.net.dimse.sinks import whole
from node.net.messages import Services
from tests.support.acceptors import acceptor
from tests.support.images import generate
from tests.support.node import Node, uids
from tests.support.peers.orthanc import Orthanc
from tests.support.peers.pynetdicom_race import mend
from tests.support.processes import LOOPBACK, free_port
from tests.support.waiting import wait_until

mend()
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


@pytest.fixture
def cli(inside):
    return inside


@pytest.fixture
def images(tmp_path):
    return generate(tmp_path / "images", images=3)


@pytest.fixture
def database(migrated_url):
    return migrated_url


def item_of(uid, reason=None, sop_class=MRImageStorage):
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = uid
    if reason is not None:
        item.FailureReason = reason
    return item


class Pacs:
    """pynetdicom as an SCP of storage and of its commitment.

    `way` is `same` or `new`: over which association it reports; `fails` are what it does not
    commit to; `status` is what it answers to an N-ACTION; `event_type` is what it
    says instead of the truth, and `other` what it names with another SOP class.
    """

    def __init__(
        self,
        node_port,
        *,
        way="same",
        fails=(),
        status=0x0000,
        event_type=None,
        other=None,
    ):
        self._event_type, self._other = event_type, other
        self.port = free_port()
        self.answers = []
        self.requests = []
        self._node_port = node_port
        self._way, self._fails, self._status = way, set(fails), status
        self._threads = []

    def _act(self, event):
        request = event.action_information
        self.requests.append(request)
        if self._status == 0x0000 and self._way != "never":
            arguments = (event.assoc, request)
            thread = threading.Thread(target=self._report, args=arguments, daemon=True)
            self._threads.append(thread)
            thread.start()
        return self._status, None

    def report(self, number=-1, *, transaction=None):
        """Report on a request over an association of our own; return the status of the answer."""
        self._report(None, self.requests[number], transaction)
        return self.answers[-1]

    def _report(self, association, request, transaction=None):
        wanted = [one.ReferencedSOPInstanceUID for one in request.ReferencedSOPSequence]
        report = Dataset()
        report.TransactionUID = transaction or request.TransactionUID
        report.ReferencedSOPSequence = [
            item_of(uid, sop_class=CTImageStorage if uid == self._other else MRImageStorage)
            for uid in wanted
            if uid not in self._fails
        ]
        if self._fails:
            report.FailedSOPSequence = [item_of(uid, 0x0110) for uid in self._fails]
        own = association is None or self._way == "new"
        if own:
            entity = AE("PACS")
            entity.add_requested_context(StorageCommitmentPushModel, SYNTAXES)
            role = build_role(StorageCommitmentPushModel, scp_role=True)
            association = entity.associate(
                LOOPBACK, self._node_port, ae_title="NODE", ext_neg=[role]
            )
            assert association.is_established
        status, _ = association.send_n_event_report(
            report,
            self._event_type or (2 if self._fails else 1),
            StorageCommitmentPushModel,
            StorageCommitmentPushModelInstance,
        )
        self.answers.append(status.Status)
        if own:
            association.release()

    @contextmanager
    def running(self):
        entity = AE("PACS")
        entity.add_supported_context(MRImageStorage, SYNTAXES)
        entity.add_supported_context(StorageCommitmentPushModel, SYNTAXES)
        server = entity.start_server(
            (LOOPBACK, self.port),
            block=False,
            evt_handlers=[
                (evt.EVT_C_STORE, lambda event: 0x0000),
                (evt.EVT_N_ACTION, self._act),
            ],
        )
        try:
            yield self
        finally:
            for thread in self._threads:
                thread.join(10)
            wait_until(lambda: not server.active_associations)  # each closes its socket itself
            server.shutdown()


@contextmanager
def sender(cli, tmp_path, database, **options):
    """Yield a node, and the PACS that it sends to."""
    port = free_port()
    pacs = Pacs(port, **options)
    with pacs.running():
        peers = {"pacs": ("PACS", pacs.port)}
        yield Node(cli, tmp_path / "node", database, peers=peers, port=port), pacs


@pytest.mark.parametrize("way", ["same", "new"])
def test_what_was_sent_is_committed_over_either_association_where_no_node_runs(
    cli, tmp_path, migrated_sqlite_url, images, way
):
    with sender(cli, tmp_path, migrated_sqlite_url, way=way) as (node, pacs):
        said = node.json("send", "pacs", tmp_path / "images", "--commit")
        wait_until(lambda: pacs.answers == [0x0000])
    assert said["sent"] == 3
    assert said["commitment"] == {
        "transaction_uid": pacs.requests[0].TransactionUID,
        "reported": True,
        "committed": 3,
        "uncommitted": [],
    }


def test_what_is_not_committed_is_named_and_fails_the_command(
    cli, tmp_path, migrated_sqlite_url, images
):
    bad = images[1]
    with sender(cli, tmp_path, migrated_sqlite_url, fails=[bad.sop_instance_uid]) as (node, _):
        said = node("send", "pacs", tmp_path / "images", "--commit")
    assert said.code == 1
    assert "pacs: 2 of 3 objects committed" in said.stdout
    assert f"{bad.path}: {bad.sop_instance_uid} is not committed: 0x0110 (processing" in said.stderr


def test_a_report_that_contradicts_the_request_or_itself_is_not_believed(
    cli, tmp_path, migrated_sqlite_url, images
):
    with sender(
        cli, tmp_path, migrated_sqlite_url, event_type=2, other=images[0].sop_instance_uid
    ) as (
        node,
        _,
    ):
        said = node.json("send", "pacs", tmp_path / "images", "--commit", code=1)["commitment"]
    assert (said["reported"], said["committed"], len(said["uncommitted"])) == (True, 0, 3)
    for one in said["uncommitted"]:
        of_another_class = one["sop_instance_uid"] == images[0].sop_instance_uid
        why = "under another SOP class" if of_another_class else "some are not, and names none"
        assert why in one["message"]


def test_a_peer_that_refuses_the_request_fails_the_command(
    cli, tmp_path, migrated_sqlite_url, images
):
    with sender(cli, tmp_path, migrated_sqlite_url, status=0x0110) as (node, _):
        said = node.json("send", "pacs", tmp_path / "images", "--commit", code=1)
    refused = "pacs answered the N-ACTION with 0x0110 (processing failure)"
    assert said["error"] == {"kind": "failed", "message": refused, "exit_code": 1}
    assert (said["sent"], said["commitment"]["committed"]) == (3, 0)
    assert node.value("SELECT state FROM storage_commitments") == "refused"


def test_a_report_that_comes_later_is_taken_by_the_running_node_and_an_unknown_one_is_not(
    cli, tmp_path, database, images
):
    with sender(cli, tmp_path, database, way="never") as (node, pacs):
        with node.running():
            said = node("send", "pacs", tmp_path / "images", "--commit", "--commit-wait", "1s")
            assert said.code == 1
            assert "pacs has not reported within 1 s what it commits to" in said.stderr
            assert node.json("status")["commitments"] == {"asked": 1}
            said = node.ok("status").stdout
            assert "storage commitments that others are to report: 1 by pacs (" in said
            assert pacs.report(transaction="1.2.3.4") == 0x0115
            assert pacs.report() == 0x0000
            assert pacs.report() == 0x0000  # again
    assert node.rows("SELECT state, committed FROM storage_commitments") == [
        {"state": "done", "committed": 3}
    ]


@contextmanager
def silent_pacs(requests):
    """Run a PACS that takes requests, and never reports; yields its port."""

    async def store(request, dataset):
        return 0x0000

    async def commit(request):
        requests.append(request)
        return 0x0000

    async def serve():
        services = Services(store=whole(store), commit=commit)
        async with acceptor(services, aetitle="PACS") as server:
            ports.append(server.port)
            await asyncio.to_thread(over.wait)

    ports, over = [], threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        yield wait_until(lambda: ports)[0]
    finally:
        over.set()
        thread.join(20)


def test_who_is_interrupted_while_the_report_is_waited_for_is_told_what_was_sent(
    cli, tmp_path, migrated_sqlite_url, images
):
    requests = []
    with silent_pacs(requests) as port:
        node = Node(cli, tmp_path / "node", migrated_sqlite_url, peers={"pacs": ("PACS", port)})
        log = tmp_path / "send.log"
        command = cli.start(
            "send", "pacs", tmp_path / "images", "--commit", "-f", node.config, log=log
        )
        try:
            wait_until(lambda: requests)
        finally:
            code = command.terminate(timeout=20.0)
    assert code == 130
    assert "pacs: 3 of 3 files sent" in command.output()
    assert node.value("SELECT state FROM storage_commitments") == "asked"


def two_nodes(cli, tmp_path, database, template):
    """Return a node that sends, and the node that keeps."""
    port = free_port()
    keeper = Node(
        cli,
        tmp_path / "keeper",
        database,
        aetitle="KEEPER",
        settings={
            "peers": {
                "node": {
                    "aetitle": "NODE",
                    "host": LOOPBACK,
                    "port": port,
                    "may_commit": ["NODE"],
                    "timeouts": {"connect": "1s"},
                }
            }
        },
    )
    shutil.copy(template, tmp_path / "own.db")
    own = f"sqlite:///{tmp_path / 'own.db'}"
    node = Node(cli, tmp_path / "node", own, peers={"keeper": ("KEEPER", keeper.port)}, port=port)
    return node, keeper


def test_one_node_commits_to_what_another_one_sends_it(
    cli, tmp_path, migrated_sqlite_url, sqlite_template, images
):
    node, keeper = two_nodes(cli, tmp_path, migrated_sqlite_url, sqlite_template)
    with keeper.running():
        said = node.json("send", "keeper", tmp_path / "images", "--commit")
        assert said["commitment"]["committed"] == 3
    assert set(keeper.stored()) == uids(images)


def test_a_node_that_is_killed_before_it_has_reported_reports_when_it_runs_again(
    cli, tmp_path, database, sqlite_template, images
):
    node, keeper = two_nodes(cli, tmp_path, database, sqlite_template)
    process = keeper.start()
    try:
        node.ok("send", "keeper", tmp_path / "images")
        entity = AE("NODE")
        entity.add_requested_context(StorageCommitmentPushModel, SYNTAXES)
        association = entity.associate(LOOPBACK, keeper.port, ae_title="KEEPER")
        request = Dataset()
        request.TransactionUID = "2.25.1234"
        request.ReferencedSOPSequence = [item_of(uid) for uid in sorted(uids(images))]
        status, _ = association.send_n_action(
            request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        assert status.Status == 0x0000
        association.release()
    finally:
        process.kill()
    later = "pid = NULL, attempts = 2, next_on = '2099-01-02 03:04:05.000000'"
    keeper.change(f"UPDATE storage_commitments SET {later}")
    said = keeper.ok("status").stdout
    assert "storage commitments that others wait for: 1 " in said
    assert " (NODE) (not taken, tried 2 times; again at 2099-01-02 03:04:05 UTC)\n" in said
    reports = []

    def take(event):
        reports.append(event.event_information)
        return 0x0000, None

    modality = AE("NODE")
    modality.add_supported_context(
        StorageCommitmentPushModel, SYNTAXES, scu_role=True, scp_role=True
    )
    server = modality.start_server(
        (LOOPBACK, node.port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)]
    )
    try:
        keeper.change("UPDATE storage_commitments SET next_on = created_on WHERE pid IS NULL")
        with keeper.running():
            wait_until(lambda: reports)
            wait_until(lambda: keeper.value("SELECT state FROM storage_commitments") == "done")
        wait_until(lambda: not server.active_associations)
    finally:
        server.shutdown()
    assert {one.ReferencedSOPInstanceUID for one in reports[0].ReferencedSOPSequence} == uids(
        images
    )


@pytest.mark.peers
def test_orthanc_and_the_node_commit_to_what_they_send_each_other(
    cli, tmp_path, migrated_sqlite_url, images
):
    port = free_port()
    with Orthanc(tmp_path / "orthanc", peers={"NODE": port}) as orthanc:
        node = Node(
            cli,
            tmp_path / "node",
            migrated_sqlite_url,
            settings={
                "peers": {
                    "orthanc": {
                        "aetitle": "ORTHANC",
                        "host": LOOPBACK,
                        "port": orthanc.port,
                        "may_commit": ["ORTHANC"],
                    }
                }
            },
            port=port,
        )
        with node.running():
            said = node.json("send", "orthanc", tmp_path / "images", "--commit")
            assert said["commitment"]["committed"] == 3
            orthanc.store("NODE", sorted(uids(images)))
            started = orthanc.commit("NODE", sorted(uids(images)))
            answer = wait_until(
                lambda: (said := orthanc.get(started))["Status"] != "Pending" and said
            )
    assert answer["Status"] == "Success", answer
    assert {one["SOPInstanceUID"] for one in answer["Success"]} == uids(images)
