"""Retrieving: by which way, what is proposed for it, and what the configuration says of it."""

from dataclasses import replace as changed

import pytest

from node.config import Config
from node.dicom.profile import PeerProfile
from node.net.dimse.contexts import STORAGE_CLASSES
from node.net.qido.place import WebPeer
from node.ops.probing.facts import Fact
from node.ops.probing.knowledge import PeerKnowledge
from node.ops.retrieving.contexts import MOST, contexts_for, further_contexts, refused_of
from node.ops.retrieving.pieces import pieces_of
from node.ops.retrieving.wanted import Level, Wanted
from node.ops.retrieving.way import peer_to_list, retriever_for, way_of
from node.ops.sampling.sample import way_to_sample
from node.ops.stalls import TimeLimits

DIMSE = {"aetitle": "PACS", "host": "127.0.0.1", "port": 104}
URL = {"url": "https://pacs.example.org/dicom-web"}
IMPLICIT, EXPLICIT, J2K = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"
CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
MOVE_NAME = "Study Root Query/Retrieve Information Model - MOVE"
GET_NAME = "Study Root Query/Retrieve Information Model - GET"
LIMITS = TimeLimits(quiet=1, total=1)


def peer(**settings):
    return Config(peers={"pacs": settings}).peers["pacs"]


def knowledge(*accepted, **profile):
    """Return what is known of a peer that accepted these contexts when it was probed."""
    facts = {"contexts": Fact(value={one: [] for one in accepted}, how="", learned_on=None)}
    return PeerKnowledge(
        peer="pacs",
        profile=PeerProfile(**profile),
        configured=frozenset(),
        facts=facts if accepted else {},
        probe=None,
    )


@pytest.mark.parametrize(
    ("settings", "known", "way"),
    [
        (DIMSE, None, "move"),
        (URL, None, "wado"),
        (DIMSE | URL, None, "move"),
        (DIMSE, knowledge(), "move"),
        (DIMSE, knowledge(MOVE_NAME, GET_NAME, get=True), "move"),
        (DIMSE, knowledge(GET_NAME, get=True), "get"),
        (DIMSE | URL, knowledge(GET_NAME), "get"),  # its URL is why the profile does not say it
        (DIMSE | URL, knowledge("Verification SOP Class"), "wado"),
        (DIMSE, knowledge("Verification SOP Class"), "move"),
        (DIMSE | {"retrieve": "GET"}, knowledge(MOVE_NAME), "get"),
        (DIMSE | URL | {"retrieve": "wado"}, None, "wado"),
        (DIMSE | URL | {"retrieve": "move"}, knowledge(GET_NAME), "move"),
    ],
)
async def test_a_peer_is_asked_as_it_is_configured_else_as_it_can_be(settings, known, way):
    found = peer(**settings)
    assert way_of(found, known) == way
    assert isinstance(peer_to_list(found, known), WebPeer) == (way == "wado")
    asked = []

    def store():
        asked.append(way)
        return lambda request: None

    retriever = retriever_for(found, known, destination="NODE", store=store, limits=LIMITS)
    assert retriever.method == {"move": "C-MOVE", "get": "C-GET", "wado": "WADO-RS"}[way]
    assert asked == [one for one in [way] if one != "move"]


@pytest.mark.parametrize(
    ("settings", "known", "way"),
    [
        (DIMSE, None, "move"),
        (DIMSE, knowledge(MOVE_NAME), "move"),
        (DIMSE, knowledge(MOVE_NAME, GET_NAME, get=True), "get"),
        (DIMSE | URL, knowledge(MOVE_NAME), "wado"),
        (DIMSE | {"retrieve": "move"}, knowledge(GET_NAME, get=True), "move"),
    ],
)
async def test_to_compare_it_is_asked_by_what_does_not_need_the_address_of_a_running_node(
    settings, known, way
):
    assert way_to_sample(peer(**settings), known) == way


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (DIMSE | {"retrieve": "wado"}, "retrieve: wado needs a url"),
        (URL | {"retrieve": "move"}, "retrieve: move goes over DIMSE, and needs aetitle, host"),
        (URL | {"retrieve": "get"}, "retrieve: get goes over DIMSE"),
        (DIMSE | {"retrieve": "store"}, "'auto', 'move', 'get' or 'wado'"),
    ],
)
def test_a_way_that_a_peer_has_not_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        peer(**settings)


def test_where_lists_are_not_matched_each_image_is_asked_for_alone():
    known = knowledge(MOVE_NAME, uid_lists=False)
    asking = retriever_for(
        peer(**DIMSE), known, destination="NODE", store=lambda: None, limits=LIMITS
    )
    assert asking._piece == 1
    wanted = Wanted(study_uid="1", series={"2": tuple("abcde")})
    assert [len(piece.sop_uids) for piece in pieces_of(wanted, most=2)] == [2, 2, 1]
    assert [piece.level for piece in pieces_of(changed(wanted, series=None))] == [Level.STUDY]


def test_a_get_proposes_what_is_known_in_all_syntaxes_and_then_the_usual():
    usual = contexts_for(())
    assert len(usual) == len(set(usual)) == MOST
    assert {(CT, EXPLICIT), (CT, IMPLICIT), (CT, J2K), (MR, J2K)} <= set(usual)
    assert {EXPLICIT, IMPLICIT} == {syntax for one, syntax in usual if one.endswith(".88.11")}
    known = contexts_for({"1.2.3"})
    assert len(known) == MOST
    assert len([one for one, _ in known if one == "1.2.3"]) > 20
    assert (CT, EXPLICIT) in known
    many = contexts_for([f"1.{number}" for number in range(100)])
    assert len(many) == MOST
    assert {one for one, syntax in many if syntax == EXPLICIT} == {f"1.{n}" for n in range(100)}


def test_what_was_not_proposed_is_proposed_afterwards():
    usual = contexts_for(())
    further = further_contexts((), usual)
    pairs = [pair for contexts in further for pair in contexts]
    assert len(pairs) == len(set(pairs)) <= 4 * MOST
    assert max(map(len, further)) == MOST
    assert not set(pairs) & set(usual)
    classes = {sop_class for sop_class, _ in pairs}
    assert set(STORAGE_CLASSES) <= classes | {sop_class for sop_class, _ in usual}
    assert ("1.3.12.2.1107.5.9.1", EXPLICIT) in further[0]
    known = further_contexts({f"1.{number}" for number in range(7)}, contexts_for({"1.1"}))
    assert ("1.6", J2K) in known[0]


def test_what_was_not_agreed_upon_is_named_where_it_matters():
    proposed = [(CT, EXPLICIT), (CT, J2K), (MR, EXPLICIT)]
    accepted = {(CT, EXPLICIT)}
    assert refused_of({CT}, proposed, accepted, has_failed=False) == ()
    assert refused_of({CT, MR}, proposed, accepted, has_failed=True) == (
        "MR Image Storage",
        "CT Image Storage in JPEG 2000 Image Compression (Lossless Only)",
    )
    assert refused_of((), proposed, accepted, has_failed=False) == ()
    assert refused_of((), proposed, accepted, has_failed=True) == ("MR Image Storage",)
