"""Whether all of a study is in the folder, and what to ask for, by the peer's list and numbers."""

from pathlib import Path

import pytest

from node.ops.fetching.report import Fetched, FetchedImage, StudyFetch
from node.ops.fetching.wish import Selected
from schema.moving.listing import ListedSeries, listing_of


def selected(*, told_images=None, told_series=None, series=(), images=(), **listed):
    """Return what is wanted, where each series lists so many images and has a count, or none."""
    every = {
        uid: ListedSeries(images={f"{uid}{n}": "" for n in range(there)}, count=count)
        for uid, (there, count) in listed.items()
    }
    listing = listing_of(every, told_images=told_images, told_series=told_series)
    return Selected(
        study_uid="1.2",
        series=frozenset(series),
        images=frozenset(images),
        listing=listing if every else None,
        told_images=told_images,
        told_series=told_series,
    )


def fetched(wanted, *uids, settled=True):
    """Return a study of which these images came, each named after its series."""
    images = {
        uid: FetchedImage(placed=Fetched.NEW, path=Path(uid), series_uid=uid[0]) for uid in uids
    }
    return StudyFetch(selected=wanted, images=images, settled=settled)


@pytest.mark.parametrize(
    ("wanted", "came", "short"),
    [
        (selected(a=(2, 4)), "a0 a1 a2", "counts 4 images of the series a: not all are here"),
        (selected(a=(2, None), told_images=4), "a0 a1 a2", "counts 4 images of the study: 3 are"),
        (selected(told_images=4), "a0 a1 a2", "counts 4 images of the study: 3 are here"),
        (selected(a=(2, 2), told_series=2), "a0 a1", "counts 2 series of the study: 1 are known"),
        (selected(a=(1, 2), b=(1, 2)), "a0 a1 b0", "counts 2 images of the series b"),
        (selected(a=(1, 3), b=(1, 2)), "a0 b0", "and more of 1 other series"),
        (selected(a=(1, 1), b=(0, None)), "a0", "counts 1 image of the series b"),
        (selected(a=(1, 1), series="ab"), "a0", "lists no image of 1 series, and sent none of it"),
        (selected(a=(1, 2), b=(2, 2), series="a"), "a0", "counts 2 images of the series a"),
    ],
)
def test_it_is_not_whole_where_the_peer_counts_more_than_came(wanted, came, short):
    study = fetched(wanted, *came.split())
    assert study.missing == []
    assert short in study.short
    assert not study.whole


@pytest.mark.parametrize(
    ("wanted", "came"),
    [
        (selected(a=(2, 2)), "a0 a1"),
        (selected(a=(2, 4), images=["a1"]), "a1"),
        (selected(a=(1, 2), b=(2, 2), series="b"), "b0 b1"),
        (selected(a=(1, 1), b=(0, 0), told_series=2), "a0"),
    ],
)
@pytest.mark.parametrize("settled", [True, False])
def test_it_is_whole_where_all_is_here_that_is_listed(wanted, came, settled):
    settled = settled or (wanted.listing is not None and bool(wanted.listing.short))
    study = fetched(wanted, *came.split(), settled=settled)
    assert (study.whole, study.short) == (True, "")


def test_numbers_that_are_reached_behind_a_short_list_need_the_peers_success_too():
    wanted, came = selected(a=(2, 4)), ("a0", "a1", "a2", "a3")
    assert fetched(wanted, *came).whole
    assert not fetched(wanted, *came, settled=False).whole


@pytest.mark.parametrize(
    ("wanted", "have", "series"),
    [
        (selected(a=(2, 4), told_images=4), "a0 a1 a2", None),
        (selected(a=(2, 4)), "", None),
        (selected(a=(2, 2), told_images=3), "a0 a1", None),
        (selected(a=(2, 4), b=(2, 2), series="a"), "a0 a1", {"a": ()}),
        (selected(a=(2, 2), series="ab"), "a0", {"a": ("a1",), "b": ()}),
        (selected(a=(2, 2), b=(1, 1)), "a0", {"a": ("a1",), "b": ()}),
    ],
)
def test_what_a_list_may_lack_is_asked_for_as_well(wanted, have, series):
    left = wanted.left(frozenset(have.split()))
    assert left.series == series
    if series is None and wanted.told_images:
        assert left.count == wanted.told_images
