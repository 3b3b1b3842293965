"""Whose fault it is that a study came to nothing while others were asked for."""

from node.ops.politeness.crowd import CrowdedStudies


def test_the_first_that_fails_is_put_aside_and_costs_nothing():
    crowd = CrowdedStudies()
    assert not crowd.failed("1.1", "one")
    assert not crowd.failed("1.1", "one"), "the same one says no more"
    assert crowd.taken_back(to_blame=False) == ["one"]
    assert crowd.taken_back(to_blame=False) == []


def test_another_one_that_fails_says_that_it_is_the_peer():
    crowd = CrowdedStudies()
    crowd.failed("1.1", "one")
    assert crowd.failed("1.2", "two")
    assert crowd.taken_back(to_blame=False) == ["one", "two"]
    assert not crowd.is_to_blame("1.1")


def test_who_is_to_blame_is_so_until_it_is_asked_for():
    crowd = CrowdedStudies()
    crowd.failed("1.1", "one")
    crowd.taken_back(to_blame=True)
    assert crowd.is_to_blame("1.1")
    assert not crowd.asked("1.1", failed=True), "it cost no association"
    assert not crowd.is_to_blame("1.1")


def test_an_association_that_was_given_up_for_nothing_is_given_back_once():
    crowd = CrowdedStudies()
    for study_uid in ("1.1", "1.2"):
        crowd.ends(study_uid)
    assert not crowd.asked("1.1", failed=False), "alone it came: it was the peer"
    assert crowd.asked("1.2", failed=True)
    assert not crowd.asked("1.2", failed=True)
