"""Listing the images of a study at a DICOMweb service: all of them by name, or no list at all."""

from dataclasses import replace

import pytest

from node.net.messages import Timeouts
from node.net.qido import line as web
from node.net.qido.place import WebPeer
from node.ops.counting.inquiring import ImageInquiry
from node.ops.stalls import TimeLimits
from tests.support.qido_server import QidoServer, Reply, good, page_of, studies_reply

LIMITS = TimeLimits(quiet=10.0, total=20.0)
MR = "1.2.840.10008.5.1.4.1.1.4"
SIZES = {"1.2.1": 7, "1.2.2": 3, "1.2.3": 12}
IMAGES = [
    {
        "StudyInstanceUID": "1.2",
        "SeriesInstanceUID": series,
        "SOPInstanceUID": f"{series}.{number}",
        "SOPClassUID": MR,
    }
    for series, size in SIZES.items()
    for number in range(size)
]
UIDS = {one["SOPInstanceUID"] for one in IMAGES}


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr(web, "PAGE", 5)


def level(search):
    return search.path.rsplit("/", 1)[1]


def inquiring(server):
    timeouts = Timeouts(connect=2, acse=2, dimse=2, network=2)
    return ImageInquiry(WebPeer(name="web", url=server.url, timeouts=timeouts), LIMITS)


async def listed(script=good):
    """Return the list that such a service gives, and what was asked."""
    with QidoServer(script=script, images=IMAGES) as server:
        async with inquiring(server) as inquiry:
            listing = await inquiry.list("1.2", images=22, series=3)
    return listing, server.asked


async def test_a_service_lists_all_levels_in_pages_and_its_numbers_vouch_for_it():
    listing, asked = await listed()
    assert (listing.images, listing.short, listing.vouched) == (UIDS, "", True)
    assert listing.sop_classes == {MR}
    assert {uid: (one.count, one.modality) for uid, one in listing.series.items()} == {
        uid: (size, "MR") for uid, size in SIZES.items()
    }
    assert asked[0].path == "/dicom-web/studies/1.2/series"
    third = [one for one in asked if one.path == "/dicom-web/studies/1.2/series/1.2.3/instances"]
    assert [page_of(one) for one in third] == [(5, 0), (5, 5), (5, 10)]
    assert {one.parameters["includefield"] for one in third} == {"SOPClassUID"}


def caps_each_level_otherwise(server, search):
    """Gives at once 3 series, and 2 images, and says nothing of the rest."""
    return replace(good(server, search, most=3 if level(search) == "series" else 2), headers={})


def without_studies_uid(server, search):
    """Leaves out what the resource says already."""
    reply = good(server, search)
    return replace(reply, body=reply.body.replace(b'"0020000D"', b'"0020FFFD"'))


def busy_now_and_then(server, search):
    if len(server.asked) % 3 == 1:
        return Reply(status=503, headers={"Retry-After": "0"})
    return good(server, search)


@pytest.mark.parametrize(
    "script", [caps_each_level_otherwise, without_studies_uid, busy_now_and_then]
)
async def test_what_a_service_does_otherwise_leaves_no_image_out(script):
    listing, _ = await listed(script)
    assert (listing.images, listing.vouched) == (UIDS, True)


def at(where, reply):
    def script(server, search):
        return reply if level(search) == where else good(server, search)

    return script


def one_without_its_uid(server, search):
    reply = good(server, search)
    return replace(reply, body=reply.body.replace(b'"1.2.2.1"', b'""'))


def other_order_on_each_page(server, search):
    if level(search) == "series":
        return good(server, search)
    first = page_of(search)[1]
    return studies_reply(server.matching(search)[max(first - 1, 0) :][:5])


@pytest.mark.parametrize(
    "script",
    [
        at("series", Reply(status=404)),
        at("series", Reply(status=204, body=b"", media="")),
        at("series", Reply(media="text/html", body=b"<html>")),
        at("instances", Reply(status=501)),
        at("instances", Reply(status=500)),
        at("instances", None),
        at("instances", Reply(body=b'{"no": "list"}')),
        one_without_its_uid,
        other_order_on_each_page,
    ],
    ids=lambda script: getattr(script, "__name__", ""),
)
async def test_what_is_no_whole_answer_is_no_list_and_the_service_can_be_asked_on(script):
    with QidoServer(script=script, images=IMAGES) as server:
        async with inquiring(server) as inquiry:
            assert await inquiry.list("1.2", images=22, series=3) is None
            server.script = good
            again = await inquiry.list("1.2", images=22, series=3)
    assert again.images == UIDS


async def test_a_list_that_a_service_cuts_off_and_says_so_is_none():
    def capped(server, search):
        if level(search) == "series":
            return good(server, search)
        return studies_reply(server.matching(search)[:2], headers={"Warning": '299 web "more"'})

    listing, asked = await listed(capped)
    assert (listing, len(asked)) == (None, 2 + 2)


async def test_a_list_that_is_silently_cut_off_is_short_of_the_numbers_of_the_service():
    def capped(server, search):
        if level(search) == "series":
            return good(server, search)
        first = page_of(search)[1]
        return studies_reply(server.matching(search)[:4][first:])

    listing, _ = await listed(capped)
    assert (len(listing.images), listing.vouched) == (4 + 3 + 4, False)
    assert listing.short


async def test_images_are_counted_at_a_service_that_gives_no_counts():
    def silent(server, search):
        reply = good(server, search)
        return replace(reply, body=reply.body.replace(b'"00201209"', b'"00201299"'))

    with QidoServer(script=silent, images=IMAGES) as server:
        async with inquiring(server) as inquiry:
            count = await inquiry.count("1.2", series=3)
    assert (count.images, count.series, count.short) == (22, 3, "")
