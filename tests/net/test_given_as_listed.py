"""What the node lists for a C-FIND is what it gives for a C-GET: the same images and scopes."""

from pathlib import Path

import pytest
from pydicom import dcmread

from node.dicom.status import Status
from node.net.dimse.contexts import Service
from node.net.dimse.sinks import whole
from node.net.scu.requestor import associate
from schema.answering.scope import ALL_IMAGES
from schema.project.entries import add_to_project, create_project
from schema.retrieving.images import RetrievalKeys, wanted_images
from tests.support.giving import answering_node, destination, identifier, index, pairs_of
from tests.support.images import generate
from tests.support.processes import LOOPBACK

MAY = {"may_query": ["VIEWER"], "may_retrieve": ["VIEWER"]}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three images of one series, and one of them again, as another study's, CT and patient's."""
    folder = tmp_path_factory.mktemp("images")
    made = [one.path for one in generate(folder, images=4)]
    odd = dcmread(made[3])
    odd.StudyInstanceUID, odd.PatientID, odd.Modality = "1.2.3.4", "ODD", "CT"
    odd.save_as(made[3])
    return made


@pytest.fixture
async def indexed(db, images):
    for path in images:  # in this order: the first says where the series belongs
        await index(db, [path])
    return db


def keys_of(path: Path):
    header = dcmread(path, stop_before_pixels=True)
    return {
        "StudyInstanceUID": str(header.StudyInstanceUID),
        "SeriesInstanceUID": str(header.SeriesInstanceUID),
    }


async def listed(node, level="IMAGE", **keys):
    asked = identifier(level, SOPInstanceUID="", **keys)
    async with associate(node.peer(), Service.FIND) as association:
        return {str(one.SOPInstanceUID) async for one in association.find(asked)}


async def given(node, images, level, **keys):
    kept = set()

    async def store(request, dataset):
        kept.add(request.sop_instance_uid)
        return 0

    async with associate(node.peer(), Service.GET, receive=pairs_of(images)) as association:
        asked = identifier(level, **keys)
        seen = [progress async for progress in association.get(asked, whole(store))]
    return seen[-1], kept


async def test_an_image_is_given_where_it_is_listed_and_for_its_own_study(
    indexed, tmp_path, images
):
    keys = keys_of(images[0])
    async with answering_node(indexed, tmp_path, viewer=MAY) as node:
        found = await listed(node, **keys)
        assert len(found) == 4
        study = {"StudyInstanceUID": keys["StudyInstanceUID"]}
        for level, asked in {
            "STUDY": study,
            "SERIES": keys,
            "IMAGE": {**keys, "SOPInstanceUID": sorted(found)},
        }.items():
            last, kept = await given(node, images, level, **asked)
            assert (last.status, last.completed, kept) == (Status.SUCCESS, 4, found), level
        own = keys_of(images[3])
        assert own["StudyInstanceUID"] == "1.2.3.4"
        for level, asked in {"STUDY": {"StudyInstanceUID": "1.2.3.4"}, "SERIES": own}.items():
            _, kept = await given(node, images, level, **asked)
            assert len(kept) == 1, level
            assert kept < found


async def test_a_patient_is_given_what_is_filed_under_them_and_what_names_them(indexed, images):
    header = dcmread(images[0], stop_before_pixels=True)
    studies = [str(header.StudyInstanceUID)]
    async with indexed.session() as session:
        for asked, count in ((str(header.PatientID), 4), ("ODD", 1), ("NOBODY", 0)):
            for more in ({}, {"study_uids": studies}):
                keys = RetrievalKeys(patient_ids=[asked], **more)
                found = await wanted_images(session, keys, scopes=[[ALL_IMAGES]], most=9)
                assert len(found) == count, (asked, more)


@pytest.mark.parametrize(
    ("scope", "count"),
    [
        ({}, 4),
        ({"only_modalities": ["MR"]}, 3),
        ({"only_modalities": ["CT"]}, 0),
        ({"only_modalities": ["CT", "MR"]}, 4),
        ({"only_projects": ["Filed"]}, 3),
        ({"only_projects": ["Own"]}, 0),
        ({"only_projects": ["Filed", "Own"]}, 4),
    ],
)
async def test_an_image_is_given_when_it_is_visible_by_itself_and_where_it_is_filed(
    indexed, tmp_path, images, scope, count
):
    keys = keys_of(images[0])
    async with indexed.begin() as session:
        for name, uid in {"Filed": keys["StudyInstanceUID"], "Own": "1.2.3.4"}.items():
            project = await create_project(session, name)
            await add_to_project(session, project.id, study_uids=[uid])
    async with answering_node(indexed, tmp_path, viewer=MAY | scope) as node:
        _, kept = await given(node, images, "SERIES", **keys)
        assert len(kept) == count
        both = [keys["StudyInstanceUID"], "1.2.3.4"]
        assert (await given(node, images, "STUDY", StudyInstanceUID=both))[1] == kept
    async with (
        destination() as received,
        answering_node(indexed, tmp_path, store=received.port, **scope) as node,
    ):
        await node.move("STORE", level="SERIES", **keys)
        assert received.images.keys() == kept


async def test_a_peer_of_the_same_title_that_may_not_retrieve_is_given_nothing_more(
    db, tmp_path, images
):
    await index(db, images[:3])
    sender = {"aetitle": "SENDER", "host": LOOPBACK, "port": 1, "may_store": ["VIEWER"]}
    narrow = MAY | {"only_modalities": ["CT"]}
    for more, count in (({}, 0), ({"may_query": "VIEWER"}, 0), ({"may_retrieve": "VIEWER"}, 3)):
        async with answering_node(
            db, tmp_path, viewer=narrow, peers={"sender": sender | more}
        ) as node:
            _, kept = await given(node, images, "SERIES", **keys_of(images[0]))
            assert len(kept) == count, more


@pytest.mark.parametrize(
    ("level", "lower", "comment"),
    [
        ("STUDY", "SeriesInstanceUID", "SeriesInstanceUID is no key at STUDY level"),
        ("STUDY", "SOPInstanceUID", "SOPInstanceUID is no key at STUDY level"),
        ("SERIES", "SOPInstanceUID", "SOPInstanceUID is no key at SERIES level"),
    ],
)
async def test_a_key_of_a_level_below_is_refused_unless_it_is_empty(
    indexed, tmp_path, images, level, lower, comment
):
    keys = {"StudyInstanceUID": keys_of(images[0])["StudyInstanceUID"]}
    if level == "SERIES":
        keys |= keys_of(images[0])
    below = {"SeriesInstanceUID": "SERIES", "SOPInstanceUID": "IMAGE"}[lower]
    async with (
        destination() as received,
        answering_node(indexed, tmp_path, store=received.port, viewer=MAY) as node,
    ):
        (last,) = await node.move("STORE", level=level, **keys, **{lower: "1.2.3"})
        assert last.status == Status.DATASET_MISMATCH
        assert last.comment == f"{comment}: ask at {below} level"
        last, kept = await given(node, images, level, **keys, **{lower: "1.2.3"})
        assert (last.status, kept) == (Status.DATASET_MISMATCH, set())
        last, kept = await given(node, images, level, **keys, **{lower: ""})
        assert (last.status, len(kept)) == (Status.SUCCESS, 4)
