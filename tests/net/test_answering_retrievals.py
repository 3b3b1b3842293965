"""C-MOVE and C-GET of the node over its index, asked and received by our own requestor."""

import asyncio

import pytest
from pynetdicom import AE
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from node.config import Config
from node.dicom.status import Status
from node.errors import PeerRefused
from node.net.dimse.contexts import Service
from node.net.dimse.sinks import whole
from node.net.scp.services import underway
from node.net.scu.requestor import associate
from node.ops.answering.giving.giving import giving
from node.ops.answering.scopes import note_unknown_projects
from schema import StudyFind, utcnow
from schema.project.entries import add_to_project, create_project
from tests.support.giving import answering_node, destination, identifier, index, pairs_of
from tests.support.images import dataset_bytes, generate
from tests.support.processes import LOOPBACK
from tests.support.variants import on_sqlite, variants
from tests.support.waiting import wait_until_async


@pytest.fixture(autouse=True)
async def no_task_is_left():
    yield

    def left():
        return asyncio.all_tasks() - {asyncio.current_task()}

    await wait_until_async(lambda: not left(), describe=left)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two studies of two series of three images."""
    return generate(tmp_path_factory.mktemp("images"), studies=2, series=2, images=3)


async def get(node, *, level="STUDY", receive=(), answer=lambda request: 0, **keys):
    kept = {}

    async def store(request, dataset):
        kept[request.sop_instance_uid] = (request.transfer_syntax_uid, dataset)
        return answer(request)

    async with associate(node.peer(), Service.GET, receive=receive) as association:
        getting = association.get(identifier(level, **keys), whole(store))
        return [progress async for progress in getting], kept


def sent_of(images):
    return {one.sop_instance_uid: dataset_bytes(one.path) for one in images}


def datasets(kept):
    return {uid: dataset for uid, (_, dataset) in kept.items()}


def asked(image, level):
    """Return the keys of the retrieval of what an image belongs to, at a level."""
    return {
        "PATIENT": {"PatientID": image.patient_id},
        "STUDY": {"StudyInstanceUID": image.study_uid},
        "SERIES": {"StudyInstanceUID": image.study_uid, "SeriesInstanceUID": image.series_uid},
        "IMAGE": {
            "StudyInstanceUID": image.study_uid,
            "SeriesInstanceUID": image.series_uid,
            "SOPInstanceUID": image.sop_instance_uid,
        },
    }[level]


@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
async def test_a_move_sends_what_is_asked_for_bit_by_bit(db, tmp_path, images, level):
    await index(db, [one.path for one in images])
    wanted = {"STUDY": images[:6], "SERIES": images[:3], "IMAGE": images[:1]}[level]
    async with (
        destination() as received,
        answering_node(db, tmp_path, store=received.port) as node,
    ):
        seen = await node.move("STORE", level=level, **asked(images[0], level))
    count = len(wanted)
    *pending, last = seen
    assert all((p.status, p.remaining + p.completed) == (Status.PENDING, count) for p in pending)
    assert (last.status, last.remaining, last.completed) == (Status.SUCCESS, None, count)
    assert (last.failed, last.warning, last.comment) == (0, 0, "")
    assert datasets(received.images) == sent_of(wanted)
    assert set(received.originators) == {"VIEWER"}


async def test_a_get_gives_what_is_asked_for_bit_by_bit(db, tmp_path, images):
    await index(db, [one.path for one in images])
    async with answering_node(db, tmp_path) as node:
        receive = pairs_of([images[0].path])
        seen, kept = await get(node, receive=receive, **asked(images[6], "STUDY"))
    assert (seen[-1].status, seen[-1].completed) == (Status.SUCCESS, 6)
    assert datasets(kept) == sent_of(images[6:])


async def test_the_first_who_gets_is_given_images_as_they_are(db, tmp_path, images):
    """Their contexts are chosen by what is here, which is looked at before anybody asks."""
    await index(db, (image.path for image in images))
    ((sop_class, syntax),) = pairs_of(image.path for image in images)
    async with giving(Config(storage={"directory": str(tmp_path / "dicom")}), db) as given:
        (looking,) = [task for task in asyncio.all_tasks() if task.get_name() == "held syntaxes"]
        await looking
        assert list(given.held.of(sop_class)) == [syntax]


async def test_patients_and_lists_of_uids_are_given(db, tmp_path, images):
    await index(db, [one.path for one in images])
    receive = pairs_of([images[0].path])
    async with answering_node(db, tmp_path) as node:
        several = [images[0].sop_instance_uid, images[2].sop_instance_uid, "1.2.3"]
        keys = asked(images[0], "SERIES") | {"SOPInstanceUID": several}
        _, kept = await get(node, level="IMAGE", receive=receive, **keys)
        assert kept.keys() == set(several[:2])
        both = sorted({one.study_uid for one in images})
        _, kept = await get(node, receive=receive, StudyInstanceUID=both)
        assert datasets(kept) == sent_of(images)


@on_sqlite
async def test_no_more_associations_than_a_destination_may_have(db, tmp_path, images):
    await index(db, [one.path for one in images])
    most = 0

    async def store(request, dataset):
        nonlocal most
        most = max(most, received.acceptor.open_associations)

    async with (
        destination(store) as received,
        answering_node(
            db, tmp_path, store=received.port, retrieve_associations=4, associations=2
        ) as node,
    ):
        seen = await node.move("STORE", **asked(images[0], "STUDY"))
    assert (seen[-1].status, seen[-1].completed) == (Status.SUCCESS, 6)
    assert 1 <= most <= 2


async def test_a_context_is_accepted_in_what_most_images_are_held_in(db, tmp_path, images):
    await index(db, [one.path for one in images])
    sop_class = pairs_of([images[0].path])[0][0]
    async with answering_node(db, tmp_path) as node:
        held = node.held
        assert list(held.of(sop_class)) == []  # it looks now, and nobody waits for it
        await wait_until_async(lambda: held.of(sop_class))
        assert list(held.of(sop_class)) == ["1.2.840.10008.1.2.1"]


@on_sqlite
async def test_nothing_that_matches_is_success(db, tmp_path, images):
    async with destination() as received, answering_node(db, tmp_path, store=received.port) as node:
        (last,) = await node.move("STORE", StudyInstanceUID="1.2.3")
    assert (last.status, last.completed, last.failed) == (Status.SUCCESS, 0, 0)
    assert received.originators == []


PATIENT_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.1.2"
STUDY_ROOT_MOVE = Service.MOVE.value


def scu(node, model, *, relational):
    """Associate by pynetdicom, which negotiates what our own requestor does not."""
    ae = AE("VIEWER")
    ae.add_requested_context(model)
    items = []
    if relational is not None:
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid = model
        item.service_class_application_information = relational
        items.append(item)
    return ae.associate(LOOPBACK, node.acceptor.port, ae_title="NODE", ext_neg=items)


def statuses_of(node, model, keys, *, relational=None):
    association = scu(node, model, relational=relational)
    assert association.is_established
    granted = association.acceptor.sop_class_extended
    answers = list(association.send_c_move(keys, "STORE", model))
    association.release()
    return granted, [status for status, _ in answers]


@variants("relational", b"\1", b"\0", None)
async def test_the_keys_above_may_be_left_out_only_where_that_was_negotiated(
    db, tmp_path, images, relational
):
    await index(db, [one.path for one in images])
    async with destination() as received, answering_node(db, tmp_path, store=received.port) as node:
        wanted = identifier("IMAGE", SOPInstanceUID=images[0].sop_instance_uid)
        granted, (*_, last) = await asyncio.to_thread(
            statuses_of, node, STUDY_ROOT_MOVE, wanted, relational=relational
        )
    if relational == b"\1":
        assert granted == {STUDY_ROOT_MOVE: b"\1"}
        assert (last.Status, list(received.images)) == (0, [images[0].sop_instance_uid])
    else:
        assert (last.Status, received.images) == (Status.DATASET_MISMATCH, {})
        assert "has to name one" in last.ErrorComment


async def test_a_patient_is_moved_in_the_patient_root(db, tmp_path, images):
    await index(db, [one.path for one in images])
    async with destination() as received, answering_node(db, tmp_path, store=received.port) as node:
        _, answers = await asyncio.to_thread(
            statuses_of,
            node,
            PATIENT_ROOT_MOVE,
            identifier("PATIENT", PatientID=images[0].patient_id),
        )
        assert (answers[-1].Status, datasets(received.images)) == (0, sent_of(images[:6]))
        keys = asked(images[6], "STUDY") | {"PatientID": images[0].patient_id}
        _, answers = await asyncio.to_thread(
            statuses_of, node, PATIENT_ROOT_MOVE, identifier("STUDY", **keys)
        )
        assert answers[-1].Status == 0
        assert answers[-1].NumberOfCompletedSuboperations == 0


# Whom it is sent to


@variants(
    "called, peers, comment",
    ("NOBODY", {}, "no peer is called NOBODY"),
    ("NODE", {}, "NODE is this node, which has the images"),
    ("TWICE", {"a": 104, "b": 105}, "several peers are called TWICE"),
)
async def test_a_destination_that_is_none_is_unknown(db, tmp_path, images, called, peers, comment):
    await index(db, [images[0].path])
    known = {
        name: {"aetitle": "TWICE", "host": LOOPBACK, "port": port} for name, port in peers.items()
    }
    async with answering_node(db, tmp_path, peers=known) as node:
        (last,) = await node.move(called, **asked(images[0], "STUDY"))
    assert (last.status, last.comment) == (Status.MOVE_DESTINATION_UNKNOWN, comment)


@pytest.mark.parametrize(
    ("called", "hint"),
    [
        ("store", "; peers.store has STORE"),
        ("Viewer", "; peers.viewer has VIEWER"),
        ("ws", "; peers.ws has WS1"),
        ("NOBODY", ""),
    ],
)
async def test_the_log_says_whom_a_mistyped_destination_may_have_meant(
    sqlite, tmp_path, images, caplog, called, hint
):
    await index(sqlite, [images[0].path])
    known = {"ws": {"aetitle": "WS1", "host": LOOPBACK, "port": 1}}
    async with answering_node(sqlite, tmp_path, store=1, peers=known) as node:
        (last,) = await node.move(called, **asked(images[0], "STUDY"))
    assert last.comment == f"no peer is called {called}"
    lines = [record.getMessage() for record in caplog.records]
    expected = f"sent to {called}: no peer has the AE title {called}{hint}"
    assert any(line.endswith(expected) for line in lines)


@on_sqlite
async def test_the_caller_is_meant_where_several_peers_have_its_title(db, tmp_path, images):
    await index(db, [images[0].path])
    elsewhere = {"aetitle": "STORE", "host": LOOPBACK, "port": 1, "networks": ["192.0.2.0/24"]}
    async with (
        destination() as received,
        answering_node(
            db, tmp_path, store=received.port, peers={"other": elsewhere}, may_retrieve=["STORE"]
        ) as node,
    ):
        seen = await node.move("STORE", calling="STORE", **asked(images[0], "STUDY"))
    assert (seen[-1].status, len(received.images)) == (Status.SUCCESS, 1)


# What is given to whom


async def test_only_what_a_peer_may_see_is_given(db, tmp_path, images):
    await index(db, [one.path for one in images])
    async with db.begin() as session:
        project = await create_project(session, "Trial")
        await add_to_project(session, project.id, study_uids=[images[0].study_uid])
    receive = pairs_of([images[0].path])
    both = sorted({one.study_uid for one in images})
    async with answering_node(db, tmp_path, viewer={"only_projects": ["Trial"]}) as node:
        _, kept = await get(node, receive=receive, StudyInstanceUID=both)
        assert datasets(kept) == sent_of(images[:6])
    async with answering_node(db, tmp_path, viewer={"only_modalities": ["CT"]}) as node:
        assert (await get(node, receive=receive, StudyInstanceUID=both))[1] == {}
    async with (
        destination() as received,
        answering_node(db, tmp_path, store=received.port, only_projects=["Trial"]) as node,
    ):
        seen = await node.move("STORE", StudyInstanceUID=both)
    assert (seen[-1].status, datasets(received.images)) == (0, sent_of(images[:6]))


async def test_the_log_says_what_was_withheld_and_by_which_setting(db, tmp_path, images, caplog):
    caplog.set_level("INFO")
    await index(db, [one.path for one in images])
    wanted = asked(images[0], "STUDY")
    narrow = {"only_modalities": ["CT"]}
    async with (
        destination() as received,
        answering_node(db, tmp_path, store=received.port, **narrow) as node,
    ):
        seen = await node.move("STORE", **wanted)
        unknown = await node.move("STORE", StudyInstanceUID="1.2.3.4.5")
    for last in (seen[-1], unknown[-1]):
        assert (last.status, last.comment) == (Status.SUCCESS, "")
    said = "C-MOVE from VIEWER to STORE (peers.store): 0 images"
    assert f"{said}; 6 images withheld by peers.store.only_modalities" in caplog.text
    assert f"{said}; none has these keys here" in caplog.text
    shown = {"only_modalities": ["CT"], "hide_incomplete": True}
    async with answering_node(db, tmp_path, viewer=shown) as node:
        await get(node, receive=pairs_of([images[0].path]), **wanted)
        one = asked(images[0], "IMAGE")
        await get(node, level="IMAGE", receive=pairs_of([images[0].path]), **one)
    by = "peers.viewer.only_modalities and peers.viewer.hide_incomplete"
    assert f"C-GET from VIEWER: 0 images; 6 images withheld by {by}" in caplog.text
    assert f"C-GET from VIEWER: 0 images; 1 image withheld by {by}" in caplog.text


async def test_a_project_of_the_configuration_that_is_none_is_in_the_log(db, caplog):
    async with db.begin() as session:
        await create_project(session, "knee")
    who = {"aetitle": "A", "host": LOOPBACK, "port": 1}
    peers = {"a": {**who, "only_projects": ["knee"]}, "b": {**who, "only_projects": ["kneee"]}}
    await note_unknown_projects(Config(peers=peers), db)
    (note,) = [record.getMessage() for record in caplog.records]
    assert note == "peers.b.only_projects: no project is named 'kneee': it has no studies"


async def test_nothing_is_said_to_be_withheld_where_all_is_given(sqlite, tmp_path, images, caplog):
    caplog.set_level("INFO")
    await index(sqlite, [one.path for one in images])
    async with answering_node(sqlite, tmp_path, viewer={"only_modalities": ["MR"]}) as node:
        receive = pairs_of([images[0].path])
        await get(node, receive=receive, **asked(images[0], "STUDY"))
    assert "C-GET from VIEWER: 6 images" in [record.getMessage() for record in caplog.records]


@on_sqlite
async def test_who_is_several_peers_is_given_what_any_of_them_is(db, tmp_path, images):
    await index(db, [one.path for one in images[:6]])
    other = {"aetitle": "VIEWER", "host": LOOPBACK, "port": 1, "may_retrieve": ["VIEWER"]}
    narrow = {"only_modalities": ["CT"]}
    async with answering_node(db, tmp_path, viewer=narrow, peers={"other": other}) as node:
        receive = pairs_of([images[0].path])
        _, kept = await get(node, receive=receive, **asked(images[0], "STUDY"))
    assert datasets(kept) == sent_of(images[:6])


async def test_what_is_not_complete_is_hidden_where_that_is_wanted(db, tmp_path):
    states = {"pending": False, "partial": False, "held": False}
    states |= {"gone": True, "unwanted": True, "retrieved": True, "never found": True}
    images = generate(tmp_path / "images", studies=len(states), images=1)
    await index(db, [one.path for one in images])
    by_state = dict(zip(states, images, strict=True))
    async with db.begin() as session:
        for state, image in by_state.items():
            if state != "never found":
                retrieved = utcnow() if state == "retrieved" else None
                session.add(
                    StudyFind(study_uid=image.study_uid, state=state, retrieved_on=retrieved)
                )
    every = sorted(one.study_uid for one in images)
    async with answering_node(db, tmp_path, viewer={"hide_incomplete": True}) as node:
        _, kept = await get(node, receive=pairs_of([images[0].path]), StudyInstanceUID=every)
    assert {state: one.sop_instance_uid in kept for state, one in by_state.items()} == states


@on_sqlite
async def test_who_may_not_retrieve_is_offered_nothing(db, tmp_path):
    async with answering_node(db, tmp_path, viewer={"may_retrieve": []}) as node:
        for calling in ("VIEWER", "STRANGER"):
            for service in (Service.MOVE, Service.GET):
                with pytest.raises(PeerRefused):
                    async with associate(node.peer(calling), service):
                        pass


@on_sqlite
async def test_so_many_at_once_and_the_others_wait_and_hear_of_it(
    db, tmp_path, images, monkeypatch
):
    monkeypatch.setattr(underway, "_LEND_AFTER", 60.0)
    await index(db, [one.path for one in images])
    going_on = asyncio.Event()

    async def store(request, dataset):
        await going_on.wait()

    async with (
        destination(store) as received,
        answering_node(db, tmp_path, store=received.port, answer={"retrievals": 1}) as node,
    ):
        first = asyncio.create_task(node.move("STORE", **asked(images[0], "STUDY")))
        await wait_until_async(lambda: received.acceptor.open_associations == 1)
        async with associate(node.peer(), Service.MOVE) as association:
            moving = association.move(identifier(**asked(images[6], "STUDY")), "STORE")
            waiting = await anext(moving)
            assert (waiting.status, waiting.remaining) == (Status.PENDING, 6)
            assert received.acceptor.open_associations == 1
            going_on.set()
            last = [progress async for progress in moving][-1]
        assert (last.status, last.completed) == (Status.SUCCESS, 6)
        assert (await first)[-1].completed == 6


@on_sqlite
async def test_a_destination_takes_several_associations_at_once(db, tmp_path, images):
    await index(db, [one.path for one in images])
    together = asyncio.Barrier(3)

    async def store(request, dataset):
        await together.wait()

    async with (
        destination(store) as received,
        answering_node(db, tmp_path, store=received.port, retrieve_associations=3) as node,
    ):
        seen = await node.move("STORE", **asked(images[0], "STUDY"))
    assert (seen[-1].status, seen[-1].completed) == (Status.SUCCESS, 6)
    assert datasets(received.images) == sent_of(images[:6])
