"""WADO-RS at a service that answers well or badly: what comes, what is told, in what memory."""

import asyncio
import tracemalloc
from dataclasses import replace

import pytest

from node.dicom.part10 import file_header
from node.dicom.status import Status
from node.errors import (
    AssociationLost,
    PeerFailure,
    PeerRefused,
    PeerStalled,
    PeerUnreachable,
    StorageError,
)
from node.net.messages import Timeouts
from node.net.qido import courtesy
from node.net.qido.place import WebLogin, WebPeer
from node.net.transport import pace
from node.ops.retrieving.leave import Withheld
from node.ops.retrieving.wado_rs import WebRequests
from node.ops.retrieving.wanted import Wanted
from node.ops.stalls import TimeLimits
from tests.support.images import dataset_bytes, generate
from tests.support.kept import Kept
from tests.support.qido_server import QidoServer, Reply
from tests.support.wado_server import END, RELATED, holding, part, related

LIMITS = TimeLimits(quiet=10.0, total=20.0)
EXPLICIT = "1.2.840.10008.1.2.1"
MR = "1.2.840.10008.5.1.4.1.1.4"
HUGE = 300 << 20


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("images"), series=2, images=2)


@pytest.fixture(scope="module")
def files(images):
    return [image.path.read_bytes() for image in images]


def retriever(server, kept, *, limits=LIMITS, **changes):
    peer = replace(WebPeer(name="web", url=server.url), **changes)
    return WebRequests(peer, store=kept.store, limits=limits)


async def asked(script, wanted=None, *, kept=None, limits=LIMITS, **changes):
    """Ask a service that answers like this for a study; return what came, and the answer."""
    kept = kept or Kept()
    with QidoServer(script=script) as server:
        async with retriever(server, kept, limits=limits, **changes) as asking:
            answer = await asking.ask(wanted or Wanted(study_uid="1.2"), kept)
    return kept, answer


def answering(reply):
    return lambda server, search: reply() if callable(reply) else reply


def uids(images):
    return {image.sop_instance_uid for image in images}


async def test_a_study_a_series_and_images_are_asked_for_by_their_resources(images):
    study, series = images[0].study_uid, images[0].series_uid
    one = images[3]
    wanted = Wanted(
        study_uid=study, series={series: (), one.series_uid: (one.sop_instance_uid, "1.2.3")}
    )
    kept = Kept()
    with QidoServer(script=holding(images)) as server:
        async with retriever(server, kept) as asking:
            await asking.open()
            whole = await asking.ask(Wanted(study_uid=study), kept)
            assert set(kept.objects) == uids(images)
            kept.objects.clear()
            some = await asking.ask(wanted, kept)
        accepts = {search.headers["accept"] for search in server.asked}
        paths = [search.path for search in server.asked]
    assert (whole.requests, whole.arrived, whole.error) == (1, 4, None)
    assert whole.bytes == sum(len(dataset_bytes(image.path)) for image in images)
    assert set(kept.objects) == {*uids(images[:2]), one.sop_instance_uid}
    for image in (*images[:2], one):
        assert kept.objects[image.sop_instance_uid] == dataset_bytes(image.path)
    assert {r.transfer_syntax_uid for r in kept.requests} == {EXPLICIT}
    assert {(r.caller.aetitle, r.sop_class_uid) for r in kept.requests} == {("web", MR)}
    assert accepts == {'multipart/related; type="application/dicom"; transfer-syntax=*'}
    root = f"/dicom-web/studies/{study}"
    assert paths == [
        root,
        f"{root}/series/{series}",
        f"{root}/series/{one.series_uid}/instances/{one.sop_instance_uid}",
        f"{root}/series/{one.series_uid}/instances/1.2.3",
    ]
    assert (some.requests, some.completed, some.arrived, some.status) == (3, 3, 3, None)
    assert some.comment == "HTTP 404 Not Found"
    assert isinstance(some.error, PeerFailure)
    assert "has nothing under that UID" in str(some.error)


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (Reply(status=204, body=b"", media=""), None, "HTTP 204 No Content"),
        (Reply(status=404), PeerFailure, "has nothing under that UID"),
        (Reply(status=406), PeerFailure, "does not give it as application/dicom"),
        (Reply(status=410), PeerFailure, "has it no more"),
        (Reply(status=500), PeerFailure, "HTTP 500 Internal Server Error"),
        (Reply(status=401), PeerRefused, "give peers.web.credentials"),
        (Reply(status=403), PeerRefused, "may not retrieve images there"),
        (Reply(status=405), PeerRefused, "there is no WADO-RS below"),
        (Reply(media="text/html"), PeerRefused, "it answered with text/html"),
        (Reply(status=302, headers={"Location": "http://other/"}), PeerRefused, "not followed"),
        (Reply(media="multipart/related"), PeerFailure, "has no boundary"),
        (Reply(body=b"x" * 70000, media=RELATED), PeerFailure, "boundary of its Content-Type"),
        (Reply(media=RELATED.replace("the", "a")), PeerFailure, "is nowhere in it"),
    ],
    ids=lambda value: getattr(value, "status", None) and str(value.status),
)
async def test_what_is_no_answer_is_an_error_that_says_why(reply, error, words):
    kept, answer = await asked(answering(reply))
    assert kept.objects == {}
    if error is None:
        assert (answer.error, answer.comment) == (None, words)
    else:
        assert type(answer.error) is error, answer
        assert words in str(answer.error)
    assert (answer.requests, answer.arrived) == (1, 0)


async def test_a_busy_service_is_asked_again_and_one_that_is_busy_for_long_is_left(
    files, monkeypatch
):
    monkeypatch.setattr(courtesy, "_PAUSE", 0.01)

    def once_busy(server, search):
        return Reply(status=503) if len(server.asked) == 1 else related(files)

    kept, answer = await asked(once_busy)
    assert (len(kept.objects), answer.error) == (4, None)
    _, answer = await asked(answering(Reply(status=429)))
    assert isinstance(answer.error, PeerUnreachable)
    assert "again and again" in str(answer.error)
    with QidoServer(script=answering(Reply(status=503, headers={"Retry-After": "3600"}))) as server:
        async with retriever(server, Kept()) as asking:
            for _ in range(2):
                answer = await asking.ask(Wanted(study_uid="1.2"), Kept())
                assert "asks to be left for 3600 s" in str(answer.error)
        assert len(server.asked) == 1


async def test_without_leave_nothing_is_asked_for_nor_again_where_the_service_was_busy(
    files, monkeypatch
):
    monkeypatch.setattr(courtesy, "_PAUSE", 0.01)
    left = [False, True, False]

    async def leave():
        return left.pop(0)

    def once_busy(server, search):
        return Reply(status=503) if len(server.asked) == 1 else related(files)

    kept, wanted = Kept(), Wanted(study_uid="1.2")
    with QidoServer(script=once_busy) as server:
        async with retriever(server, kept) as asking:
            with pytest.raises(Withheld):
                await asking.ask(wanted, kept, leave)
            assert server.asked == []
            with pytest.raises(Withheld):
                await asking.ask(wanted, kept, leave)
            assert (len(server.asked), left) == (1, [])
            assert (await asking.ask(wanted, kept)).error is None


async def test_a_redirect_on_the_same_server_is_followed_with_the_login(images):
    def moved(server, search):
        if search.path.startswith("/dicom-web/"):
            there = search.path.replace("/dicom-web/", "/elsewhere/")
            return Reply(status=307, headers={"Location": there})
        assert search.headers["authorization"].startswith("Basic ")
        path = search.path.replace("/elsewhere/", "/dicom-web/")
        return holding(images)(server, replace(search, path=path))

    wanted = Wanted(study_uid=images[0].study_uid)
    kept, answer = await asked(moved, wanted, login=WebLogin(user="me", secret="x"))
    assert (set(kept.objects), answer.error) == (uids(images), None)


@pytest.mark.parametrize("how", ["by its length", "by the parts", "in a header", "partial"])
async def test_an_answer_that_is_not_whole_brings_what_was_whole(files, how):
    def cut(server, search):
        body = b"".join(map(part, files))
        if how == "by its length":
            told = {"Content-Length": str(len(body) + 100)}
            return Reply(body=b"", media=RELATED, headers=told, chunks=[body[:-50]])
        if how == "in a header":
            return related(files[:3], end=part(b"")[:-10])
        if how == "partial":
            return related(files[:3], status=206)
        return related(files, end=b"")

    kept, answer = await asked(cut)
    assert len(kept.objects) == answer.arrived == answer.completed == 3
    wanted, words = {"partial": (PeerFailure, "gives only a part")}.get(
        how, (AssociationLost, "whole" if how != "by its length" else "before the answer")
    )
    assert type(answer.error) is wanted
    assert words in str(answer.error)


async def test_what_is_no_object_is_named_and_the_others_come(files, images):
    def header(**changes):
        uids = {
            "sop_class_uid": MR,
            "sop_instance_uid": "1.2.3",
            "transfer_syntax_uid": EXPLICIT,
        }
        return file_header(**uids | changes)

    bad = [
        part(b"x" * 5000),
        part(b""),
        part(files[0], "Content-Type: text/plain"),
        part(files[0], "Content-Type: application/dicom\r\nContent-Encoding: gzip"),
        part(header(transfer_syntax_uid="")),
        part(header(sop_class_uid="", transfer_syntax_uid=f"{EXPLICIT}.99") + b"deflated"),
        part(bytes(128) + b"DICM" + b"\x02\x00\x03\x00UI\xff\xff" + b"1" * 70000),
        part(header()[:-3]),
    ]
    good = [part(files[0], ""), part(header(transfer_syntax_uid=f"{EXPLICIT}.99") + b"deflated")]
    body = b"".join([b"a preamble", *bad, *good, END, b"an epilogue"])
    kept, answer = await asked(answering(Reply(body=body, media=RELATED)))
    assert set(kept.objects) == {images[0].sop_instance_uid, "1.2.3"}
    assert kept.objects["1.2.3"] == b"deflated"
    assert (answer.arrived, answer.completed, answer.failed) == (2, 2, len(bad))
    assert isinstance(answer.error, PeerFailure)
    assert f"of what web sent, {len(bad)} could not be taken: part 1: it has no DICOM" in str(
        answer.error
    )


async def test_an_image_that_comes_alone_is_taken(files, images):
    for media in ("application/dicom", RELATED):
        reply = Reply(body=files[0], media=media) if media[0] == "a" else related(files[:1])
        kept, answer = await asked(answering(reply))
        assert (set(kept.objects), answer.error) == (uids(images[:1]), None)


async def test_what_the_store_does_not_take_is_named_and_a_full_one_is_sent_no_more(files, images):
    refused = images[1].sop_instance_uid

    def picky(request):
        return 0xC000 if request.sop_instance_uid == refused else Status.SUCCESS

    kept, answer = await asked(answering(related(files)), kept=Kept(picky))
    assert set(kept.objects) == uids(images) - {refused}
    assert (answer.arrived, answer.failed, answer.failed_uids) == (3, 1, (refused,))
    kept, answer = await asked(
        answering(related(files)), kept=Kept(lambda _: Status.OUT_OF_RESOURCES)
    )
    assert isinstance(answer.error, StorageError)
    assert (answer.arrived, len(kept.requests)) == (0, 1)


async def test_silence_and_a_trickle_are_ended(files, monkeypatch):
    begun = b"".join(map(part, files))[:-50]
    silent = Reply(body=begun, media=RELATED, headers={"Content-Length": "1000000"})
    kept, answer = await asked(
        answering(silent), timeouts=Timeouts(connect=2, acse=2, dimse=0.5, network=5)
    )
    assert (len(kept.objects), type(answer.error)) == (3, AssociationLost)
    assert "no answer for 0.5 s" in str(answer.error)
    late = Reply(delay=5.0)
    _, answer = await asked(answering(late), limits=TimeLimits(quiet=0.2, total=5))
    assert isinstance(answer.error, PeerStalled)
    monkeypatch.setattr(pace, "_WINDOW", 0.2)
    trickle = Reply(body=begun, media=RELATED, forever=b"x", pause=0.02)
    _, answer = await asked(answering(trickle), limits=TimeLimits(quiet=10, total=10))
    assert isinstance(answer.error, AssociationLost)
    assert "less than 1024 bytes a second" in str(answer.error)


class Counting:
    """A store that keeps nothing, and is full now and then."""

    def __init__(self):
        self.size = self.ends = self.waits = 0
        self._since = 0

    def store(self, request):
        return self

    @property
    def full(self):
        return self._since > 1 << 24

    def write(self, data):
        self.size += len(data)
        self._since += len(data)

    async def drained(self):
        self._since = 0
        self.waits += 1

    async def finish(self):
        self.ends += 1
        return Status.SUCCESS

    def discard(self):
        raise AssertionError("it is whole")


async def test_a_part_of_any_size_takes_little_memory():
    header = file_header(sop_class_uid=MR, sop_instance_uid="1.2.3", transfer_syntax_uid=EXPLICIT)
    block = bytes(range(256)) * 4096

    def huge():
        yield part(header)
        for _ in range(HUGE // len(block)):
            yield block
        yield END

    taking = Counting()
    tracemalloc.start()
    try:
        with QidoServer(
            script=answering(lambda: Reply(media=RELATED, body=b"", chunks=huge()))
        ) as s:
            async with WebRequests(
                WebPeer(name="web", url=s.url), store=taking.store, limits=LIMITS
            ) as asking:
                answer = await asking.ask(Wanted(study_uid="1.2"), Kept())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (answer.error, answer.arrived, answer.bytes) == (None, 1, HUGE)
    assert (taking.size, taking.ends) == (HUGE, 1)
    assert taking.waits > 10
    assert peak < 16 << 20


async def test_a_retrieval_that_is_cancelled_leaves_nothing(files):
    begun = b"".join(map(part, files))[:-50]
    kept = Kept()
    with QidoServer(
        script=answering(
            Reply(body=begun, media=RELATED, forever=b"", headers={"Content-Length": "1000000"})
        )
    ) as server:
        asking = retriever(server, kept)
        task = asyncio.create_task(asking.ask(Wanted(study_uid="1.2"), kept))
        async with asyncio.timeout(10):
            while kept.count < 3:
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asking.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
