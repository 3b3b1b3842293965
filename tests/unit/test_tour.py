"""Peers that are visited one after the other."""

import asyncio

import pytest

from node.errors import PeerUnreachable
from node.ops.tour import PeerTrouble, Tour, raise_if_cancelled
from schema import DatabaseUnavailable


async def answer(text: str) -> str:
    return text


async def fail(error: Exception) -> str:
    raise error


async def test_a_tour_goes_on_after_a_peer_that_is_in_trouble():
    tour = Tour[str]()
    error = PeerUnreachable("nobody answers")

    assert await tour.visit("one", answer("yes")) == "yes"
    assert await tour.visit("two", fail(error)) == PeerTrouble(peer="two", error=error)
    assert await tour.visit("three", answer("no")) == "no"

    assert tour.reports == ["yes", "no"]
    assert [trouble.peer for trouble in tour.troubles] == ["two"]
    tour.raise_if_vain()


async def test_a_tour_that_came_to_nothing_raises_the_first_trouble():
    tour = Tour[str]()
    await tour.visit("one", fail(PeerUnreachable("the first")))
    await tour.visit("two", fail(PeerUnreachable("the second")))

    with pytest.raises(PeerUnreachable, match="the first"):
        tour.raise_if_vain()


def test_a_tour_without_peers_is_not_in_vain():
    Tour[str]().raise_if_vain()


async def test_what_is_no_trouble_of_a_peer_ends_the_tour():
    with pytest.raises(ZeroDivisionError):
        await Tour[str]().visit("one", fail(ZeroDivisionError()))


async def test_a_cancelled_visit_whose_clean_up_fails_is_cancelled_all_the_same():
    tour = Tour[str]()
    begun = asyncio.Event()

    async def work() -> str:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise PeerUnreachable("it could not be aborted") from None
        return ""

    visit = asyncio.create_task(tour.visit("one", work()))
    await begun.wait()
    visit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await visit
    assert not tour.troubles


async def test_an_error_that_ends_all_visits_is_not_taken_for_a_cancellation():
    async def late() -> str:
        await asyncio.sleep(0.001)
        raise DatabaseUnavailable("it is away")

    with pytest.raises(DatabaseUnavailable) as raised:
        await Tour[str]().visit_all([("one", late), ("two", late)], told=lambda _: None)
    raise_if_cancelled(raised.value)
    await asyncio.sleep(0)


async def test_visits_that_are_cancelled_are_cancelled():
    begun = asyncio.Event()

    async def work() -> str:
        begun.set()
        await asyncio.sleep(60)
        return ""

    task = asyncio.create_task(Tour[str]().visit_all([("one", work)], told=lambda _: None))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
