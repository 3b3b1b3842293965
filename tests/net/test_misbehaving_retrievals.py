"""Every behaviour of the simulated PACS towards retrievals, seen by who asks and who receives."""

import asyncio
import random
import re
import time
from collections import Counter
from contextlib import AsyncExitStack
from datetime import date

import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset

from node.dicom.status import Status
from node.errors import PeerRefused, PeerUnreachable
from node.net.dimse.contexts import Service
from node.net.scu.requestor import associate
from node.simulator.archive import SimulatedArchive
from node.simulator.corpus import make_corpus
from node.upperlayer.framing import PDUType
from tests.support.misbehaving import ask
from tests.support.peers import dcmtk
from tests.support.processes import free_port
from tests.support.rawpeer import RawPeer, associate_request
from tests.support.retrieving import (
    FEW,
    GOT,
    MOVED,
    Retrieved,
    beside,
    retrieving_pacs,
)
from tests.support.waiting import wait_until_async

BOTH = pytest.mark.parametrize("service", [MOVED, GOT], ids=["move", "get"])


def read(dataset):
    return read_dataset(DicomBytesIO(dataset), is_implicit_VR=False, is_little_endian=True)


def numbers(response):
    return response.remaining, response.completed, response.failed, response.warning


# An honest one, to compare with


@BOTH
async def test_made_up_images_are_sent_as_they_are_counted_and_are_the_same_each_time(service):
    async with retrieving_pacs() as pacs:
        told = []
        for uid, study in list(pacs.pacs.truth().items())[:6]:
            pacs.receiver.stored.clear()
            told = [await pacs.ask(uid, service=service) for _ in range(2)]
            assert [one.status for one in told] == [0, 0]
            sent = pacs.receiver.stored
            half = len(sent) // 2
            assert sent[:half] == sent[half:]
            assert str(half) == study["NumberOfStudyRelatedInstances"][0]
            assert [uid for _, uid, _ in sent[:half]] == pacs.images(uid)
            for _, sop, dataset in sent[:half]:
                image = read(dataset)
                assert (image.StudyInstanceUID, image.SOPInstanceUID) == (uid, sop)
                assert image.PatientID == study["PatientID"][0]
                if image.Modality != "SR":
                    assert len(image.PixelData) == 2 * image.Rows * image.Columns


@BOTH
async def test_a_series_an_image_and_a_list_are_retrieved_alone(service):
    async with retrieving_pacs() as pacs:
        uid = next(u for u, s in pacs.pacs.truth().items() if len(s["ModalitiesInStudy"]) > 1)
        images = pacs.pacs.images(uid)
        series = Counter(image.series_uid for image in images)
        (one, count), *_ = series.items()
        told = await pacs.ask(uid, "SERIES", service=service, SeriesInstanceUID=one)
        assert (told.status, told.last.completed) == (0, count)
        names = [image.sop_instance_uid for image in images if image.series_uid == one][:2]
        pacs.receiver.stored.clear()
        keys = {"SeriesInstanceUID": one, "SOPInstanceUID": names}
        await pacs.ask(uid, "IMAGE", service=service, **keys)
        assert pacs.receiver.uids == names
        both = [pacs.study(), pacs.study(skip=1)]
        told = await pacs.ask(both, service=service)
        assert told.last.completed == len(pacs.images(both[0])) + len(pacs.images(both[1]))
        assert (await pacs.ask("1.2.3", service=service)).last.completed == 0


@pytest.mark.parametrize(("low", "high"), [(2, 2), (500, 900), (70000, 70000)])
async def test_images_are_as_large_as_they_are_to_be(low, high):
    async with retrieving_pacs(archive=FEW | {"image_bytes": [low, high]}) as pacs:
        images = pacs.pacs.images(pacs.study(10, 40))
        reading = [read(image.encoded()) for image in images]
        sizes = [len(image.PixelData) for image in reading if "PixelData" in image]
        assert all(low * 0.8 <= size <= high for size in sizes)
        assert low == high or len(set(sizes)) > 2
        assert max(len(image.encoded()) for image in images) < high + 900


# How a retrieval ends


@BOTH
@pytest.mark.parametrize(
    ("settings", "statuses"),
    [
        ({"failures": {"status": 0xA701, "first": 2}}, [0xA701, 0xA701, 0, 0]),
        ({"failures": {"status": "0xC000", "every": 2}}, [0, 0xC000, 0, 0xC000]),
        ({"failures": {"share": 0}}, [0, 0]),
        ({"failures": [{"status": 0xA801, "first": 1}, {"status": 0xA900}]}, [0xA801, 0xA900]),
        ({"failures": {"images": 2, "first": 1}}, [0xA702, 0]),
        ({"failures": {"images": 1000}}, [0xA702]),
        ({"last": {"status": 0xB000, "every": 2}}, [0, 0xB000]),
        ({"levels": {"STUDY": "refused"}}, [0xA900]),
        ({"levels": {"STUDY": "refused"}, "refusal": {"status": 0xC001}}, [0xC001]),
        ({"breaks": {"first": 1, "images": 2}}, [None, 0]),
        ({"failures": {"first": 1}, "breaks": {"first": 2}, "empty": {"first": 3}}, [0, 0, 0, 0]),
        ({"failures": {"first": 1}, "breaks": {"first": 2}}, [0xA702, None, 0]),
    ],
    ids=str,
)
async def test_retrievals_end_as_is_said(service, settings, statuses):
    async with retrieving_pacs(retrieval=settings) as pacs:
        uid = pacs.study()
        told = [await pacs.ask(uid, service=service) for _ in statuses]
        assert [one.status for one in told] == statuses
        failures = [one for one in statuses if one not in (0, None, 0xB000)]
        assert pacs.done.failures == len(failures)
        assert pacs.done.aborted == statuses.count(None)
        assert pacs.done.moves + pacs.done.gets == pacs.done.ended == len(statuses)


async def test_a_failure_has_its_comment_and_comes_after_so_many_images():
    failure = {"status": 0xA702, "comment": "Disk full", "images": 2}
    async with retrieving_pacs(retrieval={"failures": failure}) as pacs:
        told = await pacs.ask(pacs.study())
        assert (told.status, told.last.comment, told.last.completed) == (0xA702, "Disk full", 2)
        assert len(pacs.receiver.uids) == 2


async def test_what_falls_on_a_share_of_the_studies_falls_on_the_same_ones_each_time():
    settings = {"failures": {"share": 0.3}, "empty": {"share": 0.2}}
    archive = FEW | {"studies": 150}
    async with retrieving_pacs(archive=archive, retrieval=settings) as pacs:
        rounds = []
        async with pacs.associated(MOVED) as association:
            uids = [pacs.study(1, 6, skip=n) for n in range(25)]
            for _ in range(2):
                seen = {}
                for uid in uids:
                    told = await pacs.retrieve(association, uid)
                    seen[uid] = told.status, bool(told.last.completed)
                rounds.append(seen)
        assert rounds[0] == rounds[1]
        kinds = Counter(rounds[0].values())
        assert set(kinds) == {(0xA702, False), (0, False), (0, True)}
        assert 3 < kinds[0xA702, False] < 15
        assert 1 < kinds[0, False] < 12


@BOTH
async def test_success_with_nothing_sent_comes_the_first_times(service):
    async with retrieving_pacs(retrieval={"empty": {"first": 2}}) as pacs:
        uid = pacs.study()
        told = [await pacs.ask(uid, service=service) for _ in range(3)]
        assert [(one.status, one.pending) for one in told[:2]] == [(0, 0)] * 2
        assert numbers(told[0].last) == (None, 0, 0, 0)
        assert told[2].last.completed == len(pacs.receiver.uids) == len(pacs.images(uid))
        assert pacs.done.empty == 2


# Partial deliveries


@BOTH
@pytest.mark.parametrize("told", ["completed", "unmentioned", "failed"])
async def test_a_part_of_the_images_is_left_out_and_said_or_not(service, told):
    left_out = {"images": 0.5, "told": told, "first": 1}
    async with retrieving_pacs(retrieval={"left_out": left_out}) as pacs:
        uid = pacs.study(9, 20)
        every = pacs.images(uid)
        partial = await pacs.ask(uid, service=service)
        came = list(pacs.receiver.uids)
        missing = [one for one in every if one not in came]
        assert 0 < len(came) < len(every)
        assert pacs.done.left_out == len(missing)
        said = partial.last
        assert (said.status, said.completed, said.failed, said.failed_uids) == {
            "completed": (0, len(every), 0, ()),
            "unmentioned": (0, len(came), 0, ()),
            "failed": (0xB000, len(came), len(missing), tuple(missing)),
        }[told]
        assert (await pacs.ask(uid, service=service)).last.completed == len(every)
        assert set(pacs.receiver.uids) == set(every)


async def test_what_is_left_out_for_ever_is_so_at_every_level():
    async with retrieving_pacs(retrieval={"left_out": {"images": 0.5}}) as pacs:
        uid = pacs.study(9, 20)
        await pacs.ask(uid)
        came = set(pacs.receiver.uids)
        image = next(one for one in pacs.pacs.images(uid) if one.sop_instance_uid not in came)
        keys = {"SeriesInstanceUID": image.series_uid, "SOPInstanceUID": image.sop_instance_uid}
        told = await pacs.ask(uid, "IMAGE", **keys)
        assert (told.status, told.last.completed) == (0, 1)
        assert image.sop_instance_uid not in pacs.receiver.uids


# What responses say


@BOTH
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, (0xB000, (None, "rest", 1, 0), "right")),
        ({"last": {"status": 0}}, (0, (None, "rest", 1, 0), "right")),
        ({"failed_uids": "absent"}, (0xB000, (None, "rest", 1, 0), "none")),
        ({"failed_uids": "empty"}, (0xB000, (None, "rest", 1, 0), "none")),
        ({"failed_uids": "wrong"}, (0xB000, (None, "rest", 1, 0), "wrong")),
        ({"omit": ["failed", "warning"]}, (0xB000, (None, "rest", None, None), "right")),
        ({"miscount": {"failed": 4, "warning": -4}}, (0xB000, (None, "rest", 5, 0), "right")),
    ],
    ids=str,
)
async def test_the_last_response_tells_of_failures_or_does_not(service, settings, expected):
    async with retrieving_pacs(retrieval=settings) as pacs:
        uid = pacs.study()
        images = pacs.images(uid)
        pacs.receiver.refused.add(images[1])
        last = (await pacs.ask(uid, service=service)).last
        remaining, completed, failed, warning = numbers(last)
        rest = "rest" if completed == len(images) - 1 else completed
        named = {(): "none", (images[1],): "right"}.get(last.failed_uids, "wrong")
        assert (last.status, (remaining, rest, failed, warning), named) == expected
        assert pacs.done.not_taken == 1


async def test_success_though_every_image_failed():
    async with retrieving_pacs(retrieval={"last": {"status": "0x0000"}}) as pacs:
        uid = pacs.study()
        pacs.receiver.refused.update(pacs.images(uid))
        last = (await pacs.ask(uid)).last
        assert (last.status, last.completed, last.failed) == (0, 0, len(pacs.images(uid)))


@BOTH
@pytest.mark.parametrize(("pending", "count"), [(0, 0), (1, 6), (2, 3), (4, 1), (9, 0)])
async def test_pending_responses_come_after_every_so_many_images(service, pending, count):
    async with retrieving_pacs(retrieval={"pending": pending}) as pacs:
        told = await pacs.ask(pacs.study(6, 6), service=service)
        assert (told.status, told.pending, told.last.completed) == (0, count, 6)


# When it comes, and how long


async def test_the_last_response_comes_before_the_images():
    async with retrieving_pacs(retrieval={"early": {"delay": 0.1}}) as pacs:
        uid = pacs.study()
        told = await pacs.ask(uid)
        assert (told.status, told.last.completed) == (0, len(pacs.images(uid)))
        assert pacs.receiver.uids == []
        await wait_until_async(lambda: pacs.done.late_images == len(pacs.images(uid)))
        assert pacs.receiver.uids == pacs.images(uid)


@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.parametrize("leaving", ["abort", "release"])
async def test_images_go_on_after_an_abort_or_do_not(goes_on, leaving):
    settings = {"goes_on": goes_on, "slow": {"image": 0.03}}
    async with retrieving_pacs(retrieval=settings) as pacs:
        uid = pacs.study()
        told = Retrieved()
        async with pacs.associated(MOVED) as association:
            asked = asyncio.ensure_future(pacs.retrieve(association, uid, told=told))
            await wait_until_async(lambda: told.responses)
            link = association._link
            if leaving == "abort":
                link.abort("the test does so")
            else:
                link.association.release()
                link.connection.flush()
            if goes_on or leaving == "abort":
                assert (await asked).status is None
            else:
                asked.cancel()  # it answers the release when all is done, as it should
        if goes_on:
            await wait_until_async(lambda: len(pacs.receiver.uids) == len(pacs.images(uid)))
            assert pacs.done.late_images
        else:
            await wait_until_async(lambda: pacs.done.ended)
            assert len(pacs.receiver.uids) < len(pacs.images(uid))


@BOTH
@pytest.mark.parametrize("at", ["message", "pdu"])
async def test_it_comes_to_a_halt_after_some_images_and_serves_others_meanwhile(service, at):
    async with retrieving_pacs(retrieval={"stall": {"images": 2, "at": at, "first": 1}}) as pacs:
        uid = pacs.study()
        told = Retrieved()
        async with pacs.associated(service) as association:
            asked = await beside(
                pacs.retrieve(association, uid, service=service, told=told), seconds=0.3
            )
            assert (told.pending, told.status, len(pacs.receiver.uids)) == (2, None, 2)
            assert (await pacs.ask(uid, service=service)).status == 0
            assert not association.is_over
            association._link.abort("enough")
            await asked
        assert (pacs.done.stalled, pacs.done.aborted) == (1, 0)


@BOTH
@pytest.mark.parametrize("images", [0, 2, None])
async def test_pending_responses_for_ever_say_the_same(service, images):
    endless = {"images": images, "interval": 0.001}
    async with retrieving_pacs(retrieval={"endless": endless}) as pacs:
        uid = pacs.study()
        sent = len(pacs.images(uid)) if images is None else images
        told = Retrieved()
        async with pacs.associated(service) as association:
            asked = asyncio.ensure_future(
                pacs.retrieve(association, uid, service=service, told=told)
            )
            await wait_until_async(lambda: told.pending > sent + 20)
            assert {one.completed for one in told.responses[-10:]} == {sent}
            await association.cancel()
            assert (await asked).status == Status.CANCEL


@BOTH
async def test_a_cancel_ends_it_soon(service):
    async with retrieving_pacs(retrieval={"slow": {"image": 0.05}}) as pacs:
        uid = pacs.study(20, 60)
        told = Retrieved()
        async with pacs.associated(service) as association:
            asked = asyncio.ensure_future(
                pacs.retrieve(association, uid, service=service, told=told)
            )
            await wait_until_async(lambda: told.pending)
            await association.cancel()
            assert (await asked).status == Status.CANCEL
            assert told.last.remaining + told.last.completed == len(pacs.images(uid))
        assert 0 < len(pacs.receiver.uids) < len(pacs.images(uid))
        assert pacs.done.cancelled == 1


@BOTH
async def test_a_cancel_is_ignored(service):
    settings = {"cancel": "ignored", "slow": {"image": 0.01}}
    async with retrieving_pacs(retrieval=settings) as pacs:
        uid = pacs.study()
        told = Retrieved()
        async with pacs.associated(service) as association:
            asked = asyncio.ensure_future(
                pacs.retrieve(association, uid, service=service, told=told)
            )
            await wait_until_async(lambda: told.pending)
            await association.cancel()
            assert (await asked).status == 0
        assert len(pacs.receiver.uids) == len(pacs.images(uid))
        assert (pacs.done.cancelled, pacs.done.cancels_ignored) == (0, 1)


async def test_it_takes_its_time_before_the_first_image_and_before_each():
    async with retrieving_pacs(retrieval={"slow": {"start": 0.1, "image": 0.02}}) as pacs:
        begun = time.monotonic()
        assert (await pacs.ask(pacs.study(5, 5))).status == 0
        assert time.monotonic() - begun > 0.1 + 5 * 0.02


# Images that come otherwise


async def test_images_come_under_another_title_and_over_several_associations():
    settings = {"calling": "STORER", "associations": 3, "slow": {"image": 0.01}}
    async with retrieving_pacs(retrieval=settings) as pacs:
        uid = pacs.study(9, 20)
        told = await pacs.ask(uid)
        assert {title for title, _, _ in pacs.receiver.stored} == {"STORER"}
        assert sorted(pacs.receiver.uids) == sorted(pacs.images(uid))
        assert (told.status, told.last.completed) == (0, len(pacs.images(uid)))
        assert pacs.receiver.most == 3


@BOTH
@pytest.mark.parametrize("at_once", [True, False])
async def test_images_are_stored_twice_and_counted_once(service, at_once):
    async with retrieving_pacs(retrieval={"twice": {"share": 0.5, "at_once": at_once}}) as pacs:
        uid = pacs.study(9, 20)
        told = await pacs.ask(uid, service=service)
        times = Counter(Counter(pacs.receiver.uids).values())
        assert set(times) == {1, 2}
        assert (told.last.completed, pacs.done.doubled) == (len(pacs.images(uid)), times[2])
        assert pacs.done.images == len(pacs.receiver.uids)
        assert pacs.receiver.most == (0 if service is GOT else 2 if at_once else 1)


async def test_an_image_comes_in_two_series():
    async with retrieving_pacs(retrieval={"two_series": 1}) as pacs:
        uid = pacs.study()
        await pacs.ask(uid)
        series = {}
        for _, sop, dataset in pacs.receiver.stored:
            image = read(dataset)
            assert image.SOPInstanceUID == sop
            series.setdefault(sop, set()).add(image.SeriesInstanceUID)
        assert {len(names) for names in series.values()} == {2}
        assert set(series) == set(pacs.images(uid))


@pytest.mark.peers
@pytest.mark.parametrize("originator", ["honest", "none"])
async def test_storescp_sees_the_move_originator_or_does_not(originator, tmp_path):
    async with retrieving_pacs(retrieval={"originator": originator}) as pacs:
        uid = pacs.study()
        port = free_port()
        pacs.pacs.destinations["STORESCP"] = ("127.0.0.1", port)
        with dcmtk.StoreScp(tmp_path, port=port, options=("-d",)) as receiver:
            done = await asyncio.to_thread(
                dcmtk.movescu, pacs.pacs.port, f"StudyInstanceUID={uid}",
                called="PACS", destination="STORESCP",
            )  # fmt: skip
            assert done.code == 0, done.output
            assert set(receiver.files()) == set(pacs.images(uid))
            log = (tmp_path / "STORESCP.log").read_text(errors="replace")
        assert ("Move Originator AE Title" in log) == (originator == "honest")


@pytest.mark.peers
async def test_getscu_sees_what_is_left_out(tmp_path):
    left_out = {"left_out": {"images": 0.5, "told": "failed"}}
    async with retrieving_pacs(retrieval=left_out) as pacs:
        uid = pacs.study(9, 20)
        done, files = await asyncio.to_thread(
            dcmtk.getscu, pacs.pacs.port, f"StudyInstanceUID={uid}", called="PACS", folder=tmp_path
        )
        missing = len(pacs.images(uid)) - len(files)
        assert missing > 0
        assert re.search(rf"Failed Suboperations +: {missing}$", done.output, re.MULTILINE)


# Levels and lists


@BOTH
@pytest.mark.parametrize(
    ("settings", "level", "sent", "status"),
    [
        ({"levels": {"SERIES": "refused"}}, "SERIES", "none", 0xA900),
        ({"levels": {"SERIES": "refused"}}, "IMAGE", "image", 0),
        ({"levels": {"SERIES": "study", "IMAGE": "study"}}, "SERIES", "study", 0),
        ({"levels": {"SERIES": "study", "IMAGE": "study"}}, "IMAGE", "study", 0),
        ({"levels": {"IMAGE": "nothing"}}, "IMAGE", "none", 0),
        ({"levels": {"IMAGE": "nothing"}}, "STUDY", "study", 0),
        ({"uid_lists": "refused"}, "IMAGE", "image", 0),
    ],
    ids=str,
)
async def test_levels_are_refused_or_passed_over(service, settings, level, sent, status):
    async with retrieving_pacs(retrieval=settings) as pacs:
        uid = pacs.study()
        image = pacs.pacs.images(uid)[0]
        keys = {"SeriesInstanceUID": image.series_uid, "SOPInstanceUID": image.sop_instance_uid}
        keys = dict(list(keys.items())[: ("STUDY", "SERIES", "IMAGE").index(level)])
        told = await pacs.ask(uid, level, service=service, **keys)
        expected = {"none": [], "study": pacs.images(uid), "image": [image.sop_instance_uid]}
        assert (told.status, pacs.receiver.uids) == (status, expected[sent])


@pytest.mark.parametrize(
    ("handling", "count", "status"),
    [("honest", 2, 0), ("first", 1, 0), ("nothing", 0, 0), ("refused", 0, 0xA900)],
)
async def test_of_a_list_of_uids_it_sends_what_it_can(handling, count, status):
    async with retrieving_pacs(retrieval={"uid_lists": handling}) as pacs:
        uids = [pacs.study(), pacs.study(skip=1)]
        told = await pacs.ask(uids)
        expected = [image for uid in uids[:count] for image in pacs.images(uid)]
        assert told.status == status
        assert sorted(pacs.receiver.uids) == sorted(expected)


# How much it can do, and restarts


async def test_an_unknown_destination_is_one():
    async with retrieving_pacs() as pacs, pacs.associated(MOVED) as association:
        told = await pacs.retrieve(association, pacs.study(), destination="NOWHERE")
        assert told.status == Status.MOVE_DESTINATION_UNKNOWN
        assert "no destination is called NOWHERE" in told.last.comment


async def test_a_destination_that_is_not_there_fails_every_image():
    async with retrieving_pacs() as pacs:
        uid = pacs.study()
        pacs.pacs.destinations["GONE"] = ("127.0.0.1", free_port())
        async with pacs.associated(MOVED) as association:
            told = await pacs.retrieve(association, uid, destination="GONE")
        assert told.status == 0xA702
        assert list(told.last.failed_uids) == pacs.images(uid)


@pytest.mark.parametrize(
    ("then", "statuses"), [("abort", [0, 0, None]), ("refused", [0, 0, 0xA700])]
)
async def test_there_are_only_so_many_operations_over_one_association(then, statuses):
    async with retrieving_pacs(operations={"most": 2, "then": then}) as pacs:
        uid = pacs.study()
        async with pacs.associated(MOVED) as association:
            found = await ask(association, StudyDate="20240102")
            told = [await pacs.retrieve(association, uid) for _ in range(2)]
        assert [found.status, *(one.status for one in told)] == statuses


async def test_beyond_so_many_associations_others_are_rejected_for_the_moment():
    async with retrieving_pacs(capacity={"associations": 2}) as pacs, AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(pacs.associated(MOVED))
        async with await RawPeer.connect(pacs.pacs.port) as third:
            third.send(associate_request(called="PACS", calling="THIRD"))
            kind, body = await third.pdu()
        assert (kind, body[1:]) == (PDUType.ASSOCIATE_RJ, bytes((2, 3, 2)))  # PS3.8 9.3.4
        seen = pacs.pacs.counters.associations
        assert (seen.opened, seen.most, seen.most_of["NODE"]) == (2, 2, 2)
        assert seen.rejected == {"THIRD": 1}


async def test_questions_wait_behind_the_images_of_others():
    capacity = {"workers": 1, "question": 0.01, "image": 0.02}
    async with retrieving_pacs(capacity=capacity) as pacs, AsyncExitStack() as stack:
        asking = await stack.enter_async_context(associate(pacs.pacs.peer(), Service.FIND))

        async def latency():
            begun = time.monotonic()
            assert (await ask(asking, StudyDate="20240102")).status == 0
            return time.monotonic() - begun

        alone = await latency()
        uids = [pacs.study(9, 64, skip=n) for n in range(5)]
        moves = [asyncio.ensure_future(pacs.ask(uid)) for uid in uids]
        await wait_until_async(lambda: pacs.done.images > 2)
        assert await latency() > alone + 3 * 0.02
        assert pacs.pacs.counters.most_waiting >= 5
        for move in moves:
            move.cancel()


async def test_it_goes_down_after_some_retrievals_and_comes_back():
    restarts = {"every": 2, "seconds": 0.3}
    async with retrieving_pacs(retrieval={"restarts": restarts, "slow": {"image": 0.02}}) as pacs:
        uid, long = pacs.study(4, 5), pacs.study(40, 64)
        running = asyncio.ensure_future(pacs.ask(long))
        for _ in range(2):
            assert (await pacs.ask(uid)).status == 0
        assert (await running).status is None
        with pytest.raises(PeerUnreachable):
            await pacs.ask(uid)

        async def is_back():
            try:
                return (await pacs.ask(uid)).status == 0
            except PeerUnreachable:
                return False

        async with asyncio.timeout(10):
            while not await is_back():
                await asyncio.sleep(0.02)
        assert pacs.done.restarts >= 1
        assert pacs.pacs.counters.associations.most == 2


# Together, with queries, and over files


async def test_what_is_late_or_gone_is_not_retrieved_either():
    async with retrieving_pacs(late={"share": 1, "after_questions": 1}) as pacs:
        (uid, *_) = [study["StudyInstanceUID"][0] for study in pacs.pacs.everything()]
        assert (await pacs.ask(uid)).last.completed == 0
        await pacs.pacs.ask()
        assert (await pacs.ask(uid)).last.completed == len(pacs.images(uid)) > 0


async def test_files_are_sent_with_the_same_behaviours(tmp_path):
    make_corpus(tmp_path, today=date(2026, 3, 1))
    archive = SimulatedArchive.load(tmp_path)
    settings = {"twice": {}, "two_series": 1, "pending": 2, "failures": {"first": 1}}
    async with retrieving_pacs(archive, archive=None, retrieval=settings) as pacs:
        study = archive.studies[0]
        assert (await pacs.ask(study.uid)).status == 0xA702
        told = await pacs.ask(study.uid)
        assert (told.status, told.last.completed) == (0, len(pacs.images(study.uid)))
        assert set(Counter(pacs.receiver.uids).values()) == {3}


@BOTH
async def test_made_up_images_are_sent_by_an_honest_pacs_as_well(service):
    async with retrieving_pacs(retrieval={"failures": {}}) as pacs:
        uid = pacs.study()
        assert (await pacs.ask(uid, service=service)).status == 0xA702
        pacs.pacs.be_honest()
        told = await pacs.ask(uid, service=service)
        assert (told.status, told.pending) == (0, len(pacs.images(uid)))
        assert pacs.receiver.uids == pacs.images(uid)
        assert read(pacs.receiver.stored[0][2]).SOPInstanceUID == pacs.images(uid)[0]


PIECES = [
    {"levels": {"SERIES": "study", "IMAGE": "refused"}},
    {"levels": {"SERIES": "nothing"}},
    {"uid_lists": "first"},
    {"empty": {"every": 3}},
    {"failures": {"share": 0.3, "first": 1, "images": 2}},
    {"failures": [{"status": 0xA701, "every": 4}, {"status": 0xC000, "every": 5}]},
    {"breaks": {"every": 5, "images": 1}},
    {"stall": {"every": 4, "images": 1}},
    {"stall": {"every": 4, "images": 1, "at": "pdu"}},
    {"endless": {"every": 6, "interval": 0.001}},
    {"left_out": {"images": 0.3, "told": "failed"}},
    {"left_out": {"images": 1, "told": "completed", "share": 0.5}},
    {"left_out": {"told": "unmentioned", "first": 1}},
    {"twice": {"share": 0.5, "at_once": True}},
    {"twice": {"share": 0.5}},
    {"two_series": 0.3},
    {"early": {"delay": 0.001}},
    {"early": {"delay": 0.001, "every": 2}},
    {"goes_on": True},
    {"last": {"status": 0xB000, "share": 0.5}},
    {"last": {"status": 0}},
    {"failed_uids": "absent"},
    {"failed_uids": "wrong"},
    {"pending": 0},
    {"pending": 3},
    {"omit": ["remaining", "failed"]},
    {"miscount": {"completed": 7, "remaining": -9}},
    {"cancel": "ignored"},
    {"originator": "none"},
    {"calling": "STORER"},
    {"associations": 3},
    {"slow": {"start": 0.001, "image": 0.001}},
    {"restarts": {"every": 6, "seconds": 0.05}},
]
BESIDE = [
    {"capacity": {"associations": 2, "workers": 1, "question": 0.001, "image": 0.001}},
    {"operations": {"most": 2, "then": "refused"}},
    {"operations": {"most": 3}},
    {"late": {"share": 0.3, "after_questions": 3}},
    {"gone": {"share": 0.3, "after_questions": 3}},
    {"cap": {"studies": 5}},
    {"uid_lists": "first"},
]


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_is_combined_it_never_breaks_and_sends_what_there_is(seed, caplog):
    """A mistake of the simulator itself would be logged as an error."""
    drawn = random.Random(seed)
    retrieval, settings = {}, {}
    for piece in drawn.sample(PIECES, drawn.randint(2, 10)):
        retrieval |= piece
    for piece in drawn.sample(BESIDE, drawn.randint(0, 3)):
        settings |= piece
    async with retrieving_pacs(retrieval=retrieval, **settings) as pacs:
        uids = [pacs.study(2, 6, skip=n) for n in range(3)]
        possible = {image for uid in uids for image in pacs.images(uid)}
        for turn in range(7):
            uid, service = drawn.choice(uids), drawn.choice([MOVED, GOT])
            image = next(iter(pacs.pacs.images(uid)), None)
            keys, level = {}, "STUDY"
            if image is not None and drawn.random() < 0.5:
                level, keys = "SERIES", {"SeriesInstanceUID": image.series_uid}
            asked = asyncio.ensure_future(pacs.ask(uid, level, service=service, **keys))
            done, _ = await asyncio.wait([asked], timeout=0.15)
            if not done:
                asked.cancel()
            await asyncio.wait([asked])
            if asked.cancelled() or asked.exception() is not None:
                assert asked.cancelled() or isinstance(
                    asked.exception(), PeerRefused | PeerUnreachable
                )
                continue
            told = asked.result()
            known = {0, 0xA700, 0xA701, 0xA702, 0xA900, 0xB000, 0xC000, None}
            assert told.status in known, (turn, retrieval)
        assert set(pacs.receiver.uids) <= possible
        assert pacs.done.images <= len(pacs.receiver.uids)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
