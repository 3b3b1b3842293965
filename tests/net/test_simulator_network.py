"""The simulated PACS on the network, asked by DCMTK's tools and by our own requestor."""

import asyncio
import re
import signal
from datetime import date
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from node.dicom.query import StudyQuery, Window, study_identifier, study_move_identifier
from node.dicom.status import Status
from node.errors import PeerFailure
from node.net.dimse.contexts import Service
from node.net.dimse.sinks import whole
from node.net.messages import Peer, Services
from node.net.scu.requestor import associate
from node.simulator.archive import SimulatedArchive
from node.simulator.behaviour import Honest, Partial
from node.simulator.corpus import make_corpus
from node.simulator.server import Simulator
from tests.support.acceptors import acceptor
from tests.support.images import dataset_bytes
from tests.support.peers import dcmtk
from tests.support.peers.pynetdicom_race import mend
from tests.support.processes import free_port

pytestmark = pytest.mark.peers

TODAY = date(2026, 3, 1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    make_corpus(folder, today=TODAY)
    return folder


@pytest.fixture(scope="module")
def loaded(corpus):
    return list(SimulatedArchive.load(corpus).instances)


@pytest.fixture
def archive(loaded):
    archive = SimulatedArchive()
    for instance in loaded:
        archive.add(instance)
    return archive


@pytest.fixture
async def simulator(archive, tmp_path):
    ports = {"STORESCP": ("127.0.0.1", free_port())}
    served = Simulator(archive=archive, incoming=tmp_path / "incoming", destinations=ports)
    served.receiver_port = ports["STORESCP"][1]
    async with served:
        yield served


def peer_of(simulator):
    return Peer(
        name="pacs",
        aetitle=simulator.aetitle,
        host=simulator.host,
        port=simulator.port,
        calling_aetitle="ME",
    )


async def dcmtk_tool(tool, *args, **options):
    return await asyncio.to_thread(tool, *args, called="PACS", **options)


async def move_to_storescp(simulator, folder, *keys, level="STUDY"):
    with dcmtk.StoreScp(folder, port=simulator.receiver_port) as receiver:
        done = await dcmtk_tool(
            dcmtk.movescu, simulator.port, *keys, destination="STORESCP", level=level
        )
        return done, receiver.files()


async def test_it_answers_an_echo_and_refuses_another_called_title(simulator):
    assert (await dcmtk_tool(dcmtk.echoscu, simulator.port)).code == 0
    refused = await asyncio.to_thread(dcmtk.echoscu, simulator.port, called="NOBODY")
    assert refused.code != 0
    assert "Called AE Title Not Recognized" in refused.output


async def test_findscu_finds_the_studies_of_a_week(simulator, archive):
    done, answers = await dcmtk_tool(
        dcmtk.findscu,
        simulator.port,
        "StudyDate=20260223-20260301",
        "StudyInstanceUID",
        "PatientName",
        "ModalitiesInStudy",
        "NumberOfStudyRelatedInstances",
    )
    assert done.code == 0, done.output
    assert len(answers) == 7
    counts = {s.uid: sum(1 for _ in s.instances) for s in archive.studies}
    for answer in answers:
        assert answer.NumberOfStudyRelatedInstances == counts[answer.StudyInstanceUID]
        assert answer.SpecificCharacterSet == "ISO_IR 192"
    assert "Hong^Gildong=洪^吉洞=홍^길동" in {str(answer.PatientName) for answer in answers}


async def test_findscu_finds_the_patients_of_the_patient_root_model(simulator):
    arguments = ["-v", "-P", "-aec", "PACS", "-k", "QueryRetrieveLevel=PATIENT", "-k", "PatientID"]
    done = await asyncio.to_thread(
        dcmtk.run, "findscu", *arguments, "127.0.0.1", str(simulator.port)
    )
    assert done.code == 0, done.output
    assert done.output.count("DEMO-100") == 6


async def test_a_question_against_the_model_is_answered_with_a_failure(simulator):
    async with associate(peer_of(simulator), Service.FIND) as association:
        identifier = study_identifier(StudyQuery(), Window())
        identifier.QueryRetrieveLevel = "SERIES"
        with pytest.raises(PeerFailure):
            [answer async for answer in association.find(identifier)]


async def test_a_move_against_the_model_is_answered_with_a_failure(simulator, archive):
    async with associate(peer_of(simulator), Service.MOVE) as association:
        identifier = study_move_identifier(archive.studies[0].uid)
        identifier.QueryRetrieveLevel = "PATIENT"
        answers = [progress async for progress in association.move(identifier, "STORESCP")]
    assert [progress.status for progress in answers] == [Status.DATASET_MISMATCH]


@pytest.mark.parametrize("description", ["CT thorax", "IRM*", "Photographs", "Echocardiography"])
async def test_movescu_gets_every_byte_of_a_study(simulator, archive, tmp_path, description):
    _, (study,) = await dcmtk_tool(
        dcmtk.findscu, simulator.port, f"StudyDescription={description}", "StudyInstanceUID"
    )
    done, received = await move_to_storescp(
        simulator, tmp_path, f"StudyInstanceUID={study.StudyInstanceUID}"
    )
    assert done.code == 0, done.output
    sent = {i.sop_instance_uid: i for i in archive.instances}
    expected = {u for u, i in sent.items() if i.study_uid == study.StudyInstanceUID}
    assert set(received) == expected
    for uid, path in received.items():
        assert dataset_bytes(path) == dataset_bytes(sent[uid].path)


async def test_a_series_and_an_image_are_moved_alone(simulator, archive, tmp_path):
    series = next(iter(archive.studies[0].series.values()))
    first, second, *_ = series.instances.values()
    keys = [f"StudyInstanceUID={first.study_uid}", f"SeriesInstanceUID={first.series_uid}"]
    _, images = await move_to_storescp(simulator, tmp_path / "series", *keys, level="SERIES")
    assert set(images) == set(series.instances)
    keys.append(f"SOPInstanceUID={second.sop_instance_uid}")
    _, images = await move_to_storescp(simulator, tmp_path / "image", *keys, level="IMAGE")
    assert set(images) == {second.sop_instance_uid}


async def test_an_unknown_destination_is_answered_with_its_status(simulator, archive):
    async with associate(peer_of(simulator), Service.MOVE) as association:
        identifier = study_move_identifier(archive.studies[0].uid)
        answers = [progress async for progress in association.move(identifier, "NOWHERE")]
    assert [progress.status for progress in answers] == [Status.MOVE_DESTINATION_UNKNOWN]


async def test_a_partial_pacs_says_success_and_later_delivers_the_rest(
    simulator, archive, tmp_path
):
    study = archive.studies[0]
    key = f"StudyInstanceUID={study.uid}"
    whole = {i.sop_instance_uid for i in study.instances}
    honest = Honest(archive=archive, aetitle="PACS")
    simulator.behaviour = Partial(inner=honest, archive=archive, withhold=5)
    done, received = await move_to_storescp(simulator, tmp_path, key)
    assert done.code == 0, done.output
    assert set(received) < whole
    assert len(received) == len(whole) - 5
    simulator.behaviour = honest
    _, received = await move_to_storescp(simulator, tmp_path, key)
    assert set(received) == whole


async def test_what_is_stored_can_be_found_and_moved(simulator, archive, tmp_path):
    source = Path(get_testdata_file("MR_small_RLE.dcm", download=False))
    uid = str(dcmread(source).SOPInstanceUID)
    before = len(archive)
    for _ in range(2):  # the second time it is there already
        stored = await dcmtk_tool(dcmtk.storescu, simulator.port, source, options=("-xr",))
        assert stored.code == 0, stored.output
    assert len(archive) == before + 1
    study = dcmread(source).StudyInstanceUID
    _, received = await move_to_storescp(simulator, tmp_path, f"StudyInstanceUID={study}")
    stored_file = tmp_path / "incoming" / f"{uid}.dcm"
    assert dataset_bytes(received[uid]) == dataset_bytes(stored_file)
    assert dcmread(received[uid]).PixelData == dcmread(source).PixelData


async def test_a_file_without_preamble_is_moved_behind_a_header(tmp_path):
    source = Path(get_testdata_file("rtstruct.dcm", download=False))
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "rtstruct").write_bytes(source.read_bytes())
    archive = SimulatedArchive.load(folder)
    port = free_port()
    served = Simulator(
        archive=archive,
        incoming=tmp_path / "incoming",
        destinations={"STORESCP": ("127.0.0.1", port)},
    )
    served.receiver_port = port
    async with served:
        key = f"StudyInstanceUID={archive.studies[0].uid}"
        _, received = await move_to_storescp(served, tmp_path / "scp", key)
    (path,) = received.values()
    assert dataset_bytes(path) == source.read_bytes()


# C-GET


async def got(simulator, folder, *keys, **options):
    return await dcmtk_tool(dcmtk.getscu, simulator.port, *keys, folder=folder, **options)


def named(paths):
    return {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in paths}


def study_described(archive, description):
    """Return the study's instances by UID: its own key, and theirs."""
    chosen = [
        i for i in archive.instances if i.attributes.get("StudyDescription") == (description,)
    ]
    return chosen[0], {i.sop_instance_uid: i for i in chosen}


@pytest.mark.parametrize("model", ["-S", "-P"], ids=["Study Root", "Patient Root"])
async def test_getscu_gets_every_byte_of_a_study(simulator, archive, tmp_path, model):
    first, expected = study_described(archive, "Chest PA and lateral")
    keys = [f"StudyInstanceUID={first.study_uid}"]
    if model == "-P":
        keys.append(f"PatientID={first.patient_id}")
    done, files = await got(simulator, tmp_path, *keys, model=model)
    assert done.code == 0, done.output
    assert re.search(rf"Completed Suboperations +: {len(expected)}$", done.output, re.MULTILINE)
    received = named(files)
    assert set(received) == set(expected)
    for uid, path in received.items():
        assert dataset_bytes(path) == dataset_bytes(expected[uid].path)


async def test_getscu_gets_a_patient_a_series_and_an_image(simulator, archive, tmp_path):
    series = next(iter(archive.studies[0].series.values()))
    first, second, *_ = series.instances.values()
    keys = [f"StudyInstanceUID={first.study_uid}", f"SeriesInstanceUID={first.series_uid}"]
    _, files = await got(simulator, tmp_path / "series", *keys, level="SERIES")
    assert set(named(files)) == set(series.instances)
    keys.append(f"SOPInstanceUID={second.sop_instance_uid}")
    _, files = await got(simulator, tmp_path / "image", *keys, level="IMAGE")
    assert set(named(files)) == {second.sop_instance_uid}
    patient = next(i for i in archive.instances if i.patient_id == "DEMO-1004")
    key = f"PatientID={patient.patient_id}"
    _, files = await got(simulator, tmp_path / "patient", key, level="PATIENT", model="-P")
    expected = archive.patients[patient.patient_id].instances
    assert set(named(files)) == {i.sop_instance_uid for i in expected}


async def test_images_that_getscu_cannot_take_as_they_are_fail_and_are_named(
    simulator, archive, tmp_path
):
    """It proposes one compressed transfer syntax at a time; nothing is ever converted."""
    first, expected = study_described(archive, "Photographs")
    done, files = await got(
        simulator, tmp_path, f"StudyInstanceUID={first.study_uid}", options=["+xr"]
    )
    received = named(files)
    (taken,) = {expected[uid].transfer_syntax_uid for uid in received}
    assert set(received) == {u for u, i in expected.items() if i.transfer_syntax_uid == taken}
    failed = len(expected) - len(received)
    assert failed > 0
    assert re.search(rf"Failed Suboperations +: {failed}$", done.output, re.MULTILINE)
    for uid, path in received.items():
        assert dataset_bytes(path) == dataset_bytes(expected[uid].path)


async def test_our_requestor_gets_every_transfer_syntax_of_a_study(simulator, archive):
    first, expected = study_described(archive, "Photographs")
    kept = {}

    async def store(request, dataset):
        kept[request.sop_instance_uid] = (request.transfer_syntax_uid, dataset)
        return Status.SUCCESS

    receive = sorted({(i.sop_class_uid, i.transfer_syntax_uid) for i in expected.values()})
    async with associate(peer_of(simulator), Service.GET, receive=receive) as association:
        identifier = study_move_identifier(first.study_uid)
        *_, last = [p async for p in association.get(identifier, whole(store))]
    assert (last.status, last.completed) == (Status.SUCCESS, len(expected))
    assert kept == {
        uid: (i.transfer_syntax_uid, dataset_bytes(i.path)) for uid, i in expected.items()
    }


async def test_pynetdicom_finds_and_gets_a_study(simulator, archive, monkeypatch):
    monkeypatch.setattr(Association, "__init__", Association.__init__)
    mend()
    first, expected = study_described(archive, "Chest PA and lateral")
    kept = {}

    def store(event):
        kept[str(event.request.AffectedSOPInstanceUID)] = event.request.DataSet.getvalue()
        return 0x0000

    def ask():
        entity = AE("PYNETDICOM")
        entity.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
        entity.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
        roles = []
        for uid, syntax in {(i.sop_class_uid, i.transfer_syntax_uid) for i in expected.values()}:
            entity.add_requested_context(uid, syntax)
            roles.append(build_role(uid, scp_role=True))
        association = entity.associate(
            *("127.0.0.1", simulator.port),
            ae_title="PACS",
            ext_neg=roles,
            evt_handlers=[(evt.EVT_C_STORE, store)],
        )
        assert association.is_established
        identifier = study_move_identifier(first.study_uid)
        operations = {
            association.send_c_find: StudyRootQueryRetrieveInformationModelFind,
            association.send_c_get: StudyRootQueryRetrieveInformationModelGet,
        }
        answers = [
            [status.Status for status, _ in operation(identifier, model)]
            for operation, model in operations.items()
        ]
        association.release()
        return answers

    found, got = await asyncio.to_thread(ask)
    assert found == [Status.PENDING, Status.SUCCESS]
    assert got == [*[Status.PENDING] * len(expected), Status.SUCCESS]
    assert kept == {uid: dataset_bytes(i.path) for uid, i in expected.items()}


async def test_a_partial_pacs_withholds_from_a_get_as_well(simulator, archive, tmp_path):
    simulator.behaviour = Partial(
        inner=Honest(archive=archive, aetitle="PACS"), archive=archive, withhold=1
    )
    first, expected = study_described(archive, "Chest PA and lateral")
    key = f"StudyInstanceUID={first.study_uid}"
    done, files = await got(simulator, tmp_path, key)
    assert done.code == 0, done.output
    assert len(files) == len(expected) - 1


async def test_an_identifier_against_the_model_is_answered_with_0xa900_and_a_comment(
    simulator, archive
):
    identifier = study_move_identifier(archive.studies[0].uid)
    identifier.QueryRetrieveLevel = "PATIENT"
    services = (Service.FIND, Service.MOVE, Service.GET)
    async with associate(peer_of(simulator), *services) as association:
        with pytest.raises(PeerFailure, match="'PATIENT' is not a level of the STUDY root") as no:
            [match async for match in association.find(identifier)]
        assert no.value.status == Status.DATASET_MISMATCH
        for answers in (
            association.move(identifier, "STORESCP"),
            association.get(identifier, whole(None)),
        ):
            (last,) = [progress async for progress in answers]
            assert last.status == Status.DATASET_MISMATCH
            assert last.comment == "'PATIENT' is not a level of the STUDY root model"


@pytest.mark.parametrize("bad", [1, 100])
async def test_a_destination_that_drops_the_association_gets_the_other_images(
    bad, simulator, archive
):
    first, expected = study_described(archive, "RT planning")
    asked, kept = [], []

    def open_sink(request):
        asked.append(request.sop_instance_uid)
        if 2 <= len(asked) < 2 + bad:
            for visit in list(destination._visits):
                visit.close()
        return whole(store)(request)

    async def store(request, dataset):
        kept.append(request.sop_instance_uid)
        return Status.SUCCESS

    services = Services(store=open_sink)
    destination = acceptor(services, aetitle="STORESCP", port=simulator.receiver_port)
    async with destination, associate(peer_of(simulator), Service.MOVE) as association:
        identifier = study_move_identifier(first.study_uid)
        *_, last = [p async for p in association.move(identifier, "STORESCP")]
    failed = 1 if bad == 1 else len(expected) - 1
    assert last.status == Status.SUBOPERATIONS_WITH_FAILURES
    assert (last.completed, last.failed) == (len(expected) - failed, failed)
    assert len(asked) == (len(expected) if bad == 1 else 5)


async def test_a_destination_that_nobody_knows_is_named_in_the_answer(simulator, archive):
    identifier = study_move_identifier(archive.studies[0].uid)
    async with associate(peer_of(simulator), Service.MOVE) as association:
        (last,) = [progress async for progress in association.move(identifier, "NOWHERE")]
    assert (last.status, last.comment) == (
        Status.MOVE_DESTINATION_UNKNOWN,
        "no destination is called NOWHERE",
    )


# The command


def start(processes, cli, *args):
    process = processes.fork(*cli.args("simulate", "--port", "0", *args), env=cli.env())
    match = process.wait_for_line(r"^listening on 127\.0\.0\.1:(\d+)$")
    return process, int(match[1])


@pytest.mark.parametrize(
    ("number", "own"), [(signal.SIGTERM, True), (signal.SIGINT, False)], ids=["SIGTERM", "SIGINT"]
)
def test_the_command_says_what_it_serves_and_ends_on_a_signal(processes, cli, corpus, number, own):
    process, port = start(processes, cli, *([] if own else [corpus]))
    assert "PACS: 8 studies, 78 images" in process.output()
    assert "NODE at 127.0.0.1:11112" in process.output()
    assert dcmtk.echoscu(port, called="PACS").code == 0
    process.signal(number)
    assert process.wait(15) == 0
    assert "Traceback" not in process.output()


def test_the_command_serves_a_folder_and_withholds_until_it_is_told_to_be_honest(
    processes, cli, corpus, tmp_path
):
    receiver_port = free_port()
    process, port = start(
        processes,
        cli,
        *(corpus, "--aetitle", "ARCHIVE", "--withhold", "2"),
        *("--destination", f"STORESCP=127.0.0.1:{receiver_port}"),
    )
    _, (study,) = dcmtk.findscu(
        port, "StudyDescription=RT planning", "StudyInstanceUID", called="ARCHIVE"
    )
    key = f"StudyInstanceUID={study.StudyInstanceUID}"
    options = {"called": "ARCHIVE", "folder": tmp_path / "got"}
    done, _ = dcmtk.getscu(port, key, **options)
    assert re.search(r"Completed Suboperations +: 13$", done.output, re.MULTILINE), done.output
    with dcmtk.StoreScp(tmp_path / "scp", port=receiver_port) as receiver:
        dcmtk.movescu(port, key, called="ARCHIVE", destination="STORESCP")
        assert len(receiver.files()) == 13
        process.signal(signal.SIGUSR1)
        process.wait_for_line("honest from now on")
        dcmtk.movescu(port, key, called="ARCHIVE", destination="STORESCP")
        assert len(receiver.files()) == 15
    process.signal(signal.SIGTERM)
    assert process.wait(15) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--destination", "NODE"], "AET=HOST:PORT"),
        (["--destination", "NODE=localhost:0"], "AET=HOST:PORT"),
        (["--destination", "A_TITLE_THAT_IS_TOO_LONG=localhost:104"], "16 ASCII characters"),
        (["--aetitle", "A_TITLE_THAT_IS_TOO_LONG"], "16 ASCII characters"),
        (["--today", "yesterday"], "2024-01-31"),
        (["no/such/folder"], "does not exist"),
    ],
)
def test_wrong_usage_is_refused_with_what_would_be_right(cli, arguments, message):
    code, stdout, stderr = cli("simulate", "--port", "0", *arguments)
    assert code == 2
    assert message in stderr
    assert stdout == ""


def test_an_address_that_is_taken_is_said_so(processes, cli, corpus):
    process, port = start(processes, cli, corpus)
    code, _, stderr = cli("simulate", corpus, "--port", str(port))
    assert code == 1
    assert f"cannot listen at 127.0.0.1 port {port}" in stderr
    process.signal(signal.SIGTERM)
    assert process.wait(15) == 0
