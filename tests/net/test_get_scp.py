"""C-GET as an acceptor answers it: roles, contexts, counts, and requestors that misbehave."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from node.dicom.status import Status
from node.errors import AssociationLost, PeerRefused
from node.net.dimse import ahead
from node.net.dimse.contexts import Service, choose_held
from node.net.dimse.sendable import Sendable
from node.net.dimse.sinks import whole
from node.net.messages import InstanceFile, Peer, Services, Timeouts
from node.net.scp.access import Access, KnownCaller
from node.net.scu.requestor import associate
from node.upperlayer import Command, CommandField
from tests.support.acceptors import acceptor
from tests.support.images import dataset_bytes
from tests.support.waiting import wait_until_async

CT = Path(get_testdata_file("CT_small.dcm", download=False))
MR = Path(get_testdata_file("MR_small_RLE.dcm", download=False))
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"


@pytest.fixture(autouse=True)
async def no_task_is_left():
    yield

    def left():
        return asyncio.all_tasks() - {asyncio.current_task()}

    await wait_until_async(lambda: not left(), describe=left)


def instance_of(path):
    dataset = dcmread(path)
    return InstanceFile(
        path=path,
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
    )


def pair_of(path):
    instance = instance_of(path)
    return instance.sop_class_uid, instance.transfer_syntax_uid


def pacs_with(instances, *, store=None, **changes):
    async def get(request):
        assert request.identifier.StudyInstanceUID == "1.2.3"
        return instances

    services = Services(get=get, store=whole(store) if store else None)
    options = {"timeouts": Timeouts(connect=2, acse=2, dimse=2, network=5)} | changes
    return acceptor(services, **options)


def peer_at(port, **changes):
    peer = Peer(
        name="pacs",
        aetitle="PACS",
        host="127.0.0.1",
        port=port,
        calling_aetitle="ME",
        timeouts=Timeouts(connect=2, acse=2, dimse=5, network=5),
    )
    return replace(peer, **changes)


def identifier():
    dataset = Dataset()
    dataset.QueryRetrieveLevel = "STUDY"
    dataset.StudyInstanceUID = "1.2.3"
    return dataset


def keeping(kept, answer=lambda request: Status.SUCCESS):
    async def store(request, dataset):
        kept.append((request.sop_instance_uid, request.transfer_syntax_uid, dataset))
        return answer(request)

    return whole(store)


async def get(association, store):
    return [progress async for progress in association.get(identifier(), store)]


async def test_images_come_as_they_are_and_are_counted():
    kept = []
    instances = [instance_of(CT), instance_of(MR)]
    async with (
        pacs_with(instances) as pacs,
        associate(
            peer_at(pacs.port), Service.GET, Service.ECHO, receive=[pair_of(CT), pair_of(MR)]
        ) as association,
    ):
        seen = await get(association, keeping(kept))
        await association.echo()
    assert [(p.status, p.remaining, p.completed, p.failed, p.warning) for p in seen] == [
        (Status.PENDING, 1, 1, 0, 0),
        (Status.PENDING, 0, 2, 0, 0),
        (Status.SUCCESS, None, 2, 0, 0),
    ]
    assert kept == [
        (instance.sop_instance_uid, instance.transfer_syntax_uid, dataset_bytes(path))
        for instance, path in zip(instances, (CT, MR), strict=True)
    ]


async def test_what_the_requestor_answers_is_counted_and_failures_are_named():
    answers = {
        instance_of(CT).sop_instance_uid: 0xB007,
        instance_of(MR).sop_instance_uid: Status.OUT_OF_RESOURCES,
    }
    store = keeping([], lambda request: answers[request.sop_instance_uid])
    async with (
        pacs_with([instance_of(CT), instance_of(MR)]) as pacs,
        associate(
            peer_at(pacs.port), Service.GET, receive=[pair_of(CT), pair_of(MR)]
        ) as association,
    ):
        *_, last = await get(association, store)
    assert (last.status, last.completed, last.failed, last.warning) == (
        Status.SUBOPERATIONS_WITH_FAILURES,
        0,
        1,
        1,
    )
    assert last.failed_uids == (instance_of(MR).sop_instance_uid,)


@pytest.mark.parametrize(
    "receive",
    [[], [(pair_of(CT)[0], IMPLICIT)], [pair_of(MR)]],
    ids=["no role", "another transfer syntax", "another class"],
)
async def test_what_the_requestor_does_not_take_is_a_failure_and_is_never_converted(receive):
    kept = []
    async with (
        pacs_with([instance_of(CT)]) as pacs,
        associate(peer_at(pacs.port), Service.GET, receive=receive) as association,
    ):
        *_, last = await get(association, keeping(kept))
    assert (last.status, last.failed) == (Status.UNABLE_TO_PERFORM_SUBOPERATIONS, 1)
    assert last.failed_uids == (instance_of(CT).sop_instance_uid,)
    assert kept == []


async def test_a_file_that_is_gone_is_a_failure_and_the_others_come(tmp_path):
    kept = []
    gone = replace(instance_of(CT), path=tmp_path / "gone.dcm", sop_instance_uid="1.2.3.4")
    async with (
        pacs_with([gone, instance_of(CT)]) as pacs,
        associate(peer_at(pacs.port), Service.GET, receive=[pair_of(CT)]) as association,
    ):
        *_, last = await get(association, keeping(kept))
    assert (last.status, last.failed_uids) == (Status.SUBOPERATIONS_WITH_FAILURES, ("1.2.3.4",))
    assert len(kept) == 1


async def test_a_file_that_becomes_shorter_ends_the_association_and_is_nothing_else(monkeypatch):
    kept = []
    monkeypatch.setattr(ahead, "WHOLE", 4096)  # it is read while it is sent
    async with pacs_with([instance_of(CT)]) as pacs:
        monkeypatch.setattr(Sendable, "read", lambda self, size: b"")
        with pytest.raises(AssociationLost):
            async with associate(
                peer_at(pacs.port), Service.GET, receive=[pair_of(CT)]
            ) as association:
                await get(association, keeping(kept))
        await wait_until_async(lambda: pacs.open_connections == 0)
    assert kept == []


async def test_a_cancel_ends_it_and_says_what_was_left():
    kept = []
    async with (
        pacs_with([instance_of(CT)] * 100) as pacs,
        associate(
            peer_at(pacs.port), Service.GET, Service.ECHO, receive=[pair_of(CT)]
        ) as association,
    ):
        async for progress in association.get(identifier(), keeping(kept)):
            if progress.completed == 3 and progress.pending:
                await association.cancel()
        assert progress.status == Status.CANCEL
        assert progress.remaining == 100 - len(kept) > 0
        assert progress.completed == len(kept)
        await association.echo()


@pytest.mark.parametrize("error", [ValueError("no"), RuntimeError("the database burns")])
async def test_a_handler_that_raises_is_unable_to_process(error):
    async def failing(request):
        raise error

    async with (
        acceptor(Services(get=failing)) as pacs,
        associate(peer_at(pacs.port), Service.GET, receive=[pair_of(CT)]) as association,
    ):
        (last,) = await get(association, keeping([]))
    assert last.status == Status.UNABLE_TO_PROCESS


async def test_a_requestor_that_goes_away_in_the_middle_leaves_nothing(tmp_path):
    began = asyncio.Event()

    async def store(request, dataset):
        began.set()
        await asyncio.sleep(60)

    async with pacs_with([instance_of(CT)] * 3) as pacs:

        async def work():
            async with associate(
                peer_at(pacs.port), Service.GET, receive=[pair_of(CT)]
            ) as association:
                await get(association, whole(store))

        task = asyncio.create_task(work())
        await asyncio.wait_for(began.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await wait_until_async(lambda: pacs.open_connections == 0)


async def test_a_requestor_that_does_not_answer_an_image_is_aborted(caplog):
    caplog.set_level("INFO")
    async with pacs_with([instance_of(CT)], timeouts=Timeouts(dimse=0.3)) as pacs:
        with pytest.raises(AssociationLost):
            async with associate(
                peer_at(pacs.port), Service.GET, receive=[pair_of(CT)]
            ) as association:

                async def store(request, dataset):
                    await wait_until_async(lambda: association.is_over)
                    return Status.SUCCESS

                await get(association, whole(store))
        await wait_until_async(lambda: pacs.open_connections == 0)
    assert "no answer to an image of its C-GET for 0.3 s" in caplog.text


async def test_a_requestor_that_asks_for_something_else_meanwhile_is_aborted(caplog):
    caplog.set_level("INFO")
    async with pacs_with([instance_of(CT)]) as pacs:
        with pytest.raises(AssociationLost):
            async with associate(
                peer_at(pacs.port), Service.GET, Service.ECHO, receive=[pair_of(CT)]
            ) as association:

                async def store(request, dataset):
                    association._exchange.send(
                        association._context(Service.ECHO),
                        Command(field=CommandField.C_ECHO_RQ, message_id=77),
                    )
                    return Status.SUCCESS

                await get(association, whole(store))
        await wait_until_async(lambda: pacs.open_connections == 0)
    assert "it did not answer an image of its C-GET" in caplog.text


# Who may have what


async def test_get_is_not_offered_without_a_handler_nor_to_who_may_not_retrieve():
    receive = [pair_of(CT)]
    async with acceptor() as pacs:
        with pytest.raises(PeerRefused, match="none of what we need"):
            async with associate(peer_at(pacs.port), Service.GET, receive=receive):
                pass
    access = Access([KnownCaller(stores=frozenset({"ME"}))])
    async with pacs_with([], access=access) as pacs:
        with pytest.raises(PeerRefused, match="does not offer Study Root C-GET"):
            async with associate(peer_at(pacs.port), Service.GET, Service.ECHO, receive=receive):
                pass


async def test_who_may_only_retrieve_gets_images_and_stores_none():
    kept, stored = [], []

    async def store(request, dataset):
        stored.append(request)
        return Status.SUCCESS

    access = Access([KnownCaller(retrieves=frozenset({"ME"}))])
    async with pacs_with([instance_of(CT)], store=store, access=access) as pacs:
        pair = [pair_of(CT)]
        async with associate(
            peer_at(pacs.port), Service.GET, storage=pair, receive=pair
        ) as association:
            *_, last = await get(association, keeping(kept))
            assert (last.status, len(kept)) == (Status.SUCCESS, 1)
            assert await association.store(CT) == Status.SOP_CLASS_NOT_SUPPORTED
        with pytest.raises(PeerRefused):
            async with associate(peer_at(pacs.port), storage=pair):
                pass
    assert stored == []


async def test_a_requestor_that_is_only_the_scp_of_a_class_stores_none_of_it():
    kept, stored = [], []

    async def store(request, dataset):
        stored.append(request)
        return Status.SUCCESS

    async with (
        pacs_with([instance_of(CT)], store=store) as pacs,
        associate(peer_at(pacs.port), Service.GET, receive=[pair_of(CT)]) as association,
    ):
        assert await association.store(CT) == Status.SOP_CLASS_NOT_SUPPORTED
        *_, last = await get(association, keeping(kept))
    assert (last.status, len(kept), stored) == (Status.SUCCESS, 1, [])


async def test_images_go_both_ways_over_one_association():
    kept, stored = [], []

    async def store(request, dataset):
        stored.append(dataset)
        return Status.SUCCESS

    pair = [pair_of(CT)]
    async with (
        pacs_with([instance_of(CT)], store=store) as pacs,
        associate(peer_at(pacs.port), Service.GET, storage=pair, receive=pair) as association,
    ):
        assert await association.store(CT) == Status.SUCCESS
        *_, last = await get(association, keeping(kept))
    assert last.status == Status.SUCCESS
    assert stored == [kept[0][2]] == [dataset_bytes(CT)]


@pytest.mark.parametrize(
    ("held", "chosen"),
    [
        ([], EXPLICIT),
        ([IMPLICIT, EXPLICIT], IMPLICIT),
        (["1.2.3"], EXPLICIT),
        ([DEFLATED], DEFLATED),
    ],
)
def test_the_transfer_syntax_that_most_objects_are_held_in_is_taken(held, chosen):
    proposed = (DEFLATED, EXPLICIT, IMPLICIT)
    assert choose_held(proposed, held) == chosen
    assert choose_held((), held) is None
