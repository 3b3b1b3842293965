"""C-MOVE and C-GET at PACSs that do as a test wants: requests, limits, lists, and the end of it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from node.dicom.status import Status
from node.errors import AssociationLost, PeerFailure, PeerRefused, PeerStalled, PeerUnreachable
from node.net.dimse.sinks import whole
from node.net.messages import InstanceFile, Peer, Services, Timeouts
from node.net.transport.places import keeping
from node.ops.retrieving import over_dimse
from node.ops.retrieving.c_get import GetRequests
from node.ops.retrieving.c_move import MoveRequests
from node.ops.retrieving.leave import Withheld
from node.ops.retrieving.wanted import Wanted
from node.ops.stalls import TimeLimits
from tests.support.acceptors import acceptor
from tests.support.images import dataset_bytes, generate
from tests.support.kept import Kept
from tests.support.scripted_pacs import ScriptedPacs
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.virtual_time

LIMITS = TimeLimits(quiet=10.0, total=20.0)
STUDY = Wanted(study_uid="1.2")
MR, SELDOM = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.77.1.6"
COMMITMENT = "1.2.840.10008.1.20.1"
CT_FILE = Path(get_testdata_file("CT_small.dcm", download=False))


@pytest.fixture(autouse=True)
def impatience(monkeypatch):
    monkeypatch.setattr(over_dimse, "_TO_CANCEL", 0.3)


@pytest.fixture(autouse=True)
async def no_task_is_left():
    yield

    def left():
        return asyncio.all_tasks() - {asyncio.current_task()}

    await wait_until_async(lambda: not left(), describe=left)


def moves_to(pacs, *, limits=LIMITS, **given):
    return MoveRequests(pacs.peer(), destination="NODE", limits=limits, **given)


def some(*uids, **more):
    return Wanted(study_uid="1.2", series={"1.2.1": uids} | more)


def uids_of(asked):
    value = asked.identifier.get("SOPInstanceUID", [])
    return (value,) if isinstance(value, str) else tuple(value)


def levels(pacs):
    return [asked.identifier.QueryRetrieveLevel for asked in pacs.asked]


async def test_each_level_is_asked_at_with_the_keys_of_the_standard():
    async def script(asked):
        asked.pending(remaining=1, completed=1, failed=0, warning=0)
        asked.done(completed=2, failed=0, warning=0)

    answered = []
    async with ScriptedPacs(script) as pacs:
        async with moves_to(pacs, piece=2, answered=lambda: answered.append(1)) as asking:
            await asking.open()
            whole = await asking.ask(STUDY, Kept())
            parts = Wanted(study_uid="1.2", series={"1.2.1": (), "1.2.2": ("1", "2", "2", "3")})
            answer = await asking.ask(parts, Kept())
            nothing = await asking.ask(Wanted(study_uid="1.2", series={}), Kept())
        assert pacs.associations == 1
        asked = [
            {element.keyword: element.value for element in one.identifier} for one in pacs.asked
        ]
    study, series = {"StudyInstanceUID": "1.2"}, {"SeriesInstanceUID": "1.2.2"}
    assert asked == [
        {"QueryRetrieveLevel": "STUDY"} | study,
        {"QueryRetrieveLevel": "SERIES", "SeriesInstanceUID": "1.2.1"} | study,
        {"QueryRetrieveLevel": "IMAGE", "SOPInstanceUID": ["1", "2"]} | study | series,
        {"QueryRetrieveLevel": "IMAGE", "SOPInstanceUID": "3"} | study | series,
    ]
    assert [one.level for one in (STUDY, some(), parts)] == ["STUDY", "SERIES", "IMAGE"]
    assert (whole.requests, whole.status, whole.completed, whole.remaining) == (1, 0, 2, 0)
    assert (answer.requests, answer.completed, answer.failed, answer.error) == (3, 6, 0, None)
    assert (nothing.requests, nothing.status, nothing.completed) == (0, None, None)
    assert len(answered) == 8


@pytest.mark.parametrize("matched", ["the first", "none", "refused"])
async def test_a_list_that_is_not_matched_is_asked_for_one_by_one_and_that_is_remembered(matched):
    async def script(asked):
        uids = uids_of(asked)
        if len(uids) > 1 and matched == "refused":
            asked.done(Status.MOVE_DESTINATION_UNKNOWN)
        else:
            count = 0 if len(uids) > 1 and matched == "none" else 1
            asked.done(completed=count, failed=0, warning=0)

    async with ScriptedPacs(script) as pacs, moves_to(pacs) as asking:
        answer = await asking.ask(some("1", "2", "3"), Kept())
        again = await asking.ask(some("4", "5"), Kept())
        asked = [uids_of(one) for one in pacs.asked]
    singly = [("2",), ("3",)] if matched == "the first" else [("1",), ("2",), ("3",)]
    assert asked == [("1", "2", "3"), *singly, ("4",), ("5",)]
    assert (answer.error, answer.completed, answer.status) == (None, 3, Status.SUCCESS)
    assert (again.requests, again.completed) == (2, 2)


@pytest.mark.parametrize("status", [Status.SUCCESS, Status.UNABLE_TO_PROCESS])
async def test_of_a_list_of_which_nothing_is_there_one_is_tried_and_lists_stay(status):
    async def script(asked):
        asked.done(status, completed=0, failed=0, warning=0)

    async with ScriptedPacs(script) as pacs, moves_to(pacs) as asking:
        answer = await asking.ask(some("1", "2", "3"), Kept())
        await asking.ask(some("4", "5"), Kept())
        asked = [uids_of(one) for one in pacs.asked]
    assert asked == [("1", "2", "3"), ("1",), ("4", "5"), ("4",)]
    assert (answer.status, answer.completed) == (status, 0)
    assert (answer.error is None) == (status == Status.SUCCESS)


async def test_where_a_peer_counts_nothing_what_arrives_is_counted():
    kept = Kept()

    async def script(asked):
        kept.count += 1  # whatever was asked for
        asked.done()

    async with ScriptedPacs(script) as pacs, moves_to(pacs) as asking:
        answer = await asking.ask(some("1", "2", "3"), kept)
    assert [uids_of(one) for one in pacs.asked] == [("1", "2", "3"), ("2",), ("3",)]
    assert (answer.completed, answer.failed, answer.remaining) == (None, None, None)


async def test_a_failure_of_one_series_does_not_keep_the_others_and_is_told():
    async def script(asked):
        if asked.identifier.SeriesInstanceUID == "1.2.1":
            asked.pending(remaining=2, completed=1, failed=1, warning=0)
            asked.done(Status.SUBOPERATIONS_WITH_FAILURES, completed=1, failed=3)
        else:
            asked.done(completed=2, failed=0, warning=1)

    async with ScriptedPacs(script) as pacs, moves_to(pacs) as asking:
        answer = await asking.ask(some(**{"1.2.2": ()}), Kept())
    assert isinstance(answer.error, PeerFailure)
    assert str(answer.error) == (
        "pacs answered the C-MOVE with 0xB000 (complete, but some images failed)"
    )
    assert (answer.requests, answer.status) == (2, Status.SUBOPERATIONS_WITH_FAILURES)
    assert (answer.completed, answer.failed, answer.warning, answer.remaining) == (3, 3, 1, 2)


async def test_a_peer_that_does_not_know_us_is_asked_no_more():
    async def script(asked):
        asked.done(Status.MOVE_DESTINATION_UNKNOWN)

    async with ScriptedPacs(script) as pacs, moves_to(pacs) as asking:
        answer = await asking.ask(some(**{"1.2.2": ()}), Kept())
    assert isinstance(answer.error, PeerRefused)
    assert "it has to know the AE title NODE and this node's address" in str(answer.error)
    assert answer.requests == len(pacs.asked) == 1


@pytest.mark.parametrize("silently", [True, False])
async def test_a_peer_that_takes_one_request_for_each_association_gets_one(silently):
    async def script(asked):
        if asked.number == 1:
            asked.done(completed=1)
        elif not silently:
            asked.abort()
        else:
            asked.release()

    async with ScriptedPacs(script) as pacs, moves_to(pacs) as asking:
        answer = await asking.ask(some(**{"1.2.2": (), "1.2.3": ()}), Kept())
        assert (answer.error, answer.completed) == (None, 3)
        assert (pacs.associations, len(pacs.asked)) == (3, 4)
        assert pacs.open == 0 or await wait_until_async(lambda: not pacs.open)


async def test_an_association_that_is_lost_twice_in_a_row_ends_it():
    async def script(asked):
        asked.pending(remaining=5, completed=1)
        asked.abort()

    series = {f"1.2.{number}": () for number in range(2, 6)}
    async with ScriptedPacs(script) as pacs, moves_to(pacs) as asking:
        answer = await asking.ask(some(**series), Kept())
    assert isinstance(answer.error, AssociationLost)
    assert (answer.requests, len(pacs.asked)) == (2, 2)
    assert (answer.completed, answer.remaining) == (2, 10)


async def test_nobody_there_is_an_answer_and_open_says_so():
    async with ScriptedPacs(None) as pacs:
        peer = pacs.peer()
    asking = MoveRequests(peer, destination="NODE", limits=LIMITS)
    answer = await asking.ask(STUDY, Kept())
    assert isinstance(answer.error, PeerUnreachable)
    assert (answer.requests, answer.status) == (0, None)
    with pytest.raises(PeerUnreachable):
        await asking.open()


async def no_leave():
    return False


async def test_without_leave_nothing_is_asked_for_over_the_association_that_is_there():
    async def script(asked):
        asked.done(completed=0)

    async with ScriptedPacs(script) as pacs, moves_to(pacs) as asking:
        for _ in range(2):
            with pytest.raises(Withheld):
                await asking.ask(STUDY, Kept(), no_leave)
        assert pacs.asked == []
        assert pacs.open == pacs.associations == 1
        assert (await asking.ask(STUDY, Kept())).requests == 1


async def test_who_waits_for_an_association_does_so_as_long_as_there_is_leave():
    class Full:
        """No place is ever free."""

        async def take(self, _peer, *, wait):
            assert wait
            await asyncio.Event().wait()

    looks = []

    async def leave():
        looks.append(asyncio.get_running_loop().time())
        return len(looks) < 3

    async with ScriptedPacs(None) as pacs, moves_to(pacs) as asking:
        with keeping(Full()), pytest.raises(Withheld):
            await asking.ask(STUDY, Kept(), leave)
        assert pacs.associations == 0
    assert len(looks) == 3


async def test_what_a_pacs_took_no_notice_of_is_not_asked_for_again_without_leave():
    left = [True, True, False]

    async def script(asked):
        if len(pacs.asked) > 1:
            asked.abort()
        else:
            asked.done(completed=1)

    async def leave():
        return left.pop(0)

    async with ScriptedPacs(script) as pacs, moves_to(pacs) as asking:
        assert (await asking.ask(STUDY, Kept(), leave)).error is None
        with pytest.raises(Withheld):
            await asking.ask(STUDY, Kept(), leave)
        assert len(pacs.asked) == 2
    assert left == []


async def test_what_has_begun_comes_to_its_end_without_leave():
    left = [True]

    async def script(asked):
        asked.done(completed=1)

    async def leave():
        return left.pop(0)

    async with ScriptedPacs(script) as pacs, moves_to(pacs, piece=1) as asking:
        answer = await asking.ask(some("1", "2", "3"), Kept(), leave)
    assert (answer.requests, answer.error, left) == (3, None, [])


@pytest.mark.parametrize("how", ["stalled", "cancelled"])
@pytest.mark.parametrize("obeys", [True, False])
async def test_what_is_given_up_is_cancelled_first_and_then_aborted(how, obeys, monkeypatch):
    monkeypatch.setattr(over_dimse, "_TO_CANCEL", 5.0 if obeys else 0.1)

    async def script(asked):
        asked.pending(remaining=3)
        await wait_until_async(lambda: pacs.cancels)
        if obeys:
            asked.done(Status.CANCEL)

    async with ScriptedPacs(script) as pacs:
        limits = TimeLimits(quiet=0.2, total=5) if how == "stalled" else LIMITS
        async with moves_to(pacs, limits=limits) as asking:
            began = asyncio.get_running_loop().time()
            task = asyncio.create_task(asking.ask(STUDY, Kept()))
            if how == "stalled":
                answer = await task
                assert isinstance(answer.error, PeerStalled)
                assert "the C-MOVE at pacs has made no progress for 0.2 s" in str(answer.error)
                assert answer.remaining == 3
            else:
                await wait_until_async(lambda: pacs.asked)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert asyncio.get_running_loop().time() - began < 4.0
        await wait_until_async(lambda: not pacs.open)
        assert pacs.cancels == 1


# C-GET


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("images"), images=3)


def instance(path, uid, sop_class=MR, syntax="1.2.840.10008.1.2.1"):
    return InstanceFile(
        path=path, sop_class_uid=sop_class, sop_instance_uid=uid, transfer_syntax_uid=syntax
    )


def instances(images):
    return [instance(image.path, image.sop_instance_uid) for image in images]


def pacs_with(held, **changes):
    """Return a PACS that answers each C-GET with these instances."""

    async def get(request):
        pacs.asked.append(request.identifier)
        return held

    timeouts = Timeouts(connect=2, acse=2, dimse=5, network=5)
    pacs = acceptor(Services(get=get), **{"timeouts": timeouts} | changes)
    pacs.asked = []
    return pacs


def gets_from(pacs, kept, *, limits=LIMITS, **given):
    peer = Peer(
        name="pacs",
        aetitle="PACS",
        host="127.0.0.1",
        port=pacs.port,
        calling_aetitle="ME",
        timeouts=Timeouts(connect=2, acse=2, dimse=5, network=5),
    )
    return GetRequests(peer, store=kept.store, limits=limits, **given)


async def test_a_get_takes_the_images_and_says_what_it_took(images):
    kept, answered = Kept(), []
    async with pacs_with(instances(images)) as pacs:
        async with gets_from(pacs, kept, answered=lambda: answered.append(1)) as asking:
            await asking.open()
            with pytest.raises(Withheld):
                await asking.ask(STUDY, kept, no_leave)
            assert (kept.objects, answered) == ({}, [])
            answer = await asking.ask(replace(STUDY, sop_classes=frozenset({MR})), kept)
    assert kept.objects == {image.sop_instance_uid: dataset_bytes(image.path) for image in images}
    size = sum(map(len, kept.objects.values()))
    assert (answer.arrived, answer.bytes, answer.completed) == (3, size, 3)
    assert (answer.error, answer.refused, answer.failed_uids) == (None, (), ())
    assert {one.caller.aetitle for one in kept.requests} == {"PACS"}
    assert len(answered) == 3 + 3 + 1  # images, and responses


@pytest.fixture(scope="module")
def seldom(tmp_path_factory):
    """An image of a class that is not among those that usually come."""
    dataset = dcmread(CT_FILE)
    dataset.SOPClassUID = SELDOM
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.9"
    path = tmp_path_factory.mktemp("seldom") / "seldom.dcm"
    dataset.save_as(path)
    return instance(path, "1.9", SELDOM)


async def test_what_is_in_no_context_comes_in_further_ones_and_what_cannot_is_named(images, seldom):
    failing = images[1].sop_instance_uid

    def picky(request):
        full = request.sop_instance_uid == failing
        return Status.OUT_OF_RESOURCES if full else Status.SUCCESS

    kept = Kept(picky)
    async with pacs_with([*instances(images), seldom]) as pacs, gets_from(pacs, kept) as asking:
        answer = await asking.ask(STUDY, kept)
        once_more = await asking.ask(STUDY, kept)  # it is known by now what comes
        known = replace(STUDY, sop_classes=frozenset({SELDOM, COMMITMENT}))
        again = await asking.ask(known, kept)  # over another association, with its contexts
    assert [one.sop_instance_uid for one in kept.requests[:4]].count("1.9") == 1
    for one in (answer, once_more):
        assert (one.arrived, one.completed, one.failed) == (3, 3, 1)
        assert one.failed_uids == (failing,)
        assert one.status == Status.SUBOPERATIONS_WITH_FAILURES
        assert isinstance(one.error, PeerFailure)
    assert (answer.requests, once_more.requests) == (2, 1)
    assert (again.arrived, again.failed, again.failed_uids) == (3, 1, (failing,))
    assert again.refused == ("Storage Commitment Push Model SOP Class",)


@pytest.mark.parametrize("counts", [True, False])
async def test_what_comes_after_all_was_no_failure_also_where_the_peer_counts_none(
    images, seldom, counts
):
    kept = Kept()
    async with pacs_with([*instances(images), seldom]) as pacs, gets_from(pacs, kept) as asking:
        if not counts:  # it says that all went well, and leaves out what it cannot send
            asking._judged = lambda last: None
            asking._sums.count = lambda result: None
        answer = await asking.ask(replace(STUDY, count=4), kept)
    assert set(kept.objects) == {"1.9", *(image.sop_instance_uid for image in images)}
    assert (answer.arrived, answer.failed, answer.failed_uids) == (4, 0, ())
    assert (answer.error, answer.refused) == (None, ())


async def test_what_fails_for_another_reason_is_soon_not_asked_for_in_further_contexts(
    images, tmp_path
):
    held = [*instances(images), instance(tmp_path / "lost.dcm", "1.8")]
    kept = Kept()
    async with pacs_with(held) as pacs, gets_from(pacs, kept) as asking:
        answers = [await asking.ask(STUDY, kept) for _ in range(4)]
    assert [one.requests for one in answers] == [5, 5, 1, 1]
    assert [(one.arrived, one.failed, one.failed_uids) for one in answers] == [(3, 1, ("1.8",))] * 4
    assert len(kept.requests) == 4 * 3


async def test_a_peer_that_offers_no_get_is_refused_and_named():
    async with acceptor(Services(find=None)) as pacs:
        answer = await gets_from(pacs, Kept()).ask(STUDY, Kept())
    assert isinstance(answer.error, PeerRefused)
    assert (answer.arrived, answer.requests) == (0, 0)


@pytest.mark.parametrize("how", ["stalled", "cancelled"])
async def test_a_get_that_is_given_up_leaves_nothing_behind(images, how):
    kept, begun = Kept(), asyncio.Event()

    async def slow(request, dataset):
        begun.set()
        await asyncio.sleep(60)

    async with pacs_with(instances(images)) as pacs:
        limits = TimeLimits(quiet=0.2, total=5) if how == "stalled" else LIMITS
        asking = gets_from(pacs, kept, limits=limits)
        asking._store = whole(slow)
        async with asking:
            task = asyncio.create_task(asking.ask(STUDY, kept))
            await asyncio.wait_for(begun.wait(), 5)
            if how == "stalled":
                answer = await task
                assert isinstance(answer.error, PeerStalled)
                assert (answer.arrived, answer.requests) == (0, 1)
            else:
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        await wait_until_async(lambda: pacs.open_connections == 0)


async def test_images_that_arrive_are_signs_of_progress():
    kept = Kept()

    async def script(asked):
        for _ in range(5):
            await asyncio.sleep(0.15)
            kept.tell()
        asked.done(completed=4)

    async with ScriptedPacs(script) as pacs:
        async with moves_to(pacs, limits=TimeLimits(quiet=0.6, total=10)) as asking:
            answer = await asking.ask(STUDY, kept)
    assert (answer.error, answer.completed) == (None, 4)
