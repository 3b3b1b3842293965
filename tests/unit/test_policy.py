"""What of studies is wanted: of which nothing is, and which series and images of a list are."""

import pytest

from node.cli.studies.moved import not_wanted
from node.config.wanted.settings import WantSettings
from schema.choosing.policy import Policy
from schema.moving.evidence import Basis, Here, KnownOfSource, judge
from schema.moving.listing import ListedSeries, Listing

CT, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.11"
LISTING = Listing(
    series={
        "1": ListedSeries(images={"1.1": CT, "1.2": CT}, modality="CT", description="Thorax axial"),
        "2": ListedSeries(images={"2.1": CT, "2.2": SR}, modality="CT", description="Scout"),
        "3": ListedSeries(images={"3.1": SR}, modality="SR"),
    }
)


@pytest.mark.parametrize(
    ("policy", "known", "why"),
    [
        (Policy(modalities=("CT", "MR")), {"modalities": "SR\\PR"}, "it has SR, PR, and wanted is"),
        (Policy(modalities=("CT",)), {"modalities": "SR\\CT"}, ""),
        (Policy(modalities=("CT",)), {"modalities": None}, ""),
        (Policy(studies=("*thorax*",)), {"description": "CT THORAX nativ"}, ""),
        (Policy(studies=("*thorax*", "abd?men")), {"description": "Knee"}, "matches none of"),
        (Policy(studies=("*thorax*",)), {"description": None}, ""),
        (Policy(least=10), {"images": 9}, "it has 9 images, and 10 is the least"),
        (Policy(least=10), {"images": None}, ""),
        (Policy(least=10, most=20), {"images": 20}, ""),
        (Policy(most=20), {"images": 21}, "and 20 is the most"),
        (Policy(series=("x",), sop_classes=(CT,)), {"images": 1, "modalities": "CT"}, ""),
    ],
)
def test_a_study_is_refused_for_what_is_known_of_it_alone(policy, known, why):
    said = policy.refuses(**{"modalities": None, "description": None, "images": None} | known)
    assert (why in said, bool(said)) == (True, bool(why))


@pytest.mark.parametrize(
    ("policy", "images"),
    [
        (Policy(), {"1.1", "1.2", "2.1", "2.2", "3.1"}),
        (Policy(least=3), {"1.1", "1.2", "2.1", "2.2", "3.1"}),
        (Policy(modalities=("CT",)), {"1.1", "1.2", "2.1", "2.2"}),
        (Policy(sop_classes=(CT,)), {"1.1", "1.2", "2.1"}),
        (Policy(series=("thorax*",)), {"1.1", "1.2", "3.1"}),  # one has no description
        (Policy(series=("thorax*",), modalities=("CT",)), {"1.1", "1.2"}),
        (Policy(modalities=("MR",)), set()),
    ],
)
def test_of_a_list_that_part_counts_which_is_wanted(policy, images):
    part = LISTING.part(policy)
    assert part.images == images
    assert (part is LISTING) == (len(images) == 5)


def test_of_a_series_of_which_a_part_is_wanted_the_images_are_named():
    part = LISTING.part(Policy(sop_classes=(CT,)))
    missing = LISTING.naming(part.without(frozenset({"1.1"})), part)
    assert missing == {"1": ("1.2",), "2": ("2.1",)}
    assert LISTING.naming(part.without(frozenset()), part) == {"1": (), "2": ("2.1",)}


def test_complete_is_what_is_wanted_and_says_so():
    policy = Policy(modalities=("CT",), sop_classes=(CT,))
    known = KnownOfSource(listing=LISTING, told=5)
    here = Here(images=frozenset({"1.1", "1.2", "2.1", "9.9"}), sent=frozenset({"9.9"}))
    verdict = judge(known, here, peer="pacs", policy=policy)
    assert (verdict.basis, verdict.expected) == (Basis.LISTED, 3)
    assert verdict.policy == f"modality CT; SOP class {CT}"
    less = judge(known, Here(images=frozenset({"1.1"})), peer="pacs", policy=policy)
    assert (less.complete, less.reason) == (False, "2 of 3 images are missing")
    none = judge(known, here, peer="pacs", policy=Policy(modalities=("MR",)))
    assert (none.complete, none.unwanted, none.policy) == (False, True, "modality MR")
    whole = judge(known, here, peer="pacs", policy=Policy(least=2))
    assert (whole.complete, whole.policy) == (False, None), "all of it counts"
    short = Listing(series=LISTING.series, short="lists 5 of the study's 9 images")
    known = KnownOfSource(listing=short, told=9)
    assert judge(known, here, peer="pacs", policy=policy).policy is None, "nobody knows the rest"


def test_sop_classes_are_named_as_people_do_and_limits_have_an_order():
    names = ["CT Image Storage", "ct image", "CTImageStorage", CT]
    assert WantSettings(sop_class=names).sop_class == (CT,)
    with pytest.raises(ValueError, match="is no SOP class"):
        WantSettings(sop_class=["CT"])
    with pytest.raises(ValueError, match="must not be more than max_images"):
        WantSettings(min_images=5, max_images=4)
    assert WantSettings(study_description="*a, b*").study_description == ("*a, b*",)


def test_why_several_studies_are_not_wanted_is_said_of_several():
    ct, few = "it has CT, and wanted is MR", "its description matches none of 'a*'"
    said = not_wanted("pacs", [ct, ct, few])
    assert said.startswith(
        "pacs: 3 studies are not wanted: 2 because they have CT, and wanted is MR; 1 because its "
    )
    assert "2 studies are not wanted: their descriptions match none" in not_wanted("p", [few, few])
