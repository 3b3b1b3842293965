"""How much a peer is asked for at once, in simulated time: what follows from each signal."""

import random
import statistics
from pathlib import Path

import pytest

from node.ops.politeness import throttle as rules
from node.ops.politeness import usual as bounds
from node.ops.politeness.throttle import (
    CALM,
    FLOOR,
    LONGEST_PAUSE,
    Latency,
    Throttle,
    TimedQuestion,
)
from node.ops.politeness.usual import ENOUGH, FACTOR, SLACK, Usual
from tests.support.queueing import Queueing

ALONE = 0.020


class Told:
    """A throttle, and the time that passes for it."""

    def __init__(self, most=2, level=None, usual=ALONE, known=5):
        self.now = 100.0
        self.throttle = Throttle(most, now=self.now, level=level)
        for _ in range(known):
            self.answer(usual, idle=True)

    def answer(self, seconds, *, times=1, every=0.5, question=TimedQuestion.STUDY, idle=False):
        for _ in range(times):
            began = self.now
            self.now += every
            self.throttle.answered(
                Latency(question=question, began=began, seconds=seconds, idle=idle)
            )
        return self.throttle.level

    def busy(self, after=1.0):
        began = self.now
        self.now += after
        self.throttle.refused(began, self.now, "0xA701")
        return self.throttle.level

    def calm(self, seconds, *, every=0.5):
        """Let retrievals end, and answers come as they do when nothing else is asked for."""
        for _ in range(int(seconds / every)):
            self.throttle.retrieved(self.now)
            self.answer(ALONE, every=every)
        return self.throttle.level


# What is usual


@pytest.mark.parametrize(
    ("answers", "usual", "slow"),
    [
        ([0.1] * ENOUGH, 0.1, 0.1 * FACTOR),
        ([0.002] * ENOUGH, 0.002, 0.002 + SLACK),  # less than that nobody notices
        ([0.1, 0.1, 0.1, 0.1, 5.0], 0.1, 0.1 * FACTOR),  # a single one says nothing
        ([0.1] * 6 + [0.3] * 2, 0.1, 0.3 * 1.1),  # it always varies so much
    ],
)
def test_what_is_slow_is_held_against_the_median_and_what_varies_anyway(answers, usual, slow):
    known = Usual()
    for at, seconds in enumerate(answers):
        known.take(float(at), seconds)
    assert (known.bounds.usual, known.bounds.slow) == pytest.approx((usual, slow))


def test_too_few_answers_say_nothing_of_what_is_usual():
    known = Usual()
    for at in range(ENOUGH - 1):
        known.take(float(at), 0.1)
    assert known.bounds is None


def test_what_is_usual_follows_within_minutes_not_within_seconds():
    known = Usual()
    for at in range(100):
        known.take(float(at), 0.02)
    for at in range(100, 160):
        known.take(float(at), 0.06)
    assert known.bounds.usual == 0.02
    for at in range(160, 500):
        known.take(float(at), 0.06)
    assert known.bounds.usual == 0.06


# Congestion


@pytest.mark.parametrize(
    ("what", "level"),
    [
        (lambda told: told.answer(ALONE, times=200, every=0.05), 2.0),
        (lambda told: told.answer(10.0), 2.0),  # one alone says nothing, however slow
        (lambda told: told.answer(0.1, times=2), 1.0),
        (lambda told: told.answer(0.1, times=4), 0.5),
        (lambda told: told.answer(ALONE * 2, times=50), 1.0),  # no pauses for what nobody notices
        (lambda told: told.answer(ALONE * FACTOR, times=50), 2.0),  # just not slow
        (lambda told: told.answer(ALONE * FACTOR + 0.0001, times=4), 1.0),
        (lambda told: told.busy(), 1.0),
        (lambda told: (told.busy(), told.busy())[-1], 0.5),
        (lambda told: [told.busy() for _ in range(20)][-1], FLOOR),
    ],
)
def test_congestion_halves_the_level(what, level):
    assert what(Told()) == level


def test_one_slow_answer_in_thirty_is_left_to_the_peer_and_one_in_ten_is_not():
    for every, congested in ((30, False), (10, True)):
        told, levels = Told(known=30), set()
        for _ in range(40):
            told.answer(ALONE, times=every - 1, every=0.2)
            levels.add(told.answer(ALONE * 1.6, every=0.2))
        assert (min(levels) < 2) is congested, every


def test_what_began_before_the_level_changed_says_nothing_of_it():
    told = Told(most=8)
    began = told.now
    told.busy()
    for _ in range(5):  # those that were under way at the same time
        told.throttle.refused(began, told.now, "0xA701")
    for _ in range(9):
        told.throttle.answered(
            Latency(question=TimedQuestion.STUDY, began=began, seconds=told.now - began, idle=False)
        )
    assert told.throttle.level == 4.0


def test_fast_echoes_say_nothing_where_questions_are_slow():
    told = Told(known=5)
    told.answer(0.001, times=5, question=TimedQuestion.ECHO, idle=True)
    for _ in range(12):
        told.answer(ALONE * 1.3, question=TimedQuestion.STUDY)
        level = told.answer(0.001, times=20, every=0.01, question=TimedQuestion.ECHO)
    assert level < 2


def test_slow_echoes_alone_are_congestion_too():
    told = Told(known=0)
    told.answer(0.001, times=5, question=TimedQuestion.ECHO, idle=True)
    assert told.answer(0.1, times=2, question=TimedQuestion.ECHO) == 1.0


def test_nothing_is_held_against_a_peer_of_which_nothing_is_usual_yet():
    assert Told(known=0).answer(5.0, times=50) == 2.0


# Growth


def test_the_level_grows_by_one_after_a_calm_time_and_not_to_what_was_too_much():
    told = Told(most=8)
    assert told.busy() == 4.0
    assert told.calm(CALM - 1) == 4.0
    assert told.calm(2) == 5.0
    assert told.calm(CALM + 1) == 6.0
    assert told.calm(CALM + 1) == 7.0
    assert told.calm(CALM * 2) == 7.0  # eight were too much
    assert told.calm(60) == 8.0


def test_what_is_too_much_again_is_tried_ever_more_seldom():
    told, waits = Told(most=2), []
    for _ in range(6):
        told.busy()
        began = told.now
        while told.throttle.level < 2:
            told.calm(1)
        waits.append(round(told.now - began, -1))
    assert waits == [60, 120, 240, 480, 600, 600]


def test_what_was_too_much_once_is_like_anything_else_when_it_was_not_for_a_while():
    told = Told(most=2)
    told.busy()
    assert told.calm(70) == 2.0
    told.calm(rules.FORGOTTEN + 1)
    told.busy()
    assert told.calm(70) == 2.0


@pytest.mark.parametrize("missing", ["a retrieval", "answers"])
def test_it_does_not_grow_while_nothing_shows_that_it_may(missing):
    told = Told()
    told.busy()
    if missing == "a retrieval":
        told.answer(ALONE, times=400)
    else:
        for _ in range(400):
            told.now += 1
            told.throttle.retrieved(told.now)
    assert told.throttle.level == 1.0


def test_where_nothing_is_answered_it_grows_with_time_and_retrievals():
    told = Told(known=0)
    told.busy()
    for _ in range(100):
        told.now += 1
        told.throttle.retrieved(told.now)
    assert told.throttle.level == 2.0


def test_below_one_it_grows_by_a_tenth():
    told = Told(level=0.3)
    assert told.calm(CALM + 1) == pytest.approx(0.4)
    assert told.calm(6.5 * CALM) == 1.0


# What follows from the level


@pytest.mark.parametrize(
    ("level", "at_once", "took", "pause"),
    [
        (2.0, 2, 10.0, 0.0),
        (1.5, 1, 10.0, 0.0),
        (1.0, 1, 10.0, 0.0),
        (0.5, 1, 10.0, 10.0),
        (0.25, 1, 10.0, 30.0),
        (FLOOR, 1, 1.0, 19.0),
        (0.0, 1, 1.0, 19.0),  # there is no less than that
        (FLOOR, 1, 7200.0, LONGEST_PAUSE),
        (9.0, 2, 10.0, 0.0),  # it was left so by another configuration
    ],
)
def test_the_level_says_how_many_at_once_or_for_how_long_none(level, at_once, took, pause):
    throttle = Throttle(2, now=0.0, level=level)
    assert throttle.at_once == at_once
    assert throttle.pause_after(took) == pytest.approx(pause)


def test_it_says_where_it_stands_and_why():
    told = Told()
    told.answer(0.1, times=2)
    standing = told.throttle.standing
    assert (standing.level, standing.usual) == (1.0, ALONE)
    assert standing.reason == "it takes 0.100 s to answer, 0.020 s alone"
    assert ALONE < standing.latest < 0.1
    assert standing.since == pytest.approx(told.now - 0.4)
    left = Throttle(2, now=0.0, level=0.5).standing
    assert left.reason == "the peer was slow in the move before"


def test_while_it_grows_again_the_reason_is_that_of_the_last_decrease_and_none_when_it_is_full():
    told = Told(most=3)
    assert told.busy() == 1.5
    assert told.throttle.standing.reason == "0xA701"
    while told.throttle.level < 2:
        told.calm(5)
    assert told.throttle.standing.reason == "0xA701; it grows again"
    assert told.busy() < 2
    assert told.throttle.standing.reason == "0xA701"
    while not told.throttle.is_full:
        told.calm(60)
    assert told.throttle.standing.reason == ""


# All together, at a PACS with so many workers


@pytest.mark.parametrize(
    ("workers", "question", "image", "lines", "slower"),
    [
        (2, 0.010, 0.010, 2, True),
        (2, 0.020, 0.020, 2, True),
        (2, 0.050, 0.050, 2, True),
        (3, 0.015, 0.010, 3, True),
        (3, 0.015, 0.010, 2, False),
        (4, 0.020, 0.005, 2, False),
    ],
)
def test_who_asks_beside_waits_no_longer_and_nothing_is_slower_where_nobody_waits(
    workers, question, image, lines, slower
):
    p95, images = {}, {}
    for way in ("idle", "on", "off"):
        pacs = Queueing(workers, question, image, random.Random(17))
        works = [pacs.other(4)]
        held, free = Throttle(lines, now=0.0), Throttle(lines, now=0.0)
        if way != "idle":
            throttle = held if way == "on" else free
            works += [pacs.line(throttle) for _ in range(lines)]
        if way == "on":
            works.append(pacs.probes(held))
        pacs.run(300, *works)
        p95[way] = statistics.quantiles(pacs.others, n=20)[-1]
        images[way] = pacs.images
    assert p95["on"] <= 1.3 * p95["idle"]
    if slower:
        assert p95["off"] > 1.3 * p95["idle"]
        assert images["on"] > 0.2 * images["off"]
    else:
        assert images["on"] > 0.95 * images["off"]


def test_what_is_too_much_from_the_first_image_on_is_known_within_seconds():
    found = []
    for seed in range(40):
        pacs = Queueing(2, 0.020, 0.020, random.Random(seed))
        throttle = Throttle(2, now=0.0)
        lines = [pacs.line(throttle, kept=0.010) for _ in range(2)]
        works = [*lines, pacs.probes(throttle)]
        found.append(0)
        while throttle.at_once > 1 and found[-1] < 60:
            pacs.run(1, *works)
            works, found[-1] = [], found[-1] + 1
    assert statistics.median(found) <= 10


def test_the_documentation_has_these_rules():
    text = (Path(__file__).parents[2] / "docs" / "moving.md").read_text()
    table = text.partition("| Throttle | Value |\n|---|---|\n")[2].partition("\n\n")[0]
    shown = [float(line.strip("| ").rpartition("|")[2]) for line in table.splitlines()]
    assert shown == [
        bounds.FACTOR,
        bounds.SLACK,
        bounds._KEPT,
        bounds._EVERY,
        rules._LIMIT,
        rules._MOST,
        rules._CREDIT,
        rules._ALONE_CREDIT,
        rules.ALONE_SLACK,
        rules.DECREASE,
        rules.FLOOR,
        rules.CALM,
        1,
        rules.STEP,
        rules.AGAIN,
        rules.LONGEST_AGAIN,
        rules.LONGEST_PAUSE,
    ]
