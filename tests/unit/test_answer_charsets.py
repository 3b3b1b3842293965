"""The character set of an answer: the requestor's, the image's, or UTF-8 (PS3.3 C.12.1.1.2)."""

import pytest

from node.dicom.querying.charsets import charsets_to_try, fitting

JAPANESE = ("", "ISO 2022 IR 87")
NAMES = {
    JAPANESE: "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ("ISO_IR 126",): "Διονυσιος",
    ("ISO_IR 100",): "Äneas^Rüdiger",
}


@pytest.mark.parametrize(
    ("asked", "own", "answered"),
    [
        ((), JAPANESE, JAPANESE),
        (JAPANESE, JAPANESE, JAPANESE),
        (("ISO 2022 IR 6", "ISO 2022 IR 87"), JAPANESE, ("ISO 2022 IR 6", "ISO 2022 IR 87")),
        (("ISO_IR 100",), JAPANESE, ("ISO_IR 192",)),
        (("ISO_IR 192",), JAPANESE, ("ISO_IR 192",)),
        (("ISO_IR 100",), ("ISO_IR 126",), ("ISO_IR 126",)),
        ((), ("ISO_IR 126",), ("ISO_IR 126",)),
        (("ISO_IR 100",), ("ISO_IR 100",), ("ISO_IR 100",)),
        (JAPANESE, ("ISO_IR 126",), ("ISO_IR 126",)),
        (("nonsense",), JAPANESE, ("ISO_IR 192",)),
    ],
)
def test_an_answer_is_in_a_set_that_its_requestor_can_read(asked, own, answered):
    values = [("PN", [NAMES[own]])]
    assert fitting(values, *charsets_to_try(asked, own)).terms == answered
